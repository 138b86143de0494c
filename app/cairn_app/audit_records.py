"""Synthetic clinics and hostile patients for the empirical test, in a study's own terms.

Everything is made by formula from the study's arms, instruments and covariates: no record, no
random draw. A hostile patient is whatever a faulty export, a wrong unit or an attacker could bring
into a clinic's records.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import polars as pl

from cairn_models.measures import INSTRUMENTS, Instrument
from cairn_models.questions.base import instrument_of
from cairn_models.records import (
    ENGAGEMENT,
    ENGAGEMENT_MEASURES,
    PATIENT_COLUMNS,
    SCORES,
    WEARABLE_MEASURES,
    WEARABLES,
    Records,
)
from cairn_protocol.study import Study

DENSE: Final = 40  # patients in the full clinic and in the sparse one
LAST: Final = 30  # units of time that the full clinic covers
HOSTILE_LAST: Final = 60
NAN, INF = math.nan, math.inf

Row = tuple[Any, ...]


@dataclass(frozen=True)
class People:
    """Makes records in the terms of one study."""

    study: Study

    @property
    def instruments(self) -> tuple[Instrument, ...]:
        """The study's outcome first, then all others that Cairn or the study knows."""
        names = [self.study.outcome.instrument, *(i.name for i in self.study.instruments)]
        return tuple(instrument_of(self.study, n) for n in dict.fromkeys([*names, *INSTRUMENTS]))

    @property
    def entry(self) -> date:
        """A day of entry that the study admits."""
        cohort = self.study.cohort
        return cohort.entry_from or cohort.entry_until or date(2024, 1, 15)

    @property
    def backgrounds(self) -> dict[str, Records]:
        """Clinics without a hostile patient: full, sparse, of one patient, empty."""
        everyone = [self._patient(f"synthetic-{i:03d}", i) for i in range(DENSE)]
        full = [row for i in range(DENSE) for row in self._course(f"synthetic-{i:03d}", i)]
        pairs = [
            (name, time, instrument.name, self._ordinary(instrument, i, 0))
            for i, (name, *_) in enumerate(everyone)
            for instrument in self.instruments
            for time in (0.0, 1.0 if i % 2 else 8.0)
        ]
        used = [
            (name, float(t), measure, 1.0)
            for name, *_ in everyone[: DENSE // 2]
            for t in range(8)
            for measure in ENGAGEMENT_MEASURES
        ]
        worn = [
            (name, week, measure, 60.0, 0.8)
            for name, *_ in everyone[: DENSE // 2]
            for week in range(8)
            for measure in WEARABLE_MEASURES
        ]
        return {
            "full": self._records(everyone, full, used, worn),
            "sparse": self._records(everyone, pairs),
            "one patient": self._records(everyone[:1], list(self._course(everyone[0][0], 0))),
            "empty": self._records([]),
        }

    def hostile(self, name: str) -> dict[str, Records]:
        """One hostile patient each, called `name`."""

        def scores(*values: float, times: Sequence[float] = self._times) -> list[Row]:
            return [
                (name, t, instrument.name, values[k % len(values)])
                for instrument in self.instruments
                for k, t in enumerate(times)
            ]

        def ends(*high: bool) -> list[Row]:
            return [
                (name, t, i.name, i.highest if high[k % len(high)] else i.lowest)
                for i in self.instruments
                for k, t in enumerate(self._times)
            ]

        def used(value: float) -> list[Row]:
            return [(name, t, m, value) for m in ENGAGEMENT_MEASURES for t in self._times]

        def worn(value: float, coverage: float) -> list[Row]:
            return [
                (name, week, m, value, coverage)
                for m in WEARABLE_MEASURES
                for week in range(-4, HOSTILE_LAST)
            ]

        me = [self._patient(name, 0)]
        last = [self._patient(name, len(self.study.cohort.arms) - 1)]
        falling = [
            (name, t, i.name, i.highest if t < 1 else i.lowest)
            for i in self.instruments
            for t in self._times
        ]
        rising = [
            (name, t, i.name, i.lowest if t < 1 else i.highest)
            for i in self.instruments
            for t in self._times
        ]
        odd_times = (NAN, INF, -INF, 1e30, -1e30, 5e-324, 0.0, 8.0)
        return {
            "huge": self._records(me, scores(1e30, -1e30), used(1e30), worn(1e30, 1e30)),
            "beyond squaring": self._records(me, scores(1e300), used(1e300), worn(-1e300, 1.0)),
            "not a number": self._records(me, scores(NAN), used(NAN), worn(NAN, NAN)),
            "infinite": self._records(me, scores(INF, -INF), used(INF), worn(-INF, INF)),
            "smallest": self._records(me, scores(5e-324), used(5e-324), worn(5e-324, 5e-324)),
            "nothing known": self._records([self._patient(name, 0, known=False)]),
            "always highest": self._records(me, ends(True), used(100.0), worn(1e5, 1.0)),
            "always lowest": self._records(last, ends(False)),
            "from highest to lowest": self._records(me, falling, used(1.0)),
            "from lowest to highest": self._records(last, rising, used(1.0)),
            "to and fro": self._records(me, ends(True, False), used(50.0)),
            "every row 20 times": self._records(me, 20 * falling, 20 * used(1.0)),
            "strange times": self._records(me, scores(9.0, NAN, 3.0, times=odd_times)),
            "one good row among bad": self._records(
                me, [*scores(NAN), *scores(9.0, 3.0, times=(0.0, 8.0))], used(NAN)
            ),
        }

    @property
    def _times(self) -> tuple[float, ...]:
        return tuple(k / 2 for k in range(-8, 2 * HOSTILE_LAST))

    def _ordinary(self, instrument: Instrument, i: int, t: int) -> float:
        share = 0.5 + 0.3 * math.sin(1.7 * i + 0.4 * t)
        return round(instrument.lowest + share * (instrument.highest - instrument.lowest))

    def _course(self, name: str, i: int) -> Iterator[Row]:
        for instrument in self.instruments:
            for t in range(-1, LAST):
                yield name, float(t), instrument.name, self._ordinary(instrument, i, t)

    def _patient(self, name: str, i: int, *, known: bool = True) -> Row:
        arms = self.study.cohort.arms or ("waiting", "dmhi_guided")
        fixed = (name, arms[i % len(arms)] if known else None, self.entry)
        return (*fixed, *(self._covariate(c, i) if known else None for c in self._covariates))

    def _covariate(self, name: str, i: int) -> str | float:
        variable = self.study.variables.get(name)
        if variable is None:
            return {"sex": ("female", "male")[i % 2], "age_band": "40-49"}[name]
        if variable.levels:
            return variable.levels[i % len(variable.levels)]
        return float((variable.lowest, variable.highest)[i % 2] or 0.0)

    @property
    def _covariates(self) -> Mapping[str, type[pl.DataType]]:
        own = {
            name: pl.String if variable.levels else pl.Float64
            for name, variable in self.study.variables.items()
        }
        return {"sex": pl.String, "age_band": pl.String, **own}

    def _records(
        self,
        patients: Sequence[Row],
        scores: Sequence[Row] = (),
        engagement: Sequence[Row] = (),
        wearables: Sequence[Row] = (),
    ) -> Records:
        def table(rows: Sequence[Row], schema: Mapping[str, type[pl.DataType]]) -> pl.DataFrame:
            return pl.DataFrame(list(rows), schema=dict(schema), orient="row")

        return Records(
            table(patients, {**PATIENT_COLUMNS, **self._covariates}),
            table(scores, SCORES),
            table(engagement, ENGAGEMENT),
            table(wearables, WEARABLES),
            self.study.outcome.time_unit,
        )

    def named(self, names: Iterable[str]) -> Records:
        """Patients of whom nothing but the name is known."""
        rows = [(name, None, self.entry) for name in names]
        return Records(pl.DataFrame(rows, schema=dict(PATIENT_COLUMNS), orient="row"))


def joined(one: Records, other: Records) -> Records:
    """Both cohorts as one clinic's records, patients in order."""
    return Records(
        pl.concat([one.patients, other.patients]).sort("patient"),
        pl.concat([one.scores, other.scores]),
        pl.concat([one.engagement, other.engagement]),
        pl.concat([one.wearables, other.wearables]),
        one.time_unit,
    )
