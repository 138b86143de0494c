"""`Effect`: the difference in change at a week between arms, from one number a patient.

**Estimand.** For each arm, the mean of r = winsorised (change − predicted change) over patients
with a score in the baseline window and one in the outcome window; the effect of an arm is its mean
minus the reference arm's. *Change* is outcome − baseline; *predicted change* is a public straight
line in the baseline, which takes regression to the mean out of both arms alike; *winsorised* cuts
r at ± a public limit. It is a difference between people as they were treated: unless the study
declares `randomised`, nothing here adjusts for why they were, and the answer says so. Beside it
stands the difference without winsorising, which holds if the residuals are normal.

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
from typing import ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from cairn_models.answers import Answer
from cairn_models.arm_means import ArmMeans, Coding, arm_means
from cairn_models.cohort import Changes, changes
from cairn_models.questions.base import (
    Expected,
    Public,
    Question,
    Settings,
    Shape,
    SumNoise,
    Vector,
)
from cairn_models.questions.confounding import confounding_of
from cairn_models.questions.effect_answer import Frame, answer
from cairn_models.records import Records
from cairn_models.winsorising import unwinsorised
from cairn_protocol.errors import InputError
from cairn_protocol.study import QuestionSpec, Study

BLOCK: Final = 4096  # patients in a block of contributions

# Published PHQ-9 figures (see above) as shares of its range of 27 points.
TYPICAL_BASELINE: Final = 14.2 / 27
TYPICAL_SD: Final = 6.1 / 27
DRIFT_PER_WEEK: Final = -0.4 / 27
SLOPE: Final = -0.36
RESIDUAL_SD: Final = 4.5 / 27
WINSORISE: Final = 8.0 / 27
ASSESSED: Final = 0.8  # of planned patients who have both scores, where a cohort is planned


class BaselineModel(BaseModel):
    """The public line: predicted change in points = `intercept` + `slope` × baseline."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    intercept: float
    slope: float


