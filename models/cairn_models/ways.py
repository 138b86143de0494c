"""`Ways`: how an observation can end, for each event that a question can ask after.

The first cause is the event asked about, the others compete with it: whoever ends so can no longer
have the event first. Being last seen is no cause: of those people only that time is known.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Ways:
    """The ways of one event, in the order of a life table's columns.

    Args:
        causes: the event asked about, then those that compete with it.
        last_seen: whether people can also be last seen without any of them; the last column.
        staying: what is asked is who has *not* had the event: the curve is Kaplan–Meier's, and
            someone whose event is at an end is still there at it. Otherwise what is asked is who
            has had it: the curve is a cumulative incidence, and an event at an end counts by then.
        typical: public share of people, were there no other way, who end in each further column
            by the named time; the first's is a setting of the question.
    """

    causes: tuple[str, ...]
    last_seen: bool
    staying: bool
    typical: tuple[float, ...] = ()

    @property
    def columns(self) -> int:
        """How many ways are told apart."""
        return len(self.causes) + self.last_seen


MEASUREMENT: Final = Ways(("left",), last_seen=False, staying=True)
PROGRAMME: Final = Ways(("left", "completed"), last_seen=True, staying=True, typical=(0.13, 0.03))
DETERIORATION: Final = Ways(("deteriorated",), last_seen=True, staying=False, typical=(0.25,))
STEP_UP: Final = Ways(
    ("stepped_up", "therapy_started", "lost"),
    last_seen=False,
    staying=False,
    typical=(0.15, 0.25),
)
