"""Files that survive a power cut: `publish` makes new ones, `HeadCopy` keeps one changing fact."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from cairn_privacy.chain import Head
from cairn_protocol.errors import InputError

_SLOT: Final = 4096  # bytes apart, so that a torn write spoils one slot only
_RECORD: Final = 8 + 32 + 32  # number, digest, SHA-256 of both


class HeadCopy:
    """A second copy of a chain's head, in two slots that are written in turn."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> Head | None:
        """The newest head whose slot is whole, or None."""
        heads = [head for head in self._slots() if head is not None]
        return max(heads, key=lambda head: head.number, default=None)

    def write(self, head: Head) -> None:
        """Replaces the older slot by `head`; on disk when this returns."""
        first, second = (slot.number if slot else -1 for slot in self._slots())
        record = head.number.to_bytes(8, "big") + head.digest
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            at = 0 if first <= second else _SLOT
            os.pwrite(descriptor, record + hashlib.sha256(record).digest(), at)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _slots(self) -> tuple[Head | None, Head | None]:
        try:
            with self._path.open("rb") as file:
                data = file.read(_SLOT + _RECORD)
        except FileNotFoundError:
            data = b""
        return _parse(data[:_RECORD]), _parse(data[_SLOT : _SLOT + _RECORD])


def _parse(record: bytes) -> Head | None:
    body, check = record[:40], record[40:]
    if hashlib.sha256(body).digest() != check:
        return None
    return Head(int.from_bytes(body[:8], "big"), body[8:])


@contextmanager
def publish(path: Path, beside: Path) -> Iterator[Path]:
    """A draft (mode 0600) that becomes `path` when the block ends, and its companion `beside`.

    The draft's companion is `<draft>.head`. Neither `path` nor `beside` is ever overwritten; the
    companion comes first, so that a crash cannot leave `path` without it.

    Raises:
        InputError: one of them exists, or the folder cannot be written.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    companion = draft.with_name(draft.name + ".head")
    try:
        if path.exists() or beside.exists():
            raise FileExistsError
        os.close(os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        yield draft
        os.link(companion, beside)
        os.link(draft, path)
        sync_folder(path.parent)
    except FileExistsError:
        raise InputError(
            f"a ledger, or what is left of one, lies at {path} already",
            code="ledger-exists",
            hint=f"use it; a new one would forget what was spent (files: {path.name}, "
            f"{beside.name})",
        ) from None
    except OSError as error:
        raise InputError(
            f"cannot write in {path.parent}",
            code="ledger-folder",
            why=error.strerror or "",
            hint="check that the folder exists and that the keeper's user may write in it",
        ) from None
    finally:
        for left in draft.parent.glob(f"{draft.name}*"):
            left.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Makes the names in `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
