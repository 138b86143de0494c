"""`Placer`: long tables as dense (patients, weeks) arrays, a row from one patient's rows alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cairn_models.measures import Instrument
from cairn_models.trajectory.columns import WEARABLES, WEEKS

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

SIXTEENTH: Final = 1 / 16  # weekly sums are of sixteenths: exact, in whatever order rows are added
_ROWS: Final = {"patient": pl.String, "row": pl.Int64}


def parts(value: pl.Expr, whole: float) -> pl.Expr:
    """`value` over `whole`, by a product.

    Never a division: polars divides one row and many rows by different instructions, so the last
    bit of a patient's feature would tell whether there are others. Products are rounded alike.
    """
    return value * (1 / whole)


def carried(values: Floats, observed: Mask) -> tuple[Floats, Floats, Floats]:
    """Each (N, T): the last value so far, whether there is one, weeks since it over 26."""
    week = np.arange(values.shape[1])
    last = np.maximum.accumulate(np.where(observed, week, -1), axis=1)  # (N, T)
    any_ = last >= 0
    value = np.take_along_axis(values, np.maximum(last, 0), axis=1) * any_
    since = np.where(any_, week - last, 0) / (WEEKS - 1)
    return value.astype(np.float32), any_.astype(np.float32), since.astype(np.float32)


def first_so_far(values: Floats, observed: Mask) -> Floats:
    """(N, T) the first value from the week on in which it was seen, 0 before."""
    first = np.argmax(observed, axis=1)
    seen = np.maximum.accumulate(observed, axis=1)
    return np.asarray(values[np.arange(len(values)), first][:, None] * seen, dtype=np.float32)


@dataclass(frozen=True)
class Placer:
    """Puts long rows into (N, T) arrays; rows of unknown patients and other weeks fall away."""

    rows: pl.DataFrame
    n: int

    @classmethod
    def of(cls, patients: list[str]) -> Placer:
        """For `patients` in this order."""
        places = pl.DataFrame({"patient": patients, "row": range(len(patients))}, schema=_ROWS)
        return cls(places, len(patients))

    def _weeks(self, table: pl.DataFrame, time: str) -> pl.DataFrame:
        """`table` with `row` and `week` (nearest, 0..26) of the rows that have both and a value."""
        usable = pl.col("value").is_finite() & pl.col("__time").is_finite()
        near = (pl.col("__time") >= -0.5) & (pl.col("__time") < WEEKS - 0.5)
        return (
            table.with_columns(pl.col(time).cast(pl.Float64).alias("__time"))
            .filter(usable & near)
            .with_columns((pl.col("__time") + 0.5).floor().cast(pl.Int64).alias("week"))
            .join(self.rows, on="patient", how="inner")
        )

    def _dense(self, table: pl.DataFrame, value: str = "value") -> Floats:
        """(N, T) with `value` at (row, week), one row of `table` each."""
        out = np.zeros((self.n, WEEKS), dtype=np.float32)
        at = table.get_column("row").to_numpy(), table.get_column("week").to_numpy()
        out[at] = table.get_column(value).to_numpy()
        return out

    def _latest(self, table: pl.DataFrame, value: pl.Expr) -> tuple[Floats, Mask]:
        """((N, T) each week's latest `value`, the higher at equal times; whether there is one)."""
        one = (
            self._weeks(table, "time")
            .sort("__time", "value")
            .group_by("row", "week", maintain_order=True)
            .last()
            .with_columns(value, seen=pl.lit(1.0))
        )
        return self._dense(one), self._dense(one, "seen") > 0

    def scores(self, scores: pl.DataFrame, instrument: Instrument) -> tuple[Floats, Mask]:
        """((N, T) score on 0-1, (N, T) whether observed) of one instrument."""
        low, high = instrument.lowest, instrument.highest
        own = scores.filter(
            (pl.col("instrument") == instrument.name) & pl.col("value").is_between(low, high)
        )
        return self._latest(own, parts(pl.col("value") - low, high - low))

    def rated(
        self, table: pl.DataFrame, measure: str, low: float, high: float
    ) -> tuple[Floats, Mask]:
        """((N, T) rating on 0-1, (N, T) whether rated) of a measure of engagement."""
        own = table.filter(pl.col("measure") == measure)
        return self._latest(own, parts(pl.col("value").clip(low, high) - low, high - low))

    def summed(self, table: pl.DataFrame, measure: str, largest: float) -> Floats:
        """(N, T) the week's sum of a measure of engagement, cut to 0..`largest`."""
        own = table.filter(pl.col("measure") == measure)
        sums = (
            self._weeks(own, "time")
            .with_columns((pl.col("value").clip(0, largest) * 16).round() * SIXTEENTH)
            .group_by("row", "week")
            .agg(pl.col("value").sum().clip(0, largest))
        )
        return self._dense(sums)

    def marked(self, table: pl.DataFrame, measure: str) -> Mask:
        """(N, T) whether a week holds a 1 of `measure`."""
        own = table.filter((pl.col("measure") == measure) & (pl.col("value") == 1.0))
        return self._dense(self._weeks(own, "time").unique(("row", "week"))) > 0

    def worn(self, table: pl.DataFrame) -> dict[str, Floats]:
        """Weekly means of wearables over public scales, each with its coverage; 0 without data."""
        known = table.filter(
            pl.col("measure").is_in(list(WEARABLES)) & pl.col("coverage").is_finite()
        ).with_columns(pl.col("coverage").clip(0, 1))
        weeks = self._weeks(known, "week").sort("value", "coverage")
        out: dict[str, Floats] = {}
        for measure, scale in WEARABLES.items():
            own = (
                weeks.filter((pl.col("measure") == measure) & (pl.col("coverage") > 0))
                .group_by("row", "week", maintain_order=True)
                .last()
                .with_columns(parts(pl.col("value").clip(0, 3 * scale), scale))
            )
            out[measure] = self._dense(own)
            out[f"{measure}_coverage"] = self._dense(own, "coverage")
        return out
