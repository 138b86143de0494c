"""`Effect`: the difference in change at a week between arms, from one number a patient.

**Estimand.** For each arm, the mean of r = winsorised (change − predicted change) over patients
with a score in the baseline window and one in the outcome window; the effect of an arm is its mean
minus another's. *Change* is outcome − baseline; *predicted change* is a public straight line in the
baseline, or what an earlier release of the study foretells from it, and takes regression to the
mean out of all arms alike; *winsorised* cuts r at ± a public limit. It is a difference between
people as they were treated: unless the study declares `randomised`, nothing here adjusts for why
they were, and the answer says so. People who were randomised within strata are compared within
them. Beside it stand the difference without winsorising, which holds if the residuals are normal,
the difference of change as it was, and Hedges' g.

**What is summed, the bound**: `change_coding`. **Estimators and variances**: `change_fit`.

**Public constants** come from published monthly PHQ-9 of a three-site trial (250 adults: residual
SD 3.44, between-patient SD 4.6, slope SD 0.43 a month) and NHS Talking Therapies 2024-25 (start
mean 14.2, SD 6.1). The regression of change on baseline is −3.44²/(3.44² + 4.6²) = −0.36; around it
the change over two months has the SD √(2·3.44² + (2·0.43)² − 3.44⁴/(3.44² + 4.6²)) = 4.5. The
expected change at the mean baseline is −0.4 points a week, between waiting lists (−0.25) and guided
programmes (−0.59). A wrong line costs precision, never validity: it is subtracted in every arm.
Other instruments use the same numbers in proportion to their range.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from cairn_models.answers import Answer
from cairn_models.arm_effects import Pair
from cairn_models.arm_means import ArmMeans
from cairn_models.change_coding import ChangeCoding
from cairn_models.change_fit import ChangeFit, Publicly, fit_changes
from cairn_models.cohort import Changes, changes
from cairn_models.contribution import Contribution
from cairn_models.levels import NO_LEVEL, levels_of
from cairn_models.questions.arms import named_arms, planned_in_an_arm
from cairn_models.questions.base import (
    Expected,
    Public,
    Question,
    Released,
    Settings,
    Shape,
    SumNoise,
    Vector,
)
from cairn_models.questions.confounding import confounding_of
from cairn_models.questions.effect_answer import answer
from cairn_models.questions.effect_contribution import contribution
from cairn_models.questions.effect_frame import Frame
from cairn_models.questions.effect_plan import Plan, foretell
from cairn_models.questions.effect_settings import (
    NOTHING,
    BaselineModel,
    EffectSettings,
    compared,
    fewest_strata,
    levels_of_strata,
    model_before,
)
from cairn_models.records import Records
from cairn_models.trajectory.columns import HORIZONS
from cairn_models.trajectory.placing import Floats
from cairn_protocol.errors import OurFault
from cairn_protocol.study import QuestionSpec, Study

BLOCK: Final = 4096  # patients in a block of contributions

# Published PHQ-9 figures (see above) as shares of its range of 27 points.
TYPICAL_BASELINE: Final = 14.2 / 27
TYPICAL_SD: Final = 6.1 / 27
DRIFT_PER_WEEK: Final = -0.4 / 27
SLOPE: Final = -0.36
RESIDUAL_SD: Final = 4.5 / 27
WINSORISE: Final = 8.0 / 27
FORETOLD_REACH: Final = 6.0 / 27  # a released prediction is cut to this around the expected change
ASSESSED: Final = 0.8  # of planned patients who have both scores, where a cohort is planned


@dataclass(frozen=True)
class Compared:
    """One row a patient: scores and arm, stratum (N,) or `NO_LEVEL`, and what a model is told."""

    changes: Changes
    stratum: NDArray[np.int64]
    told: Floats | None

    @property
    def complete(self) -> NDArray[np.bool_]:
        """(N,) whether arm, stratum, baseline and outcome are all there."""
        return np.asarray(self.changes.complete & (self.stratum != NO_LEVEL))


class Effect(Question[Compared]):
    """Kind "effect". The public state is the released model's parameters, where one is used."""

    kind: ClassVar[str] = "effect"
    repeatable: ClassVar[bool] = True
    emulable: ClassVar[bool] = True
    settings_model: ClassVar[type[Settings]] = EffectSettings
    settings: EffectSettings

    def __init__(self, spec: QuestionSpec, study: Study) -> None:
        super().__init__(spec, study)
        asked = self.settings
        self.arms = named_arms(
            asked.arms, study.cohort.arms, asked.reference, fewest=2, refusal=self._refusal
        )
        self.reference = asked.reference or self.arms[0]
        self.pairs: tuple[Pair, ...] = compared(asked, self.arms, self.reference, self._refusal)
        self.levels = levels_of_strata(asked, study, self._refusal)
        self.model = model_before(asked, spec, study, max(HORIZONS), self._refusal)
        self._instrument = self.instrument
        self.limit = asked.winsorise or WINSORISE * self.range
        self.typical_baseline = _or(asked.typical_baseline, self._typical())
        if not self._instrument.admits(self.typical_baseline):
            raise self._refusal(
                "typical_baseline is not a possible score",
                f"it lies within {self._instrument.lowest:g} to {self._instrument.highest:g}",
            )
        self.coding = ChangeCoding(
            len(self.arms), len(self.levels), asked.count_weight, self.reach / self.limit
        )

    @property
    def from_time_zero(self) -> bool:
        """Always: change is counted from entry."""
        return True

    @property
    def alike(self) -> float:
        """Only the spread of change as it was is summed over all arms."""
        return self.coding.shared / self.coding.bound**2

    @property
    def shape(self) -> Shape:
        """Four coordinates a cell and one; the bound is the same for any number of cells."""
        return Shape(length=self.coding.length, bound=self.coding.bound)

    @property
    def contribution(self) -> Contribution:
        """Change at the asked week, in the slot of the patient's group."""
        return contribution(self.frame, self.coding)

    @property
    def builds_on(self) -> tuple[str, ...]:
        """The question that trained the model, where one predicts change."""
        return (self.model,) if self.model else ()

    @property
    def state_length(self) -> int:
        """The model's parameters; nothing where none is used."""
        if not self.model:
            return 0
        from cairn_models.trajectory.network import parameter_count  # noqa: PLC0415  torch is slow

        return parameter_count()

    def start(self, released: Released) -> Public:
        """(d,) float32: the released parameters; empty where no model is used."""
        if not self.model:
            return super().start(released)
        found = released.get(f"{self.model}/parameters")
        array = np.zeros(0) if found is None else np.asarray(found, dtype=np.float32)
        if array.shape != (self.state_length,) or not np.isfinite(array).all():
            raise OurFault(
                f"question {self.name!r} was asked before {self.model!r} released a model",
                code="effect-order",
                why="its parameters are needed, finite and of the network's size",
            )
        return array.astype(np.float32)

    @property
    def range(self) -> float:
        """Width of the outcome instrument in points."""
        return self._instrument.highest - self._instrument.lowest

    @property
    def residual_sd(self) -> float:
        """The public guess of the SD of r in points."""
        adjusted = self.settings.adjust != NOTHING
        usual = RESIDUAL_SD if adjusted else float(np.hypot(RESIDUAL_SD, SLOPE * TYPICAL_SD))
        return self.settings.residual_sd or usual * self.range

    @property
    def change_sd(self) -> float:
        """The public guess of the SD of change as it was, in points."""
        slope = SLOPE if self.model else self.line.slope
        return float(np.hypot(self.residual_sd, slope * TYPICAL_SD * self.range))

    @cached_property
    def line(self) -> BaselineModel:
        """The public prediction of change: as set, as published, or a constant."""
        if self.settings.baseline_model is not None:
            return self.settings.baseline_model
        drift = DRIFT_PER_WEEK * self.range * self.settings.week
        if self._instrument.higher_is_better:
            drift = -drift
        if self.settings.adjust == NOTHING:
            return BaselineModel(intercept=drift, slope=0.0)
        return BaselineModel(intercept=drift - SLOPE * self._typical(), slope=SLOPE)

    def predicted(self, baseline: NDArray[np.float64]) -> NDArray[np.float64]:
        """The public prediction of change in points from `baseline` in points."""
        return self.line.intercept + self.line.slope * baseline

    @property
    def reach(self) -> float:
        """Points by which a prediction can differ from the middle one."""
        if self.model:
            return FORETOLD_REACH * self.range
        return abs(self.line.slope) * self.range / 2

    @property
    def middle(self) -> float:
        """The prediction of change around which predictions lie, in points."""
        halfway = (self._instrument.lowest + self._instrument.highest) / 2
        return self.line.intercept + self.line.slope * halfway

    def prepare(self, records: Records) -> Compared:
        """Arm, stratum, baseline and outcome of each patient, times in weeks."""
        asked, in_weeks = self.settings, records.times_in("week")
        found = changes(
            in_weeks,
            self._instrument,
            arms=self.arms,
            baseline_window=asked.baseline_window,
            at=asked.week,
            within=asked.window,
        )
        stratum = np.zeros(len(found), dtype=np.int64)
        if asked.strata:
            stratum = levels_of(records, asked.strata, self.levels)
        told = None
        if self.model:
            from cairn_models.trajectory.foretold import at_baseline  # noqa: PLC0415  torch is slow

            told = at_baseline(
                in_weeks, self._instrument, window=asked.baseline_window, arm=self.reference
            )
        return Compared(found, stratum, told)

    def contributions(self, prepared: Compared, public: Public) -> Iterator[Vector]:
        """Rows of `change_coding`; zero where arm, stratum or a score is missing."""
        there = prepared.changes
        for start in range(0, len(there), BLOCK):
            part = slice(start, start + BLOCK)
            told = prepared.complete[part]
            baseline = there.baseline[part][told]
            change = there.outcome[part][told] - baseline
            if prepared.told is None:
                predicted = self.predicted(baseline)
            else:
                predicted = self._foretold(prepared.told[part][told], baseline, public)
            q = np.zeros(len(baseline))
            if self.reach > 0:
                q = np.clip((predicted - self.middle) / self.reach, -1.0, 1.0)
                predicted = self.middle + self.reach * q
            u = np.clip((change - predicted) / self.limit, -1.0, 1.0)
            rows = np.zeros((len(told), self.coding.length))
            cell = prepared.stratum[part][told] * len(self.arms) + there.arm[part][told]
            rows[told] = self.coding.rows(cell, u, q)
            yield rows

    def _foretold(
        self, told: Floats, baseline: NDArray[np.float64], public: Public
    ) -> NDArray[np.float64]:
        from cairn_models.trajectory.foretold import foretold  # noqa: PLC0415  torch is slow

        share = foretold(np.asarray(public, dtype=np.float32), told, self.settings.week)
        return self._instrument.lowest + self.range * share - baseline

    def estimate(self, public: Public, total: Vector, noise: SumNoise) -> Answer:
        """Each arm's mean change and every contrast, with noise in the intervals.

        An arm below the disclosure threshold is suppressed, and every contrast with it.
        """
        return answer(self.frame, self.fit(total, noise))

    def fit(self, total: Vector, noise: SumNoise) -> ChangeFit:
        """All estimates in units of the winsorising limit."""
        publicly = Publicly(
            adjusted=(self.residual_sd / self.limit) ** 2,
            as_it_was=(self.change_sd / self.limit) ** 2,
            fewest=self.study.disclosure.patients,
        )
        return fit_changes(total, self.coding, publicly, noise_sd=noise.sd)

    def means(self, total: Vector, noise: SumNoise) -> ArmMeans:
        """The arms' noised counts, means and spreads in units of the winsorising limit."""
        return self.fit(total, noise).arms

    def expected(self, noise: SumNoise) -> tuple[Expected, ...]:
        """Each contrast's standard errors: arms and strata of one size, `ASSESSED` measured."""
        per_arm = planned_in_an_arm(self.arms, self.study.cohort) * ASSESSED
        return foretell(
            self.frame, Plan(self.coding, self.residual_sd, self.change_sd, per_arm), noise.sd
        )

    @property
    def frame(self) -> Frame:
        """The public facts that an answer is worded with."""
        asked = self.settings
        return Frame(
            question=self.name,
            instrument=self._instrument,
            week=asked.week,
            window=asked.window,
            arms=self.arms,
            reference=self.arms.index(self.reference),
            pairs=self.pairs,
            primary=self.spec.primary,
            limit=self.limit,
            middle=self.middle,
            typical_baseline=self.typical_baseline,
            expected_change=float(self.predicted(np.array(self.typical_baseline))),
            adjust=asked.adjust,
            strata=asked.strata,
            levels=self.levels,
            fewest_strata=fewest_strata(asked, self.study),
            standardise_by=asked.standardise_by,
            margin=asked.margin,
            confounding=confounding_of(self),
            synthetic=self.study.synthetic,
            fewest=self.study.disclosure.patients,
        )

    def _typical(self) -> float:
        share = TYPICAL_BASELINE
        if self._instrument.higher_is_better:
            share = 1.0 - share
        return self._instrument.lowest + share * self.range


def _or(value: float | None, default: float) -> float:
    return default if value is None else value
