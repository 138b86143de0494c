"""`Entry`: links that open the page, each good once and for a few minutes.

E1  A link is made from a key that lies in run/admin, where only who may decide for the clinic
    can read it; the key is new at each start.
E2  A link opens the page once, and not after it has expired.
E3  Links are compared in constant time.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from cairn_client.sockets import Sockets
from cairn_protocol.errors import InputError

LINK_SECONDS: Final = 600
KEY_BYTES: Final = 32
NONCE_BYTES: Final = 16
LARGEST_NOTE: Final = 4096
_CONTEXT: Final = b"cairn clinic page: entry"
_TIME_BYTES: Final = 8


@dataclass(frozen=True)
class EntryKey:
    """Where the page listens and what its links are made from; kept in run/admin/page.json."""

    address: str  # http://127.0.0.1:8470
    key: bytes

    @classmethod
    def fresh(cls, address: str) -> Self:
        """One that nobody has seen."""
        return cls(address, secrets.token_bytes(KEY_BYTES))

    @classmethod
    def read(cls, clinic: Path) -> Self:
        """That of the page that runs for this clinic.

        Raises:
            InputError: none runs, or this user may not enter run/admin.
        """
        try:
            with _note(clinic).open("rb") as file:
                held = json.loads(file.read(LARGEST_NOTE))
            return cls(str(held["address"]), bytes.fromhex(held["key"]))
        except (OSError, ValueError, KeyError, TypeError):
            raise InputError(
                "no page runs for this clinic",
                code="page-none",
                why=f"{_note(clinic)} is not there or cannot be read",
                hint="start it with `cairn clinic page`; if it runs, ask as the keeper's user",
            ) from None

    def write(self, clinic: Path) -> None:
        """Keeps it where only the keeper's user can read it."""
        note = _note(clinic)
        draft = note.with_suffix(f".{secrets.token_hex(4)}")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump({"address": self.address, "key": self.key.hex()}, file)
        draft.replace(note)

    def remove(self, clinic: Path) -> None:
        """Takes it away, unless another page has put its own there."""
        try:
            if EntryKey.read(clinic) == self:
                _note(clinic).unlink()
        except (InputError, OSError):
            return

    def link(self, now: float | None = None) -> str:
        """A link that opens the page once, within `LINK_SECONDS`."""
        expires = int(time.time() if now is None else now) + LINK_SECONDS
        body = secrets.token_bytes(NONCE_BYTES) + expires.to_bytes(_TIME_BYTES, "big")
        token = base64.urlsafe_b64encode(body + self.mark(body)).rstrip(b"=").decode()
        return f"{self.address}/enter?link={token}"

    def mark(self, body: bytes) -> bytes:
        """What proves that a link was made with this key."""
        return hmac.digest(self.key, _CONTEXT + body, hashlib.sha256)


class Entry:
    """Lets in who has a link that was not used."""

    def __init__(self, key: EntryKey, clock: Callable[[], float] = time.time) -> None:
        self._key = key
        self._clock = clock
        self._used: dict[bytes, int] = {}
        self._lock = threading.Lock()

    def admits(self, token: str) -> bool:
        """Whether this link opens the page; if so it never does again."""
        try:
            raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        except ValueError:
            return False
        body, mark = raw[: NONCE_BYTES + _TIME_BYTES], raw[NONCE_BYTES + _TIME_BYTES :]
        if not hmac.compare_digest(self._key.mark(body), mark):  # E3
            return False
        nonce, expires = body[:NONCE_BYTES], int.from_bytes(body[NONCE_BYTES:], "big")
        now = self._clock()
        with self._lock:
            self._used = {used: until for used, until in self._used.items() if until >= now}
            if now > expires or nonce in self._used:  # E2
                return False
            self._used[nonce] = expires
        return True


def _note(clinic: Path) -> Path:
    return Sockets(clinic).admin.parent / "page.json"
