"""`MixedModel`: a random-intercept or random-slope model of the outcome's course, for public data.

With `(1 | patient)` a patient contributes the cross-products of that patient's own scores
(`GroupedSums`); their sum gives ML and REML in one round. With `(1 + time | patient)` several
rounds of exact Newton steps are needed (`RandomSlopeRounds`). Without noise the result is that of
one pooled file; with noise it would be worthless, so the question is refused for patients' data.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final, Protocol

import numpy as np
from pydantic import Field

from cairn_models.answers import Answer
from cairn_models.contribution import Contribution
from cairn_models.formula import parse_formula
from cairn_models.questions.base import (
    Public,
    Question,
    Released,
    Shape,
    SumNoise,
    Vector,
)
from cairn_models.questions.longitudinal_contribution import contribution
from cairn_models.questions.mixed_model_answer import answer
from cairn_models.questions.mixed_model_rows import (
    LongitudinalSettings,
    PatientRows,
    Rows,
    column_scales,
    model_variables,
)
from cairn_models.questions.random_slopes import RandomSlopeRounds
from cairn_models.records import Records
from cairn_models.statistics.grouped_sums import GroupedSums, patient_vector, vector_length
from cairn_models.statistics.random_intercept import Method
from cairn_protocol.errors import InputError
from cairn_protocol.study import QuestionSpec, Study

LARGEST_ENTRY: Final = 2.0**37  # of the planned patients' sum: 2⁵⁷ of the ring's 2⁶³ steps
BLOCK: Final = 1 << 20  # numbers in one block of patients
DEFAULT_ROUNDS: Final = 16  # arrives in 7 to 9 on published data


class MixedModelSettings(LongitudinalSettings):
    """Settings of a mixed model, beside those of all longitudinal models.

    `method` chooses the main estimates; with a random intercept the other stands beside. `rounds`
    is for a random slope only: the look, then Newton steps.
    """

    method: Method = "ML"
    rounds: int | None = Field(default=None, ge=4, le=60)


class Fitting(Protocol):
    """How a model is fitted: what leaves a clinic in a round, and what becomes of the sums."""

    @property
    def shape(self) -> Shape: ...

    def start(self) -> Public: ...

    def vectors(self, rows: Rows, public: Public) -> Vector: ...

    def advance(self, public: Public, total: Vector, round_: int) -> Public: ...

    def answer(self, public: Public, total: Vector) -> Answer: ...


class MixedModel(Question[Rows]):
    """The question of kind 'mixed_model'."""

    kind = "mixed_model"
    settings_model = MixedModelSettings
    public_only = True
    settings: MixedModelSettings

    def __init__(self, spec: QuestionSpec, study: Study) -> None:
        super().__init__(spec, study)
        s = self.settings
        self.variables = model_variables(study, s.formula)
        self.design = parse_formula(
            s.formula,
            outcome=study.outcome.instrument,
            variables=self.variables,
            latest=s.latest,
        )
        slopes = self.design.random != "intercept"
        if s.rounds is not None and not slopes:
            raise InputError(
                f"question {spec.name!r} sets rounds, and a random intercept needs one round",
                code="question-invalid",
                hint="leave `rounds` out, or write (1 + time | patient) for random slopes",
            )
        # Columns are scaled so that the steps of the fixed-point sums are as fine as the planned
        # number of patients allows.
        planned = study.cohort.planned_patients * (8 * s.max_visits if slopes else 1)
        size = math.sqrt(LARGEST_ENTRY / planned) / s.max_visits
        self.scale, self.outcome_scale = column_scales(self.design, self.instrument, size)
        self.reader = PatientRows(
            spec, study, self.design, self.variables, s, self.scale, self.outcome_scale
        )
        self.fitting: Fitting = (
            RandomSlopeRounds(self.reader, s.method, s.rounds or DEFAULT_ROUNDS, LARGEST_ENTRY)
            if slopes
            else OneRound(self.reader, s.method)
        )

    @property
    def shape(self) -> Shape:
        """Unbounded: public data only."""
        return self.fitting.shape

    @property
    def contribution(self) -> Contribution:
        """Sums and products of own rows."""
        return contribution(self.settings.formula, "A mixed model of repeated scores")

    def start(self, released: Released) -> Public:
        """Nothing for a random intercept; where the searches begin for a random slope."""
        return self.fitting.start()

    def prepare(self, records: Records) -> Rows:
        """Each patient's design and outcome, see `PatientRows.read`."""
        return self.reader.read(records)

    def contributions(self, prepared: Rows, public: Public) -> Iterator[Vector]:
        """Each patient's numbers in blocks of patients."""
        size = max(1, BLOCK // self.shape.length)
        for first in range(0, len(prepared.y), size):
            block = slice(first, first + size)
            rows = Rows(prepared.x[block], prepared.y[block], prepared.times[block])
            yield self.fitting.vectors(rows, public)

    def advance(self, public: Public, total: Vector, round_: int) -> Public:
        """The next round's state: Newton steps of a random-slope model."""
        return self.fitting.advance(public, total, round_)

    def estimate(self, public: Public, total: Vector, noise: SumNoise) -> Answer:
        """Coefficients, variances and likelihood, or why there are none."""
        return self.fitting.answer(public, total)


class OneRound:
    """A random-intercept model: cross-products by number of visits give both methods at once."""

    def __init__(self, reader: PatientRows, method: Method) -> None:
        self._reader, self._method, self._most = reader, method, reader.settings.max_visits

    @property
    def shape(self) -> Shape:
        """A segment for every number of visits."""
        return Shape(vector_length(len(self._reader.design.columns), self._most), None)

    def start(self) -> Public:
        """Nothing."""
        return np.zeros(0, dtype=np.float32)

    def vectors(self, rows: Rows, public: Public) -> Vector:
        """Cross-products of each patient's rows, in the segment of the number of visits."""
        pairs = zip(rows.x, rows.y, strict=True)
        return np.stack([patient_vector(x, y, self._most) for x, y in pairs])

    def advance(self, public: Public, total: Vector, round_: int) -> Public:
        """Nothing."""
        return public

    def answer(self, public: Public, total: Vector) -> Answer:
        """Estimates by both methods."""
        reader = self._reader
        sums = GroupedSums.unpack(total, reader.scale, reader.outcome_scale)
        return answer(reader.spec, reader.study, reader.design, sums, self._method)
