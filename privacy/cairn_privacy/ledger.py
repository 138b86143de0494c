"""`Ledger`: what a clinic has spent, durably, in an append-only chain of hashes.

    L1  A charge is on disk before `reserve` returns, so before any record is read for it.
    L2  No sequence of calls carries the sum of charges over the cap, nor over a study's cap. The
        cap can be lowered on opening, never raised.
    L3  Charges are never taken back. `void` closes a reservation from which nothing was sent; its
        ρ stays spent, because no ledger can prove that nothing was read.
    L4  One attempt is reserved once: (study, run, question, round, attempt) never comes twice.
        After a crash the keeper sits the attempt out and asks for the next, a new charge.
    L5  A ledger that fails any check stops the clinic. It is never replaced by a fresh one.
    L6  One process at a time: the database is locked for as long as it is open.

The file is SQLite (WAL, synchronous=FULL) with one table of canonical JSON bodies and hashes,
hashᵢ = SHA-256(tag ‖ hashᵢ₋₁ ‖ bodyᵢ); all else is derived on opening. Beside it `<name>.head`
repeats the head after every charge, so that a lost tail (a damaged WAL) shows. Rolling both files
back together does not show here: that is what peers' witness of `head()` is for.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Self

from cairn_privacy.accounting import RHO_UNIT, epsilon_of_rho, rho_for, units, units_within
from cairn_privacy.chain import Account, Body, Entry, Terms, damaged
from cairn_privacy.durable import HeadCopy, publish, sync_folder
from cairn_protocol.errors import BudgetRefusal, InputError, OurFault, PolicyRefusal

LARGEST_CAP: Final = 50.0
LARGEST_DELTA: Final = 1e-3
_SAME_CAP: Final = 1 + 1e-9  # the same ε and δ may round to another last bit elsewhere
_MAGIC: Final = b"SQLite format 3\0"  # an empty file would be made into a database otherwise
_CLINIC: Final = (
    "this release would exceed the clinic's privacy cap",
    "the clinic has answered all that its cap allows for these patients",
)
_STUDY: Final = (
    "this study's privacy cap is used up here: it was answered before",
    "use the results of that run; another study can ask anew, and is charged anew",
)
_SCHEMA: Final = """
CREATE TABLE chain (number INTEGER PRIMARY KEY, body TEXT NOT NULL, hash BLOB NOT NULL) STRICT;
CREATE TRIGGER kept BEFORE DELETE ON chain BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER fixed BEFORE UPDATE ON chain BEGIN SELECT RAISE(ABORT, 'append-only'); END;
"""


class Ledger:
    """An open ledger. Make one with `create`, once in a clinic's life, or `open`."""

    def __init__(self, path: Path, database: sqlite3.Connection, account: Account) -> None:
        self._path = path
        self._database = database
        self._account = account
        self._copy = HeadCopy(_head_path(path))
        self._lock = threading.RLock()
        self._cap = account.terms.cap_units if account.terms else 0
        self._broken = False
        self._folder_synced = False

    @classmethod
    def create(cls, path: Path, *, clinic: str, cap_epsilon: float, delta: float) -> Self:
        """A new ledger at `path`, mode 0600, whose charges may never exceed the cap.

        Raises:
            InputError: something lies at `path` already, the folder cannot be written, or the cap
                cannot be one.
        """
        if not (clinic and 0 < cap_epsilon <= LARGEST_CAP and 0 < delta <= LARGEST_DELTA):
            raise InputError(
                "this cannot be a clinic's privacy cap",
                code="ledger-cap",
                why=f"ε is to lie between 0 and {LARGEST_CAP:g}, δ between 0 and {LARGEST_DELTA:g}",
                hint="usual are ε = 8 and δ = 1e-6 over the life of a block of patients",
            )
        terms = Terms(
            clinic,
            repr(float(cap_epsilon)),
            repr(float(delta)),
            units_within(rho_for(cap_epsilon, delta)),
        )
        with publish(path, _head_path(path)) as draft:
            database = _connect(draft)
            database.executescript(_SCHEMA)
            with cls(draft, database, Account()) as ledger:
                ledger._append(terms.body(_now()), charge=True)
        return cls.open(path)

    @classmethod
    def open(cls, path: Path, *, cap_rho: float | None = None) -> Self:
        """The ledger at `path`, every hash and rule of it verified.

        Args:
            cap_rho: the clinic's cap as its configuration has it now. Below the ledger's own it
                holds instead of it; above, it is refused.

        Raises:
            InputError: no ledger is there, another process has it open, it is damaged, or its cap
                was to be raised.
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
        database = _connect(path)
        account = Account()
        try:
            if database.execute("PRAGMA integrity_check").fetchone() != ("ok",):
                raise damaged("the database is damaged")
            for number, body, digest in database.execute("SELECT * FROM chain ORDER BY number"):
                account.adopt(account.check(number, body, digest))
            if account.terms is None:
                raise damaged("it has no first entry")
            copied = HeadCopy(_head_path(path)).read()
            if copied is None or not account.contains(copied):
                raise damaged("its last charges are missing")
        except (sqlite3.Error, UnicodeDecodeError, OverflowError) as error:
            database.close()
            raise damaged(str(error)) from None
        except BaseException:
            database.close()
            raise
        ledger = cls(path, database, account)
        if cap_rho is not None:
            ledger._tighten(cap_rho)
        return ledger

    def _tighten(self, cap_rho: float) -> None:
        if cap_rho > self.terms.cap_units * RHO_UNIT * _SAME_CAP:
            self.close()
            raise InputError(
                "a ledger's privacy cap cannot be raised",
                code="cap-raised",
                why=f"it was set to ε = {self.terms.cap_epsilon:g} at δ = {self.terms.delta:g}",
                hint="set the clinic's cap_epsilon (and delta) to that, or lower",
            )
        self._cap = min(self._cap, units_within(cap_rho))

    def reserve(
        self,
        study: bytes,
        question: str,
        round_: int,
        attempt: int,
        rho: float,
        *,
        run: bytes = b"",
        study_cap_rho: float | None = None,
    ) -> int:
        """The number of a new charge of `rho`, which is on disk when this returns.

        Args:
            study: the study's digest; with `run`, `question`, `round_` and `attempt` it names the
                one upload that the charge allows.
            rho: of one release; `NoisePlan.rho_per_round`.
            study_cap_rho: most that this study may spend here over all its runs.

        Raises:
            BudgetRefusal: the charge would exceed the clinic's or the study's cap; nothing changed.
            PolicyRefusal: this attempt was reserved before.
            OurFault: an impossible charge, or a ledger that could not be written.
        """
        if not (study and question) or min(round_, attempt) < 0:
            raise OurFault("a charge must name its study and question", code="ledger-charge")
        charge = units(rho)
        with self._lock:
            entry = Entry(study.hex(), run.hex(), question, int(round_), int(attempt), charge)
            if entry.name in self._account.names:
                raise PolicyRefusal(
                    "this attempt was charged before",
                    code="attempt-repeated",
                    why=f"question {question!r}, round {round_}, attempt {attempt}",
                    hint="ask again with a new attempt, which is a new charge",
                )
            self._fit(_CLINIC, self._account.spent + charge, self._cap)
            if study_cap_rho is not None:
                spent = self._account.spent_by_study.get(entry.study, 0)
                self._fit(_STUDY, spent + charge, units_within(study_cap_rho))
            return self._append(entry.body(_now()), charge=True)

    def commit(self, entry: int, digest: bytes) -> None:
        """Records that the upload with this SHA-256 `digest` belongs to the charge `entry`.

        Raises:
            OurFault: `entry` is not an open reservation, or the digest is not 32 bytes.
        """
        if len(digest) != 32:
            raise OurFault("an upload's digest has 32 bytes", code="ledger-digest")
        self._close(entry, {"kind": "commit", "upload": digest.hex()})

    def void(self, entry: int, reason: str) -> None:
        """Closes the reservation `entry` without an upload; its ρ stays spent (L3).

        Legal only when nothing was sent. No upload can be committed to `entry` afterwards.

        Raises:
            OurFault: `entry` is not an open reservation, or no reason is given.
        """
        if not reason.strip():
            raise OurFault("a void entry needs a reason", code="ledger-reason")
        self._close(entry, {"kind": "void", "reason": reason})

    def spent(self, study: bytes | None = None) -> float:
        """ρ charged so far, in all or by one study; voided and lost uploads included."""
        with self._lock:
            if study is None:
                return self._account.spent * RHO_UNIT
            return self._account.spent_by_study.get(study.hex(), 0) * RHO_UNIT

    def left(self) -> float:
        """ρ that may still be charged."""
        with self._lock:
            return max(self._cap - self._account.spent, 0) * RHO_UNIT

    def head(self) -> bytes:
        """SHA-256 of the last link: 32 bytes that stand for the whole history."""
        with self._lock:
            return self._account.head.digest

    def contains(self, head: bytes) -> bool:
        """Whether `head` is, or once was, this ledger's head; False means that it was rolled back.

        A clinic that is shown a newer own head by its peers asks this and stops if it is False.
        """
        with self._lock:
            return head in self._account.hashes

    @property
    def terms(self) -> Terms:
        """Clinic, cap and δ, as they were set at creation."""
        if self._account.terms is None:
            raise OurFault("the ledger has no terms", code="ledger-terms")
        return self._account.terms

    @property
    def epsilon_spent(self) -> float:
        """ε of what was charged so far, at the ledger's δ."""
        return epsilon_of_rho(self.spent(), self.terms.delta)

    def entries(self) -> tuple[Entry, ...]:
        """Every charge in order, with what became of it."""
        with self._lock:
            return tuple(self._account.entries.values())

    def pending(self) -> tuple[Entry, ...]:
        """Reservations neither committed nor voided: after a restart, attempts to sit out."""
        return tuple(entry for entry in self.entries() if entry.state == "reserved")

    def export(self) -> str:
        """The whole chain as JSON lines, which `verify_export` checks without this file."""
        with self._lock, self._guarded():
            rows = self._database.execute("SELECT body, hash FROM chain ORDER BY number")
            lines = [f'{{"entry":{body},"hash":"{digest.hex()}"}}\n' for body, digest in rows]
        return "".join(lines)

    def close(self) -> None:
        """Releases the file for another process."""
        with self._lock:
            self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _fit(self, limit: tuple[str, str], wanted: int, cap: int) -> None:
        what, hint = limit
        if wanted > cap:
            raise BudgetRefusal(
                what,
                code="cap-reached",
                why=f"ρ would be {wanted * RHO_UNIT:.6g}, the cap is {cap * RHO_UNIT:.6g}",
                hint=hint,
            )

    def _close(self, number: int, body: dict[str, str | int]) -> None:
        with self._lock:
            entry = self._account.entries.get(number)
            if entry is None or entry.state != "reserved":
                raise OurFault(
                    "this reservation is not open",
                    code="ledger-order",
                    why=f"entry {number} is {entry.state if entry else 'unknown'}",
                )
            self._append({**body, "of": number, "at": _now()}, charge=False)

    def _append(self, body: Body, *, charge: bool) -> int:
        """Writes one link durably, then adopts it; on any failure the ledger stops."""
        number, text, digest = self._account.next(body)
        following = self._account.check(number, text, digest)
        with self._guarded():
            self._database.execute("BEGIN IMMEDIATE")
            self._database.execute("INSERT INTO chain VALUES (?, ?, ?)", (number, text, digest))
            self._database.execute("COMMIT")
            if not self._folder_synced:  # the WAL file's own name
                sync_folder(self._path.parent)
                self._folder_synced = True
            if charge:
                self._copy.write(following.head)
        self._account.adopt(following)
        return number

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
        except (sqlite3.Error, OSError) as error:
            self._broken = True
            raise OurFault(
                "the ledger could not be read or written",
                code="ledger-write",
                why=str(error),
                hint="check the disk; nothing is answered until the ledger can be written",
            ) from None


def _connect(path: Path) -> sqlite3.Connection:
    try:
        database = sqlite3.connect(path, isolation_level=None, timeout=0, check_same_thread=False)
        for pragma in ("locking_mode=EXCLUSIVE", "journal_mode=WAL", "synchronous=FULL"):
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
    except sqlite3.DatabaseError as error:
        raise damaged(str(error)) from None
    return database


def _head_path(path: Path) -> Path:
    return path.with_name(path.name + ".head")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
