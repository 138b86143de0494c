"""`Exchange`: how a run's messages reach its clinics; `Deadlines`: how long it waits for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

Replies = dict[int, bytes]
Until = Callable[[Replies], float]
"""From the replies so far, by node, the time (monotonic clock) until which others are waited for.

Asked whenever replies came, and before every wait; it may take the replies in while they come.
"""


class Exchange(Protocol):
    """Sends one request to each node; returns the replies that came.

    It ends when all came, after `seconds`, or when `until` says so. What was not answered is then
    withdrawn as far as that can be done: a node that comes later should not work on it.
    """

    def __call__(
        self,
        stage: str,
        requests: Mapping[int, bytes],
        seconds: float,
        until: Until | None = None,
    ) -> Replies: ...


@dataclass(frozen=True)
class Deadlines:
    """Seconds.

    Args:
        set_up: for each of the two exchanges that agree on keys.
        round: for each exchange of a round, where no sum can be opened without the missing.
        close: for the last message.
        patience: how long to wait, in all, for enough clinics to agree on keys.
        pause: between two tries.
        grace: where a sum can be opened without the missing, how long they are waited for once
            enough have answered: so long, or as long as those enough took if that is longer; half
            of it for each time in a row that a clinic did not answer, and a sixteenth at least.
        muster: how long the first set-up of a run waits for all clinics, once enough came.
        probe: how often a clinic that has dropped out is asked whether it is back.
    """

    set_up: float = 60.0
    round: float = 600.0
    close: float = 10.0
    patience: float = 0.0
    pause: float = 2.0
    grace: float = 20.0
    muster: float = 0.0
    probe: float = 10.0
