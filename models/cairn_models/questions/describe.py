"""`Describe`: who is in the arms and how far they came, from one vector a patient.

**Asked**, in parts, each with a public share of what is spent:

- `score`: mean, SD and standardised difference of the baseline score;
- `funnel`: people who entered, and the share that came as far as a baseline and the asked weeks;
- `variables`: shares of the levels of the study's variables, means and SDs of its numbers, and
  their standardised differences;
- `quartiles`: of the baseline score;
- `course`: mean score at the asked weeks, of whoever has one then.

**What is summed.** A block a part (`variables` one a variable, `course` one a week): moments
(a, u, 1 − u²) of a number in the arm's slot, or a 1 in arm × cell: the level, the rounded score, or
the furthest stage of the funnel. **Bound** C = 1: `description/blocks.py` has the proof.

**Estimators, variance, source.** Means and spreads: `arm_means`. Shares: `proportions`, Wilson's
with noise. Quartiles: `description/quantiles.py`, Woodruff's with noise. Standardised differences:
`describe_estimates`, Austin's with noise by the delta method.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Final, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, model_validator

from cairn_models.answers import Answer
from cairn_models.description.blocks import Block, Cells, Layout, Number
from cairn_models.description.people import numbers_of, scores_of
from cairn_models.description.plan import expected_of
from cairn_models.description.quantiles import Bins
from cairn_models.levels import NO_LEVEL, levels_of
from cairn_models.questions.arms import named_arms
from cairn_models.questions.base import (
    Expected,
    Public,
    Question,
    Settings,
    Shape,
    SumNoise,
    Vector,
)
from cairn_models.questions.describe_answer import answer
from cairn_models.questions.describe_estimates import Frame, Reading
from cairn_models.records import Records
from cairn_protocol.errors import InputError
from cairn_protocol.study import QuestionSpec, Study

BLOCK: Final = 4096  # patients in a block of contributions
MOST_WEEKS: Final = 8
Part = Literal["score", "funnel", "variables", "quartiles", "course"]
PARTS: Final[tuple[Part, ...]] = ("score", "funnel", "variables", "quartiles", "course")
FUNNEL: Final = "funnel"
SCORE: Final = "baseline"
QUARTILES: Final = "quartiles"
RESERVED: Final = ("entered", FUNNEL, SCORE, QUARTILES)  # first words of names of estimates


class DescribeSettings(Settings):
    """Settings of a "describe" question; times are weeks."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    parts: tuple[Part, ...] = ()
    shares: dict[Part, float] | None = None
    weeks: tuple[float, ...] = Field(default=(4, 8), min_length=1, max_length=MOST_WEEKS)
    window: float = Field(default=2.0, ge=0)
    baseline_window: tuple[float, float] = (-4.0, 1.0)
    variables: tuple[str, ...] = ()
    arms: tuple[str, ...] = ()
    reference: str = ""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        first, last = self.baseline_window
        if not first <= last:
            raise ValueError("baseline_window: its start must not be after its end")
        if any(b <= a for a, b in zip(self.weeks, self.weeks[1:], strict=False)):
            raise ValueError("weeks: each must be later than the one before")
        if last >= self.weeks[0] - self.window:
            raise ValueError(
                "baseline_window: it must end before the first week − window, so that no score is "
                "both"
            )
        if any(share <= 0 for share in (self.shares or {}).values()):
            raise ValueError("shares: each must be above 0")
        for name in ("parts", "variables"):
            named = getattr(self, name)
            if len(set(named)) != len(named):
                raise ValueError(f"{name}: name each once")
        return self


@dataclass(frozen=True)
class Described:
    """`arm` (N,) int64 and `values` (N, blocks) float64, NaN where a patient is not in a block."""

    arm: NDArray[np.int64]
    values: NDArray[np.float64]


