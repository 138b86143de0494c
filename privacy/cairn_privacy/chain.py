"""The ledger's chain: `next` makes a link, `check` reads one, `verify_export` checks them all.

Writing, opening and verifying an export go through the same `check`, so that a chain which this
module would not have written cannot be opened either.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import dataclass, field, replace
from typing import Any, Final

from cairn_privacy.accounting import LARGEST_RHO, RHO_UNIT
from cairn_privacy.blocks import EVERYONE, Blocks, BlockSums, quarter_named
from cairn_privacy.links import (
    FIELDS,
    Adoption,
    Behind,
    Body,
    Entry,
    Restore,
    StudyAccount,
    Terms,
)
from cairn_protocol.errors import InputError

TAG: Final = b"cairn ledger v1\0"
LARGEST_CHARGE: Final = int(LARGEST_RHO / RHO_UNIT)
_DIGEST: Final = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class Head:
    """A link's number, from 1, and its SHA-256."""

    number: int
    digest: bytes


ROOT: Final = Head(0, bytes(32))
Becomes = Terms | StudyAccount | Entry | Behind | Restore | Adoption


@dataclass(frozen=True)
class Link:
    """A link that `Account.check` found to follow; `becomes` is the state that it brings about."""

    head: Head
    becomes: Becomes


