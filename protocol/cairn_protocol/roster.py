"""`Roster`: who takes part in a study, in the one order that both sides use.

Entries stand in ascending order of the clinic's name; an entry's place is the clinic's index.
Each version names the digest of the one before, so a clinic that pinned one sees a fork, a
rollback or a silent addition.  # SPEC 4
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, ClassVar, Final, Self

from cairn_protocol.codec import Fixed, Text, UInt, refuse
from cairn_protocol.errors import InputError, PolicyRefusal
from cairn_protocol.identity import PUBLIC_BYTES, SIGNATURE_BYTES, Identity, verify
from cairn_protocol.policy import LARGEST_ROSTER
from cairn_protocol.record import Many, Nested, Record
from cairn_protocol.signed_study import SignedStudy

CLINIC_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
NO_ROSTER: Final = bytes(32)  # `previous` of a study's first roster


@dataclass(frozen=True)
class RosterEntry(Record):
    """A clinic's name and its Ed25519 public key (32 bytes)."""

    clinic: Annotated[str, Text(63)]
    identity: Annotated[bytes, Fixed(PUBLIC_BYTES)]

    def fault(self) -> str:
        if not CLINIC_NAME.fullmatch(self.clinic):
            return "clinic must be lower-case letters, digits and hyphens"
        return ""


@dataclass(frozen=True)
class Roster(Record):
    """One version of a study's roster. `study` and `previous` are digests, 32 bytes each."""

    label: ClassVar[str] = "roster"

    study: Annotated[bytes, Fixed(32)]
    version: Annotated[int, UInt(4)]
    previous: Annotated[bytes, Fixed(32)]
    entries: Annotated[tuple[RosterEntry, ...], Many(RosterEntry, LARGEST_ROSTER)]

    def fault(self) -> str:
        names = [entry.clinic for entry in self.entries]
        if not names:
            return "a roster needs a clinic"
        if any(a >= b for a, b in pairwise(names)):
            return "clinics must differ and stand in order of their names"
        if len({entry.identity for entry in self.entries}) != len(names):
            return "two clinics have the same key"
        if (self.version == 0) != (self.previous == NO_ROSTER):
            return "version 0, and only it, has no previous roster"
        return ""

    @classmethod
    def first(cls, study: SignedStudy, clinics: dict[str, bytes]) -> Self:
        """Version 0 for `study`: `clinics` maps a name to a public key; order is immaterial.

        Raises:
            InputError: a name that cannot stand, two clinics with one key, or none.
        """
        return cls._of(study.digest, 0, NO_ROSTER, clinics)

    def next(self, clinics: dict[str, bytes]) -> Self:
        """The next version, chained to this one."""
        return self._of(self.study, self.version + 1, self.digest, clinics)

    @classmethod
    def _of(cls, study: bytes, version: int, previous: bytes, clinics: dict[str, bytes]) -> Self:
        keys = set(clinics.values())
        bad = sorted(name for name in clinics if not CLINIC_NAME.fullmatch(name))
        if bad or not clinics or len(keys) != len(clinics):
            raise InputError(
                "this roster cannot stand",
                code="roster-invalid",
                why=f"names not allowed: {', '.join(bad)}" if bad else "no clinic, or a key twice",
                hint="lower-case letters, digits and hyphens; one key a clinic",
            )
        entries = tuple(RosterEntry(name, clinics[name]) for name in sorted(clinics))
        return cls(study, version, previous, entries)

    def index_of(self, identity: bytes) -> int:
        """The index of the clinic with this public key.

        Raises:
            PolicyRefusal: `policy.not-on-roster`.
        """
        for index, entry in enumerate(self.entries):
            if entry.identity == identity:
                return index
        raise PolicyRefusal(
            "this clinic is not on the study's roster",
            code="not-on-roster",
            hint="ask the research team whether they enrolled the key that `status` shows",
        )

    def indices_of(self, identities: Collection[bytes]) -> frozenset[int]:
        """The indices of the clinics whose public keys are among `identities`."""
        return frozenset(i for i, e in enumerate(self.entries) if e.identity in identities)

    def __len__(self) -> int:
        return len(self.entries)


@dataclass(frozen=True)
class SignedRoster(Record):
    """A roster with the research team's signature on its body."""

    roster: Annotated[Roster, Nested(Roster)]
    signature: Annotated[bytes, Fixed(SIGNATURE_BYTES)]

    @classmethod
    def sign(cls, roster: Roster, team: Identity) -> Self:
        """`roster` signed by the team."""
        return cls(roster, team.sign("roster", roster.body))

    def verified(self, team_public: bytes) -> Roster:
        """The roster, if `team_public` signed it.

        Raises:
            PeerFault: `peer.roster-forged`.
        """
        if not verify(team_public, "roster", self.roster.body, self.signature):
            refuse("roster-forged", "the roster is not signed by this study's research team")
        return self.roster


def check_successor(pinned: Roster, offered: Roster) -> None:
    """Refuses `offered` unless it is `pinned` or the very next version of it.

    A successor still needs the operator's word before it replaces the pin: a silent addition
    is a different digest.

    Raises:
        PeerFault: `peer.roster-fork`: another study, an older version, or another history.
    """
    if offered.digest == pinned.digest:
        return
    if (offered.study, offered.version, offered.previous) != (
        pinned.study,
        pinned.version + 1,
        pinned.digest,
    ):
        refuse(
            "roster-fork",
            "the roster does not follow from the one that this clinic knows",
            hint="ask the research team, by telephone, which clinics take part",
        )
