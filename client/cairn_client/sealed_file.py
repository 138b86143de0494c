"""`PartsFile`: a file of .cairn in parts, each sealed by whoever writes it.

    mark ‖ for each part: length (8) ‖ sealed bytes

It is replaced as a whole: written beside, on disk, then renamed. A crash leaves the old one or the
new one. A writer who is root gives it to the user whose folder it is.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cairn_privacy.durable import sync_folder


class BrokenFile(ValueError):
    """The file does not begin with its mark, or was cut off."""


@dataclass(frozen=True)
class PartsFile:
    """The file at `path`, which begins with `mark`."""

    path: Path
    mark: bytes

    def read(self, most: int | None = None) -> list[bytes]:
        """The sealed parts, at most so many; [] where there is no file.

        Raises:
            BrokenFile: it is not what was written.
            OSError: it cannot be read.
        """
        parts: list[bytes] = []
        try:
            with self.path.open("rb") as file:
                if file.read(len(self.mark)) != self.mark:
                    raise BrokenFile("it does not begin as it should")
                largest = os.fstat(file.fileno()).st_size
                while (head := file.read(8)) and len(parts) != most:
                    size = int.from_bytes(head, "big")
                    part = file.read(min(size, largest))
                    if len(head) != 8 or len(part) != size:
                        raise BrokenFile("it was cut off")
                    parts.append(part)
        except FileNotFoundError:
            return []
        if not parts:
            raise BrokenFile("it was cut off")
        return parts

    def write(self, parts: Sequence[bytes]) -> None:
        """Replaces the file, mode 0600; on disk when this returns.

        Raises:
            OSError: it cannot be written; the old one stands.
        """
        draft = self.path.with_name(f".{self.path.name}.{secrets.token_hex(8)}")
        try:
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                give_to_owner(descriptor, self.path.parent)
                file.write(self.mark)
                for part in parts:
                    file.write(len(part).to_bytes(8, "big"))
                    file.write(part)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self.path)
            sync_folder(self.path.parent)
        finally:
            draft.unlink(missing_ok=True)


def give_to_owner(descriptor: int, folder: Path) -> None:
    """Gives a file that root makes to the user whose folder it is made in."""
    if os.geteuid() == 0:
        owner = folder.stat()
        os.fchown(descriptor, owner.st_uid, owner.st_gid)
