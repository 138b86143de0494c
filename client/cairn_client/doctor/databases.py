"""`databases`: whether the keeper's files are whole; `rows`: a table of one, without touching it.

A keeper that runs holds its files and checked them when it started, so that they are left alone.
Otherwise nothing beside them is made or changed: a file that was closed in order is read as it
stands, one with a write-ahead log beside it as a copy.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
import struct
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import quote

from cairn_client.clinic_folder import KEEPER, LEDGER, LEDGER_MADE, PINS
from cairn_client.doctor.finding import Finding, ok, problem, unchecked, warning
from cairn_client.doctor.site import Site

FILES: Final = (KEEPER, LEDGER, PINS)
LARGEST_LOG: Final = 256 << 20  # bytes of write-ahead log: SQLite folds it in at 4 MB
_FLOCK: Final = "hhqqi4x"  # struct flock of Linux, 64 bits: type, whence, start, length, pid
_LOCK_BYTES: Final = (0x40000000, 512)  # where SQLite keeps its locks
BACKUP: Final = "restore the clinic's newest backup of .cairn as a whole, ledger and store together"


def databases(site: Site, *, answers: bool) -> Iterator[Finding]:
    """Each of the keeper's files: its header, every page, its write-ahead log.

    Args:
        answers: whether the clinic's keeper runs.
    """
    if answers:
        yield ok("database.whole", "the keeper holds its files, and checked them when it started")
        return
    there = [site.state / name for name in FILES if site.can_see(site.state / name)]
    if not there:
        yield unchecked("database.whole", "the keeper has kept nothing yet")
    for file in there:
        yield _whole(file)
    made, ledger = site.state / LEDGER_MADE, site.state / LEDGER
    if site.can_see(made) and not site.can_see(ledger):
        yield problem(
            "database.ledger-lost",
            "the ledger is gone",
            why=f"{LEDGER} was made here, and is not there any more",
            remedy=f"{BACKUP}; never start a fresh ledger for the same patients",
        )


def _whole(file: Path) -> Finding:
    try:
        if held(file):
            return unchecked("database.whole", f"{file.name} is held by a keeper that runs")
        log = file.with_name(file.name + "-wal")
        size = log.stat().st_size if log.exists() else 0
        with reading(file) as database:
            said = database.execute("PRAGMA quick_check").fetchone()[0]
    except PermissionError:
        return unchecked("database.whole", f"only the keeper's user may read {file.name}")
    except (sqlite3.Error, OSError, UnicodeDecodeError):
        said = "damaged"
    if said != "ok":
        return problem(
            "database.damaged",
            f"{file.name} is damaged",
            why="SQLite's check of its pages fails",
            remedy=f"stop the keeper and {BACKUP}; look at the disk",
        )
    if size > LARGEST_LOG:
        return warning(
            "database.log-large",
            f"the write-ahead log of {file.name} has {size >> 20:,} MB",
            why="it is folded in when the keeper ends in order",
            remedy="start and stop the keeper once",
        )
    return ok("database.whole", f"{file.name} is whole")


@contextmanager
def reading(file: Path) -> Iterator[sqlite3.Connection]:
    """A connection that reads `file` and changes nothing beside it.

    Raises:
        sqlite3.Error, OSError: it cannot be read.
    """
    log = file.with_name(file.name + "-wal")
    if not log.exists() or log.stat().st_size == 0:
        with closing(_immutable(file)) as database:
            yield database
        return
    with tempfile.TemporaryDirectory(prefix=".doctor-", dir=file.parent) as folder:
        copy = Path(folder) / file.name
        shutil.copyfile(file, copy)
        shutil.copyfile(log, copy.with_name(log.name))
        with closing(sqlite3.connect(copy)) as database:
            yield database


def _immutable(file: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(str(file.absolute()))}?immutable=1", uri=True)


def held(file: Path) -> bool:
    """Whether another process holds SQLite's lock on `file`."""
    start, length = _LOCK_BYTES
    asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, start, length, 0)
    handle = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        told = fcntl.fcntl(handle, fcntl.F_GETLK, asked)
    finally:
        os.close(handle)
    return bool(struct.unpack(_FLOCK, told)[0] != fcntl.F_UNLCK)
