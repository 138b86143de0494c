"""`AuditLog`: the clinic's audit log on its disk, in .cairn/audit.sqlite.

    A1  An entry is on disk before `append` returns (SQLite, WAL, synchronous=FULL), so before what
        it tells of leaves the clinic. Where it cannot be written, nothing leaves.
    A2  Entries and receipts are added and never changed. Every one is checked when the file is
        opened, and those of other processes before another is added.
    A3  What has a name (`Event.once`) is written once, however often it is told.

The keeper and the commands that run beside it (imports, the restoring of a ledger) write into one
file; each waits for the other. The file is not sealed: it holds nothing of a patient, and whoever
has to look into it must not need the clinic's key.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from cairn_client.audit_log.chain import Chain, Entry, LogAltered
from cairn_client.audit_log.kinds import Event, event
from cairn_client.clinic_folder import ClinicFolder
from cairn_client.store_schema import statements
from cairn_privacy.durable import sync_folder
from cairn_protocol.countersigning import Shown
from cairn_protocol.errors import InputError, OurFault
from cairn_protocol.messages import AuditReceipt

FILE: Final = "audit.sqlite"
BUSY_SECONDS: Final = 10.0
_SCHEMA: Final = """
CREATE TABLE chain (
    number INTEGER PRIMARY KEY, kind TEXT NOT NULL, body TEXT NOT NULL, hash BLOB NOT NULL,
    once TEXT UNIQUE
) STRICT;
CREATE TABLE receipts (
    place INTEGER PRIMARY KEY, number INTEGER NOT NULL, head BLOB NOT NULL, body BLOB NOT NULL,
    UNIQUE (number, head)
) STRICT;
CREATE TRIGGER kept BEFORE DELETE ON chain BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER fixed BEFORE UPDATE ON chain BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER receipt_kept BEFORE DELETE ON receipts BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER receipt_fixed BEFORE UPDATE ON receipts
    BEGIN SELECT RAISE(ABORT, 'append-only'); END;
