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
    """A person who signed in with an account of the clinic's. `token` is the keeper's.

    `holds`: for how many seconds without use; the keeper has the last word.
    """

    name: str
    token: str
    holds: float


@dataclass
class Session:
    """A browser that has the page open."""

    begun: float
    seen: float
    csrf: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    _reviewer: Reviewer | None = None
    _used: float = 0.0
    _handles: dict[str, str] = field(default_factory=dict)

    def sign_in(self, reviewer: Reviewer, now: float | None = None) -> None:
        """From now on this person decides here."""
        self._reviewer, self._used = reviewer, time.time() if now is None else now

    def sign_out(self) -> None:
        """Nobody is signed in any more, and what only they may see has no address."""
        self._reviewer = None
        self._handles.clear()

    def reviewer(self, now: float | None = None) -> Reviewer | None:
        """Who signed in here, unless that was not used for too long."""
        at = time.time() if now is None else now
        if self._reviewer is not None and at >= self._used + self._reviewer.holds:
            self.sign_out()
        return self._reviewer

    def token(self) -> str:
        """The keeper's token of who signed in; empty: nobody did. Counts as use."""
        reviewer = self.reviewer()
        if reviewer is None:
            return ""
        self._used = time.time()
        return reviewer.token

    def handle(self, patient: str) -> str:
        """A word for a patient that may stand in an address: elsewhere it says nothing."""
        name = hmac.new(self.csrf.encode(), patient.encode(), hashlib.sha256).hexdigest()[:24]
        self._handles[name] = patient
        return name

    def patient(self, handle: str) -> str | None:
        """Whom a handle stands for."""
        return self._handles.get(handle)

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
