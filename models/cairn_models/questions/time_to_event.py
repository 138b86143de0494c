"""`TimeToEvent`: who gets worse or needs more than waiting, and when, by arm.

**Asked.** `deterioration`: the first score of the outcome that is reliably worse than baseline;
whoever has none is last seen at their last score. `step_up`: the move to more intensive care or
urgent referral, in competition with the start of the therapy that was waited for and with the loss
of measurement. The curve is the event's cumulative incidence; with competing causes each has its
own, and together with the share without any they make 100 %.

What is summed, the bound and the estimators are those of `timed.Timed`.
"""

from __future__ import annotations

from typing import ClassVar, Final, Literal, Self

from pydantic import Field, model_validator

from cairn_models.endings import LONGEST, Endings
from cairn_models.event_endings import deterioration_endings, step_up_endings
from cairn_models.questions.base import Settings
from cairn_models.questions.retention import WINDOW_WEEKS
from cairn_models.questions.time_to_event_words import deterioration_words, step_up_words
from cairn_models.questions.timed import Timed, TimedSettings
from cairn_models.questions.timed_words import Words
from cairn_models.questions.windows import check_baseline
from cairn_models.records import Records
from cairn_models.reliable_change import has_thresholds
from cairn_models.ways import DETERIORATION, STEP_UP, Ways
from cairn_protocol.study import QuestionSpec, Study

BASELINE_WEEKS: Final = (-4.0, 1.0)
ASSESSED: Final = 0.9  # of planned patients with a baseline and a later score
TYPICAL: Final = {"deterioration": 0.1, "step_up": 0.05}


class TimeToEventSettings(TimedSettings):
    """Settings of a "time_to_event" question; times are in the study's time unit."""

    event: Literal["deterioration", "step_up"] = "deterioration"
    baseline_window: tuple[float, float] | None = None
    window: float | None = Field(default=None, ge=0, le=LONGEST / 10)
    typical: float | None = Field(default=None, ge=0.005, le=0.95)

    @model_validator(mode="after")
    def _windowed(self) -> Self:
        if self.window is not None and self.event == "deterioration":
            raise ValueError("window: it is for step_up; deterioration is seen at a score")
        if self.baseline_window is not None:
            if self.event == "step_up":
                raise ValueError("baseline_window: it is for deterioration alone")
            check_baseline(self.baseline_window, before=self.ends[0], what="the first of ends")
        return self


class TimeToEvent(Timed):
    """Time to the first reliable deterioration, or to a move to more intensive care."""

    kind: ClassVar[str] = "time_to_event"
    settings_model: ClassVar[type[Settings]] = TimeToEventSettings
    settings: TimeToEventSettings

    def __init__(self, spec: QuestionSpec, study: Study) -> None:
        super().__init__(spec, study)
        if self._of_scores and not has_thresholds(self._instrument):
            raise self._refusal(
                f"no reliable change is known for {self._instrument.name}",
                "ask for deterioration of PHQ-9 or GAD-7, or for the event step_up",
            )

    @property
    def _of_scores(self) -> bool:
        return self.settings.event == "deterioration"

    @property
    def from_time_zero(self) -> bool:
        """Always: both clocks start at entry."""
        return True

    @property
    def ways(self) -> Ways:
        """A step-up has two causes that compete with it."""
        return DETERIORATION if self._of_scores else STEP_UP

    @property
    def window(self) -> float:
        """How long a score keeps a person in measurement, in the study's time unit."""
        asked = self.settings.window
        return self.weeks(WINDOW_WEEKS) if asked is None else asked

    @property
    def baseline_window(self) -> tuple[float, float]:
        """First and last time of a baseline score, in the study's time unit."""
        first, last = self.settings.baseline_window or map(self.weeks, BASELINE_WEEKS)
        return first, last

    @property
    def typical(self) -> float:
        """Of all people, those who have the event by the named time."""
        asked = self.settings.typical
        return TYPICAL[self.settings.event] if asked is None else asked

    @property
    def starting(self) -> float:
        """All, or those who are assessed twice."""
        return ASSESSED if self._of_scores else 1.0

    @property
    def words(self) -> Words:
        """Of the event."""
        if self._of_scores:
            return deterioration_words(self._instrument, self.unit)
        is_open = self.study.cohort.entry_until is None
        return step_up_words(
            self._instrument.name, self.unit, self.window, self.grid.ends[-1], is_open=is_open
        )

    def prepare(self, records: Records) -> Endings:
        """When each patient had the event or what came before it, in the study's time unit."""
        own, arms = records.times_in(self.unit), self.arms
        if self._of_scores:
            return deterioration_endings(
                own, self._instrument, arms=arms, baseline_window=self.baseline_window
            )
        return step_up_endings(own, self._instrument, arms=arms, window=self.window)