class Describe(Question[Described]):
    """Blocks of moments and one-hot tables by arm, weighted to one bound of 1."""

    kind: ClassVar[str] = "describe"
    repeatable: ClassVar[bool] = True
    emulable: ClassVar[bool] = True
    settings_model: ClassVar[type[Settings]] = DescribeSettings
    settings: DescribeSettings

    def __init__(self, spec: QuestionSpec, study: Study) -> None:
        super().__init__(spec, study)
        asked = self.settings
        self.arms = named_arms(
            asked.arms, study.cohort.arms, asked.reference, fewest=1, refusal=self._refusal
        )
        self.reference = asked.reference or self.arms[0]
        self._instrument = self.instrument
        self.bins = Bins.over(self._instrument.lowest, self._instrument.highest)
        self.variables = self._variables()
        self.parts = self._parts()
        self.layout = self._layout()

    @property
    def shape(self) -> Shape:
        """One block a part, a variable, a week; bound 1 where anything is noised."""
        return Shape(length=self.layout.length, bound=self.layout.bound)

    def prepare(self, records: Records) -> Described:
        """Arm, scores, stage and variables of each patient."""
        asked = self.settings
        scores = scores_of(
            records,
            self._instrument,
            arms=self.arms,
            baseline_window=asked.baseline_window,
            weeks=asked.weeks,
            window=asked.window,
        )
        columns = []
        for block in self.layout.blocks:
            if block.name == SCORE:
                columns.append(scores.baseline)
            elif block.name == QUARTILES:
                columns.append(self.bins.places(scores.baseline))
            elif block.name == FUNNEL:
                columns.append(scores.furthest)
            elif block.name in self.variables:
                columns.append(self._variable(records, block.name))
            else:
                columns.append(scores.later[:, self._courses.index(block.name)])
        return Described(scores.arm, np.column_stack(columns))

    def contributions(self, prepared: Described, public: Public) -> Iterator[Vector]:
        """Rows of all blocks; a block is zero where its value is missing, all are without arm."""
        for start in range(0, len(prepared.arm), BLOCK):
            part = slice(start, start + BLOCK)
            yield self.layout.rows(prepared.arm[part], prepared.values[part])

    def estimate(self, public: Public, total: Vector, noise: SumNoise) -> Answer:
        """The baseline table, the funnel and the course by arm; small cells are held back."""
        reading = Reading(self.frame, np.asarray(total, dtype=np.float64), noise.sd)
        return answer(reading)

    def expected(self, noise: SumNoise) -> tuple[Expected, ...]:
        """Standard errors for arms of one size, at public guesses of spread and attrition."""
        return expected_of(
            self.layout,
            self.bins,
            self.arms,
            self.frame.stages,
            self.variables,
            planned=self.study.cohort.planned_patients,
            noise_sd=noise.sd,
        )

    @property
    def frame(self) -> Frame:
        """The public facts that an answer is worded with."""
        asked = self.settings
        return Frame(
            question=self.name,
            layout=self.layout,
            instrument=self._instrument,
            bins=self.bins,
            arms=self.arms,
            reference=self.arms.index(self.reference),
            weeks=asked.weeks,
            window=asked.window,
            variables=self.variables,
            synthetic=self.study.synthetic,
            fewest=self.study.disclosure.patients,
        )

    @property
    def _courses(self) -> tuple[str, ...]:
        return tuple(f"week-{week:g}" for week in self.settings.weeks)

    def _variable(self, records: Records, name: str) -> NDArray[np.float64]:
        if levels := self.variables[name]:
            place = levels_of(records, name, levels)
            return np.where(place == NO_LEVEL, np.nan, place.astype(np.float64))
        return numbers_of(records, name)

    def _variables(self) -> dict[str, tuple[str, ...]]:
        """The levels of each variable that is described; none for a number."""
        known = {name: v.levels for name, v in self.study.variables.items() if len(v.levels) != 1}
        for name in self.settings.variables:
            if name not in known:
                raise self._refusal(
                    f"variables: the study has no variable {name!r} with two or more levels or a "
                    "range",
                    f"it has: {', '.join(known)}" if known else f"declare [variables.{name}]",
                )
        chosen = {name: known[name] for name in self.settings.variables or known}
        for name in chosen:
            if name in RESERVED or name in self._courses:
                raise self._refusal(
                    f"variables: {name!r} is also the name of a part of the answer",
                    "give the variable another name in the study and in the mapping",
                )
        return chosen

    def _parts(self) -> tuple[Part, ...]:
        """The parts that are asked, in the order of `PARTS`."""
        asked = self.settings
        every = tuple(p for p in PARTS if p != "course" and (p != "variables" or self.variables))
        if "variables" in asked.parts and not self.variables:
            raise self._refusal(
                "parts: the study has no variables to describe", "declare [variables.…] in it"
            )
        chosen = tuple(p for p in PARTS if p in (asked.parts or every))
        if strangers := [p for p in asked.shares or () if p not in chosen]:
            raise self._refusal(
                f"shares: {', '.join(map(repr, strangers))} is not asked",
                f"parts: {', '.join(chosen)}",
            )
        return chosen

    def _layout(self) -> Layout:
        arms, scale = len(self.arms), self._instrument
        stages = len(self.settings.weeks) + 2
        ends = (scale.lowest, scale.highest)
        made: dict[Part, tuple[Block, ...]] = {
            "score": (Number(SCORE, arms, *ends),),
            "funnel": (Cells(FUNNEL, arms, stages),),
            "variables": tuple(self._block(name) for name in self.variables),
            "quartiles": (Cells(QUARTILES, arms, self.bins.number),),
            "course": tuple(Number(name, arms, *ends) for name in self._courses),
        }
        weight = {part: (self.settings.shares or {}).get(part, 1.0) for part in self.parts}
        whole = sum(weight.values())
        pairs = [
            (block, weight[part] / whole / len(made[part]))
            for part in self.parts
            for block in made[part]
        ]
        blocks, shares = zip(*pairs, strict=True)
        return Layout(blocks, shares, plain=not self.study.noised)

    def _block(self, name: str) -> Block:
        declared = self.study.variables[name]
        if declared.levels:
            return Cells(name, len(self.arms), len(declared.levels))
        if (
            declared.lowest is None
            or declared.highest is None
            or (declared.lowest >= declared.highest)
        ):
            raise self._refusal(
                f"variables: the range of {name!r} is empty", "lowest must be below highest"
            )
        return Number(name, len(self.arms), declared.lowest, declared.highest)

    def _refusal(self, why: str, hint: str) -> InputError:
        return InputError(
            f"question {self.name!r} ({self.kind}) cannot be asked",
            code="question-invalid",
            why=why,
            hint=hint,
        )
