"""`Describe`: who is in the arms and how far they came, from one vector a patient.

**Asked**, in parts, each with a public share of what is spent:

- `score`: mean, SD and standardised difference of the baseline score;
- `funnel`: people who entered, and the share that came as far as a baseline and the asked weeks;
- `variables`: shares of the levels of the study's variables, means and SDs of its numbers, and
  their standardised differences;
- `quartiles`: quartiles and histogram of the baseline score; `outcomes`: of the score at each week;
- `course`: mean score at the asked weeks, of whoever has one then;
- `programme`: how far people came with a programme, and how many weeks they used it;
- `waits`: weeks until the therapy that was waited for;
- `minutes`: what staff spent, a patient and for each reliable recovery.

**What is summed.** A block a part (`variables` one a variable, `course` and `outcomes` one a week,
`programme` two): moments (a, u, 1 − u²) of a number in the arm's slot, or the patient's own cell of
arm × place, seen through a public matrix (`description/shapes.py`): the level, the rounded score,
the furthest stage, the week. **Bound** C = 1: `description/layout.py` has the proof, and how the
bound is shared out.

**Estimators, variance, source.** Means and spreads: `arm_means`. Shares: `proportions`, Wilson's
with noise. Quantiles: `description/quantiles.py`, Woodruff's with noise. Standardised differences:
`description/baseline.py`, Austin's with noise by the delta method. Minutes for each recovery:
`description/minutes.py`, Fieller's with noise.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from cairn_models.answers import Answer
from cairn_models.contribution import Contribution
from cairn_models.description import making, minutes, programme, waits
from cairn_models.description.columns import Columns
from cairn_models.description.layout import Layout, fair_shares
from cairn_models.description.making import HISTOGRAM, Blocks
from cairn_models.description.plan import Planned, expected_of, need
from cairn_models.description.quantiles import Bins
from cairn_models.description.reading import Frame, Reading, Use
from cairn_models.description.stages import measured, used
from cairn_models.measures import Instrument
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
from cairn_models.questions.describe_answer import answer
from cairn_models.questions.describe_contribution import contribution
from cairn_models.questions.describe_settings import PARTS, USUAL, DescribeSettings, Part
from cairn_models.questions.unanswerable import names_a_place
from cairn_models.records import Records
from cairn_models.reliable_change import has_thresholds
from cairn_protocol.study import QuestionSpec, Study

BLOCK: Final = 4096  # patients in a block of contributions
SCALES: Final = ("PHQ-9", "GAD-7")
NO_PROGRAMME: Final = ("waiting", "treatment_as_usual", "self_help_book", "face_to_face")
RESERVED: Final = (  # first words of names of estimates
    *("entered", "offered", making.FUNNEL, making.SCORE, HISTOGRAM),
    *(programme.FUNNEL, programme.ACTIVE, waits.WAITS, minutes.MINUTES),
)


@dataclass(frozen=True)
class Described:
    """`arm` (N,) int64 and `values` (N, columns) float64, NaN where a patient is not in a block."""

    arm: NDArray[np.int64]
    values: NDArray[np.float64]


class Describe(Question[Described]):
    """Blocks of moments and tables by arm, weighted to one bound of 1."""

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
        self.use = self._use()
        self.scales = self._scales()
        self.layout = self._layout()

    @property
    def shape(self) -> Shape:
        """One block a part, a variable, a week; bound 1 where anything is noised."""
        return Shape(length=self.layout.length, bound=self.layout.bound)

    @property
    def contribution(self) -> Contribution:
        """The arm's part of each block."""
        return contribution(self.frame)

    def prepare(self, records: Records) -> Described:
        """Arm and, block by block, what each patient puts into it."""
        asked = self.settings
        columns = Columns(
            records.times_in("week"),
            self._instrument,
            self.arms,
            baseline_window=asked.baseline_window,
            weeks=asked.weeks,
            window=asked.window,
        )
        found = []
        for block in self.layout.blocks:
            match block.name:
                case making.SCORE:
                    own = columns.scores.baseline
                case making.HISTOGRAM:
                    own = self.bins.places(columns.scores.baseline)
                case making.FUNNEL:
                    own = columns.scores.furthest
                case programme.FUNNEL:
                    own = columns.programme(self.use)
                case programme.ACTIVE:
                    own = columns.active_weeks(self.use)
                case waits.WAITS:
                    own = columns.wait(self.waits)
                case minutes.MINUTES:
                    own = columns.minutes(asked.most_minutes, self.scales)
                case name if name in self.variables:
                    own = columns.variable(name, self.variables[name])
                case name if name in self._courses:
                    own = columns.scores.later[:, self._courses.index(name)]
                case name:
                    week = self._courses.index(name.removesuffix(f"-{HISTOGRAM}"))
                    own = self.bins.places(columns.scores.later[:, week])
            found.append(own)
        return Described(columns.scores.arm, np.column_stack(found))

    def contributions(self, prepared: Described, public: Public) -> Iterator[Vector]:
        """Rows of all blocks; a block is zero where its value is missing, all are without arm."""
        for start in range(0, len(prepared.arm), BLOCK):
            part = slice(start, start + BLOCK)
            yield self.layout.rows(prepared.arm[part], prepared.values[part])

    def estimate(self, public: Public, total: Vector, noise: SumNoise) -> Answer:
        """The baseline table, the funnels and all else by arm; small cells are held back."""
        return answer(Reading(self.frame, np.asarray(total, dtype=np.float64), noise.sd))

    def expected(self, noise: SumNoise) -> tuple[Expected, ...]:
        """Standard errors for arms of one size, at public guesses of spread and attrition."""
        return tuple(
            e
            for block in self.layout.blocks
            for e in expected_of(self._planned, block, self.layout.noise_sd(block, noise.sd))
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
            left_out=self._left_out,
            use=self.use,
            waits=self.waits,
            scales=tuple(scale.name for scale in self.scales),
            synthetic=self.study.synthetic,
            fewest=self.study.disclosure.patients,
            window_of_entry_open=self.study.cohort.entry_until is None,
        )

    @property
    def waits(self) -> Bins:
        """The weeks by which therapy has begun."""
        return waits.bins_of(self.settings.longest_wait)

    @property
    def _courses(self) -> tuple[str, ...]:
        return tuple(f"week-{week:g}" for week in self.settings.weeks)

    @property
    def _planned(self) -> Planned:
        return Planned(
            people=planned_in_an_arm(self.arms, self.study.cohort),
            arms=self.arms,
            levels=self.variables,
            bins=self.bins,
            waits=self.waits,
            measured=measured(self.settings.weeks),
            used=used(self.use.weeks, self.settings.weeks[-1]),
            with_programme=tuple(self.arms[k] for k in self.use.arms),
        )

    def _variables(self) -> dict[str, tuple[str, ...]]:
        """The levels of each variable that is described, none for a number; no clinics' unasked."""
        known = {name: v.levels for name, v in self.study.variables.items() if len(v.levels) != 1}
        for name in self.settings.variables:
            if name not in known:
                raise self._refusal(
                    f"variables: the study has no variable {name!r} with two or more levels or a "
                    "range",
                    f"it has: {', '.join(known)}" if known else f"declare [variables.{name}]",
                )
        usual = [name for name in known if not names_a_place(name)]
        chosen = {name: known[name] for name in self.settings.variables or usual}
        for name in chosen:
            stem = name.removesuffix(f"-{HISTOGRAM}")
            if name in RESERVED or stem in self._courses:
                raise self._refusal(
                    f"variables: {name!r} is also the name of a part of the answer",
                    "give the variable another name in the study and in the mapping",
                )
        return chosen

    @property
    def _left_out(self) -> tuple[str, ...]:
        """The study's variables that would be described if they did not name a clinic."""
        asked = self.settings
        if asked.variables or (asked.parts and "variables" not in asked.parts):
            return ()
        return tuple(
            n for n, v in self.study.variables.items() if len(v.levels) != 1 and names_a_place(n)
        )

    def _parts(self) -> tuple[Part, ...]:
        """The parts that are asked, in the order of `PARTS`."""
        asked = self.settings
        every = tuple(p for p in USUAL if p != "variables" or self.variables)
        if "variables" in asked.parts and not self.variables:
            raise self._refusal(
                "parts: the study has no variables to describe"
                + (" but such as name a clinic" if self._left_out else ""),
                "declare [variables.…] in it",
            )
        chosen = tuple(p for p in PARTS if p in (asked.parts or every))
        if strangers := [p for p in asked.shares or () if p not in chosen]:
            raise self._refusal(
                f"shares: {', '.join(map(repr, strangers))} is not asked",
                f"parts: {', '.join(chosen)}",
            )
        return chosen

    def _use(self) -> Use:
        """The arms that have a programme, and how its use is described."""
        asked = self.settings
        if strangers := [arm for arm in asked.programme_arms if arm not in self.arms]:
            raise self._refusal(
                f"programme_arms: {', '.join(map(repr, strangers))} is not described",
                f"arms: {', '.join(self.arms)}",
            )
        named = asked.programme_arms or [arm for arm in self.arms if arm not in NO_PROGRAMME]
        if "programme" in self.parts and not named:
            raise self._refusal(
                "parts: no arm that is described has a programme",
                "name those that have one in programme_arms",
            )
        places = tuple(k for k, arm in enumerate(self.arms) if arm in named)
        return Use(places, asked.programme_weeks, asked.active_weeks)

    def _scales(self) -> tuple[Instrument, ...]:
        """Those on which reliable recovery is judged; none where nobody asks."""
        if "minutes" not in self.parts:
            return ()
        found = tuple(instrument_of(self.study, n) for n in self.settings.scales or SCALES)
        for scale in found:
            if not has_thresholds(scale):
                raise self._refusal(
                    f"scales: {scale.name!r} has no thresholds of caseness and reliable change",
                    f"those that have: {', '.join(SCALES)}",
                )
        return found

    def _layout(self) -> Layout:
        """The blocks of each part; a part's share is given, or such that all fare alike."""
        asked, planned = self.settings, self._planned
        blocks = Blocks(
            planned=planned,
            ends=(self._instrument.lowest, self._instrument.highest),
            ranges=self._ranges(),
            weeks=self._courses,
            most_weeks=asked.active_weeks,
            most_minutes=asked.most_minutes,
            noised=self.study.noised,
        )
        made = {part: blocks.of(part) for part in self.parts}
        needs = {part: [need(planned, b) for b in own] for part, own in made.items()}
        given = asked.shares
        weight = {p: sum(needs[p]) if given is None else given.get(p, 1.0) for p in self.parts}
        whole = sum(weight.values())
        return Layout(
            blocks=tuple(block for own in made.values() for block in own),
            shares=tuple(
                weight[part] / whole * share for part in made for share in fair_shares(needs[part])
            ),
            plain=not self.study.noised,
        )

    def _ranges(self) -> dict[str, tuple[float, float]]:
        """Those of the numbers that are described."""
        found = {}
        for name in (name for name, levels in self.variables.items() if not levels):
            declared = self.study.variables[name]
            lowest, highest = declared.lowest, declared.highest
            if lowest is None or highest is None or lowest >= highest:
                raise self._refusal(
                    f"variables: the range of {name!r} is empty", "lowest must be below highest"
                )
            found[name] = (lowest, highest)
        return found
