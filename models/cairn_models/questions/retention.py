"""`Retention`: how long people stay, by arm, from one cell of a life table a patient.

**Asked.** Either of two dropouts, never mixed: `measurement` (no score any more, clock from entry)
or `programme` (last use, clock from first use, completing being another way to end).

**What is summed.** Patient i with arm a is in one cell c of that arm's table: (interval of the end,
how it ended), or *through*. The vector is column c of a public matrix F in the arm's slot, zeros
elsewhere; ‖F_c‖ ≤ 1, so C = 1 for any number of arms and intervals. F = I would be a one-hot; for
patients' data F is shaped (`cairn_models/shaping.py`) so that the noise in cumulated sums, not in
cells, is small. At-risk indicators are never summed: their norm grows as the root of the number of
intervals, and numbers at risk follow from the cells.

**Estimators, variance.** `cairn_models/life_table.py` has the derivation: Kaplan–Meier,
Aalen–Johansen, restricted mean, hazards, hazard ratio, each with the delta method through the
cumulation for sampling (Greenwood) and noise, and what happens to a swamped risk set.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Annotated, ClassVar, Final, Literal, Self

import numpy as np
from pydantic import ConfigDict, Field, model_validator

from cairn_models.answers import Answer
from cairn_models.cohort import TIME_DIGITS
from cairn_models.endings import LONGEST, Endings, How, measurement_endings, programme_endings
from cairn_models.life_table import Fitted, Grid, LifeTable, log_hazard_ratio, minus, survival
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
from cairn_models.questions.confounding import confounding_of
from cairn_models.questions.retention_answer import answer
from cairn_models.questions.retention_estimates import Frame
from cairn_models.records import WEEKS_PER_MONTH, Records
from cairn_models.retention_plan import shaping_for, typical_table
from cairn_models.shaping import Shaping
from cairn_protocol.errors import InputError
from cairn_protocol.study import QuestionSpec, Study

BLOCK: Final = 4096  # patients in a block of contributions
MOST_INTERVALS: Final = 8
NARROWEST: Final = 1e-3
WINDOW_WEEKS: Final = 2.0
STARTED: Final = 0.7  # of planned patients who start a programme, where a cohort is planned

End = Annotated[float, Field(ge=NARROWEST, le=LONGEST / 10)]


class RetentionSettings(Settings):
    """Settings of a "retention" question; times are in the study's time unit."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    event: Literal["measurement", "programme"] = "measurement"
    ends: tuple[End, ...] = Field(default=(2, 4, 6, 8, 12), min_length=1, max_length=MOST_INTERVALS)
    at: float = 8.0
    window: float | None = Field(default=None, ge=0, le=LONGEST / 10)
    arms: tuple[str, ...] = ()
    reference: str = ""
    randomised: bool = False
    typical: float = Field(default=0.75, ge=0.05, le=0.98)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if any(b - a < NARROWEST for a, b in zip(self.ends, self.ends[1:], strict=False)):
            raise ValueError(f"ends: each must be later than the one before, by {NARROWEST:g}")
        if self.at not in self.ends:
            raise ValueError("at: it must be one of ends, where the curve is known")
        if self.window is not None and self.event == "programme":
            raise ValueError("window: it is for measurement; the last use has no window")
        return self


