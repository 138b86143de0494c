"""The store's tables, and the rows that `Store` gives out. Times are UTC to the microsecond."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
)

SCHEMA_VERSION: Final = 1
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
ClinicState = Literal["enrolled", "revoked"]
RunState = Literal["running", "finished", "stopped"]


@dataclass(frozen=True)
class Clinic:
    """A clinic that joined. `node_key` is PEM, `node` Flower's id of its link."""

    name: str
    identity: bytes
    node_key: bytes
    node: int
    state: ClinicState
    enrolled_at: datetime
    last_seen: datetime | None


@dataclass(frozen=True)
class StoredToken:
    """A token by its hash: the secret is printed once and never stored."""

    digest: bytes
    clinic: str
    made_at: datetime
    expires: datetime
    used_at: datetime | None


@dataclass(frozen=True)
class StoredStudy:
    """A signed study (`SignedStudy.body`) and its roster (`SignedRoster.body`, empty: none yet)."""

    digest: bytes
    name: str
    signed: bytes
    roster: bytes
    state: str
    added_at: datetime


@dataclass(frozen=True)
class StoredStanding:
    """A clinic's last word on a study: its signed `Standing`, whole."""

    study: bytes
    clinic: str
    state: str
    message: bytes
    at: datetime


@dataclass(frozen=True)
class StoredRun:
    """A run of a study; what it has opened is in its journal (`cairn_server.store_journal`)."""

    run: bytes
    study: bytes
    state: RunState
    started: datetime
    ended: datetime | None
    reason: str


@dataclass(frozen=True)
class StoredEvent:
    """Something that happened in a run; `seq` counts from 1 without a gap."""

    run: bytes
    seq: int
    at: datetime
    json: str


class Moment(TypeDecorator[datetime]):
    """A time as microseconds since 1970, since not every database keeps a time zone."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> int | None:
        """Microseconds; a time without a zone is a bug."""
        return None if value is None else (value - EPOCH) // timedelta(microseconds=1)

    def process_result_value(self, value: int | None, dialect: Any) -> datetime | None:
        """The time in UTC."""
        return None if value is None else EPOCH + timedelta(microseconds=value)


class Node(TypeDecorator[int]):
    """An unsigned 64-bit number in a signed column: Flower's node ids use all bits."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: int | None, dialect: Any) -> int | None:
        """The same 64 bits, signed."""
        return None if value is None else value - ((value >> 63) << 64)

    def process_result_value(self, value: int | None, dialect: Any) -> int | None:
        """The same 64 bits, unsigned."""
        return None if value is None else value % (1 << 64)


METADATA: Final = MetaData()
NAME, DIGEST = String(63), LargeBinary(32)

schema = Table("cairn_schema", METADATA, Column("version", Integer, primary_key=True))
clinics = Table(
    "clinics",
    METADATA,
    Column("name", NAME, primary_key=True),
    Column("identity", DIGEST, nullable=False, unique=True),
    Column("node_key", LargeBinary, nullable=False, unique=True),
    Column("node", Node, nullable=False, unique=True),
    Column("state", String(16), nullable=False),
    Column("enrolled_at", Moment, nullable=False),
    Column("last_seen", Moment),
)
tokens = Table(
    "tokens",
    METADATA,
    Column("digest", DIGEST, primary_key=True),
    Column("clinic", NAME, nullable=False),
    Column("made_at", Moment, nullable=False),
    Column("expires", Moment, nullable=False),
    Column("used_at", Moment),
)
studies = Table(
    "studies",
    METADATA,
    Column("digest", DIGEST, primary_key=True),
    Column("name", Text, nullable=False),
    Column("signed", LargeBinary, nullable=False),
    Column("roster", LargeBinary, nullable=False),
    Column("state", String(32), nullable=False),
    Column("added_at", Moment, nullable=False),
)
standings = Table(
    "standings",
    METADATA,
    Column("study", DIGEST, ForeignKey("studies.digest"), primary_key=True),
    Column("clinic", NAME, primary_key=True),
    Column("state", String(16), nullable=False),
    Column("message", LargeBinary, nullable=False),
    Column("at", Moment, nullable=False),
)
runs = Table(
    "runs",
    METADATA,
    Column("run", LargeBinary(16), primary_key=True),
    Column("study", DIGEST, ForeignKey("studies.digest"), nullable=False),
    Column("state", String(16), nullable=False),
    Column("started", Moment, nullable=False),
    Column("ended", Moment),
    Column("reason", Text, nullable=False),
)
events = Table(
    "events",
    METADATA,
    Column("run", LargeBinary(16), ForeignKey("runs.run"), primary_key=True),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("at", Moment, nullable=False),
    Column("json", Text, nullable=False),
)
setups = Table(
    "setups",
    METADATA,
    Column("run", LargeBinary(16), ForeignKey("runs.run"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
)
attempts = Table(
    "attempts",
    METADATA,
    Column("run", LargeBinary(16), ForeignKey("runs.run"), primary_key=True),
    Column("question", NAME, primary_key=True),
    Column("round", Integer, primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),
)
sums = Table(
    "sums",
    METADATA,
    Column("run", LargeBinary(16), ForeignKey("runs.run"), primary_key=True),
    Column("question", NAME, primary_key=True),
    Column("round", Integer, primary_key=True, autoincrement=False),
    Column("total", LargeBinary, nullable=False),  # int64, little-endian
    Column("record", LargeBinary, nullable=False),  # RoundRecord.body
    Column("seq", Integer, nullable=False),  # order in which the run opened them
)
incidents = Table(  # stores that were made without it get it when they are opened
    "incidents",
    METADATA,
    Column("run", LargeBinary(16), ForeignKey("runs.run"), primary_key=True),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("kind", String(16), nullable=False),
    Column("clinic", NAME, nullable=False),
    Column("text", Text, nullable=False),
)
codes = Table(  # as incidents: the code that a run was begun with
    "codes",
    METADATA,
    Column("run", LargeBinary(16), ForeignKey("runs.run"), primary_key=True),
    Column("code", String(100), nullable=False),
)
letters = Table(  # as incidents; of blinded studies
    "letters",
    METADATA,
    Column("run", LargeBinary(16), ForeignKey("runs.run"), primary_key=True),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("arm", Text, nullable=False),
    Column("letter", Text, nullable=False),
)
received = Table(  # as incidents
    "received",
    METADATA,
    Column("study", DIGEST, ForeignKey("studies.digest"), primary_key=True),
    Column("clinic", NAME, primary_key=True),
    Column("findings", DIGEST, nullable=False),
    Column("message", LargeBinary, nullable=False),
    Column("at", Moment, nullable=False),
)
audits = Table(  # as incidents
    "audits",
    METADATA,
    Column("identity", DIGEST, primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("clinic", NAME, nullable=False),
    Column("head", LargeBinary, nullable=False),  # AuditHead.body, which the clinic signed
    Column("receipt", LargeBinary, nullable=False),  # AuditReceipt.body, which the team did
    Column("at", Moment, nullable=False),
)
audit_incidents = Table(  # as incidents
    "audit_incidents",
    METADATA,
    Column("identity", DIGEST, primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("code", String(100), primary_key=True),
    Column("clinic", NAME, nullable=False),
    Column("at", Moment, nullable=False),
)
