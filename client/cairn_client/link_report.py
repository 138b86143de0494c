"""`LinkReport`: run/status/link.json, by which a link says how it stands; `status` reads it.

The link cannot call the keeper's admin methods and serves none, so it leaves a note: no secret, no
content of any message.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cairn_client.link_trouble import Trouble

SEEN_SECONDS: Final = 10.0  # how fresh `contact` is kept
LARGEST: Final = 64 * 1024


@dataclass(frozen=True)
class LinkStanding:
    """What the note says. Times are seconds since 1970; 0: never."""

    state: str
    server: str
    since: float
    contact: float
    trouble: str = ""
    hint: str = ""
    code: str = ""
    pid: int = 0

    @property
    def alive(self) -> bool:
        """Whether the process that wrote it is still there."""
        return self.pid > 0 and Path(f"/proc/{self.pid}").exists()


class LinkReport:
    """Writes the note; a note that cannot be written is no reason to stop carrying."""

    def __init__(self, clinic: Path, server: str) -> None:
        self._file = note(clinic)
        self._server = server
        self._since = self._contact = self._written = 0.0
        self._state = ""
        self._trouble: Trouble | None = None

    def write(self, state: str, trouble: Trouble | None = None) -> None:
        """The link is in this state from now on."""
        now = time.time()
        if state == "connected":
            self._contact = now
        if (state, trouble) == (self._state, self._trouble):
            return
        if state != self._state:
            self._since = now
        self._state, self._trouble = state, trouble
        self._write(now)

    def seen(self) -> None:
        """The server answered."""
        now = self._contact = time.time()
        if now - self._written >= SEEN_SECONDS:
            self._write(now)

    def _write(self, now: float) -> None:
        trouble = self._trouble
        values: dict[str, Any] = {
            "state": self._state,
            "server": self._server,
            "since": self._since,
            "contact": self._contact,
            "trouble": trouble.what if trouble else "",
            "hint": trouble.hint if trouble else "",
            "code": trouble.code if trouble else "",
            "pid": os.getpid(),
        }
        draft = self._file.with_suffix(".new")
        try:
            if not self._file.parent.is_dir():
                self._file.parent.mkdir(mode=0o755, parents=True)
                self._file.parent.chmod(0o755)  # whatever the umask
            draft.write_text(json.dumps(values))
            draft.chmod(0o644)  # no secret: `status` and `doctor` read it as another user
            draft.replace(self._file)
            self._written = now
        except OSError:
            self._written = now


def note(clinic: Path) -> Path:
    """Where the note lies."""
    return clinic / "run" / "status" / "link.json"


def link_standing(clinic: Path) -> LinkStanding | None:
    """What the link said last, or None if it never did or what it said cannot be read."""
    try:
        with note(clinic).open("rb") as file:
            return LinkStanding(**json.loads(file.read(LARGEST)))
    except (OSError, ValueError, TypeError):
        return None
