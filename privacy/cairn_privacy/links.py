"""What a ledger's links say: one frozen class a kind, each with the body that is hashed.

terms     whose ledger this is and what it may spend; the first link, and only that
study     who asks, what it may cost, and the blocks to which its charges go
reserve   a charge, before any record is read for it
commit    the upload that belongs to a charge
void      a charge from which nothing was sent; it stays spent
behind    this clinic once signed a head that is not in this chain: the ledger stops
restore   one person's word on what may be missing
adopt     another person's agreement; what may be missing is charged, the ledger goes on
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Self

from cairn_privacy.accounting import RHO_UNIT
from cairn_privacy.blocks import EVERYONE, Blocks, quarter_name

Body = Mapping[str, str | int]
State = Literal["reserved", "committed", "void"]

FIELDS: Final[dict[str, dict[str, type]]] = {
    "terms": {"clinic": str, "cap_epsilon": str, "delta": str, "cap_units": int},
    "study": {
        "study": str,
        "name": str,
        "title": str,
        "team": str,
        "first": str,
        "last": str,
        "cap_units": int,
    },
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
    "behind": {"head": str, "epoch": int},
    "restore": {"by": str, "everything": int, "last": str},
    "adopt": {"of": int, "by": str, "epoch": int},
}


@dataclass(frozen=True)
class Terms:
    """The first link: whose ledger this is and what it may spend."""

    clinic: str
    cap_epsilon_text: str
    delta_text: str
    cap_units: int
    at: str = ""

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
class StudyAccount:
    """A study as the ledger knows it.

    Args:
        study: its digest, hexadecimal.
        team: the public key of the team that signed it, hexadecimal; empty in a rehearsal.
        blocks: to which all its charges go; from its window, see `Blocks.of_window`.
        cap_units: the most that all its charges together may be.
    """

    study: str
    name: str
    title: str
    team: str
    blocks: Blocks
    cap_units: int

    @classmethod
    def read(cls, body: Mapping[str, Any]) -> Self:
        """The account that a link's body says.

        Raises:
            ValueError: its blocks are none.
        """
        named = {key: body[key] for key in ("study", "name", "title", "team", "cap_units")}
        return cls(blocks=Blocks.named(body["first"], body["last"]), **named)

    @property
    def cap_rho(self) -> float:
        """The cap as ρ."""
        return self.cap_units * RHO_UNIT

    def body(self, at: str) -> Body:
        """The link's body, written at the time `at`."""
        return {
            "kind": "study",
            "at": at,
            "study": self.study,
            "name": self.name,
            "title": self.title,
            "team": self.team,
            "first": self.blocks.first_name,
            "last": self.blocks.last_name,
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
    blocks: Blocks = field(default=EVERYONE)  # those of its study's account

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
class Behind:
    """A head (hexadecimal) that this clinic signed in the keeper's boot `epoch`, and lacks."""

    head: str
    epoch: int

    def body(self, at: str) -> Body:
        """The link's body, written at the time `at`."""
        return {"kind": "behind", "at": at, "head": self.head, "epoch": self.epoch}


@dataclass(frozen=True)
class Restore:
    """One person's word on what may be missing.

    Args:
        by: who says so.
        everything: nobody can say which studies were asked meanwhile, so that all is charged of
            what patients who entered up to the quarter `last`, or without a date, had left.
            Otherwise every study that could have been answered meanwhile stands in the chain.
        last: a block; immaterial unless `everything`.
    """

    by: str
    everything: bool
    last: int
    number: int = 0
    at: str = ""

    def body(self, at: str) -> Body:
        """The link's body, written at the time `at`."""
        return {
            "kind": "restore",
            "at": at,
            "by": self.by,
            "everything": int(self.everything),
            "last": quarter_name(self.last),
        }


@dataclass(frozen=True)
class Adoption:
    """A second person's agreement to `restore`, and what was charged for the gap, by study.

    They answer for all that this clinic signed in its boots up to `epoch`.
    """

    restore: Restore
    by: str
    epoch: int
    at: str = ""
    number: int = 0
    charged: tuple[tuple[str, int], ...] = ()  # study and units

    def body(self, at: str) -> Body:
        """The link's body, written at the time `at`."""
        return {
            "kind": "adopt",
            "at": at,
            "of": self.restore.number,
            "by": self.by,
            "epoch": self.epoch,
        }