@dataclass
class Account:
    """What a verified chain says: `check` a link, then `adopt` it.

    `charged` is what each block was charged in units, `spent_by_study` each study; `missing` are
    the heads that were shown and that nobody has answered for, `adopted` those that two people
    have; `proposal` is the word of the first of the two.
    """

    head: Head = ROOT
    terms: Terms | None = None
    entries: dict[int, Entry] = field(default_factory=dict)
    names: set[tuple[str, str, str, int, int]] = field(default_factory=set)
    hashes: dict[bytes, int] = field(default_factory=lambda: {ROOT.digest: ROOT.number})
    charged: BlockSums = field(default_factory=BlockSums)
    spent_by_study: dict[str, int] = field(default_factory=dict)
    studies: dict[str, StudyAccount] = field(default_factory=dict)
    missing: list[Behind] = field(default_factory=list)
    adopted: list[Behind] = field(default_factory=list)
    proposal: Restore | None = None
    adoptions: list[Adoption] = field(default_factory=list)

    @property
    def cap(self) -> int:
        """The clinic's cap on every block, in units."""
        return self.terms.cap_units if self.terms else 0

    @property
    def spent(self) -> int:
        """Units charged to the block that was charged most."""
        return self.charged.most(EVERYONE)

    def blocks_of(self, study: str) -> Blocks:
        """Where the study's charges go; a study without an account is charged to every block."""
        account = self.studies.get(study)
        return account.blocks if account else EVERYONE

    def left_of(self, study: str) -> int:
        """Units that the study may still spend by its own cap."""
        account = self.studies.get(study)
        most = account.cap_units if account else self.cap
        return max(most - self.spent_by_study.get(study, 0), 0)

    def contains(self, head: Head) -> bool:
        """Whether `head` lies on this chain."""
        return head.number >= 1 and self.hashes.get(head.digest) == head.number

    def answers_for(self, head: bytes, epoch: int | None = None) -> bool:
        """Whether `head` lies on this chain, or two people have answered for it.

        They answer for everything that was signed up to the boot `epoch` of what they adopted.
        """
        if head in self.hashes:
            return True
        if epoch is None:
            return any(behind.head == head.hex() for behind in self.adopted)
        return epoch <= self.answered_epoch

    @property
    def answered_epoch(self) -> int:
        """The last boot of which everything was answered for by two people, or -1."""
        return max((adoption.epoch for adoption in self.adoptions), default=-1)

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
        except (ValueError, KeyError, TypeError, RecursionError):
            raise damaged(f"entry {number} cannot be read") from None
        return Link(Head(number, digest), becomes)

    def adopt(self, following: Link) -> None:
        """Takes over a checked link."""
        self.head = following.head
        self.hashes[following.head.digest] = following.head.number
        match following.becomes:
            case Terms() as terms:
                self.terms = terms
            case StudyAccount() as account:
                self.studies[account.study] = account
            case Entry() as entry:
                if entry.state == "reserved":
                    self.names.add(entry.name)
                    self.charged.add(entry.blocks, entry.units)
                    self._charge(entry.study, entry.units)
                self.entries[entry.number] = entry
            case Behind() as behind:
                self.missing.append(behind)
                self.proposal = None  # what was agreed to before did not cover this
            case Restore() as restore:
                self.proposal = restore
            case Adoption() as adoption:
                self._settle(adoption)

    def worst_case(self) -> tuple[tuple[str, int], ...]:
        """What every known study could still have spent in a gap: study and units."""
        left = ((study, self.left_of(study)) for study in self.studies)
        return tuple((study, units) for study, units in left if units)

    def _settle(self, adoption: Adoption) -> None:
        """Charges the gap. The lost ledger kept the caps too, so no block goes beyond them."""
        for study, units in adoption.charged:
            self.charged.add(self.blocks_of(study), units, at_most=self.cap)
            self._charge(study, units)
        if adoption.restore.everything:
            self.charged.add(Blocks.up_to(adoption.restore.last), self.cap, at_most=self.cap)
        self.adoptions.append(adoption)
        self.adopted += self.missing
        self.missing, self.proposal = [], None

    def _charge(self, study: str, units: int) -> None:
        self.spent_by_study[study] = self.spent_by_study.get(study, 0) + units

    def _read(self, number: int, body: dict[str, Any]) -> Becomes:
        kind, at = body.pop("kind"), body.pop("at")
        if (kind == "terms") != (number == 1):
            raise damaged(f"entry {number} is out of place")
        if type(at) is not str or {k: type(v) for k, v in body.items()} != FIELDS.get(kind):
            raise damaged(f"entry {number} has other fields than its kind")
        match kind:
            case "terms":
                terms = Terms(
                    body["clinic"], body["cap_epsilon"], body["delta"], body["cap_units"], at
                )
                _require(0 < terms.cap_units <= LARGEST_CHARGE and 0 < terms.delta < 1)
                _require(0 < terms.cap_epsilon < math.inf)
                return terms
            case "study":
                return self._account(StudyAccount.read(body))
            case "reserve":
                return self._reserved(Entry(number=number, at=at, **body))
            case "commit":
                return replace(self._open(body), state="committed", upload=body["upload"])
            case "void":
                return replace(self._open(body), state="void", reason=body["reason"])
            case _:
                return self._read_gap(kind, body, number, at)

    def _read_gap(self, kind: str, body: dict[str, Any], number: int, at: str) -> Becomes:
        """A link about what this chain may lack."""
        match kind:
            case "behind":
                behind = Behind(**body)
                _require(bool(_DIGEST.fullmatch(behind.head)) and behind.epoch >= 0)
                _require(not self.answers_for(bytes.fromhex(behind.head), behind.epoch))
                _require(behind not in self.missing)
                return behind
            case "restore":
                _require(body["everything"] in (0, 1) and bool(person(body["by"])))
                last, everything = quarter_named(body["last"]), bool(body["everything"])
                _require(everything or not self.unaccounted)
                return Restore(body["by"], everything, last, number, at)
            case _:  # "adopt": FIELDS knows no other
                restore = self.proposal
                if restore is None or restore.number != body["of"]:
                    raise ValueError
                _require(person(body["by"]) not in ("", person(restore.by)))
                seen = max((behind.epoch for behind in self.missing), default=0)
                _require(body["epoch"] >= seen and body["epoch"] > self.answered_epoch)
                epoch = body["epoch"]
                return Adoption(restore, body["by"], epoch, at, number, self.worst_case())

    @property
    def unaccounted(self) -> tuple[str, ...]:
        """Studies that were charged before the ledger kept accounts of them: caps unknown."""
        return tuple(study for study in self.spent_by_study if study not in self.studies)

    def _account(self, account: StudyAccount) -> StudyAccount:
        _require(bool(account.study) and account.study not in self.studies)
        _require(0 < account.cap_units <= LARGEST_CHARGE)
        _require(account.blocks.whole or account.study not in self.spent_by_study)
        return account

    def _reserved(self, entry: Entry) -> Entry:
        _require(not self.missing and min(entry.round, entry.attempt) >= 0 < entry.units)
        _require(entry.name not in self.names)
        entry = replace(entry, blocks=self.blocks_of(entry.study))
        _require(self.charged.most(entry.blocks) + entry.units <= self.cap)
        _require(entry.units <= self.left_of(entry.study))
        return entry

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
        except (ValueError, KeyError, TypeError, RecursionError):
            raise damaged(f"line {number} of the export cannot be read") from None
        account.adopt(account.check(number, body, digest))
    if account.terms is None:
        raise damaged("the export is empty")
    return account


def person(name: str) -> str:
    """A person's name as names are compared; empty if it is none."""
    folded = " ".join(name.split()).casefold()
    return folded if folded.isprintable() else ""


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
