"""`Event`: what a hazard model asks after, and when each patient had it, pure per patient.

The clocks are those of `retention` and `time_to_event`; every other way of ending ends the time at
risk without the event, so its cause-specific hazard is what the model is of.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from cairn_models.endings import measurement_endings, programme_endings
from cairn_models.event_endings import deterioration_endings, step_up_endings
from cairn_models.measures import Instrument
from cairn_models.records import Records, TimeUnit
from cairn_models.regression.covariates import Array
from cairn_models.regression.intervals import Intervals
from cairn_models.ways import DETERIORATION, MEASUREMENT, PROGRAMME, STEP_UP, Ways

EventName = Literal["measurement", "programme", "deterioration", "step_up"]
WAYS: Final[dict[str, Ways]] = {
    "measurement": MEASUREMENT,
    "programme": PROGRAMME,
    "deterioration": DETERIORATION,
    "step_up": STEP_UP,
}
EVENT: Final = 0  # the first cause of any `Ways`


@dataclass(frozen=True)
class Event:
    """An event's clock; `window` and `baseline_window` in the study's unit."""

    name: EventName
    instrument: Instrument
    arms: tuple[str, ...]
    unit: TimeUnit
    window: float
    baseline_window: tuple[float, float]

    def intervals(self, ends: tuple[float, ...]) -> Intervals:
        """The intervals in which it is counted."""
        ways = WAYS[self.name]
        return Intervals(ends, otherwise=ways.columns > 1, staying=ways.staying)

    def times(self, records: Records) -> tuple[Array, NDArray[np.bool_]]:
        """(N,) when observation ended, NaN: not in question; and whether with the event."""
        own, arms, instrument = records.times_in(self.unit), self.arms, self.instrument
        match self.name:
            case "measurement":
                ended = measurement_endings(own, instrument, arms=arms, window=self.window)
            case "programme":
                ended = programme_endings(own, arms=arms)
            case "deterioration":
                ended = deterioration_endings(
                    own, instrument, arms=arms, baseline_window=self.baseline_window
                )
            case "step_up":
                ended = step_up_endings(own, instrument, arms=arms, window=self.window)
        return ended.time, ended.how == EVENT
