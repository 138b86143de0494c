"""`Sessions`: who has the page open; `Attempts`: how often somebody may fail to get in.

A session lives in this process alone: it ends with it. The cookie holds a random name for it, of
which only the hash is kept here.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

IDLE_SECONDS: Final = 3600.0
LONGEST_SECONDS: Final = 12 * 3600.0
MOST_SESSIONS: Final = 64
COOKIE: Final = "cairn-page"


@dataclass(frozen=True)
class Reviewer:
    """A person who signed in with an account of the clinic's. `token` is the keeper's."""

    name: str
    token: str
    expires: float  # seconds since 1970


@dataclass
class Session:
    """A browser that has the page open."""

    begun: float
    seen: float
    csrf: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    signed_in: Reviewer | None = None

    def reviewer(self, now: float | None = None) -> Reviewer | None:
        """Who signed in here, while that holds."""
        at = time.time() if now is None else now
        return self.signed_in if self.signed_in and at < self.signed_in.expires else None

    def accepts(self, csrf: str) -> bool:
        """Whether a form was this session's own."""
        return hmac.compare_digest(csrf.encode(), self.csrf.encode())


class Sessions:
    """Open sessions by the hash of their cookie; the oldest make room."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._open: dict[bytes, Session] = {}
        self._lock = threading.Lock()

    def begin(self) -> str:
        """The cookie of a new session."""
        cookie, now = secrets.token_urlsafe(32), self._clock()
        with self._lock:
            self._drop_old(now)
            while len(self._open) >= MOST_SESSIONS:
                self._open.pop(min(self._open, key=lambda name: self._open[name].seen))
            self._open[_name(cookie)] = Session(begun=now, seen=now)
        return cookie

    def find(self, cookie: str, *, active: bool) -> Session | None:
        """The session of this cookie. `active`: a person does something, it does not grow old."""
        now = self._clock()
        with self._lock:
            self._drop_old(now)
            session = self._open.get(_name(cookie))
            if session is not None and active:
                session.seen = now
        return session

    def end(self, cookie: str) -> None:
        """This cookie opens nothing any more."""
        with self._lock:
            self._open.pop(_name(cookie), None)

    def _drop_old(self, now: float) -> None:
        self._open = {
            name: session
            for name, session in self._open.items()
            if now - session.seen < IDLE_SECONDS and now - session.begun < LONGEST_SECONDS
        }


class Attempts:
    """Failures, by whoever makes them, for all come from one machine: `most` in any `seconds`."""

    def __init__(
        self, most: int, seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most, self._seconds, self._clock = most, seconds, clock
        self._at: deque[float] = deque()
        self._lock = threading.Lock()

    def allowed(self) -> bool:
        """Whether one more may be made."""
        now = self._clock()
        with self._lock:
            while self._at and now - self._at[0] >= self._seconds:
                self._at.popleft()
            return len(self._at) < self._most

    def failed(self) -> None:
        """One more did not succeed."""
        with self._lock:
            self._at.append(self._clock())


def _name(cookie: str) -> bytes:
    return hashlib.sha256(cookie.encode()).digest()
