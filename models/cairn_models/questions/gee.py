"""`Gee`: a population-averaged model of repeated scores by estimating equations, for public data.

Coefficients say how means differ between groups of patients, not within one patient. Standard
errors are robust: they hold whatever the correlation of a patient's scores, which is why a simple
working correlation suffices. The rounds are in `gee_fit`. Without noise the result is that of one
pooled file; with noise it would be worthless, so the question is refused for patients' data.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final, Literal

import numpy as np
from pydantic import Field

from cairn_models.answers import Answer
from cairn_models.contribution import Contribution
from cairn_models.formula import TIME, parse_regression
from cairn_models.questions.base import Public, Question, Released, Shape, SumNoise, Vector
from cairn_models.questions.gee_answer import gee_answer
from cairn_models.questions.longitudinal_contribution import contribution
from cairn_models.questions.mixed_model_rows import (
    LongitudinalSettings,
    PatientRows,
    Rows,
    column_scales,
    model_variables,
    power_of_two,
)
from cairn_models.records import Records
from cairn_models.statistics.gee_fit import GeeState, fit_gee, lowest_alpha, next_state
from cairn_models.statistics.gee_sums import (
    Family,
    GeeScales,
    GeeSums,
    gee_vector,
    gee_vector_length,
)
from cairn_protocol.errors import InputError
from cairn_protocol.study import QuestionSpec, Study, Variable

LARGEST_ENTRY: Final = 2.0**37  # of the planned patients' sum: 2⁵⁷ of the ring's 2⁶³ steps
BLOCK: Final = 1 << 20  # numbers in one block of patients
WEIGHT: Final = 10.0  # what R⁻¹ may well multiply a residual by
ROUNDS: Final = {
    ("gaussian", "independence"): 2,
    ("gaussian", "exchangeable"): 12,
    ("logit", "independence"): 12,
    ("logit", "exchangeable"): 20,
}


class GeeSettings(LongitudinalSettings):
    """Settings of estimating equations, beside those of all longitudinal models.

    `correlation` of a patient's scores, as it is worked with; `family` the mean's scale: points, or
    log odds of a score of `at_least` so much. `rounds` until the equations must be solved.
    """

    correlation: Literal["exchangeable", "independence"] = "exchangeable"
    family: Family = "gaussian"
    at_least: float | None = None
    rounds: int | None = Field(default=None, ge=2, le=60)


class GeeQuestion(Question[Rows]):
    """The question of kind 'gee'."""

    kind = "gee"
    settings_model = GeeSettings
    public_only = True
    settings: GeeSettings

    def __init__(self, spec: QuestionSpec, study: Study) -> None:
        super().__init__(spec, study)
        s, instrument = self.settings, self.instrument
        logit = s.family == "logit"
        if logit != (s.at_least is not None):
            raise InputError(
                f"question {spec.name!r} needs at_least, and only with the family logit",
                code="question-invalid",
                hint='family = "logit" with at_least = 10 models the odds of a score of 10 or more',
            )
        if s.at_least is not None and not instrument.lowest < s.at_least <= instrument.highest:
            raise InputError(
                f"at_least of question {spec.name!r} splits no scores of {instrument.name}",
                code="question-invalid",
                hint=f"above {instrument.lowest:g}, at most {instrument.highest:g}",
            )
        variables = model_variables(study, s.formula)
        _, self.design = parse_regression(
            s.formula,
            outcomes=(instrument.name, "outcome"),
            variables={**variables, TIME: Variable(lowest=-s.latest, highest=s.latest)},
        )
        # The sandwich holds products of four: two columns, two residuals.
        planned = study.cohort.planned_patients
        root = math.sqrt(LARGEST_ENTRY / planned)
        size = math.sqrt(root / (WEIGHT * s.max_visits))
        self.scale, outcome = column_scales(self.design, instrument, size)
        self.scales = GeeScales(
            errors=power_of_two(size, 4.0) if logit else outcome,
            second=power_of_two(root, s.max_visits),
        )
        self.reader = PatientRows(spec, study, self.design, variables, s, self.scale, 1.0)
        self.rounds = s.rounds or ROUNDS[s.family, s.correlation]
        self.least_alpha = lowest_alpha(s.max_visits)

    @property
    def shape(self) -> Shape:
        """Unbounded: public data only."""
        return Shape(gee_vector_length(len(self.design.columns)), None, rounds=self.rounds)

    @property
    def contribution(self) -> Contribution:
        """Sums and products of own rows."""
        return contribution(self.settings.formula, "Estimating equations over repeated scores")

    def start(self, released: Released) -> Public:
        """β = 0, α = 0."""
        return GeeState(np.zeros(len(self.design.columns)), 0.0).write()

    def prepare(self, records: Records) -> Rows:
        """Each patient's design and outcome, see `PatientRows.read`."""
        rows = self.reader.read(records)
        if (cut := self.settings.at_least) is None:
            return rows
        return Rows(rows.x, tuple((y >= cut).astype(np.float64) for y in rows.y), rows.times)

    def contributions(self, prepared: Rows, public: Public) -> Iterator[Vector]:
        """Each patient's part of the estimating equations at the public β and α."""
        state = GeeState.read(public, self.least_alpha)
        size = max(1, BLOCK // self.shape.length)
        for first in range(0, len(prepared.y), size):
            block = slice(first, first + size)
            yield np.stack(
                [
                    gee_vector(
                        x,
                        y,
                        state.beta,
                        alpha=state.alpha,
                        family=self.settings.family,
                        scales=self.scales,
                    )
                    for x, y in zip(prepared.x[block], prepared.y[block], strict=True)
                ]
            )

    def advance(self, public: Public, total: Vector, round_: int) -> Public:
        """One step of the estimating equations."""
        state = GeeState.read(public, self.least_alpha)
        return next_state(state, self._sums(total), self._exchangeable).write()

    def estimate(self, public: Public, total: Vector, noise: SumNoise) -> Answer:
        """Coefficients with robust and naive standard errors, or why there are none."""
        fitted = fit_gee(
            GeeState.read(public, self.least_alpha),
            self._sums(total),
            self.scale,
            self._exchangeable,
            self.least_alpha,
        )
        return gee_answer(self.spec, self.study, self.design, fitted, self.rounds)

    @property
    def _exchangeable(self) -> bool:
        return self.settings.correlation == "exchangeable"

    def _sums(self, total: Vector) -> GeeSums:
        return GeeSums.unpack(total, len(self.design.columns), self.scales)
