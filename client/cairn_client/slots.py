"""`Slots`: replies leave at fixed times after their request came, whatever they took to make.

How long a sum takes tells how many patients it is over. A reply to a request that has records read
waits until the end of the slot in which it was ready, so all that its time shows is how many slots
that was: one, for a clinic whose slot is long enough. So does the head of the audit log, for which
the log is read on from where it was last looked at.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

from cairn_protocol.codec import FRAME_BYTES
from cairn_protocol.messages import AuditRequest, OpenRun, RoundRequest

log = logging.getLogger("cairn.keeper")
# What has records, or the audit log, read.
TIMED: Final = frozenset({OpenRun.kind, RoundRequest.kind, AuditRequest.kind})


class Slots:
    """Slots of `seconds`; 0: replies leave when they are ready."""

    def __init__(
        self,
        seconds: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.seconds = seconds
        self._clock, self._sleep = clock, sleep

    def arrived(self) -> float:
        """The time at which a request came, for `leave`."""
        return self._clock()

    def leave(self, request: bytes, arrived: float) -> None:
        """Returns when the reply to `request` may leave."""
        if not self.seconds or request[FRAME_BYTES - 1 : FRAME_BYTES] not in _TIMED_BYTES:
            return
        slots = int((self._clock() - arrived) / self.seconds) + 1
        if slots > 1:
            log.info("a reply took %d slots of %g s", slots, self.seconds)
        while (left := arrived + slots * self.seconds - self._clock()) > 0:
            self._sleep(left)


_TIMED_BYTES: Final = frozenset(bytes((kind,)) for kind in TIMED)