"""


class AuditLog:
    """An open log; a context manager. Several threads and processes may add to it.

    Args:
        begun: the first entry, where the file is new.
    """

    def __init__(self, path: Path, identity: bytes, begun: Event) -> None:
        self._lock = threading.RLock()
        self._path = path
        self._chain = Chain(identity)
        try:
            self._database = _connect(path)
            with self._transaction():
                self._prepare(begun)
        except sqlite3.DatabaseError as error:
            raise _damaged(path, str(error)) from None
        except LogAltered as error:
            raise _damaged(path, error.why) from None
        sync_folder(path.parent)

    @classmethod
    def of(cls, clinic: ClinicFolder) -> Self:
        """The clinic's log; begun if there is none.

        Raises:
            InputError: `input.audit-log-damaged`.
        """
        identity = clinic.identity().public
        begun = event("begun", clinic=clinic.config.name, identity=identity.hex())
        return cls(clinic.state / FILE, identity, begun)

    def _prepare(self, begun: Event) -> None:
        (version,) = self._database.execute("PRAGMA user_version").fetchone()
        if version == 0:
            for statement in statements(_SCHEMA):
                self._database.execute(statement)
            self._database.execute("PRAGMA user_version = 1")
        elif version != 1:
            raise sqlite3.DatabaseError(f"it is of version {version}, this Cairn's is 1")
        elif self._database.execute("PRAGMA quick_check").fetchone() != ("ok",):
            raise sqlite3.DatabaseError("pages are damaged")
        self._follow()
        if not self._chain.number:
            self._write(begun)

    def append(self, happened: Event) -> Entry | None:
        """The new entry, on disk; None where it was written before (A3).

        Raises:
            OurFault: `internal.audit-log-stopped`, it cannot be written.
        """
        with self._guarded(), self._transaction():
            if happened.once and self._known(happened.once):
                return None
            self._follow()
            return self._write(happened)

    def told(self, once: str) -> bool:
        """Whether what has this name was written."""
        with self._guarded():
            return self._known(once)

    def keep_receipt(self, receipt: AuditReceipt) -> None:
        """Keeps a receipt whose signature was checked; the first for each number and head."""
        with self._guarded(), self._transaction():
            self._database.execute(
                "INSERT OR IGNORE INTO receipts (number, head, body) VALUES (?, ?, ?)",
                (receipt.number, receipt.head, receipt.body),
            )

    def shown(self) -> Shown:
        """What the log says of the heads that it has shown (SPEC 17)."""
        with self._guarded():
            self._follow()
            newest = self._chain.newest
            query = "SELECT count(*) FROM receipts WHERE number = ?"
            (receipted,) = self._database.execute(query, (newest,)).fetchone()
            heads = {number: entry.hash for number, entry in self._chain.heads.items()}
            return Shown(newest, heads, receipted=bool(receipted))

    def previous(self, number: int) -> bytes | None:
        """The head under the number before, if this log holds it and nothing says otherwise."""
        with self._guarded():
            entry = self._chain.heads.get(number - 1)
            broken = any(gap == number - 1 for gap, _ in self._chain.gaps)
            return None if entry is None or broken else entry.hash

    def entries(
        self,
        after: int = 0,
        limit: int = -1,
        *,
        newest_first: bool = False,
        kinds: Collection[str] = (),
    ) -> list[Entry]:
        """At most `limit` entries behind number `after`; or before it, from the end backwards."""
        only = f"AND kind IN ({','.join('?' * len(kinds))})" if kinds else ""
        if newest_first:
            where, order = "(? = 0 OR number < ?)", "DESC"
        else:
            where, order = "(number > ? OR number > ?)", "ASC"
        query = (
            f"SELECT number, body, hash FROM chain WHERE {where} {only} "  # noqa: S608
            f"ORDER BY number {order} LIMIT ?"
        )
        with self._guarded():
            rows = self._database.execute(query, (after, after, *kinds, limit)).fetchall()
            return [Entry.read(*row) for row in rows]

    def receipts(self, after: int = 0, limit: int = -1) -> list[AuditReceipt]:
        """At most `limit` receipts behind the first `after`, in the order in which they came."""
        query = "SELECT body FROM receipts WHERE place > ? ORDER BY place LIMIT ?"
        with self._guarded():
            rows = self._database.execute(query, (after, limit)).fetchall()
            return [AuditReceipt.from_body(body) for (body,) in rows]

    def covered(self) -> tuple[AuditReceipt, Entry] | None:
        """The newest receipt for a head of this log, with the entry that has that head."""
        query = "SELECT body FROM receipts ORDER BY number DESC, place DESC"
        with self._guarded():
            self._follow()
            for (body,) in self._database.execute(query):
                receipt = AuditReceipt.from_body(body)
                entry = self._chain.heads.get(receipt.number)
                if entry is not None and entry.hash == receipt.head:
                    return receipt, entry
        return None

    @property
    def count(self) -> int:
        """Entries so far."""
        with self._guarded():
            self._follow()
            return self._chain.number

    @property
    def gaps(self) -> int:
        """Times that this log did not hold what it had shown before."""
        return len(self._chain.gaps)

    def close(self) -> None:
        """Releases the file."""
        with self._lock:
            self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _known(self, once: str) -> bool:
        query = "SELECT number FROM chain WHERE once = ?"
        return self._database.execute(query, (once,)).fetchone() is not None

    def _follow(self) -> None:
        """Takes over what other processes have added (A2)."""
        query = "SELECT number, body, hash FROM chain WHERE number > ? ORDER BY number"
        for number, body, digest in self._database.execute(query, (self._chain.number,)).fetchall():
            if self._chain.take(body, digest).number != number:
                raise sqlite3.DatabaseError("an entry is missing")

    def _write(self, happened: Event) -> Entry:
        at = datetime.now(UTC).isoformat(timespec="microseconds")
        entry = self._chain.next(happened, at)
        self._database.execute(
            "INSERT INTO chain VALUES (?, ?, ?, ?, ?)",
            (entry.number, entry.kind, entry.text, entry.hash, happened.once or None),
        )
        self._chain.adopt(entry)
        return entry

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """One transaction, on disk when the block ends (A1)."""
        before = self._chain.number
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._database.execute("COMMIT")
        except BaseException:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            if self._chain.number != before:  # it may have adopted what was not written
                self._chain = Chain(self._chain.identity)
            raise

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        with self._lock:
            try:
                yield
            except (sqlite3.Error, LogAltered, OSError) as error:
                raise OurFault(
                    "the clinic's audit log could not be read or written",
                    code="audit-log-stopped",
                    why=type(error).__name__,
                    hint="free disk space or mend the disk, then restart the keeper; what could "
                    "not be written down was not sent",
                ) from None


def _connect(path: Path) -> sqlite3.Connection:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if os.geteuid() == 0:  # a command of root's, in the folder of the keeper's user
            owner = path.parent.stat()
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
    finally:
        os.close(descriptor)
    database = sqlite3.connect(
        path, isolation_level=None, timeout=BUSY_SECONDS, check_same_thread=False
    )
    for pragma in ("journal_mode=WAL", "synchronous=FULL"):
        database.execute(f"PRAGMA {pragma}")
    return database


def _damaged(path: Path, why: str) -> InputError:
    return InputError(
        f"{path} cannot be used",
        code="audit-log-damaged",
        why=why,
        hint="restore it from the clinic's backup, with the rest of .cairn; or move it aside and "
        "keep it: a new log begins then, and the research team's receipts show the break",
    )
