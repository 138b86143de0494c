"""`Regression`: an outcome on covariates, from one bounded sum a patient.

**Asked.** `formula` as R and statsmodels know it: ``reliable_improvement ~ arm + C(age_band)``.

- `logistic`: a binary outcome; one contingency table, cell of the covariates × outcome, one 1 a
  patient, bound 1 (`regression/logistic.py`, `regression/binary.py`).
- `linear`: a change or a score in points; second moments by cell (`regression/least_squares.py`).
- `hazard`: leaving by interval; one cell of a life table a patient, bound 1
  (`regression/hazard.py`).

Sums of a table or of moments are linear in people, and so is the score of each model at given
coefficients: its root is consistent with noise as without, and equal to statsmodels' without.
Public data may also have continuous covariates in logistic and hazard models, by Newton rounds
(`regression/newton.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from cairn_models.answers import Answer
from cairn_models.cohort import TIME_DIGITS
from cairn_models.contribution import Contribution
from cairn_models.formula import TIME, parse_regression
from cairn_models.questions.arms import named_arms
from cairn_models.questions.base import (
    Expected,
    Public,
    Question,
    Settings,
    Shape,
    SumNoise,
    Vector,
    instrument_of,
)
from cairn_models.questions.effect import (
    DRIFT_PER_WEEK,
    RESIDUAL_SD,
    SLOPE,
    TYPICAL_BASELINE,
    TYPICAL_SD,
)
from cairn_models.questions.regression_answer import answer, expected
from cairn_models.questions.regression_contribution import contribution
from cairn_models.questions.regression_settings import HAZARD, RegressionSettings
from cairn_models.questions.regression_words import Frame
from cairn_models.records import WEEKS_PER_MONTH, Records
from cairn_models.regression.clocks import Event
from cairn_models.regression.covariates import ARM, known_covariates
from cairn_models.regression.family import Family
from cairn_models.regression.hazard import Hazard
from cairn_models.regression.linear import CHANGE, OUTCOME, Linear, Score
from cairn_models.regression.links import LinkName
from cairn_models.regression.logistic import OUTCOME_NAMES, USE_PROGRAMMES, BinaryOutcome, Logistic
from cairn_models.regression.newton import Newton
from cairn_models.regression.plan import Plan, written_names
from cairn_models.reliable_change import OUTCOMES, has_thresholds
from cairn_protocol.errors import InputError
from cairn_protocol.study import QuestionSpec, Study, Variable

SCALES: Final = ("PHQ-9", "GAD-7")
MOST_NUMBERS: Final = 2000  # in the vector; the noise of a larger table swamps every coefficient
PEOPLE_A_COEFFICIENT: Final = 10.0  # planned, of a linear model
CHANGE_SD, SCORE_SD = 5.0 / 27, TYPICAL_SD  # of the instrument's range, as in `effect`


class Regression(Question[Any]):
    """The question of kind 'regression'."""

    kind: ClassVar[str] = "regression"
    repeatable: ClassVar[bool] = True
    emulable: ClassVar[bool] = True
    settings_model: ClassVar[type[Settings]] = RegressionSettings
    settings: RegressionSettings

    def __init__(self, spec: QuestionSpec, study: Study) -> None:
        super().__init__(spec, study)
        self.arms: tuple[str, ...] = ()
        if self.settings.arms or study.cohort.arms:
            self.arms = named_arms(
                self.settings.arms, study.cohort.arms, "", fewest=1, refusal=self._refusal
            )
        self.event = self._event()
        self.intervals = self.event.intervals(
            tuple(round(end, TIME_DIGITS) for end in self.settings.ends)
        )
        self.plan = self._plan()
        self.family = self._family()
        self._check_size()

    @property
    def from_time_zero(self) -> bool:
        """Where the formula compares arms, in anything but the use of a programme."""
        of_use = self.plan.outcome in set(OUTCOME_NAMES) - set(OUTCOMES)
        return ARM in self.plan.covariates and not of_use and self.settings.event != "programme"

    @property
    def shape(self) -> Shape:
        """A table, moments, or a Newton round's sums (public data only: unbounded)."""
        return Shape(self.family.length, self.family.bound, self.family.rounds)

    @property
    def contribution(self) -> Contribution:
        """The place among the covariates, with the outcome."""
        return contribution(self.frame, self.family, self.plan)

    def start(self, released: Any) -> Public:
        """Empty for one table; coefficients of zero for Newton rounds."""
        return self.family.start()

    def prepare(self, records: Records) -> Any:
        """Each patient's cell or rows, by the family.

        Raises:
            InputError: the clinic's patients lack a column that the formula names.
        """
        return self.family.prepare(records)

    def contributions(self, prepared: Any, public: Public) -> Iterator[Vector]:
        """One row a patient; zero where a covariate or the outcome is missing."""
        yield from self.family.rows(prepared, public)

    def advance(self, public: Public, total: Vector, round_: int) -> Public:
        """A Newton step; nothing for one table."""
        return self.family.advance(public, np.asarray(total, dtype=np.float64))

    def estimate(self, public: Public, total: Vector, noise: SumNoise) -> Answer:
        """Coefficients, ratios and risk differences with the noise in every interval.

        A coefficient is told only where enough people, with and without the outcome, stand behind
        it and its reference; where the maximum is at infinity, nothing is.
        """
        told = self.family.told(public, np.asarray(total, dtype=np.float64), noise.sd)
        return answer(self.frame, told, noised=noise.sd > 0)

    def expected(self, noise: SumNoise) -> tuple[Expected, ...]:
        """Standard errors at the public rates, cells of one size; the arm's coefficients first."""
        told = self.family.foretold(noise.sd)
        return () if told is None else expected(self.frame, told)

    @property
    def frame(self) -> Frame:
        """The public facts that an answer is worded with."""
        s = self.settings
        return Frame(
            question=self.name,
            family=s.family,
            link=s.link if s.family == HAZARD else "logit",
            formula=s.formula,
            outcome=self.plan.outcome,
            names=written_names(self.plan.design, s.formula),
            design=self.plan.design,
            arms=self.arms,
            instrument=self.plan.instrument.name,
            week=s.week,
            window=s.window,
            scales=self.scale_names if s.family == "logistic" else (),
            event=s.event,
            unit=self.study.outcome.time_unit,
            robust=s.standard_errors == "robust",
            rounds=self.family.rounds,
            limit=s.limit,
            randomised=s.randomised,
            emulated=bool(self.target_trial),
            synthetic=self.study.synthetic,
            fewest=self.study.disclosure.patients,
        )

    @property
    def scale_names(self) -> tuple[str, ...]:
        """The scales of an outcome by reliable change; none for use of a programme."""
        return (self.settings.scales or SCALES) if self.plan.outcome in OUTCOMES else ()

    def _plan(self) -> Plan:
        s = self.settings
        try:
            known = known_covariates(self.study.variables, self.arms, self.instrument, s.cut)
        except ValueError as error:
            raise self._refusal(str(error), "cut.age = [30, 50]") from None
        times = self.intervals.labels if s.family == HAZARD else ()
        seen = {name: c.variable for name, c in known.items()}
        if times:
            seen[TIME] = Variable(levels=times)
        outcome, design = parse_regression(s.formula, outcomes=self._outcomes(), variables=seen)
        return Plan(
            outcome=outcome,
            design=design,
            covariates={n: known[n] for n in design.variables if n != TIME or not times},
            times=times,
            arms=self.arms,
            only_arms=bool(s.arms),
            instrument=self.instrument,
            baseline_window=s.baseline_window,
            planned=self.study.cohort.planned_patients,
            noised=self.study.noised,
            fewest=self.study.disclosure.patients,
        )

    def _outcomes(self) -> tuple[str, ...]:
        match self.settings.family:
            case "logistic":
                return OUTCOME_NAMES
            case "linear":
                return (CHANGE, OUTCOME, self.instrument.name)
            case _:
                return (HAZARD,)

    def _family(self) -> Family:
        s, plan = self.settings, self.plan
        if plan.cells.count * (self.intervals.cells if s.family == HAZARD else 2) > MOST_NUMBERS:
            raise self._refusal(
                f"the formula's covariates make {plan.cells.count} cells",
                "leave a covariate out, or merge levels in the study",
            )
        if s.family == "linear":
            return Linear(
                plan, self._score(), robust=s.standard_errors == "robust", count_weight=0.5
            )
        if plan.numbers:
            return self._newton()
        if s.family == "logistic":
            return Logistic(plan, self._binary_outcome())
        return Hazard(
            plan,
            self.intervals,
            s.link,
            self.event.times,
            typical=s.typical,
            share=USE_PROGRAMMES if s.event == "programme" else 1.0,
        )

    def _newton(self) -> Newton:
        s, plan = self.settings, self.plan
        if self.study.noised:
            name = plan.numbers[0]
            raise self._refusal(
                f"the formula names {name!r}, a number, and patients are counted in categories",
                f"give public cut points, cut.{name} = [...]; continuous covariates are for "
                "linear models and for public data",
            )
        link: LinkName = s.link if s.family == HAZARD else "logit"
        if s.family == HAZARD:
            return Newton(plan, link, self._at_risk, len(self.intervals.ends), s.rounds)
        return Newton(plan, link, partial(_one_row, self._binary_outcome(), self.arms), 1, s.rounds)

    def _binary_outcome(self) -> BinaryOutcome:
        s = self.settings
        scales = tuple(instrument_of(self.study, name) for name in self.scale_names)
        for scale in scales:
            if not has_thresholds(scale):
                raise self._refusal(
                    f"scales: {scale.name!r} has no thresholds of caseness and reliable change",
                    f"those that have: {', '.join(SCALES)}",
                )
        return BinaryOutcome(self.plan.outcome, scales, s.baseline_window, s.week, s.window)

    def _score(self) -> Score:
        s, instrument, plan = self.settings, self.instrument, self.plan
        if s.standard_errors == "robust" and plan.numbers:
            raise self._refusal(
                f"standard_errors: robust ones cannot be had with a number, {plan.numbers[0]!r}",
                f'give cut points, cut.{plan.numbers[0]} = [...], or standard_errors = "model"',
            )
        if product := next(
            (c for c in plan.design.columns if sum(v is None for _, v in c.parts) > 1), None
        ):
            raise self._refusal(
                f"{product.name!r} is a product of two numbers",
                "give one of them cut points",
            )
        width = instrument.highest - instrument.lowest
        down = -1.0 if instrument.higher_is_better else 1.0
        typical = instrument.lowest + width * (
            1.0 - TYPICAL_BASELINE if instrument.higher_is_better else TYPICAL_BASELINE
        )
        drift = down * DRIFT_PER_WEEK * width * s.week
        is_change = plan.outcome == CHANGE
        slope = (SLOPE if is_change else 1.0 + SLOPE) if plan.scored is not None else 0.0
        with_score = any(c.of_scores for c in plan.covariates.values())
        spread = RESIDUAL_SD if with_score else CHANGE_SD if is_change else SCORE_SD
        return Score(
            name=CHANGE if is_change else OUTCOME,
            baseline_window=s.baseline_window,
            week=s.week,
            window=s.window,
            low=-width if is_change else instrument.lowest,
            high=width if is_change else instrument.highest,
            limit=s.limit,
            expected=drift + (0.0 if is_change else typical) - slope * typical,
            slope=slope,
            residual_sd=s.residual_sd or spread * width,
        )

    def _event(self) -> Event:
        s, unit = self.settings, self.study.outcome.time_unit
        if (
            s.family == HAZARD
            and s.event == "deterioration"
            and not has_thresholds(self.instrument)
        ):
            raise self._refusal(
                f"event: {self.instrument.name!r} has no threshold of reliable change",
                f"those that have: {', '.join(SCALES)}",
            )
        weeks = 1.0 if unit == "week" else WEEKS_PER_MONTH
        first, last = s.baseline_window
        return Event(
            s.event,
            self.instrument,
            self.arms,
            unit,
            s.window / weeks,
            (first / weeks, last / weeks),
        )

    def _at_risk(self, records: Records) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        time, had = self.event.times(records)
        interval, last = self.intervals.interval_of(np.nan_to_num(time)), len(self.intervals.ends)
        within = np.minimum(interval + 1, last).astype(np.int64)
        return np.where(np.isfinite(time), within, 0), had & (interval < last)

    def _check_size(self) -> None:
        """Refuses a model that the planned cohort cannot carry, before anybody is asked."""
        if not self.study.noised:
            return
        linear = self.settings.family == "linear"
        terms = max(sum(bool(c.parts) for c in self.plan.design.columns), 1)
        needed = (PEOPLE_A_COEFFICIENT if linear else self.settings.events_per_variable) * terms
        if self.family.events < needed:
            what = "people with both scores" if linear else "people with the rarer outcome"
            raise InputError(
                f"question {self.name!r} ({self.kind}) has too many coefficients for the "
                "planned patients",
                code="too-many-coefficients",
                why=f"{terms} of them need {needed:.0f} {what}; "
                f"{self.study.cohort.planned_patients} planned patients make about "
                f"{self.family.events:.0f}",
                hint="leave terms out, merge levels, or plan more patients",
            )


def _one_row(
    outcome: BinaryOutcome, arms: tuple[str, ...], records: Records
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    had = outcome.of(records, arms)
    return np.isfinite(had).astype(np.int64), had == 1.0
