"""`Timed`: until when, by arm, from one cell of a life table a patient; the engine of two kinds.

**What is summed.** Patient i with arm a is in one cell c of that arm's table: (interval of the end,
how it ended), or *through*. The vector is column c of a public matrix F in the arm's slot, zeros
elsewhere; ‖F_c‖ ≤ 1, so C = 1 for any number of arms and intervals. F = I would be a one-hot; for
patients' data F is shaped (`cairn_models/shaping.py`) so that the answer whose noise is largest for
what it may have (`cairn_models/life_table_plan.py`) is as little noisy as any matrix can make it.
At-risk indicators are never summed: their norm grows as the root of the number of intervals, and
numbers at risk follow from the cells.

**Estimators, variance.** `cairn_models/life_table.py` has the derivation: Kaplan–Meier,
Aalen–Johansen, restricted mean, hazards, hazard ratio, each with the delta method through the
cumulation for sampling (Greenwood) and noise, and what happens to a swamped risk set.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from functools import cached_property
from typing import Annotated, ClassVar, Final, Literal, Self

import numpy as np
from pydantic import ConfigDict, Field, model_validator

from cairn_models.answers import Answer
from cairn_models.cohort import TIME_DIGITS
from cairn_models.contribution import Contribution
from cairn_models.endings import LONGEST, Endings
from cairn_models.life_table import Grid, LifeTable
from cairn_models.life_table_plan import shaping_for, typical_table
from cairn_models.questions.arms import named_arms, planned_in_an_arm
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
from cairn_models.questions.timed_answer import answer
from cairn_models.questions.timed_contribution import contribution
from cairn_models.questions.timed_estimates import Curves, Frame, estimates
from cairn_models.questions.timed_words import Words
from cairn_models.records import WEEKS_PER_MONTH
from cairn_models.shaping import Shaping
from cairn_models.ways import Ways
from cairn_protocol.study import QuestionSpec, Study

BLOCK: Final = 4096  # patients in a block of contributions
MOST_INTERVALS: Final = 8
NARROWEST: Final = 1e-3

End = Annotated[float, Field(ge=NARROWEST, le=LONGEST / 10)]


class TimedSettings(Settings):
    """Settings that both kinds have; times are in the study's time unit."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    ends: tuple[End, ...] = Field(default=(2, 4, 6, 8, 12), min_length=1, max_length=MOST_INTERVALS)
    at: float = 8.0
    arms: tuple[str, ...] = ()
    reference: str = ""
    randomised: bool = False

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if any(b - a < NARROWEST for a, b in zip(self.ends, self.ends[1:], strict=False)):
            raise ValueError(f"ends: each must be later than the one before, by {NARROWEST:g}")
        if self.at not in self.ends:
            raise ValueError("at: it must be one of ends, where the curve is known")
        return self


