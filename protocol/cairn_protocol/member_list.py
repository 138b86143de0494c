"""`MemberList`: which clinics a registry outside the research team knows to be real; signed by it.

A registry is an ethics board, a professional body, a consortium: somebody who meets the clinics
and takes down their fingerprints. A clinic whose operator pinned the registry's key counts them as
verified without a telephone call of its own.  # SPEC 4.6
"""

from __future__ import annotations

import base64
import binascii
import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from cairn_protocol.codec import Fixed, Text, UInt
from cairn_protocol.errors import CairnError, InputError
from cairn_protocol.identity import (
    CROCKFORD,
    PUBLIC_BYTES,
    SIGNATURE_BYTES,
    Identity,
    fingerprint,
    verify,
)
from cairn_protocol.record import Many, Record
from cairn_protocol.roster import CLINIC_NAME
from cairn_protocol.study import parse_toml

MOST_LISTED: Final = 10_000
LONGEST_NAME: Final = 100
HEAD: Final = "CAIRN MEMBER LIST 1"
LARGEST_LIST_FILE: Final = 4 * 1024 * 1024
FINGERPRINT: Final = re.compile(rf"([{CROCKFORD}]{{4}}-){{7}}[{CROCKFORD}]{{4}}")
PAGE: Final = "docs/between-machines.md"


@dataclass(frozen=True)
class Listed(Record):
    """A clinic's name, as the registry knows it, and its fingerprint."""

    clinic: Annotated[str, Text(63)]
    fingerprint: Annotated[str, Text(39)]

    def fault(self) -> str:
        if not CLINIC_NAME.fullmatch(self.clinic):
            return "clinic must be lower-case letters, digits and hyphens"
        return "" if FINGERPRINT.fullmatch(self.fingerprint) else "fingerprint is none"


@dataclass(frozen=True)
class MemberList(Record):
    """`issue` counts a registry's lists: a newer one replaces the older altogether."""

    label: ClassVar[str] = "member list"

    registry: Annotated[str, Text(LONGEST_NAME)]
    key: Annotated[bytes, Fixed(PUBLIC_BYTES)]
    issue: Annotated[int, UInt(4)]
    members: Annotated[tuple[Listed, ...], Many(Listed, MOST_LISTED)]
    signature: Annotated[bytes, Fixed(SIGNATURE_BYTES)]

    def fault(self) -> str:
        if not self.registry or "\n" in self.registry:
            return "a registry has a name, in one line"
        if any(a.clinic >= b.clinic for a, b in pairwise(self.members)):
            return "clinics must differ and stand in order of their names"
        if len({member.fingerprint for member in self.members}) != len(self.members):
            return "two clinics have the same fingerprint"
        return ""

    @classmethod
    def sign(cls, registry: Identity, name: str, issue: int, members: Mapping[str, str]) -> Self:
        """The list of `members` (name to fingerprint, as typed), signed by `registry`.

        Raises:
            InputError: a name or a fingerprint that cannot stand, or one of them twice.
        """
        listed = {clinic: fingerprint_typed(typed, clinic) for clinic, typed in members.items()}
        bad = sorted(clinic for clinic in listed if not CLINIC_NAME.fullmatch(clinic))
        if bad or len(set(listed.values())) != len(listed):
            raise InputError(
                "this list of members cannot stand",
                code="member-list-invalid",
                why=f"names not allowed: {', '.join(bad)}" if bad else "a fingerprint stands twice",
                hint="lower-case letters, digits and hyphens; one fingerprint a clinic",
            )
        entries = tuple(Listed(clinic, listed[clinic]) for clinic in sorted(listed))
        unsigned = cls(name, registry.public, issue, entries, bytes(SIGNATURE_BYTES))
        return replace(unsigned, signature=registry.sign("member list", unsigned._signed))

    @property
    def _signed(self) -> bytes:
        return self.body[:-SIGNATURE_BYTES]

    def genuine(self) -> bool:
        """Whether the key that it names signed it; whose that is, a person has to say."""
        return verify(self.key, "member list", self._signed, self.signature)

    @property
    def registry_fingerprint(self) -> str:
        """What the operator compares with the registry."""
        return fingerprint(self.key)

    def to_text(self) -> str:
        """The list as a file that survives an e-mail: a line that says what it is, base64."""
        return f"{HEAD}\n{textwrap.fill(base64.b64encode(self.body).decode(), 76)}\n"

    @classmethod
    def from_text(cls, text: str) -> Self:
        """The list in a file.

        Raises:
            InputError: not such a file, damaged, or not signed by the key that it names.
        """
        head, _, rest = text.strip().partition("\n")
        if head.strip() != HEAD:
            raise _unusable("it does not begin with the line " + HEAD)
        try:
            found = cls.from_body(base64.b64decode("".join(rest.split()), validate=True))
        except (binascii.Error, CairnError):
            raise _unusable("it was cut off or changed") from None
        if not found.genuine():
            raise _unusable("its signature does not hold")
        return found


class MemberListFile(BaseModel):
    """What a registry writes down, as TOML: its name, the list's number, names to fingerprints."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cairn: Literal[1]
    registry: str = Field(min_length=1, max_length=LONGEST_NAME // 2, pattern=r"^[^\x00-\x1f]*$")
    issue: int = Field(ge=1, lt=1 << 32)
    members: dict[str, str] = Field(max_length=MOST_LISTED)

    @classmethod
    def parse(cls, source: bytes, where: str) -> Self:
        """The file's content.

        Raises:
            InputError: it cannot be used.
        """
        return parse_toml(cls, source, where=where, page=PAGE)


def fingerprint_typed(text: str, whose: str = "") -> str:
    """A fingerprint that somebody typed, in its one spelling.

    Case, hyphens and spaces are immaterial; O, I and L are read as the digits they look like.

    Raises:
        InputError: `input.fingerprint-mistyped`.
    """
    bare = re.sub(r"[\s\-‐-―]+", "", text).lower()
    bare = bare.replace("o", "0").replace("i", "1").replace("l", "1")
    grouped = "-".join(bare[at : at + 4] for at in range(0, len(bare), 4))
    if not FINGERPRINT.fullmatch(grouped):
        raise InputError(
            f"this is no fingerprint{' of ' + whose if whose else ''}",
            code="fingerprint-mistyped",
            why=f"it has {len(bare)} characters"
            if len(bare) != 32
            else "it holds a character that no fingerprint has",
            hint="eight groups of four letters and digits, as `cairn clinic status` shows it at "
            "that clinic",
        )
    return grouped


def _unusable(why: str) -> InputError:
    return InputError(
        "this is not a member list that can be used",
        code="member-list-unusable",
        why=why,
        hint="ask the registry for the file that `cairn members sign` made, and compare the "
        "registry's fingerprint with them by telephone",
    )
