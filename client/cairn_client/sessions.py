"""`Sessions`: who has signed in, in memory only.

Of a token its hash is held, so that a picture of this memory signs nobody in. A session ends half
an hour after it was last used, twelve hours after it began, and with the process.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from cairn_protocol.errors import PolicyRefusal

IDLE_SECONDS: Final = 30 * 60
LONGEST_SECONDS: Final = 12 * 3600
MOST_SESSIONS: Final = 100
TOKEN_BYTES: Final = 32


@dataclass(frozen=True)
class _Open:
    person: str
    since: float
    used: float

    def ends(self) -> float:
        return min(self.used + IDLE_SECONDS, self.since + LONGEST_SECONDS)


class Sessions:
    """Open sessions. `clock` is monotonic seconds; a test sets it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._open: dict[bytes, _Open] = {}

    def begin(self, person: str) -> tuple[str, float]:
        """A new session's token, and the seconds for which it holds without use.

        The session that was used longest ago ends where there are too many.
        """
        token, now = secrets.token_urlsafe(TOKEN_BYTES), self._clock()
        with self._lock:
            self._sweep(now)
            while len(self._open) >= MOST_SESSIONS:
                del self._open[min(self._open, key=lambda key: self._open[key].used)]
            begun = self._open[_hash(token)] = _Open(person, now, now)
        return token, begun.ends() - now

    def person_of(self, token: str) -> str:
        """Who signed in under this token; using it keeps the session open.

        Raises:
            PolicyRefusal: `policy.session-needed`, `policy.session-ended`.
        """
        if not token:
            raise PolicyRefusal(
                "this needs a reviewer who has signed in",
                code="session-needed",
                why="this clinic has accounts",
                hint="give --person and a password, or sign in on the page",
            )
        now, key = self._clock(), _hash(token)
        with self._lock:
            self._sweep(now)
            if (known := self._open.get(key)) is None:
                raise PolicyRefusal(
                    "this session has ended",
                    code="session-ended",
                    why="it was not used for half an hour, was signed out, or the keeper was "
                    "restarted",
                    hint="sign in again",
                )
            self._open[key] = replace(known, used=now)
        return known.person

    def end(self, token: str) -> None:
        """Ends a session; one that is not known is as good as ended."""
        with self._lock:
            self._open.pop(_hash(token), None)

    def end_all_of(self, person: str) -> None:
        """Ends every session of a person."""
        with self._lock:
            for key in [key for key, known in self._open.items() if known.person == person]:
                del self._open[key]

    def _sweep(self, now: float) -> None:
        for key in [key for key, known in self._open.items() if known.ends() <= now]:
            del self._open[key]


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
