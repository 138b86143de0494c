"""Each patient's arm, baseline and outcome: what a contrast of arms needs, pure per patient.

One rule a function, all with inclusive windows in the records' own time unit:

- `baseline_scores`: the last score at or before time zero inside the window; if there is none, the
  earliest after it (a questionnaire filled in some days after listing).
- `outcome_scores`: the score nearest to the asked time inside the window, the earlier at a tie.

Times are read to a millionth, so that 61/7 and 51/7 weeks are equally far from 8. Two scores of one
patient at one time are averaged, a score outside the instrument's range is not a score. Nothing
depends on row order or on another patient, so removing one patient moves nobody.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cairn_models.measures import Instrument
from cairn_models.records import Records

NO_ARM: Final = -1
TIME_DIGITS: Final = 6


@dataclass(frozen=True)
class Changes:
    """One row a patient, in the order of `records.patients`; nothing here names anyone.

    `arm` (N,) int64 index into the study's arms, `NO_ARM` where unknown; `baseline` and `outcome`
    (N,) float64 in points, NaN where there is no score.
    """

    arm: NDArray[np.int64]
    baseline: NDArray[np.float64]
    outcome: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.arm)

    @property
    def complete(self) -> NDArray[np.bool_]:
        """(N,) whether arm, baseline and outcome are all there."""
        told = np.isfinite(self.baseline) & np.isfinite(self.outcome)
        complete: NDArray[np.bool_] = told & (self.arm != NO_ARM)
        return complete


def changes(
    records: Records,
    instrument: Instrument,
    *,
    arms: Sequence[str],
    baseline_window: tuple[float, float],
    at: float,
    within: float,
) -> Changes:
    """Arm, baseline and outcome near time `at` of every patient, missing ones included."""
    scores = admitted_scores(records, instrument)
    table = (
        records.patients.select("patient", "arm")
        .unique("patient", keep="first", maintain_order=True)
        .join(
            baseline_scores(scores, baseline_window),
            on="patient",
            how="left",
            maintain_order="left",
        )
        .join(outcome_scores(scores, at, within), on="patient", how="left", maintain_order="left")
    )
    places = {name: index for index, name in enumerate(arms)}
    return Changes(
        arm=np.array([places.get(a, NO_ARM) for a in table["arm"].to_list()], dtype=np.int64),
        baseline=_as_floats(table["baseline"]),
        outcome=_as_floats(table["outcome"]),
    )


def admitted_scores(records: Records, instrument: Instrument) -> pl.DataFrame:
    """(patient, time, value) of `instrument`: finite, in range, one row a patient and time."""
    value = pl.col("value")
    return (
        records.scores.filter(
            (pl.col("instrument") == instrument.name)
            & value.is_between(instrument.lowest, instrument.highest)
            & pl.col("time").is_finite()
        )
        .with_columns(pl.col("time").round(TIME_DIGITS))
        .sort("patient", "time", "value")  # a mean must not depend on row order
        .group_by("patient", "time", maintain_order=True)
        .agg(value.mean())
    )


def baseline_scores(scores: pl.DataFrame, window: tuple[float, float]) -> pl.DataFrame:
    """(patient, baseline) for patients with a score in `window`; see the module's rule."""
    time = pl.col("time")
    return _first_of(
        scores.filter(time.is_between(*window)),
        order=(time > 0, time.abs()),  # at or before zero comes first, then the nearest to zero
        name="baseline",
    )


def outcome_scores(scores: pl.DataFrame, at: float, within: float) -> pl.DataFrame:
    """(patient, outcome) for patients with a score in `at` ± `within`; nearest, then earlier."""
    time = pl.col("time")
    return _first_of(
        scores.filter(time.is_between(at - within, at + within)),
        order=((time - at).abs().round(TIME_DIGITS), time),
        name="outcome",
    )


def _first_of(scores: pl.DataFrame, *, order: tuple[pl.Expr, pl.Expr], name: str) -> pl.DataFrame:
    return (
        scores.sort("patient", *order)
        .unique("patient", keep="first", maintain_order=True)
        .select("patient", pl.col("value").alias(name))
    )


def _as_floats(column: pl.Series) -> NDArray[np.float64]:
    return column.cast(pl.Float64).fill_null(float("nan")).to_numpy().astype(np.float64)
