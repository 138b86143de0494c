"""`Chain`: the audit log's links, checked one by one; `next` makes one, `take` reads one.

    hash₀ = H("audit log", identity)    hashᵢ = H("audit entry", hashᵢ₋₁ ‖ bodyᵢ)

H is that of protocol/SPEC.md. A body is JSON in one form: keys in order, no spaces, ASCII. What
writes and what checks go through the same code, so that a chain which this module would not have
written is not taken for one. Numbers of heads and gaps (SPEC 17) are part of that.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Self

from cairn_client.audit_log.kinds import Event, Value, fault_of, in_words
from cairn_protocol.errors import InputError
from cairn_protocol.record import hashed

DIGEST_BYTES: Final = 32
_DIGESTS: Final = {"gap": ("head",), "team": ("team",)}  # which other code relies on


class LogAltered(InputError):
    """An audit log is not what was once written, or was never one: a link or a rule is broken."""

    exit_status = 9


def altered(why: str) -> LogAltered:
    """The error for a log that fails a check."""
    return LogAltered(
        "this audit log was changed, cut or put together",
        code="audit-log-altered",
        why=why,
        hint="compare it with an earlier export, and the clinic's with its backups; keep both",
    )


@dataclass(frozen=True)
class Entry:
    """One entry: its number from 1, its body as it is hashed, and the chain's hash with it."""

    number: int
    text: str
    hash: bytes
    at: str
    kind: str
    fields: Mapping[str, Value]

    @property
    def words(self) -> str:
        """In a sentence."""
        return in_words(self.kind, self.fields)

    @classmethod
    def read(cls, number: int, text: str, digest: bytes) -> Self:
        """The entry that has this body, in its one form and of a known kind.

        Raises:
            LogAltered: it is none.
        """
        try:
            body = json.loads(text)
            if canonical(body) != text:
                raise altered(f"entry {number} is not in its one form")
            at, kind = body.pop("at"), body.pop("kind")
            if type(at) is not str or type(kind) is not str or fault_of(kind, body):
                raise altered(f"entry {number} is of no kind that this version of Cairn knows")
            for name in _DIGESTS.get(kind, ()):
                if len(bytes.fromhex(body[name])) != DIGEST_BYTES:
                    raise altered(f"entry {number} holds no digest where one belongs")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise altered(f"entry {number} cannot be read") from None
        return cls(number, text, digest, at, kind, body)


@dataclass
class Chain:
    """What the links so far say.

    Args:
        identity: the clinic's public key.
        heads: entries by the number under which their hash was shown to the team.
        gaps: (number, head) of receipts for what this log does not hold.
        teams: public keys of the teams that the clinic joined.
    """

    identity: bytes
    number: int = 0
    hash: bytes = b""
    heads: dict[int, Entry] = field(default_factory=dict)
    gaps: set[tuple[int, bytes]] = field(default_factory=set)
    teams: set[bytes] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.hash = self.hash or hashed("audit log", self.identity)

    @property
    def newest(self) -> int:
        """The highest number of a head or a gap; 0: none."""
        return max((0, *self.heads, *(number for number, _ in self.gaps)))

    def next(self, event: Event, at: str) -> Entry:
        """The entry that `event` makes, at the time `at`; not yet taken."""
        text = canonical({**event.fields, "kind": event.kind, "at": at})
        digest = hashed("audit entry", self.hash, text.encode())
        return Entry(self.number + 1, text, digest, at, event.kind, event.fields)

    def take(self, text: str, digest: bytes) -> Entry:
        """The next entry, if it follows.

        Raises:
            LogAltered: it does not.
        """
        number = self.number + 1
        if hashed("audit entry", self.hash, text.encode()) != digest:
            raise altered(f"entry {number} does not follow from the one before it")
        entry = Entry.read(number, text, digest)
        if (number == 1) != (entry.kind == "begun"):
            raise altered(f"entry {number} is out of place")
        if number == 1 and entry.fields["identity"] != self.identity.hex():
            raise altered("it begins as another clinic's")
        self.adopt(entry)
        return entry

    def adopt(self, entry: Entry) -> None:
        """Goes on behind an entry that `next` made or `take` read."""
        if entry.kind == "head":
            if entry.fields["number"] != self.newest + 1:
                raise altered(f"entry {entry.number} was shown under a number out of order")
            self.heads[self.newest + 1] = entry
        elif entry.kind == "gap":
            number, head = int(entry.fields["number"]), str(entry.fields["head"])
            self.gaps.add((number, bytes.fromhex(head)))
        elif entry.kind == "team":
            self.teams.add(bytes.fromhex(str(entry.fields["team"])))
        self.number, self.hash = entry.number, entry.hash


def canonical(body: Mapping[str, Value]) -> str:
    """The one text of a body."""
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
