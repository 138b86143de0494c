"""`LedgerFile`: rows that are on disk when `append` returns, or a ledger that has stopped.

SQLite, WAL, synchronous=FULL: with NORMAL a power cut takes back what was committed (tests/privacy/
test_ledger_power.py shows both). Beside the database `<name>.head` repeats the head after every
link that matters, so that a lost tail (a damaged WAL) shows.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal

from cairn_privacy.chain import Head, damaged
from cairn_privacy.durable import HeadCopy, sync_folder
from cairn_protocol.errors import InputError, OurFault

SYNCHRONOUS: Final = "FULL"
_MAGIC: Final = b"SQLite format 3\0"  # an empty file would be made into a database otherwise
# SQLite's own words on a damaged schema repeat its bytes, which need not be UTF-8.
_BROKEN: Final = (sqlite3.Error, UnicodeDecodeError, OverflowError)
_SCHEMA: Final = """
CREATE TABLE chain (number INTEGER PRIMARY KEY, body TEXT NOT NULL, hash BLOB NOT NULL) STRICT;
CREATE TRIGGER kept BEFORE DELETE ON chain BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER fixed BEFORE UPDATE ON chain BEGIN SELECT RAISE(ABORT, 'append-only'); END;
"""

Step = Literal["checked", "begun", "inserted", "committed", "synced", "copied"]
Passing = Callable[[Step], None]
"""Called as a link passes each step to the disk; a test ends the process there."""


def no_step(step: Step) -> None:
    """Nothing happens at a step."""


class LedgerFile:
    """The database at `path`, locked for as long as it is open.

    Raises:
        InputError: another process has it open, or it is no database.
    """

    def __init__(self, path: Path, *, passing: Passing = no_step) -> None:
        self._path = path
        self._passing = passing
        self._database = connect(path)
        self._copy = HeadCopy(head_path(path))
        self._broken = False
        self._folder_synced = False

    @classmethod
    def existing(cls, path: Path, *, passing: Passing = no_step) -> LedgerFile:
        """The file at `path`, which is there.

        Raises:
            InputError: it is not, another process has it open, or it is damaged.
        """
        if not path.is_file():
            raise InputError(
                f"there is no ledger at {path}",
                code="ledger-missing",
                hint="check the path; restore the clinic's backup if the file was lost, "
                "and do not start a new ledger for the same patients",
            )
        with path.open("rb") as file:
            if file.read(len(_MAGIC)) != _MAGIC:
                raise damaged("the file is not a database")
        return cls(path, passing=passing)

    def prepare(self) -> None:
        """Makes the table in an empty file."""
        self._database.executescript(_SCHEMA)

    def read(self) -> Iterator[tuple[int, str, bytes]]:
        """Every row in order, after the database's own check.

        Raises:
            InputError: the database is damaged.
        """
        try:
            if self._database.execute("PRAGMA integrity_check").fetchone() != ("ok",):
                raise damaged("the database is damaged")
            yield from self._rows()
        except _BROKEN as error:
            raise damaged(str(error)) from None

    def copied_head(self) -> Head | None:
        """The head as `<name>.head` has it, or None if that is lost."""
        try:
            return self._copy.read()
        except OSError as error:
            raise damaged(error.strerror or "its .head file cannot be read") from None

    def append(self, row: tuple[int, str, bytes], *, copy: bool) -> None:
        """Writes one row durably, and with `copy` its head; on any failure the ledger stops.

        Raises:
            OurFault: it could not be written, or an earlier row could not.
        """
        number, _, digest = row
        with self._guarded():
            self._passing("checked")
            self._database.execute("BEGIN IMMEDIATE")
            self._passing("begun")
            self._database.execute("INSERT INTO chain VALUES (?, ?, ?)", row)
            self._passing("inserted")
            self._database.execute("COMMIT")
            self._passing("committed")
            if not self._folder_synced:  # the WAL file's own name
                sync_folder(self._path.parent)
                self._folder_synced = True
            self._passing("synced")
            if copy:
                self._copy.write(Head(number, digest))
            self._passing("copied")

    def export(self, after: int, most: int | None) -> Iterator[str]:
        """At most so many rows after the first `after`, each as a line of JSON."""
        query = "SELECT * FROM chain WHERE number > ? ORDER BY number LIMIT ?"
        with self._guarded():
            rows = self._database.execute(query, (after, -1 if most is None else most))
            for _, body, digest in rows:
                yield f'{{"entry":{body},"hash":"{digest.hex()}"}}\n'

    def close(self) -> None:
        """Releases the file for another process."""
        self._database.close()

    def _rows(self) -> Iterator[Any]:
        return iter(self._database.execute("SELECT * FROM chain ORDER BY number"))

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        if self._broken:
            raise OurFault(
                "the ledger stopped after a failed write",
                code="ledger-stopped",
                hint="free disk space, then restart the keeper; it checks the ledger on opening",
            )
        try:
            yield
        except (*_BROKEN, OSError) as error:
            self._broken = True
            raise OurFault(
                "the ledger could not be read or written",
                code="ledger-write",
                why=str(error),
                hint="check the disk; nothing is answered until the ledger can be written",
            ) from None


def connect(path: Path) -> sqlite3.Connection:
    """The database at `path`, durable at every COMMIT and locked.

    Raises:
        InputError: another process has it open, or it is no database.
    """
    try:
        database = sqlite3.connect(path, isolation_level=None, timeout=0, check_same_thread=False)
        pragmas = ("locking_mode=EXCLUSIVE", "journal_mode=WAL", f"synchronous={SYNCHRONOUS}")
        for pragma in pragmas:
            database.execute(f"PRAGMA {pragma}")
        database.execute("BEGIN EXCLUSIVE")  # takes the lock, and holds it beyond the COMMIT
        database.execute("COMMIT")
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            raise InputError(
                f"{path} is open in another process",
                code="ledger-locked",
                hint="only one keeper may run; stop the other, or ask it",
            ) from None
        raise damaged(str(error)) from None
    except _BROKEN as error:
        raise damaged(str(error)) from None
    return database


def head_path(path: Path) -> Path:
    """Where the second copy of the head lies."""
    return path.with_name(path.name + ".head")