class EffectSettings(Settings):
    """Settings of an "effect" question; points are the outcome instrument's, times are weeks."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    week: float = Field(default=8.0, gt=0)
    window: float = Field(default=2.0, ge=0)
    baseline_window: tuple[float, float] = (-4.0, 1.0)
    arms: tuple[str, ...] = ()
    reference: str = ""
    randomised: bool = False
    winsorise: float | None = Field(default=None, gt=0)
    baseline_model: BaselineModel | None = None
    typical_baseline: float | None = None
    residual_sd: float | None = Field(default=None, gt=0)
    standardise_by: float | None = Field(default=None, gt=0)
    margin: float | None = Field(default=None, gt=0)
    count_weight: float = Field(default=0.5, ge=0.1, le=2.0)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        first, last = self.baseline_window
        if not first <= last:
            raise ValueError("baseline_window: its start must not be after its end")
        if last >= self.week - self.window:
            raise ValueError(
                "baseline_window: it must end before week − window, so that no score is both"
            )
        return self


class Effect(Question[Changes]):
    """One sum of (a, u, 1 − u²) an arm, u = r/limit; bound √(1 + a²) for any number of arms."""

    kind: ClassVar[str] = "effect"
    repeatable: ClassVar[bool] = True
    emulable: ClassVar[bool] = True
    settings_model: ClassVar[type[Settings]] = EffectSettings
    settings: EffectSettings

    def __init__(self, spec: QuestionSpec, study: Study) -> None:
        super().__init__(spec, study)
        asked = self.settings
        self.arms = self._arms_of(asked)
        self.reference = asked.reference or self.arms[0]
        self._instrument = self.instrument
        self.limit = asked.winsorise or WINSORISE * self.range
        self.coding = Coding(len(self.arms), asked.count_weight)
        self.typical_baseline = _or(asked.typical_baseline, self._typical())
        self.residual_sd = asked.residual_sd or RESIDUAL_SD * self.range
        if not self._instrument.admits(self.typical_baseline):
            raise self._refusal(
                "typical_baseline is not a possible score",
                f"it lies within {self._instrument.lowest:g} to {self._instrument.highest:g}",
            )

    @property
    def shape(self) -> Shape:
        """Three coordinates an arm; the bound does not depend on how many arms there are."""
        return Shape(length=self.coding.length, bound=self.coding.bound)

    @property
    def from_time_zero(self) -> bool:
        """Always: change is counted from entry."""
        return True

    @property
    def range(self) -> float:
        """Width of the outcome instrument in points."""
        return self._instrument.highest - self._instrument.lowest

    @property
    def line(self) -> BaselineModel:
        """The public prediction of change, as set or as published."""
        if self.settings.baseline_model is not None:
            return self.settings.baseline_model
        drift = DRIFT_PER_WEEK * self.range * self.settings.week
        if self._instrument.higher_is_better:
            drift = -drift
        return BaselineModel(intercept=drift - SLOPE * self._typical(), slope=SLOPE)

    def predicted(self, baseline: NDArray[np.float64]) -> NDArray[np.float64]:
        """The public prediction of change in points from `baseline` in points."""
        return self.line.intercept + self.line.slope * baseline

    def prepare(self, records: Records) -> Changes:
        """Arm, baseline and outcome of each patient, times in weeks."""
        asked = self.settings
        return changes(
            records.times_in("week"),
            self._instrument,
            arms=self.arms,
            baseline_window=asked.baseline_window,
            at=asked.week,
            within=asked.window,
        )

    def contributions(self, prepared: Changes, public: Public) -> Iterator[Vector]:
        """Rows of (a, u, 1 − u²) in the patient's arm; zero where arm or a score is missing."""
        for start in range(0, len(prepared), BLOCK):
            part = slice(start, start + BLOCK)
            told = prepared.complete[part]
            baseline = prepared.baseline[part][told]
            change = prepared.outcome[part][told] - baseline
            u = np.clip((change - self.predicted(baseline)) / self.limit, -1.0, 1.0)
            rows = np.zeros((len(told), self.coding.length))
            rows[told] = self.coding.rows(prepared.arm[part][told], u)
            yield rows

    def estimate(self, public: Public, total: Vector, noise: SumNoise) -> Answer:
        """Each arm's mean change, and its difference to the reference, with noise in the interval.

        An arm below the disclosure threshold is suppressed, and every contrast with it.
        """
        means = self.means(total, noise)
        full = unwinsorised(means, self.coding, noise_sd=noise.sd)
        return answer(self.frame, means, full, noised=noise.sd > 0)

    def means(self, total: Vector, noise: SumNoise) -> ArmMeans:
        """The arms' noised counts, means and spreads in units of the winsorising limit."""
        return arm_means(
            np.asarray(total, dtype=np.float64),
            self.coding,
            noise_sd=noise.sd,
            public_variance=(self.residual_sd / self.limit) ** 2,
            fewest=self.study.disclosure.patients,
        )

    def expected(self, noise: SumNoise) -> tuple[Expected, ...]:
        """Each contrast's standard error: arms of one size, `ASSESSED` of them measured."""
        n = self.study.cohort.planned_patients * ASSESSED / len(self.arms)
        return tuple(
            Expected(
                name=name,
                label=label,
                unit=f"{self._instrument.name} points",
                sampling=float(np.sqrt(2 / n)) * self.residual_sd,
                noise=float(np.sqrt(2)) * self.limit * noise.sd / n,
            )
            for name, label in (
                (f"{arm}-{self.reference}", f"{arm} against {self.reference}")
                for arm in self.arms
                if arm != self.reference
            )
        )

    @property
    def frame(self) -> Frame:
        """The public facts that an answer is worded with."""
        asked = self.settings
        at_typical = float(self.predicted(np.array(self.typical_baseline)))
        scale = asked.standardise_by
        if scale is None and self._instrument.name == "PHQ-9":
            scale = TYPICAL_SD * self.range
        return Frame(
            question=self.name,
            instrument=self._instrument,
            week=asked.week,
            window=asked.window,
            arms=self.arms,
            reference=self.arms.index(self.reference),
            limit=self.limit,
            typical_baseline=self.typical_baseline,
            expected_change=at_typical,
            standardise_by=scale,
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

    def _arms_of(self, asked: EffectSettings) -> tuple[str, ...]:
        of_study = self.study.cohort.arms
        arms = asked.arms or of_study
        if len(arms) < 2:
            raise self._refusal(
                "a difference needs at least two arms",
                "name them in the study's cohort.arms or in the question's arms",
            )
        if len(set(arms)) != len(arms):
            raise self._refusal("arms: one arm is named twice", "name each arm once")
        strangers = [arm for arm in arms if of_study and arm not in of_study]
        if strangers:
            raise self._refusal(
                f"arms: the study's cohort has no arm {', '.join(map(repr, strangers))}",
                f"cohort.arms: {', '.join(of_study)}",
            )
        if asked.reference and asked.reference not in arms:
            raise self._refusal(
                f"reference: {asked.reference!r} is not one of the arms",
                f"one of: {', '.join(arms)}",
            )
        return arms

    def _refusal(self, why: str, hint: str) -> InputError:
        return InputError(
            f"question {self.name!r} ({self.kind}) cannot be asked",
            code="question-invalid",
            why=why,
            hint=hint,
        )


def _or(value: float | None, default: float) -> float:
    return default if value is None else value
