"""`Retention`: how long people stay, by arm.

**Asked.** Either of two dropouts, never mixed: `measurement` (no score any more, clock from entry)
or `programme` (last use, clock from first use, completing being another way to end).

What is summed, the bound and the estimators are those of `timed.Timed`.
"""

from __future__ import annotations

from typing import ClassVar, Final, Literal, Self

from pydantic import Field, model_validator

from cairn_models.endings import LONGEST, Endings, measurement_endings, programme_endings
from cairn_models.questions.base import Settings
from cairn_models.questions.retention_words import measurement_words, programme_words
from cairn_models.questions.timed import Timed, TimedSettings
from cairn_models.questions.timed_words import Words
from cairn_models.records import Records
from cairn_models.ways import MEASUREMENT, PROGRAMME, Ways

WINDOW_WEEKS: Final = 2.0
STARTED: Final = 0.7  # of planned patients who start a programme, where a cohort is planned


class RetentionSettings(TimedSettings):
    """Settings of a "retention" question; times are in the study's time unit."""

    event: Literal["measurement", "programme"] = "measurement"
    window: float | None = Field(default=None, ge=0, le=LONGEST / 10)
    typical: float = Field(default=0.75, ge=0.05, le=0.98)

    @model_validator(mode="after")
    def _windowed(self) -> Self:
        if self.window is not None and self.event == "programme":
            raise ValueError("window: it is for measurement; the last use has no window")
        return self


class Retention(Timed):
    """Time to either dropout."""

    kind: ClassVar[str] = "retention"
    settings_model: ClassVar[type[Settings]] = RetentionSettings
    settings: RetentionSettings

    @property
    def from_time_zero(self) -> bool:
        """Whether the clock starts at entry: that of a programme starts at first use."""
        return self.settings.event == "measurement"

    @property
    def ways(self) -> Ways:
        """Use can also be completed, or last seen going on."""
        return MEASUREMENT if self.settings.event == "measurement" else PROGRAMME

    @property
    def window(self) -> float:
        """How long before a time a score keeps a person at it, in the study's time unit."""
        asked = self.settings.window
        return self.weeks(WINDOW_WEEKS) if asked is None else asked

    @property
    def typical(self) -> float:
        """Of all people, those who leave by the named time."""
        return 1.0 - self.settings.typical

    @property
    def starting(self) -> float:
        """All, or those who start a programme."""
        return STARTED if self.settings.event == "programme" else 1.0

    @property
    def words(self) -> Words:
        """Of those who stay."""
        if self.settings.event == "programme":
            return programme_words(self.unit)
        is_open = self.study.cohort.entry_until is None
        return measurement_words(
            self._instrument.name, self.unit, self.window, self.grid.ends[-1], is_open=is_open
        )

    def prepare(self, records: Records) -> Endings:
        """When and how each patient's retention ended, in the study's time unit."""
        own = records.times_in(self.unit)
        if self.settings.event == "programme":
            return programme_endings(own, arms=self.arms)
        return measurement_endings(own, self._instrument, arms=self.arms, window=self.window)
