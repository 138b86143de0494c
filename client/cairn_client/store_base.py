"""`StoreBase`: one SQLite file that one keeper holds: opened, brought up to date, sealed, written.

What a table is for stands with the class that reads it; see `KeeperStore` for the rules.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NoReturn

from cairn_client.seal import Seal
from cairn_client.store_schema import SCHEMA, VERSION, migrate
from cairn_privacy.durable import sync_folder
from cairn_protocol.errors import CairnError, InputError, OurFault
from cairn_protocol.identity import Identity
from cairn_protocol.mark import BOOT_BYTES

_SEALED: Final = {
    "runs": ("place", ("run",)),
    "replies": ("reply", ("run", "request", "header")),
    "reviewers": ("account", ("name",)),
}


class StoreBase:
    """An open file with its lock, its seal, and the number of this boot."""

    def __init__(self, path: Path, identity: Identity) -> None:
        """The store at `path` of the clinic with this identity; made (0600) if nothing is there.

        Raises:
            InputError: another process has it open, it is damaged or changed, or another clinic's.
        """
        self._lock = threading.RLock()
        self._broken: OurFault | None = None
        self._identity = identity.public
        self._seal = Seal(identity)
        self.boot: Final = os.urandom(BOOT_BYTES)
        self._database = _connect(path)
        try:
            self._prepare()
        except sqlite3.Error as error:
            self._database.close()
            raise _damaged(path, str(error)) from None
        except CairnError as error:
            self._database.close()
            raise _damaged(path, error.why) from None
        sync_folder(path.parent)

    def _prepare(self) -> None:
        (version,) = self._database.execute("PRAGMA user_version").fetchone()
        if version == 0:
            script = f"BEGIN; {SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;"
            self._database.executescript(script)
        elif version > VERSION:
            raise sqlite3.DatabaseError(f"it is of version {version}, this keeper's is {VERSION}")
        elif self._database.execute("PRAGMA quick_check").fetchone() != ("ok",):
            raise sqlite3.DatabaseError("pages are damaged")
        with self._writing():
            migrate(self._database, version or VERSION, self._sealed, self._unsealed)
            if self._fact("identity") not in (None, self._identity):
                raise sqlite3.DatabaseError("it belongs to another clinic's identity.key")
            self._set("identity", self._identity)
            self._epoch = 1 + int.from_bytes(self._fact("epoch") or b"", "big")
            self._set("epoch", self._epoch.to_bytes(8, "big"))
        self._check_seals()

    @property
    def epoch(self) -> int:
        """Number of this boot, from 1."""
        return self._epoch

    def skip_to(self, epoch: int) -> None:
        """Counts boots on from `epoch`, where a lost copy of this store had come so far."""
        with self._writing():
            self._set("epoch", max(self._epoch, epoch).to_bytes(8, "big"))

    def close(self) -> None:
        """Releases the file for another process."""
        with self._lock:
            self._database.close()

    def _sealed(self, plain: bytes, table: str, *row: bytes) -> bytes:
        """`plain`, sealed for the table's sealed column in the row with these keys."""
        return self._seal.seal(plain, table.encode(), _SEALED[table][0].encode(), *row)

    def _unsealed(self, blob: bytes, table: str, *row: bytes) -> bytes:
        """What was sealed for that row; if it was changed, the store stops (S7).

        Raises:
            OurFault: `internal.keeper-store-altered`.
        """
        try:
            return self._seal.open(blob, table.encode(), _SEALED[table][0].encode(), *row)
        except ValueError as error:
            self._broken = OurFault(
                "the keeper's notes of a run were changed by something else than the keeper",
                code="keeper-store-altered",
                why=str(error),
                hint="stop the keeper; if nobody touched .cairn/, the disk may be failing; "
                "restore the clinic's newest backup of .cairn, ledger and store together",
            )
            raise self._broken from None

    def _check_seals(self) -> None:
        for table, (column, keys) in _SEALED.items():
            query = f"SELECT {column}, {', '.join(keys)} FROM {table}"  # noqa: S608
            for blob, *row in self._database.execute(query):
                self._unsealed(blob, table, *row)

    def _one(self, query: str, *values: bytes) -> Any:
        return self._database.execute(query, values).fetchone()

    def _fact(self, name: str) -> bytes | None:
        with self._reading():
            row = self._database.execute(
                "SELECT value FROM facts WHERE name = ?", (name,)
            ).fetchone()
            return row[0] if row else None

    def _set(self, name: str, value: bytes) -> None:
        self._database.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    @contextmanager
    def _reading(self) -> Iterator[None]:
        with self._lock:
            if self._broken:
                raise self._broken
            try:
                yield
            except sqlite3.Error as error:
                self._stop(str(error))

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """One transaction, durable when the block ends (S1); on failure the store stops (S6)."""
        with self._reading():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")

    def _stop(self, why: str) -> NoReturn:
        self._broken = OurFault(
            "the keeper could not write down what it was about to do",
            code="keeper-store-stopped",
            why=why,
            hint="free disk space or mend the disk, then restart the keeper; nothing was sent",
        )
        raise self._broken from None


def _connect(path: Path) -> sqlite3.Connection:
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        database = sqlite3.connect(path, isolation_level=None, timeout=0, check_same_thread=False)
        for pragma in ("locking_mode=EXCLUSIVE", "journal_mode=WAL", "synchronous=FULL"):
            database.execute(f"PRAGMA {pragma}")
        database.execute("BEGIN EXCLUSIVE")  # takes the lock, and holds it beyond the COMMIT
        database.execute("COMMIT")
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            raise InputError(
                f"{path} is open in another process",
                code="keeper-running",
                hint="only one keeper may run for a clinic; use it, or stop it first",
            ) from None
        raise _damaged(path, str(error)) from None
    except sqlite3.DatabaseError as error:
        raise _damaged(path, str(error)) from None
    return database


def _damaged(path: Path, why: str) -> InputError:
    return InputError(
        f"{path} cannot be used",
        code="keeper-store-damaged",
        why=why,
        hint="restore the clinic's backup of .cairn, ledger and store together",
    )


def now() -> str:
    """The time as every table keeps it."""
    return datetime.now(UTC).isoformat(timespec="microseconds")
