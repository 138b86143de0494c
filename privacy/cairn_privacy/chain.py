"""The ledger's chain: `link` makes one, `Account.follow` checks one, `verify_export` checks all.

Writing, opening and verifying an export go through the same `follow`, so that a chain which this
module would not have written cannot be opened either.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from cairn_privacy.accounting import LARGEST_RHO, RHO_UNIT
from cairn_protocol.errors import InputError

TAG: Final = b"cairn ledger v1\0"
LARGEST_CHARGE: Final = int(LARGEST_RHO / RHO_UNIT)

Body = Mapping[str, str | int]
State = Literal["reserved", "committed", "void"]


@dataclass(frozen=True)
class Head:
    """A link's number, from 1, and its SHA-256."""

    number: int
    digest: bytes


ROOT: Final = Head(0, bytes(32))
_FIELDS: Final[dict[str, dict[str, type]]] = {
    "terms": {"clinic": str, "cap_epsilon": str, "delta": str, "cap_units": int},
    "reserve": {
        "study": str,
        "run": str,
        "question": str,
        "round": int,
        "attempt": int,
        "units": int,
    },
    "commit": {"of": int, "upload": str},
    "void": {"of": int, "reason": str},
}


@dataclass(frozen=True)
class Terms:
    """The first link: whose ledger this is and what it may spend."""

    clinic: str
    cap_epsilon_text: str
    delta_text: str
    cap_units: int

    @property
    def cap_epsilon(self) -> float:
        """The cap's ε at `delta`."""
        return float(self.cap_epsilon_text)

    @property
    def delta(self) -> float:
        """δ at which the cap and every statement are meant."""
        return float(self.delta_text)

    def body(self, at: str) -> Body:
        """The link's body, written at the time `at`."""
        return {
            "kind": "terms",
            "at": at,
            "clinic": self.clinic,
            "cap_epsilon": self.cap_epsilon_text,
            "delta": self.delta_text,
            "cap_units": self.cap_units,
        }


@dataclass(frozen=True)
class Entry:
    """One charge, and what became of it. `number` is 0 until it is written."""

    study: str  # hex
    run: str  # hex
    question: str
    round: int
    attempt: int
    units: int
    number: int = 0
    at: str = ""
    state: State = "reserved"
    upload: str = ""  # hex of the upload's SHA-256, once committed
    reason: str = ""  # once void

    @property
    def name(self) -> tuple[str, str, str, int, int]:
        """What may be reserved once only."""
        return self.study, self.run, self.question, self.round, self.attempt

    @property
    def rho(self) -> float:
        """The charge."""
        return self.units * RHO_UNIT

    def body(self, at: str) -> Body:
        """The link's body, written at the time `at`."""
        return {
            "kind": "reserve",
            "at": at,
            "study": self.study,
            "run": self.run,
            "question": self.question,
            "round": self.round,
            "attempt": self.attempt,
            "units": self.units,
        }


@dataclass(frozen=True)
class Link:
    """A link that `Account.check` found to follow; `becomes` is the state that it brings about."""

    head: Head
    becomes: Terms | Entry


@dataclass
class Account:
    """What a verified chain says: `check` a link, then `adopt` it."""

    head: Head = ROOT
    terms: Terms | None = None
    entries: dict[int, Entry] = field(default_factory=dict)
    names: set[tuple[str, str, str, int, int]] = field(default_factory=set)
    hashes: list[bytes] = field(default_factory=list)
    spent: int = 0
    spent_by_study: dict[str, int] = field(default_factory=dict)

    def next(self, body: Body) -> tuple[int, str, bytes]:
        """The row (number, text, SHA-256) that `body` makes as the next link."""
        text = _canonical(body)
        return self.head.number + 1, text, _digest(self.head, text)

    def check(self, number: int, text: str, digest: bytes) -> Link:
        """The link that this row is, with nothing adopted yet.

        Raises:
            InputError: a wrong hash or number, an unknown or malformed body, or one that breaks
                a rule of the ledger.
        """
        if number != self.head.number + 1 or digest != _digest(self.head, text):
            raise damaged(f"entry {number} does not follow from the one before it")
        try:
            body: dict[str, Any] = json.loads(text)
            if _canonical(body) != text:
                raise damaged(f"entry {number} is not in its one form")
            becomes = self._read(number, body)
        except (ValueError, KeyError, TypeError):
            raise damaged(f"entry {number} cannot be read") from None
        return Link(Head(number, digest), becomes)

    def adopt(self, following: Link) -> None:
        """Takes over a checked link."""
        self.head = following.head
        self.hashes.append(following.head.digest)
        match following.becomes:
            case Terms() as terms:
                self.terms = terms
            case Entry() as entry:
                if entry.state == "reserved":
                    self.names.add(entry.name)
                    self.spent += entry.units
                    before = self.spent_by_study.get(entry.study, 0)
                    self.spent_by_study[entry.study] = before + entry.units
                self.entries[entry.number] = entry

    def contains(self, head: Head) -> bool:
        """Whether `head` lies on this chain."""
        inside = 1 <= head.number <= len(self.hashes)
        return inside and self.hashes[head.number - 1] == head.digest

    def _read(self, number: int, body: dict[str, Any]) -> Terms | Entry:
        kind, at = body.pop("kind"), body.pop("at")
        if (kind == "terms") != (number == 1):
            raise damaged(f"entry {number} is out of place")
        if {key: type(value) for key, value in body.items()} != _FIELDS.get(kind):
            raise damaged(f"entry {number} has other fields than its kind")
        match kind:
            case "terms":
                cap_units = body["cap_units"]
                terms = Terms(body["clinic"], body["cap_epsilon"], body["delta"], cap_units)
                _require(0 < cap_units <= LARGEST_CHARGE and 0 < terms.delta < 1)
                return terms
            case "reserve":
                entry = Entry(number=number, at=at, **body)
                cap = self.terms.cap_units if self.terms else 0
                _require(min(entry.round, entry.attempt) >= 0 and entry.name not in self.names)
                _require(entry.units > 0 and self.spent + entry.units <= cap)
                return entry
            case "commit":
                return replace(self._open(body), state="committed", upload=body["upload"])
            case _:  # "void": _FIELDS knows no other
                return replace(self._open(body), state="void", reason=body["reason"])

    def _open(self, body: dict[str, Any]) -> Entry:
        entry = self.entries[body["of"]]
        _require(entry.state == "reserved")
        return entry


def verify_export(text: str) -> Account:
    """What an export of `Ledger.export` says, once every link of it was verified.

    Raises:
        InputError: it is not an export, or a link does not follow.
    """
    account = Account()
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            row = json.loads(line)
            body, digest = _canonical(row["entry"]), bytes.fromhex(row["hash"])
        except (ValueError, KeyError, TypeError):
            raise damaged(f"line {number} of the export cannot be read") from None
        account.adopt(account.check(number, body, digest))
    if account.terms is None:
        raise damaged("the export is empty")
    return account


def damaged(why: str) -> InputError:
    """The error for a ledger or an export that fails a check."""
    return InputError(
        "the privacy ledger is damaged or incomplete",
        code="ledger-damaged",
        why=why,
        hint="answer nothing from this clinic; restore the ledger and its .head file together "
        "from the latest backup; never start a fresh ledger for the same patients",
    )


def _require(holds: bool) -> None:
    if not holds:
        raise ValueError


def _canonical(body: Body) -> str:
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def _digest(before: Head, text: str) -> bytes:
    return hashlib.sha256(TAG + before.digest + text.encode()).digest()
