"""A disk whose power can be cut: what was synced is there afterwards, all else may or may not be.

`Disk` is a SQLite VFS over real files that writes down, in order, every write, truncation, sync and
deletion. `cut` makes the files that a power cut after so many operations could leave: each file as
of its last sync, plus any choice of the later writes, in pieces of one sector, in any order.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import apsw

SECTOR = 512
Kind = Literal["write", "truncate", "sync", "sync folder", "delete"]


@dataclass(frozen=True)
class Operation:
    """One thing that was asked of the disk."""

    kind: Kind
    file: str = ""
    at: int = 0
    data: bytes = b""


@dataclass
class Disk:
    """The log of what was asked of the disk, and what each file held before."""

    log: list[Operation] = field(default_factory=list)
    before: dict[str, bytes] = field(default_factory=dict)

    def start(self, folder: Path) -> None:
        """Takes what lies in the folder as safely on disk."""
        self.before = {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}
        self.log.clear()

    def cut(self, after: int, dice: random.Random) -> dict[str, bytes]:
        """Files as a power cut after so many operations may leave them."""
        log = self.log[:after]
        named = self._names(log)
        return {
            file: self._content(file, [op for op in log if op.file == file], dice) for file in named
        }

    def _names(self, log: list[Operation]) -> set[str]:
        """Files whose names are on disk: those from before, and those of a synced folder."""
        named, made = set(self.before), set()
        for op in log:
            if op.kind == "sync folder":
                named |= made
                made = set()
            elif op.kind == "delete":
                made.discard(op.file)
                named.discard(op.file)
            elif op.file not in named:
                made.add(op.file)
        return named

    def _content(self, file: str, log: list[Operation], dice: random.Random) -> bytes:
        synced = max((n for n, op in enumerate(log, 1) if op.kind == "sync"), default=0)
        content = bytearray(self.before.get(file, b""))
        for op in log[:synced]:
            _apply(content, op)
        loose = [piece for op in log[synced:] for piece in _pieces(op)]
        share = dice.choice((0.0, 0.5, 1.0, dice.random()))
        kept = [piece for piece in loose if dice.random() < share]
        if dice.random() < 0.5:
            dice.shuffle(kept)
        for piece in kept:
            _apply(content, piece)
        return bytes(content)


def _pieces(op: Operation) -> Iterator[Operation]:
    """What of a write can reach the disk by itself."""
    if op.kind != "write":
        yield op
        return
    at, end = op.at, op.at + len(op.data)
    while at < end:
        until = min(end, (at // SECTOR + 1) * SECTOR)
        yield Operation("write", op.file, at, op.data[at - op.at : until - op.at])
        at = until


def _apply(content: bytearray, op: Operation) -> None:
    if op.kind == "write":
        if len(content) < op.at:
            content.extend(bytes(op.at - len(content)))
        content[op.at : op.at + len(op.data)] = op.data
    elif op.kind == "truncate":
        del content[op.at :]


class DiskVFS(apsw.VFS):
    """SQLite's own file system, with every change written down in `disk`."""

    def __init__(self, name: str, disk: Disk) -> None:
        self.disk = disk
        super().__init__(name, "")

    def xOpen(self, name: Any, flags: list[int]) -> LoggedFile:
        return LoggedFile(self.disk, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        super().xDelete(filename, syncdir)
        self.disk.log.append(Operation("delete", Path(filename).name))


class LoggedFile(apsw.VFSFile):
    """A file of `DiskVFS`."""

    def __init__(self, disk: Disk, name: Any, flags: list[int]) -> None:
        self.disk = disk
        self.name = Path(name if isinstance(name, str) else name.filename()).name
        super().__init__("", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:
        super().xWrite(data, offset)
        self.disk.log.append(Operation("write", self.name, offset, bytes(data)))

    def xTruncate(self, newsize: int) -> None:
        super().xTruncate(newsize)
        self.disk.log.append(Operation("truncate", self.name, newsize))

    def xSync(self, flags: int) -> None:
        super().xSync(flags)
        self.disk.log.append(Operation("sync", self.name))