class Timed(Question[Endings]):
    """One sum of shaped cells an arm; bound 1 for any number of arms and intervals."""

    repeatable: ClassVar[bool] = True
    emulable: ClassVar[bool] = True
    settings: TimedSettings

    def __init__(self, spec: QuestionSpec, study: Study) -> None:
        super().__init__(spec, study)
        asked = self.settings
        self.arms = named_arms(
            asked.arms, study.cohort.arms, asked.reference, fewest=1, refusal=self._refusal
        )
        self.reference = asked.reference or self.arms[0]
        self._instrument = self.instrument
        self.grid = Grid(tuple(round(end, TIME_DIGITS) for end in asked.ends), self.ways)

    @property
    @abstractmethod
    def ways(self) -> Ways:
        """How an observation can end."""

    @property
    @abstractmethod
    def words(self) -> Words:
        """What the answer says of it."""

    @property
    @abstractmethod
    def typical(self) -> float:
        """Public guess of the share who have the event by the named time."""

    @property
    def starting(self) -> float:
        """Public guess of the share of planned patients who are in question."""
        return 1.0

    @property
    def unit(self) -> Literal["week", "month"]:
        """In which the study counts time."""
        return self.study.outcome.time_unit

    def weeks(self, weeks: float) -> float:
        """So many weeks in the study's time unit."""
        return weeks if self.unit == "week" else weeks / WEEKS_PER_MONTH

    @cached_property
    def shaping(self) -> Shaping:
        """How cells are seen: public; plain where nothing is noised."""
        if not self.study.noised:
            return Shaping.plain(self.grid.cells)
        return shaping_for(self.grid, self.settings.at, self.typical)

    @property
    def alike(self) -> float:
        """None: each arm has cells of its own."""
        return 0.0

    @property
    def shape(self) -> Shape:
        """One slot of cells an arm; bound 1."""
        return Shape(length=len(self.arms) * self.grid.cells, bound=1.0)

    @property
    def contribution(self) -> Contribution:
        """The cell of the interval in which, and the way how, the patient's course ended."""
        return contribution(self.grid, self.shaping, self.arms, self.words, self.unit)

    def contributions(self, prepared: Endings, public: Public) -> Iterator[Vector]:
        """Rows with the patient's column of F in the arm's slot; zero outside the question."""
        columns = np.ascontiguousarray(self.shaping.seen.T)
        for start in range(0, len(prepared), BLOCK):
            part = slice(start, start + BLOCK)
            (told,) = np.nonzero(prepared.told[part])
            cell = self.grid.cell_of(prepared.time[part][told], prepared.how[part][told])
            rows = np.zeros((len(prepared.arm[part]), len(self.arms), self.grid.cells))
            rows[told, prepared.arm[part][told]] = columns[cell]
            yield rows.reshape(len(rows), -1)

    def tables(self, total: Vector, noise: SumNoise) -> tuple[LifeTable, ...]:
        """One noised life table an arm, from sums (..., length)."""
        sums = np.asarray(total, dtype=np.float64)
        slots = sums.reshape(*sums.shape[:-1], len(self.arms), self.grid.cells)
        counts = self.shaping.table(slots)
        covariance = self.shaping.covariance * noise.variance
        fewest = self.study.disclosure.patients
        return tuple(
            LifeTable(self.grid, counts[..., arm, :], covariance, fewest)
            for arm in range(len(self.arms))
        )

    def estimate(self, public: Public, total: Vector, noise: SumNoise) -> Answer:
        """Curves, differences and hazard ratios; a curve stops where too few are left to tell."""
        return answer(self.kind, self.frame, self.tables(total, noise), noised=noise.sd > 0)

    def expected(self, noise: SumNoise) -> tuple[Expected, ...]:
        """All that the answer tells, for arms of one size with the typical curve."""
        n = planned_in_an_arm(self.arms, self.study.cohort) * self.starting
        cells = n * typical_table(self.grid, self.settings.at, self.typical)
        covariance = self.shaping.covariance * noise.variance
        table = LifeTable(self.grid, cells, covariance, fewest=0.0, clear=0.0, events=0.0)
        curves = (Curves.of(table),) * len(self.arms)
        found = []
        for e in estimates(self.frame, curves):
            if e.standard_error:
                share = e.noise_share or 0.0
                parts = (e.standard_error * np.sqrt(s) for s in (1.0 - share, share))
                found.append(Expected(e.name, e.label, e.unit or "log", *map(float, parts)))
        return tuple(found)

    @property
    def frame(self) -> Frame:
        """The public facts that an answer is worded with."""
        return Frame(
            question=self.name,
            words=self.words,
            unit=self.unit,
            ends=self.grid.ends,
            named=self.grid.ends.index(round(self.settings.at, TIME_DIGITS)),
            arms=self.arms,
            reference=self.arms.index(self.reference),
            confounding=confounding_of(self),
            synthetic=self.study.synthetic,
            fewest=self.study.disclosure.patients,
        )
