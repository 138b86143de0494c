"""`RateLimit`: how often one peer, and all peers together, may call."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

MOST_PEERS: Final = 4096  # remembered at once; beyond them the longest silent one is forgotten


class RateLimit:
    """A bucket of tokens for each peer and one for all; safe to share between threads.

    Args:
        per_peer, in_all: calls a minute, and the largest burst.
        clock: seconds, monotone.
    """

    def __init__(self, per_peer: int, in_all: int, clock: Callable[[], float]) -> None:
        self._per_peer, self._in_all, self._clock = per_peer, in_all, clock
        self._lock = threading.Lock()
        self._all = (float(in_all), clock())
        self._peers: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def allows(self, peer: str) -> bool:
        """Whether `peer` may call now; if so, the call is counted."""
        with self._lock:
            now = self._clock()
            mine = self._filled(self._peers.get(peer, (float(self._per_peer), now)), self._per_peer)
            together = self._filled(self._all, self._in_all)
            allowed = min(mine, together) >= 1
            self._peers[peer] = (mine - allowed, now)
            self._peers.move_to_end(peer)
            if len(self._peers) > MOST_PEERS:
                self._peers.popitem(last=False)
            self._all = (together - allowed, now)
            return allowed

    def _filled(self, bucket: tuple[float, float], most: int) -> float:
        level, at = bucket
        return min(most, level + (self._clock() - at) * most / 60)
