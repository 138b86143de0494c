"""`KeeperStore`: a keeper's state on disk: the team, offers, decisions, runs, kept replies.

    S1  What a reply depends on is on disk before the reply leaves: SQLite, WAL, synchronous=FULL.
    S2  A run's place and the reply for it change in one transaction, so that no crash leaves an
        upload that the clinic does not know of.
    S3  A team's key is pinned once. Decisions are appended and never changed.
    S4  Opening counts a boot. Roots live in one boot's memory, so the count is the key epoch.
    S5  One process at a time: the database is locked for as long as it is open.
    S6  After a failed write nothing is answered until the keeper is restarted.

No record, no count and no vector in clear is in it: the kept uploads are masked.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, cast, get_args

from cairn_client.keeper_state import Approval, Place, StandingState
from cairn_privacy.durable import sync_folder
from cairn_protocol.errors import InputError, OurFault, PolicyRefusal
from cairn_protocol.identity import fingerprint
from cairn_protocol.progress import Progress
from cairn_protocol.roster import SignedRoster, check_successor
from cairn_protocol.signed_study import SignedStudy

MOST_OFFERS: Final = 500  # each is signed by the pinned team; a disk is finite all the same
VERSION: Final = 1
_SCHEMA: Final = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT;
CREATE TABLE offers (
    study BLOB PRIMARY KEY, signed BLOB NOT NULL, roster BLOB NOT NULL, at TEXT NOT NULL
) STRICT;
CREATE TABLE decisions (
    number INTEGER PRIMARY KEY, study BLOB NOT NULL, roster BLOB NOT NULL, state TEXT NOT NULL,
    person TEXT NOT NULL, at TEXT NOT NULL
) STRICT;
CREATE TRIGGER kept BEFORE DELETE ON decisions BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER fixed BEFORE UPDATE ON decisions BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TABLE runs (
    run BLOB PRIMARY KEY, study BLOB NOT NULL, clinic INTEGER NOT NULL, progress BLOB NOT NULL,
    request BLOB NOT NULL, reply BLOB NOT NULL, at TEXT NOT NULL
) STRICT;
"""


@dataclass(frozen=True)
class Decision:
    """What a person at the clinic decided about a study, under which roster (a digest)."""

    state: StandingState
    roster: bytes
    person: str
    at: str


@dataclass(frozen=True)
class Offered:
    """A study that the team offered, the newest roster for it, and the last decision, if any."""

    signed: SignedStudy
    roster: SignedRoster
    at: str
    decision: Decision | None

    @property
    def state(self) -> StandingState:
        """How it stands with its newest roster."""
        return _standing(self.decision, self.roster.roster.digest)


