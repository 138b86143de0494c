"""`Records`: everything that a clinic holds on its patients, in four long tables.

Readers make it, questions read it, the synthetic cohort writes it. One patient is one value of
`patient`, already merged (case and spaces folded), in every table. Times are in `time_unit` since
time zero (entry to the waiting list); calendar dates stay in `patients.entry`, which no question
may use: it decides whom a study's window admits, and to which of the ledger's blocks they belong.

    patients    patient str · arm str|null · entry date|null · one column per covariate (str|f64)
    scores      patient str · time f64 · instrument str · value f64      one row a total score
    engagement  patient str · time f64 · measure str · value f64         see ENGAGEMENT_MEASURES
    wearables   patient str · week i64 · measure str · value f64 · coverage f64 (share of days)
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Final, Literal

import polars as pl

TimeUnit = Literal["week", "month"]
WEEKS_PER_MONTH: Final = 365.25 / 12 / 7

PATIENT_COLUMNS: Final = {"patient": pl.String, "arm": pl.String, "entry": pl.Date}
SCORES: Final = {
    "patient": pl.String,
    "time": pl.Float64,
    "instrument": pl.String,
    "value": pl.Float64,
}
ENGAGEMENT: Final = {
    "patient": pl.String,
    "time": pl.Float64,
    "measure": pl.String,
    "value": pl.Float64,
}
WEARABLES: Final = {
    "patient": pl.String,
    "week": pl.Int64,
    "measure": pl.String,
    "value": pl.Float64,
    "coverage": pl.Float64,
}
ENGAGEMENT_MEASURES: Final = {
    "offered": "1 when a programme was offered, at that time",
    "started": "1 at first use",
    "stopped": "1 at the last use of someone who did not complete the programme",
    "completed": "1 when all planned modules were done",
    "modules": "modules done in that week",
    "logins": "log-ins in that week",
    "check_ins": "contacts with a guide in that week",
    "minutes": "staff minutes in that week",
    "technical_errors": "technical errors met in that week",
    "credibility": "credibility/expectancy, 0-10",
    "alliance": "working alliance (WAI-SR mean), 1-5",
    "therapy_started": "1 at the first session of the therapy that was waited for",
    "stepped_up": "1 when moved to more intensive care or referred urgently",
}
WEARABLE_MEASURES: Final = {
    "steps": "mean steps a day",
    "sleep_hours": "mean hours of sleep a night",
    "resting_heart_rate": "mean resting heart rate, beats a minute",
}


def _empty(schema: dict[str, type[pl.DataType]]) -> pl.DataFrame:
    return pl.DataFrame(schema=schema)


@dataclass(frozen=True)
class Records:
    """A clinic's records; `patients` has one row a patient, sorted by `patient`."""

    patients: pl.DataFrame = field(default_factory=lambda: _empty(dict(PATIENT_COLUMNS)))
    scores: pl.DataFrame = field(default_factory=lambda: _empty(dict(SCORES)))
    engagement: pl.DataFrame = field(default_factory=lambda: _empty(dict(ENGAGEMENT)))
    wearables: pl.DataFrame = field(default_factory=lambda: _empty(dict(WEARABLES)))
    time_unit: TimeUnit = "week"

    def __len__(self) -> int:
        return self.patients.height

    def without(self, patient: str) -> Records:
        """The same records with one patient removed, all rows: the neighbour of the promise."""
        return self._where(pl.col("patient") != patient)

    def entered(self, first: date | None, last: date | None) -> Records:
        """The patients who entered from `first` until `last`, both days included, with all rows.

        With neither, everybody; with either, nobody whose date of entry is unknown.
        """
        if first is None and last is None:
            return self
        day = pl.col("entry")
        inside = day.is_between(first or date.min, last or date.max)
        return self.only(self.patients.filter(inside)["patient"])

    def only(self, patients: pl.Series) -> Records:
        """These patients, with all rows."""
        return self._where(pl.col("patient").is_in(patients.implode()))

    def _where(self, keep: pl.Expr) -> Records:
        return Records(
            self.patients.filter(keep),
            self.scores.filter(keep),
            self.engagement.filter(keep),
            self.wearables.filter(keep),
            self.time_unit,
        )

    def times_in(self, unit: TimeUnit) -> Records:
        """The same records with `scores.time` and `engagement.time` in `unit`."""
        if unit == self.time_unit:
            return self
        factor = WEEKS_PER_MONTH if unit == "week" else 1 / WEEKS_PER_MONTH
        scaled = pl.col("time") * factor
        return Records(
            self.patients,
            self.scores.with_columns(scaled),
            self.engagement.with_columns(scaled),
            self.wearables,
            unit,
        )