class Retention(Question[Endings]):
    """One sum of shaped cells an arm; bound 1 for any number of arms and intervals."""

    kind: ClassVar[str] = "retention"
    repeatable: ClassVar[bool] = True
    emulable: ClassVar[bool] = True
    settings_model: ClassVar[type[Settings]] = RetentionSettings
    settings: RetentionSettings

    def __init__(self, spec: QuestionSpec, study: Study) -> None:
        super().__init__(spec, study)
        asked = self.settings
        self.arms = named_arms(
            asked.arms, study.cohort.arms, asked.reference, fewest=1, refusal=self._refusal
        )
        self.reference = asked.reference or self.arms[0]
        self._instrument = self.instrument
        ends = tuple(round(end, TIME_DIGITS) for end in asked.ends)
        self.grid = Grid(ends, 1 if asked.event == "measurement" else len(How))
        two_weeks = WINDOW_WEEKS if self.unit == "week" else WINDOW_WEEKS / WEEKS_PER_MONTH
        self.window = two_weeks if asked.window is None else asked.window

    @property
    def from_time_zero(self) -> bool:
        """Whether the clock starts at entry: that of a programme starts at first use."""
        return self.settings.event == "measurement"

    @property
    def unit(self) -> Literal["week", "month"]:
        """In which the study counts time."""
        return self.study.outcome.time_unit

    @cached_property
    def shaping(self) -> Shaping:
        """How cells are seen: public; plain where nothing is noised."""
        if not self.study.noised:
            return Shaping.plain(self.grid.cells)
        return shaping_for(self.grid, self.settings.at, self.settings.typical)

    @property
    def shape(self) -> Shape:
        """One slot of cells an arm; bound 1."""
        return Shape(length=len(self.arms) * self.grid.cells, bound=1.0)

    def prepare(self, records: Records) -> Endings:
        """When and how each patient's retention ended, in the study's time unit."""
        own = records.times_in(self.unit)
        if self.settings.event == "programme":
            return programme_endings(own, arms=self.arms)
        return measurement_endings(own, self._instrument, arms=self.arms, window=self.window)

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
        return answer(self.frame, self.tables(total, noise), noised=noise.sd > 0)

    def expected(self, noise: SumNoise) -> tuple[Expected, ...]:
        """Standard errors for arms of one size with the typical curve; differences first."""
        share = STARTED if self.settings.event == "programme" else 1.0
        n = self.study.cohort.planned_patients * share / len(self.arms)
        cells = n * typical_table(self.grid, self.settings.at, self.settings.typical)
        covariance = self.shaping.covariance * noise.variance
        table = LifeTable(self.grid, cells, covariance, fewest=0.0, clear=0.0)
        curve = table.fit(lambda t: survival(self.grid, t))
        gap, ratio = minus(curve, curve), log_hazard_ratio(table, table)
        named = self.grid.ends.index(round(self.settings.at, TIME_DIGITS))
        pairs = [(arm, self.reference) for arm in self.arms if arm != self.reference]
        when = f"{self.unit} {self.settings.at:g}"
        points = "percentage points"
        return (
            *(
                _expected(f"difference-{a}-{b}", f"{a} against {b} at {when}", points, gap, named)
                for a, b in pairs
            ),
            *(
                _expected(f"hazard_ratio-{a}-{b}", f"{a} against {b}, log hazard", "", ratio, 0)
                for a, b in pairs
            ),
            *(
                _expected(f"kept-{arm}-{end:g}", f"{arm} at {self.unit} {end:g}", "%", curve, k)
                for arm in self.arms
                for k, end in sorted(enumerate(self.grid.ends), key=lambda e: e[0] != named)
            ),
        )

    @property
    def frame(self) -> Frame:
        """The public facts that an answer is worded with."""
        asked = self.settings
        return Frame(
            question=self.name,
            event=asked.event,
            instrument=self._instrument.name,
            unit=self.unit,
            ends=self.grid.ends,
            named=self.grid.ends.index(round(asked.at, TIME_DIGITS)),
            window=self.window,
            arms=self.arms,
            reference=self.arms.index(self.reference),
            confounding=confounding_of(self),
            synthetic=self.study.synthetic,
            fewest=self.study.disclosure.patients,
            window_of_entry_open=self.study.cohort.entry_until is None,
        )

    def _refusal(self, why: str, hint: str) -> InputError:
        return InputError(
            f"question {self.name!r} ({self.kind}) cannot be asked",
            code="question-invalid",
            why=why,
            hint=hint,
        )


def _expected(name: str, label: str, unit: str, fitted: Fitted, place: int) -> Expected:
    scale = 100.0 if unit else 1.0  # shares are shown in per cent, a log hazard as it is
    sampling, noise = (float(np.sqrt(v[place])) for v in (fitted.sampling, fitted.noise))
    return Expected(name, label, unit or "log", scale * sampling, scale * noise)
