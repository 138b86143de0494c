"""`MixedModel`: a random-intercept model of the outcome's course, exact, for public data.

A patient contributes the cross-products of that patient's own scores (`GroupedSums`); their sum
gives ML and REML in one round. Without noise the result is that of one pooled file; with noise
it would be worthless, so the question is refused for patients' data.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field, model_validator

from cairn_models.answers import Answer
from cairn_models.formula import TIME, parse_formula
from cairn_models.questions.base import Public, Question, Settings, Shape, SumNoise, Vector
from cairn_models.questions.mixed_model_answer import answer
from cairn_models.records import Records
from cairn_models.statistics.grouped_sums import GroupedSums, patient_vector, vector_length
from cairn_protocol.errors import InputError
from cairn_protocol.study import QuestionSpec, Study, Variable

ARM: Final = "arm"
LARGEST_ENTRY: Final = 2.0**37  # of the planned patients' sum: 2⁵⁷ of the ring's 2⁶³ steps
BLOCK: Final = 1 << 20  # numbers in one block of patients


class MixedModelSettings(Settings):
    """Settings of a mixed model.

    `formula` as in R; `max_visits` a public cap: of a patient with more scores the first count.
    Scores with after < time ≤ until enter, in the study's time unit; the baseline, at time 0,
    enters as a covariate. `method` chooses the main estimates; the other stands beside.
    """

    formula: str
    max_visits: int = Field(ge=2, le=60)
    method: Literal["ML", "REML"] = "ML"
    after: float = Field(default=0.0, ge=-1024, le=1024)
    until: float = Field(default=1024.0, ge=-1024, le=1024)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.after < self.until:
            raise ValueError("after must be below until")
        return self


@dataclass(frozen=True)
class Rows:
    """Every patient's rows of the model: `x[i]` (visits, p) and `y[i]` (visits,), scaled."""

    x: tuple[NDArray[np.float64], ...]
    y: tuple[NDArray[np.float64], ...]


class MixedModel(Question[Rows]):
    """The question of kind 'mixed_model'."""

    kind = "mixed_model"
    settings_model = MixedModelSettings
    public_only = True

    def __init__(self, spec: QuestionSpec, study: Study) -> None:
        super().__init__(spec, study)
        s = self.settings
        self.variables = _with_arm(study)
        self.design = parse_formula(
            s.formula,
            outcome=study.outcome.instrument,
            variables=self.variables,
            latest=max(abs(s.after), abs(s.until)),
        )
        # Columns are multiplied by powers of two: whole scores stay exact, and the steps of the
        # fixed-point sums are as fine as the planned number of patients allows.
        size = math.sqrt(LARGEST_ENTRY / study.cohort.planned_patients) / s.max_visits
        largest = [column.largest for column in self.design.columns]
        self.scale = np.array([_power_of_two(size, most) for most in largest])
        instrument = self.instrument
        self.outcome_scale = _power_of_two(
            size, max(abs(instrument.lowest), abs(instrument.highest))
        )

    @property
    def shape(self) -> Shape:
        """Unbounded: public data only."""
        return Shape(vector_length(len(self.design.columns), self.settings.max_visits), None)

    def prepare(self, records: Records) -> Rows:
        """Each patient's design and outcome. A patient with a covariate missing, outside its
        declared range or levels, or without a score in the window, has no rows.

        Raises:
            InputError: the clinic's records lack a column that the formula names.
        """
        records = records.times_in(self.study.outcome.time_unit)
        covariates = [name for name in self.design.variables if name != TIME]
        if len(records):
            self._check_columns(records, covariates)
        scores = self._scores(records)
        visits = {
            str(patient): table.select("time", "value").to_numpy()
            for (patient,), table in scores.group_by("patient")
        }
        values = {
            name: _values(records.patients[name], self.variables[name])
            for name in covariates
            if name in records.patients.columns
        }
        x, y = [], []
        for place, patient in enumerate(records.patients["patient"]):
            seen = visits.get(patient, np.zeros((0, 2)))
            n = len(seen)
            own = {name: np.full(n, column[place]) for name, column in values.items()}
            matrix = self.design.matrix({**own, TIME: seen[:, 0]}, n)
            keep = n if np.isfinite(matrix).all() else 0
            x.append(matrix[:keep] * self.scale)
            y.append(seen[:keep, 1] * self.outcome_scale)
        return Rows(tuple(x), tuple(y))

    def contributions(self, prepared: Rows, public: Public) -> Iterator[Vector]:
        """Cross-products of each patient's rows, in the segment of the number of visits."""
        most = self.settings.max_visits
        size = max(1, BLOCK // self.shape.length)
        for first in range(0, len(prepared.y), size):
            block = slice(first, first + size)
            pairs = zip(prepared.x[block], prepared.y[block], strict=True)
            yield np.stack([patient_vector(x, y, most) for x, y in pairs])

    def estimate(self, public: Public, total: Vector, noise: SumNoise) -> Answer:
        """Coefficients, variances and likelihood by both methods, or why there are none."""
        sums = GroupedSums.unpack(total, self.scale, self.outcome_scale)
        return answer(self.spec, self.study, self.design, sums, self.settings.method)

    def _check_columns(self, records: Records, covariates: list[str]) -> None:
        missing = [name for name in covariates if name not in records.patients.columns]
        if missing:
            raise InputError(
                f"this clinic's patients have no column {missing[0]!r}",
                code="column-missing",
                why=f"the formula of question {self.name!r} names it",
                hint=f"map it under [patients.variables] in mapping.toml: {missing[0]} = ...",
            )

    def _scores(self, records: Records) -> pl.DataFrame:
        """The first `max_visits` admissible scores of each patient in the window, in order."""
        instrument, s = self.instrument, self.settings
        return (
            records.scores.filter(
                pl.col("instrument") == instrument.name,
                pl.col("value").is_between(instrument.lowest, instrument.highest),
                pl.col("time") > s.after,
                pl.col("time") <= s.until,
            )
            .sort("patient", "time", "value")
            .group_by("patient", maintain_order=True)
            .head(s.max_visits)
        )


def _with_arm(study: Study) -> Mapping[str, Variable]:
    """The study's variables; and the arm, where the study declares arms to compare."""
    if len(study.cohort.arms) < 2 or ARM in study.variables:
        return study.variables
    return {**study.variables, ARM: Variable(levels=study.cohort.arms)}


def _values(column: pl.Series, variable: Variable) -> NDArray[np.float64]:
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


def _power_of_two(size: float, largest: float) -> float:
    """The power of two that brings `largest` nearest below `size`."""
    return 2.0 ** math.floor(math.log2(size / largest)) if largest > 0 else 1.0
