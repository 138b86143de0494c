"""`disk`: whether there is room, and a write is on disk when it says so.

The ledger waits for the disk before each answer (fsync). A file system that cannot do that, or on
which SQLite's write-ahead log does not work, would lose charges at a power cut.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from cairn_client.doctor.finding import Finding, ok, problem, unchecked, warning
from cairn_client.doctor.site import Site

LEAST_ROOM: Final = 64 << 20  # bytes: below it the next study may stop in the middle
GOOD_ROOM: Final = 1 << 30
SLOW_SYNC: Final = 0.25  # seconds; a charge takes some four
SYNCS: Final = 3
NETWORK: Final = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "afs"})


def disk(site: Site) -> Iterator[Finding]:
    """Room, the kind of file system, and a write that waits for the disk."""
    folder = site.state if site.state.is_dir() else site.path
    yield _room(folder)
    kind = file_system(folder)
    if kind in NETWORK:
        yield problem(
            "disk.network",
            f"{folder} lies on a network file system ({kind})",
            why="SQLite's write-ahead log and its locks do not work there",
            remedy="move the clinic's folder to a disk of this machine",
        )
    elif kind in {"tmpfs", "ramfs"}:
        yield warning(
            "disk.memory",
            f"{folder} lies in memory ({kind})",
            why="everything in it is lost when the machine is switched off",
            remedy="move the clinic's folder to a disk of this machine",
        )
    yield _sync(folder)


def _room(folder: Path) -> Finding:
    there = os.statvfs(folder)
    left = there.f_bavail * there.f_frsize
    entries = there.f_favail if there.f_files else LEAST_ROOM
    said = f"{left >> 20:,} MB are free"
    if left < LEAST_ROOM or entries < 100:
        return problem(
            "disk.room",
            f"only {said}" if left < LEAST_ROOM else "the disk can take hardly any more files",
            why=f"the keeper stops when it cannot write; it needs {LEAST_ROOM >> 20} MB at least",
            remedy=f"free space on the disk that holds {folder}",
        )
    if left < GOOD_ROOM:
        return warning(
            "disk.room",
            f"only {said}",
            remedy=f"free space on the disk that holds {folder}, up to {GOOD_ROOM >> 20:,} MB",
        )
    return ok("disk.room", said)


def _sync(folder: Path) -> Finding:
    draft = folder / f".doctor-{secrets.token_hex(8)}"
    try:
        took = min(_written(draft) for _ in range(SYNCS))
    except PermissionError:
        return unchecked("disk.sync", "only the keeper's user may write there; ask as that user")
    except OSError as error:
        return problem(
            "disk.sync",
            f"{folder} cannot be written and synchronised",
            why=error.strerror or type(error).__name__,
            remedy="free space, or mend the disk; the ledger takes no charge until then",
        )
    if took > SLOW_SYNC:
        return warning(
            "disk.sync",
            f"the disk takes {took:.2f} s to keep a write",
            why="every charge waits for it some four times",
            remedy="use a disk of this machine, or one with a write cache that survives power cuts",
        )
    return ok("disk.sync", f"a write is on disk after {1000 * took:.0f} ms")


def _written(draft: Path) -> float:
    """Seconds for a page, its file and its folder to be on disk. The file is gone afterwards."""
    began = time.monotonic()
    try:
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            if os.write(handle, bytes(4096)) < 4096:
                raise OSError(28, os.strerror(28))
            os.fsync(handle)
        finally:
            os.close(handle)
        opened = os.open(draft.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)
        return time.monotonic() - began
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)


def file_system(folder: Path) -> str:
    """The kind of file system on which `folder` lies, as the kernel calls it; empty: unknown."""
    device = folder.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, tail = line.partition(" - ")
        if fields.split()[2] == number:
            return tail.split()[0]
    return ""
