"""`RecordStore`: the clinic's records as they were imported, sealed in one file of .cairn.

    records.sealed   mark ‖ length (8) ‖ sealed manifest ‖ for each set: length (8) ‖ sealed records

R1  The file is replaced as a whole (`sealed_file`): a crash leaves the old one or the new one.
R2  Everything in it is sealed with the clinic's key. A set of records opens only under the
    manifest that it was written with, so parts of two imports cannot be put together.
R3  One import at a time: a lock on `import.lock` beside it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from cairn_client.manifest import Manifest, Own
from cairn_client.record_pack import Kept, pack, unpack
from cairn_client.seal import Seal
from cairn_client.sealed_file import BrokenFile, PartsFile, give_to_owner
from cairn_protocol.errors import InputError
from cairn_protocol.identity import Identity

FILE: Final = "records.sealed"
LOCK: Final = "import.lock"
_MARK: Final = b"cairn records 1\n"

Stamp = tuple[int, int, int]
"""Device, inode and time of the file: another one after every import that changed something."""


class RecordStore:
    """The sealed records in the folder `state` of the clinic with this identity."""

    def __init__(self, state: Path, identity: Identity) -> None:
        self._path = state / FILE
        self._file = PartsFile(self._path, _MARK)
        self._lock = state / LOCK
        self._seal = Seal(identity)

    @property
    def stamp(self) -> Stamp | None:
        """Which import the file holds, without opening it; None: nothing was imported yet."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return None
        return found.st_dev, found.st_ino, found.st_mtime_ns

    def manifest(self) -> Manifest | None:
        """What the store says of itself; None: nothing was imported yet.

        Raises:
            InputError: it was changed, cut off, or is another clinic's.
        """
        parts = self._parts(most=1)
        return self._opened(parts[0]) if parts else None

    def kept(self, own: Own = ()) -> Kept | None:
        """The records for a study with these instruments of its own; None: not imported for it.

        Raises:
            InputError: the store was changed, cut off, or is another clinic's.
        """
        parts = self._parts()
        if not parts:
            return None
        manifest = self._opened(parts[0])
        if own not in manifest.sets:
            return None
        index = manifest.sets.index(own)
        try:
            return unpack(self._seal.open(parts[1 + index], *_place(manifest, index)))
        except (ValueError, IndexError) as error:
            raise _damaged(self._path, str(error)) from None

    def write(self, manifest: Manifest, sets: Sequence[Kept]) -> None:
        """Replaces what is kept; on disk when this returns (R1).

        Raises:
            InputError: it cannot be written; what was kept before still is.
        """
        parts = [self._seal.seal(manifest.to_bytes(), b"records", b"manifest")]
        for index, kept in enumerate(sets):
            parts.append(self._seal.seal(pack(kept), *_place(manifest, index)))
        try:
            self._file.write(parts)
        except OSError as error:
            raise InputError(
                "the records could not be kept",
                code="records-not-kept",
                why=error.strerror or type(error).__name__,
                hint="free disk space or mend the disk, then import again; what was imported "
                "before is unchanged",
            ) from None

    @contextmanager
    def importing(self) -> Iterator[None]:
        """While the block runs, nobody else imports (R3).

        Raises:
            InputError: somebody does.
        """
        descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            give_to_owner(descriptor, self._lock.parent)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InputError(
                    "another import is under way",
                    code="import-running",
                    hint="wait until it has ended, then import again if files changed since",
                ) from None
            yield
        finally:
            os.close(descriptor)

    def _parts(self, most: int | None = None) -> list[bytes]:
        """The sealed parts, at most so many; [] where nothing was imported yet."""
        try:
            return self._file.read(most)
        except BrokenFile as error:
            raise _damaged(self._path, str(error)) from None
        except OSError as error:
            raise InputError(
                f"{self._path} cannot be read",
                code="records-unreadable",
                why=error.strerror or type(error).__name__,
                hint="it belongs to the keeper's user; see docs/clinic-data.md, 'clinic.toml'",
            ) from None

    def _opened(self, sealed: bytes) -> Manifest:
        try:
            return Manifest.from_bytes(self._seal.open(sealed, b"records", b"manifest"))
        except ValueError as error:
            raise _damaged(self._path, str(error)) from None


def _place(manifest: Manifest, index: int) -> tuple[bytes, ...]:
    written_with = hashlib.sha256(manifest.to_bytes()).digest()
    return b"records", written_with, index.to_bytes(4, "big")


def _damaged(path: Path, why: str) -> InputError:
    return InputError(
        f"{path} cannot be used",
        code="records-damaged",
        why=why,
        hint="take it away and import again: `cairn clinic import`; or restore the clinic's "
        "backup of .cairn as a whole",
    )
