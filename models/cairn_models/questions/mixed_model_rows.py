"""`PatientRows`: each patient's rows of a longitudinal model, from the formula and the records.

A name in the formula is `time`, `arm`, a `[variables.…]` of the study (constant: a column of the
patients' table), or another instrument (changing: its score at the very time of the outcome's, so
that what is measured at a visit can explain that visit). An instrument is one of the study's
`[[instruments]]`, or a known one in backticks: `GAD-7`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field, model_validator

from cairn_models.formula import TIME, Design
from cairn_models.measures import INSTRUMENTS, Instrument
from cairn_models.questions.base import Settings, instrument_of
from cairn_models.records import Records
from cairn_protocol.errors import InputError
from cairn_protocol.study import QuestionSpec, Study, Variable

ARM: Final = "arm"
Array = NDArray[np.float64]


class LongitudinalSettings(Settings):
    """Settings that longitudinal models share.

    `formula` as in R; `max_visits` a public cap: of a patient with more scores the first count.
    Scores with after < time ≤ until enter, in the study's time unit; the baseline, at time 0,
    enters as a covariate.
    """

    formula: str
    max_visits: int = Field(ge=2, le=60)
    after: float = Field(default=0.0, ge=-1024, le=1024)
    until: float = Field(default=1024.0, ge=-1024, le=1024)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.after < self.until:
            raise ValueError("after must be below until")
        return self

    @property
    def latest(self) -> float:
        """The largest time in size that can enter."""
        return max(abs(self.after), abs(self.until))


@dataclass(frozen=True)
class Rows:
    """Every patient's rows: `x[i]` (visits, p), `y[i]` (visits,), scaled; `times[i]` (visits,)."""

    x: tuple[Array, ...]
    y: tuple[Array, ...]
    times: tuple[Array, ...]


@dataclass(frozen=True)
class PatientRows:
    """Reads rows for one question.

    Columns are multiplied by `scale` (p,), the outcome by `outcome_scale`: powers of two, so that
    whole scores stay exact in fixed-point sums.
    """

    spec: QuestionSpec
    study: Study
    design: Design
    variables: Mapping[str, Variable]
    settings: LongitudinalSettings
    scale: Array
    outcome_scale: float

    def read(self, records: Records) -> Rows:
        """Each patient's design, outcome and times, in the order of `records.patients`.

        A patient with a constant covariate missing, outside its declared range or levels, or
        without a score in the window, has no rows; a visit without the other instrument has none.

        Raises:
            InputError: the clinic's records lack a column that the formula names.
        """
        records = records.times_in(self.study.outcome.time_unit)
        changing = changing_names(self.study, self.design.variables)
        constant = [n for n in self.design.variables if n != TIME and n not in changing]
        if len(records):
            self._check_columns(records, constant)
        visits = {
            str(patient): table.select("time", "value", *changing).to_numpy()
            for (patient,), table in self._scores(records, changing).group_by(
                "patient", maintain_order=True
            )
        }
        values = {
            name: _values(records.patients[name], self.variables[name])
            for name in constant
            if name in records.patients.columns
        }
        x, y, times = [], [], []
        for place, patient in enumerate(records.patients["patient"]):
            seen = visits.get(patient, np.zeros((0, 2 + len(changing))))
            n = len(seen)
            own = {name: np.full(n, column[place]) for name, column in values.items()}
            own |= {name: seen[:, 2 + j] for j, name in enumerate(changing)}
            matrix = self.design.matrix({**own, TIME: seen[:, 0]}, n)
            keep = np.isfinite(matrix).all(axis=1)
            x.append(matrix[keep] * self.scale)
            y.append(seen[keep, 1] * self.outcome_scale)
            times.append(seen[keep, 0])
        return Rows(tuple(x), tuple(y), tuple(times))

    def _check_columns(self, records: Records, covariates: list[str]) -> None:
        missing = [name for name in covariates if name not in records.patients.columns]
        if missing:
            raise InputError(
                f"this clinic's patients have no column {missing[0]!r}",
                code="column-missing",
                why=f"the formula of question {self.spec.name!r} names it",
                hint=f"map it under [patients.variables] in mapping.toml: {missing[0]} = ...",
            )

    def _scores(self, records: Records, changing: tuple[str, ...]) -> pl.DataFrame:
        """The first `max_visits` admissible scores of each patient in the window, in order."""
        s = self.settings
        visits = (
            _admissible(records, self.study, self.study.outcome.instrument)
            .filter(pl.col("time") > s.after, pl.col("time") <= s.until)
            .group_by("patient", maintain_order=True)
            .head(s.max_visits)
        )
        for name in changing:
            measured = (
                _admissible(records, self.study, name)
                .unique(["patient", "time"], keep="first", maintain_order=True)
                .rename({"value": name})
            )
            visits = visits.join(
                measured, on=["patient", "time"], how="left", maintain_order="left"
            )
        return visits


def model_variables(study: Study, formula: str) -> Mapping[str, Variable]:
    """What a formula may name beside `time`: the arm where the study compares arms, other
    instruments, and the study's own variables, which win."""
    names = [own.name for own in study.instruments]
    names += [name for name in INSTRUMENTS if f"`{name}`" in formula]
    known: dict[str, Variable] = {}
    for name in dict.fromkeys(names):
        if name != study.outcome.instrument:
            instrument = instrument_of(study, name)
            known[name] = Variable(lowest=instrument.lowest, highest=instrument.highest)
    if len(study.cohort.arms) > 1:
        known[ARM] = Variable(levels=study.cohort.arms)
    return {**known, **study.variables}


def changing_names(study: Study, names: tuple[str, ...]) -> tuple[str, ...]:
    """Those of a design's `names` that are measured at visits."""
    constant = {TIME, ARM, *study.variables}
    return tuple(name for name in names if name not in constant)


def column_scales(design: Design, instrument: Instrument, size: float) -> tuple[Array, float]:
    """(p,) and one power of two that bring columns and outcome nearest below `size`."""
    scale = np.array([power_of_two(size, column.largest) for column in design.columns])
    return scale, power_of_two(size, max(abs(instrument.lowest), abs(instrument.highest)))


def power_of_two(size: float, largest: float) -> float:
    """The power of two that brings `largest` nearest below `size`."""
    return 2.0 ** math.floor(math.log2(size / largest)) if largest > 0 else 1.0


def _admissible(records: Records, study: Study, name: str) -> pl.DataFrame:
    instrument = instrument_of(study, name)
    return (
        records.scores.filter(
            pl.col("instrument") == name,
            pl.col("value").is_between(instrument.lowest, instrument.highest),
        )
        .sort("patient", "time", "value")
        .select("patient", "time", "value")
    )


def _values(column: pl.Series, variable: Variable) -> Array:
    """(patients,) numbers, or places among the declared levels; NaN: missing or not admitted."""
    if variable.levels:
        places: dict[str | None, float] = {
            level: float(place) for place, level in enumerate(variable.levels)
        }
        return np.array([places.get(_as_level(value), np.nan) for value in column], dtype=float)
    numbers = column.cast(pl.Float64, strict=False).fill_null(float("nan")).to_numpy()
    low, high = variable.lowest or 0.0, variable.highest or 0.0
    return np.where((numbers >= low) & (numbers <= high), numbers, np.nan)


def _as_level(value: object) -> str | None:
    """How a level is written: a number column's 1.0 is the level '1'. None: missing."""
    if value is None:
        return None
    return f"{value:g}" if isinstance(value, float) else str(value)
