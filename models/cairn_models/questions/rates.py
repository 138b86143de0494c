"""`Rates`: how many improved, deteriorated and recovered in each arm, by the NHS definitions.

**Estimand.** For each arm the share of people who had an outcome of `reliable_change` at the asked
week, among those with a first and a last total on every scale (the recoveries: among those of them
at caseness first); the difference and the ratio of these shares to the reference arm's. With `by`,
the same within each level of a variable of the study, and the *equity gap*: the difference between
a level and the first one over all arms together. They are people as they were treated: unless the
study declares `randomised`, nothing adjusts for why they were, and the answer says so.

**What is summed.** One cell a patient in a table arm × level × course, seen through a public matrix
that spares the rates asked for, bound 1 (`rates_table`). **The estimators** and their variances
with noise are those of `proportions`: Wilson's, Newcombe's and Katz's, which are what remains
without noise.

**Source** of the public rates for planning: NHS Talking Therapies 2024-25, guided computerised
self-help (14,316 courses: 47.5 % reliably improved, 7 % deteriorated, 41.8 % recovered, 36.3 %
reliably); those at caseness first: `rates_shaping`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import ClassVar, Final, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, model_validator

from cairn_models.answers import SHARE_GAP, Answer
from cairn_models.cohort import changes
from cairn_models.contribution import Contribution
from cairn_models.levels import levels_of
from cairn_models.proportions import variances
from cairn_models.questions.arms import named_arms, planned_in_an_arm
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
from cairn_models.questions.confounding import confounding_of
from cairn_models.questions.rates_answer import answer
from cairn_models.questions.rates_contribution import contribution
from cairn_models.questions.rates_estimates import (
    DIFFERENCE,
    GAP,
    JOINT,
    JOINT_GAP,
    Frame,
    name_of,
)
from cairn_models.questions.windows import check_baseline
from cairn_models.rates_shaping import AT_CASENESS
from cairn_models.rates_table import NOWHERE, RatesTable
from cairn_models.records import Records
from cairn_models.reliable_change import OUTCOMES, Outcome, courses, has_thresholds
from cairn_protocol.study import QuestionSpec, Study

BLOCK: Final = 4096  # patients in a block of contributions
SCALES: Final = ("PHQ-9", "GAD-7")
ASSESSED: Final = 0.8  # of planned patients who have all totals, where a cohort is planned
OutcomeName = Literal[
    "reliable_improvement", "reliable_deterioration", "recovery", "reliable_recovery"
]


class RatesSettings(Settings):
    """Settings of a "rates" question; times are weeks."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    week: float = Field(default=8.0, gt=0)
    window: float = Field(default=2.0, ge=0)
    baseline_window: tuple[float, float] = (-4.0, 1.0)
    outcomes: tuple[OutcomeName, ...] = ()
    scales: tuple[str, ...] = ()
    arms: tuple[str, ...] = ()
    reference: str = ""
    randomised: bool = False
    by: str = ""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        check_baseline(self.baseline_window, before=self.week - self.window)
        for name in ("outcomes", "scales"):
            named = getattr(self, name)
            if len(set(named)) != len(named):
                raise ValueError(f"{name}: name each once")
        return self