class KeeperStore:
    """An open store; see `KeeperState` for the part that the keeper uses."""

    def __init__(self, path: Path) -> None:
        """The store at `path`, made (0600) if nothing is there; counts a boot.

        Raises:
            InputError: another process has it open, or it is damaged.
        """
        self._lock = threading.RLock()
        self._broken = False
        self._database = _connect(path)
        try:
            self._prepare()
        except sqlite3.Error as error:
            self._database.close()
            raise _damaged(path, str(error)) from None
        sync_folder(path.parent)

    def _prepare(self) -> None:
        (version,) = self._database.execute("PRAGMA user_version").fetchone()
        if version == 0:
            script = f"BEGIN; {_SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;"
            self._database.executescript(script)
        elif version != VERSION:
            raise sqlite3.DatabaseError(f"it is of version {version}, this keeper's is {VERSION}")
        elif self._database.execute("PRAGMA quick_check").fetchone() != ("ok",):
            raise sqlite3.DatabaseError("pages are damaged")
        self._epoch = 1 + int.from_bytes(self._fact("epoch") or b"", "big")
        with self._writing():
            self._set("epoch", self._epoch.to_bytes(8, "big"))

    @property
    def epoch(self) -> int:
        """Number of this boot, from 1."""
        return self._epoch

    def team(self) -> bytes | None:
        """The research team's public key, or None before the clinic joined."""
        return self._fact("team")

    def pin_team(self, public: bytes) -> None:
        """Pins the research team's key; the same again changes nothing.

        Raises:
            PolicyRefusal: another key is pinned.
        """
        with self._writing():
            known = self._fact("team")
            if known is not None and known != public:
                raise PolicyRefusal(
                    "this clinic belongs to another research team",
                    code="team-pinned",
                    why=f"it knows {fingerprint(known)}, and was shown {fingerprint(public)}",
                    hint="use a folder of its own for each team; compare the fingerprints with "
                    "the team, by telephone",
                )
            self._set("team", public)

    def offer(self, study: SignedStudy, roster: SignedRoster) -> None:
        """Remembers an offer whose signatures were checked; the same again changes nothing.

        Raises:
            PeerFault: the roster does not follow from the one that was offered before.
            PolicyRefusal: too many offers lie here.
        """
        with self._writing():
            known = self.offered(study.digest)
            if known is not None:
                check_successor(known.roster.roster, roster.roster)
                if known.roster.roster.digest == roster.roster.digest:
                    return
            else:
                (count,) = self._one("SELECT count(*) FROM offers")
                if count >= MOST_OFFERS:
                    raise PolicyRefusal(
                        "this clinic has too many offers already", code="too-many-offers"
                    )
            self._database.execute(
                "INSERT OR REPLACE INTO offers VALUES (?, ?, ?, ?)",
                (study.digest, study.body, roster.body, _now()),
            )

    def offered(self, study: bytes) -> Offered | None:
        """The offer of the study with this digest."""
        with self._reading():
            row = self._one("SELECT signed, roster, at FROM offers WHERE study = ?", study)
            return None if row is None else self._offered(study, row)

    def offers(self) -> tuple[Offered, ...]:
        """Every offer, oldest first."""
        with self._reading():
            rows = self._database.execute(
                "SELECT study, signed, roster, at FROM offers ORDER BY at, study"
            ).fetchall()
            return tuple(self._offered(study, rest) for study, *rest in rows)

    def _offered(self, study: bytes, row: Any) -> Offered:
        signed, roster, at = row
        return Offered(
            SignedStudy.from_body(signed), SignedRoster.from_body(roster), at, self.decision(study)
        )

    def decide(self, study: bytes, roster: bytes, state: StandingState, person: str) -> None:
        """Appends a decision on an offer, taken with the roster of this digest in view.

        Raises:
            PolicyRefusal: never offered, or the roster has changed since it was looked at.
        """
        if state not in get_args(StandingState):
            raise OurFault("this is no decision", code="decision")
        with self._writing():
            known = self.offered(study)
            if known is None:
                raise unknown_study()
            if known.roster.roster.digest != roster:
                raise PolicyRefusal(
                    "the roster has changed since you looked",
                    code="roster-changed",
                    hint="look at the study again, then decide",
                )
            self._database.execute(
                "INSERT INTO decisions (study, roster, state, person, at) VALUES (?, ?, ?, ?, ?)",
                (study, roster, state, person, _now()),
            )

    def decision(self, study: bytes) -> Decision | None:
        """The last decision about a study."""
        with self._reading():
            row = self._one(
                "SELECT state, roster, person, at FROM decisions WHERE study = ? "
                "ORDER BY number DESC LIMIT 1",
                study,
            )
            return None if row is None else Decision(cast(StandingState, row[0]), *row[1:])

    def standing(self, study: bytes, roster: bytes) -> StandingState | None:
        """How the study stands with this roster; None: it was never offered."""
        if self.offered(study) is None:
            return None
        return _standing(self.decision(study), roster)

    def approval(self, study: bytes) -> Approval | None:
        """The standing approval, pinned to the roster that was in view."""
        decision, team = self.decision(study), self.team()
        if decision is None or decision.state != "approved" or team is None:
            return None
        return Approval(team, decision.roster)

    def approve(self, study: SignedStudy) -> None:
        raise OurFault("an approval here needs an offer", code="approval-without-offer")

    def place(self, run: bytes) -> Place | None:
        """Where the run stands."""
        with self._reading():
            row = self._one("SELECT study, clinic, progress FROM runs WHERE run = ?", run)
            return None if row is None else _place(*row)

    def last(self) -> tuple[Place, str] | None:
        """The place of the run that moved last, and when."""
        with self._reading():
            row = self._one("SELECT study, clinic, progress, at FROM runs ORDER BY at DESC LIMIT 1")
            return None if row is None else (_place(*row[:3]), row[3])

    def keep(self, place: Place, request: bytes = b"", reply: bytes = b"") -> None:
        """Moves a run to `place`. A kept reply stays until the next one replaces it (S2)."""
        run, where = place.progress.run, (place.study, place.clinic, place.progress.body)
        with self._writing():
            self._database.execute(
                "INSERT INTO runs VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (run) DO UPDATE "
                "SET study = ?2, clinic = ?3, progress = ?4, at = ?7",
                (run, *where, request, reply, _now()),
            )
            if reply:
                self._database.execute(
                    "UPDATE runs SET request = ?, reply = ? WHERE run = ?", (request, reply, run)
                )

    def reply(self, run: bytes, request: bytes) -> bytes | None:
        """The reply that was kept for the request with this digest, or None."""
        with self._reading():
            row = self._one("SELECT reply FROM runs WHERE run = ? AND request = ?", run, request)
            return row[0] if row and row[0] else None

    def close(self) -> None:
        """Releases the file for another process."""
        with self._lock:
            self._database.close()

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
                raise _stopped()
            try:
                yield
            except sqlite3.Error as error:
                self._broken = True
                raise _stopped(str(error)) from None

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


def _standing(decision: Decision | None, roster: bytes) -> StandingState:
    """An approval holds for the roster that was in view; another one has to be looked at."""
    if decision is None or (decision.state == "approved" and decision.roster != roster):
        return "offered"
    return decision.state


def _place(study: bytes, clinic: int, progress: bytes) -> Place:
    return Place(study, clinic, Progress.from_body(progress))


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


def _stopped(why: str = "") -> OurFault:
    return OurFault(
        "the keeper could not write down what it was about to do",
        code="keeper-store-stopped",
        why=why,
        hint="free disk space or mend the disk, then restart the keeper; nothing was sent",
    )


def unknown_study() -> PolicyRefusal:
    """The refusal where nobody offered the study."""
    return PolicyRefusal(
        "no such study was offered to this clinic",
        code="study-unknown",
        hint="`cairn clinic offers` lists those that were",
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")
