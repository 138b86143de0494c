"""`Weekly`: records as dense weekly arrays, each patient's from that patient's rows alone.

Weeks run from 0 (time zero) to 26; a time belongs to its nearest week. Scores are on the 0-1
scale of their instrument's range. What is missing is a 0 beside a 0 in its mask, never a 0 that
could be a value. Scales are public constants, so nothing here depends on who else is in the clinic.

Rules that a reader may want to know:

- Several scores of one instrument in a week: the latest counts (at equal times the higher one).
- A score outside its instrument's range, or not finite, is no score. So are other values that are
  not finite; the rest are cut to a public range.
- 'stopped' is not a feature: it is written at the last use, when nobody could know that yet.
- The study's outcome is the main instrument. Its companion is GAD-7, or PHQ-9 beside a GAD-7.
- Arms that the domain does not name (a study's own labels) leave the arm's columns at 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cairn_models.measures import INSTRUMENTS, Instrument
from cairn_models.records import Records

Floats = NDArray[np.float32]

WEEKS: Final = 27  # 0..26
HORIZONS: Final = (1, 2, 4, 8)  # weeks ahead of an anchor
ARMS: Final = (
    "waiting",
    "treatment_as_usual",
    "self_help_book",
    "dmhi_unguided",
    "dmhi_guided",
    "blended",
    "face_to_face",
)
_WEARABLES: Final = {"steps": 10_000.0, "sleep_hours": 10.0, "resting_heart_rate": 100.0}

COLUMNS: Final = (
    "score",
    "score_observed",
    "last_score",
    "any_score",
    "weeks_since_score",
    "companion",
    "companion_observed",
    "last_companion",
    "any_companion",
    "week",
    *(f"arm_{arm}" for arm in ARMS),
    "logins",
    "modules",
    "started",
    "weeks_since_use",
    "credibility",
    "credibility_observed",
    *_WEARABLES,
    "wearable_coverage",
    "female",
    "sex_known",
    "age",
    "age_known",
)
LAST_SCORE: Final = COLUMNS.index("last_score")
SIXTEENTH: Final = 1 / 16  # weekly sums are of sixteenths: exact, in whatever order rows are added


@dataclass(frozen=True)
class Weekly:
    """N patients' weeks.

    Args:
        patients: (N,) identifiers, in the order of the rows.
        features: (N, T, F) float32; F are `COLUMNS`.
        score: (N, T) float32, main instrument on 0-1; 0 where not observed.
        observed: (N, T) bool.
    """

    patients: tuple[str, ...]
    features: Floats
    score: Floats
    observed: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.patients)

    def targets(self, horizons: tuple[int, ...] = HORIZONS) -> tuple[Floats, NDArray[np.bool_]]:
        """((N, T, H) score h weeks after each anchor, (N, T, H) whether both are observed).

        H are always all `HORIZONS`; those not in `horizons` are never observed.
        """
        target = np.zeros((*self.score.shape, len(HORIZONS)), dtype=np.float32)
        known = np.zeros(target.shape, dtype=np.bool_)
        for k, h in enumerate(HORIZONS):
            if h in horizons:
                target[:, :-h, k] = self.score[:, h:]
                known[:, :-h, k] = self.observed[:, :-h] & self.observed[:, h:]
        return target, known


def companion_of(instrument: Instrument) -> Instrument:
    """The second instrument that the features hold."""
    return INSTRUMENTS["PHQ-9" if instrument.name == "GAD-7" else "GAD-7"]


def weekly(records: Records, instrument: Instrument) -> Weekly:
    """The weeks of every patient in `records`, with `instrument` as the main one."""
    records = records.times_in("week")
    patients = records.patients.get_column("patient").to_list()
    n = len(patients)
    place = _Placer(pl.DataFrame({"patient": patients, "row": range(n)}, schema=_ROWS), n)
    columns = {name: np.zeros((n, WEEKS), dtype=np.float32) for name in COLUMNS}

    score, observed = place.scores(records.scores, instrument)
    other, other_observed = place.scores(records.scores, companion_of(instrument))
    columns |= {
        "score": score,
        "score_observed": observed.astype(np.float32),
        "companion": other,
        "companion_observed": other_observed.astype(np.float32),
    }
    columns["last_score"], columns["any_score"], since = carried(score, observed)
    columns["weeks_since_score"] = since
    columns["last_companion"], columns["any_companion"], _ = carried(other, other_observed)
    columns["week"] += np.arange(WEEKS, dtype=np.float32) / np.float32(WEEKS - 1)

    uses = place.engagement(records.engagement)
    columns |= uses
    columns |= place.wearables(records.wearables)
    columns |= _static(records.patients)
    features = np.stack(
        [np.broadcast_to(columns[name], (n, WEEKS)) for name in COLUMNS], axis=-1
    ).astype(np.float32)
    return Weekly(tuple(patients), features, score, observed)


def carried(values: Floats, observed: NDArray[np.bool_]) -> tuple[Floats, Floats, Floats]:
    """Each (N, T): the last value so far, whether there is one, weeks since it over 26."""
    week = np.arange(values.shape[1])
    last = np.maximum.accumulate(np.where(observed, week, -1), axis=1)  # (N, T)
    any_ = last >= 0
    value = np.take_along_axis(values, np.maximum(last, 0), axis=1) * any_
    since = np.where(any_, week - last, 0) / (WEEKS - 1)
    return value.astype(np.float32), any_.astype(np.float32), since.astype(np.float32)


def _parts(value: pl.Expr, whole: float) -> pl.Expr:
    # Never a division: polars divides one row and many rows by different instructions, so the last
    # bit of a patient's feature would tell whether there are others. Products are rounded alike.
    return value * (1 / whole)


_ROWS: Final = {"patient": pl.String, "row": pl.Int64}


@dataclass(frozen=True)
class _Placer:
    """Puts long rows into (N, T) arrays; rows of unknown patients and other weeks fall away."""

    rows: pl.DataFrame
    n: int

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

    def scores(
        self, scores: pl.DataFrame, instrument: Instrument
    ) -> tuple[Floats, NDArray[np.bool_]]:
        """((N, T) score on 0-1, (N, T) whether observed) of one instrument."""
        own = scores.filter(
            (pl.col("instrument") == instrument.name)
            & pl.col("value").is_between(instrument.lowest, instrument.highest)
        )
        table = (
            self._weeks(own, "time")
            .sort("__time", "value")
            .group_by("row", "week", maintain_order=True)
            .last()
            .with_columns(
                _parts(pl.col("value") - instrument.lowest, instrument.highest - instrument.lowest),
                seen=pl.lit(1.0),
            )
        )
        return self._dense(table), self._dense(table, "seen") > 0

    def _summed(self, table: pl.DataFrame, time: str, measure: str, largest: float) -> Floats:
        own = table.filter(pl.col("measure") == measure)
        sums = (
            self._weeks(own, time)
            .with_columns((pl.col("value").clip(0, largest) * 16).round() * SIXTEENTH)
            .group_by("row", "week")
            .agg(pl.col("value").sum().clip(0, largest))
        )
        return self._dense(sums)

    def engagement(self, table: pl.DataFrame) -> dict[str, Floats]:
        """Use of the programme week by week, and credibility from the week it was asked."""
        logins = self._summed(table, "time", "logins", 50.0)
        modules = self._summed(table, "time", "modules", 10.0)
        used = (logins > 0) | (modules > 0) | (self._summed(table, "time", "started", 1.0) > 0)
        _, started, since = carried(logins, used)
        rated = (
            self._weeks(table.filter(pl.col("measure") == "credibility"), "time")
            .sort("__time", "value")
            .group_by("row", "week", maintain_order=True)
            .last()
            .with_columns(_parts(pl.col("value").clip(0, 10), 10), seen=pl.lit(1.0))
        )
        credibility, asked, _ = carried(self._dense(rated), self._dense(rated, "seen") > 0)
        return {
            "logins": (np.log1p(logins) / np.log1p(50.0)).astype(np.float32),
            "modules": modules / np.float32(10.0),
            "started": started,
            "weeks_since_use": since,
            "credibility": credibility,
            "credibility_observed": asked,
        }

    def wearables(self, table: pl.DataFrame) -> dict[str, Floats]:
        """Weekly means over public scales, and the week's coverage; no data, no coverage."""
        known = table.filter(
            pl.col("measure").is_in(list(_WEARABLES)) & pl.col("coverage").is_finite()
        ).with_columns(pl.col("coverage").clip(0, 1))
        weeks = self._weeks(known, "week").sort("value", "coverage")
        out: dict[str, Floats] = {"wearable_coverage": np.zeros((self.n, WEEKS), np.float32)}
        for measure, scale in _WEARABLES.items():
            own = (
                weeks.filter((pl.col("measure") == measure) & (pl.col("coverage") > 0))
                .group_by("row", "week", maintain_order=True)
                .last()
                .with_columns(_parts(pl.col("value").clip(0, 3 * scale), scale))
            )
            out[measure] = self._dense(own)
            covered = self._dense(own, "coverage")
            out["wearable_coverage"] = np.maximum(out["wearable_coverage"], covered)
        return out


def _static(patients: pl.DataFrame) -> dict[str, Floats]:
    """(N, 1) columns that do not change: arm, sex, first year of the age (band) over 100."""

    def text(name: str) -> pl.Series:
        if name in patients.columns:
            return patients.get_column(name).cast(pl.String)
        return pl.Series([None] * patients.height, dtype=pl.String)

    def dense(series: pl.Series) -> Floats:
        values = series.cast(pl.Float64).fill_null(0.0).to_numpy().astype(np.float32)
        return np.asarray(values[:, None], dtype=np.float32)

    arm, sex = text("arm"), text("sex").str.to_lowercase()
    age = text("age_band" if "age_band" in patients.columns else "age")
    # ASCII digits: `\d` also finds digits that do not convert, and one patient's would stop all.
    years = age.str.extract(r"([0-9]{1,3})").cast(pl.Float64).clip(0, 110) * (1 / 100)
    return {
        **{f"arm_{name}": dense(arm == name) for name in ARMS},
        "female": dense(sex.is_in(["female", "f"])),
        "sex_known": dense(sex.is_in(["female", "f", "male", "m"])),
        "age": dense(years),
        "age_known": dense(years.is_not_null()),
    }