class Rates(Question[NDArray[np.int64]]):
    """One cell a patient in a table of arm × level × course; bound 1."""

    kind: ClassVar[str] = "rates"
    repeatable: ClassVar[bool] = True
    emulable: ClassVar[bool] = True
    settings_model: ClassVar[type[Settings]] = RatesSettings
    settings: RatesSettings

    def __init__(self, spec: QuestionSpec, study: Study) -> None:
        super().__init__(spec, study)
        asked = self.settings
        self.arms = named_arms(
            asked.arms, study.cohort.arms, asked.reference, fewest=2, refusal=self._refusal
        )
        self.reference = asked.reference or self.arms[0]
        self.levels = self._levels(asked.by)
        names = asked.scales or SCALES
        self.scales = tuple(instrument_of(study, name) for name in names)
        for scale in self.scales:
            if not has_thresholds(scale):
                raise self._refusal(
                    f"scales: {scale.name!r} has no thresholds of caseness and reliable change",
                    f"those that have: {', '.join(SCALES)}",
                )
        self.outcomes = tuple(OUTCOMES[name] for name in asked.outcomes or OUTCOMES)
        self.table = RatesTable(
            len(self.arms), max(len(self.levels), 1), self.outcomes, shaped=study.noised
        )

    @property
    def from_time_zero(self) -> bool:
        """Always: change is counted from entry."""
        return True

    @property
    def alike(self) -> float:
        """None: each arm has cells of its own."""
        return 0.0

    @property
    def shape(self) -> Shape:
        """One coordinate a cell of arm × level × course; the bound is 1 however many there are."""
        return Shape(length=self.table.length, bound=self.table.bound)

    @property
    def contribution(self) -> Contribution:
        """The cell of arm, level and course."""
        return contribution(self.frame, self.table)

    def prepare(self, records: Records) -> NDArray[np.int64]:
        """(N,) each patient's place in the table, or `NOWHERE`."""
        asked = self.settings
        told = [
            changes(
                records.times_in("week"),
                scale,
                arms=self.arms,
                baseline_window=asked.baseline_window,
                at=asked.week,
                within=asked.window,
            )
            for scale in self.scales
        ]
        arm = told[0].arm
        complete = np.logical_and.reduce([t.complete for t in told])
        course = np.full(len(arm), NOWHERE, dtype=np.int64)
        course[complete] = courses(
            np.stack([t.baseline[complete] for t in told], axis=1),
            np.stack([t.outcome[complete] for t in told], axis=1),
            self.scales,
        )
        level = np.zeros(len(arm), dtype=np.int64)
        if self.levels:
            level = levels_of(records, asked.by, self.levels)
        return self.table.coordinates(arm, level, course)

    def contributions(self, prepared: NDArray[np.int64], public: Public) -> Iterator[Vector]:
        """The cells' columns; zero where arm, level or a total is missing."""
        for start in range(0, len(prepared), BLOCK):
            yield self.table.rows(prepared[start : start + BLOCK])

    def estimate(self, public: Public, total: Vector, noise: SumNoise) -> Answer:
        """Rates, differences and ratios by arm and level, with the noise in every interval.

        A group below the disclosure threshold is suppressed, and with it every group from which
        it could be worked out, and every contrast with either.
        """
        rate = partial(
            self.table.proportion,
            np.asarray(total, dtype=np.float64),
            noise_sd=noise.sd,
            fewest=self.study.disclosure.patients,
        )
        return answer(self.frame, rate, noise_sd=noise.sd)

    def expected(self, noise: SumNoise) -> tuple[Expected, ...]:
        """Standard errors of differences and gaps: groups of one size, at the public rates."""
        arms, levels = len(self.arms), len(self.levels)
        others = [arm for arm in self.arms if arm != self.reference]
        found = [
            self._expect(o, noise, (DIFFERENCE, arm, self.reference), arms, 1)
            for o in self.outcomes
            for arm in others
        ]
        if levels:
            first, *rest = self.levels
            found += [
                self._expect(o, noise, (GAP, level, first), 1, levels)
                for o in self.outcomes
                for level in rest
            ]
            found += [
                self._expect(o, noise, (DIFFERENCE, arm, self.reference, level), arms, levels)
                for o in self.outcomes
                for level in self.levels
                for arm in others
            ]
        return (*found, *self._together(noise))

    def _together(self, noise: SumNoise) -> Iterator[Expected]:
        """The same contrasts once more, where several are told together."""
        frame, arms = self.frame, len(self.arms)
        for family in frame.families:
            if len(family) < 2:
                continue
            for outcome in self.outcomes:
                for pair in family:
                    arm, level = pair[0]
                    of = (JOINT_GAP if arm is None else JOINT, *frame.parts(pair))
                    levels = 1 if level is None else len(self.levels)
                    yield self._expect(outcome, noise, of, 1 if arm is None else arms, levels)

    def _expect(
        self, outcome: Outcome, noise: SumNoise, of: tuple[str, ...], arms: int, levels: int
    ) -> Expected:
        """A contrast of two groups, where there are `arms` × `levels` groups of one size."""
        merged = self.table.arms * self.table.levels // (arms * levels)
        n = planned_in_an_arm(self.arms, self.study.cohort) * ASSESSED
        n *= merged / self.table.levels * (AT_CASENESS if outcome.of_cases else 1.0)
        cells = self.table.noise_in(outcome, merged)
        one = variances(np.array(outcome.typical), np.array(n), cells, noise.sd)
        sampling, added = (float(np.sqrt(2.0 * part)) for part in one)
        what, group, other, *at = of
        together = " (with all others)" if what in {JOINT, JOINT_GAP} else ""
        return Expected(
            name=name_of(outcome, *of),
            label=", ".join([f"{outcome.label}: {group} minus {other}", *at]) + together,
            unit=SHARE_GAP,
            sampling=sampling,
            noise=added,
        )

    @property
    def frame(self) -> Frame:
        """The public facts that an answer is worded with."""
        asked = self.settings
        return Frame(
            question=self.name,
            scales=self.scales,
            week=asked.week,
            window=asked.window,
            outcomes=self.outcomes,
            arms=self.arms,
            reference=self.arms.index(self.reference),
            by=asked.by,
            levels=self.levels,
            confounding=confounding_of(self),
            synthetic=self.study.synthetic,
            fewest=self.study.disclosure.patients,
        )

    def _levels(self, by: str) -> tuple[str, ...]:
        """The levels of the variable `by`; none where nobody is divided."""
        if not by:
            return ()
        known = [name for name, v in self.study.variables.items() if len(v.levels) > 1]
        if by not in known:
            raise self._refusal(
                f"by: the study has no variable {by!r} with two or more levels",
                f"it has: {', '.join(known)}"
                if known
                else f"declare [variables.{by}] levels = [...]",
            )
        return self.study.variables[by].levels
