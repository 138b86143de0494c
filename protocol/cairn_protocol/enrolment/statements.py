"""What clinic and team sign when a clinic joins or asks how it stands.

Each signature has the purpose `join` and covers the record's digest, whose label says which record
it is: a query can never be shown as a claim, nor either as the team's answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Final

from cairn_protocol.codec import Blob, Fixed, Text, UInt
from cairn_protocol.identity import PUBLIC_BYTES, SIGNATURE_BYTES, Identity, verify
from cairn_protocol.record import Record, hashed
from cairn_protocol.roster import CLINIC_NAME

LARGEST_NODE_KEY: Final = 1024  # a P-384 public key in PEM has 215 bytes
LARGEST_URL: Final = 300
CLOCK_TOLERANCE: Final = 120  # seconds; Flower's node authentication allows 300
REGISTRY: Final = "cairn.registry.v1.Registry"
LARGEST_CALL: Final = 16 * 1024  # bytes of a request or reply of the registry


@dataclass(frozen=True)
class Statement(Record):
    """A record that is signed by its labelled digest."""

    def signed_by(self, identity: Identity) -> bytes:
        """`identity`'s signature, 64 bytes."""
        return identity.sign("join", self.digest)

    def is_from(self, public: bytes, signature: bytes) -> bool:
        """Whether `signature` is that of `public` on this statement."""
        return len(signature) == SIGNATURE_BYTES and verify(public, "join", self.digest, signature)


@dataclass(frozen=True)
class JoinClaim(Statement):
    """A clinic's word: with this token I join as `clinic`, under these two keys.

    `token` is the token's hash and `authority` SHA-256 of the certificate authority that the
    clinic saw, so that a claim made to one server is of no use at another.
    """

    label: ClassVar[str] = "join claim"

    token: Annotated[bytes, Fixed(32)]
    authority: Annotated[bytes, Fixed(32)]
    clinic: Annotated[str, Text(63)]
    identity: Annotated[bytes, Fixed(PUBLIC_BYTES)]
    node_key: Annotated[bytes, Blob(LARGEST_NODE_KEY)]  # PEM of the link's public key
    time: Annotated[int, UInt(8)]  # the clinic's clock, seconds since 1970

    def fault(self) -> str:
        if not CLINIC_NAME.fullmatch(self.clinic):
            return "clinic must be lower-case letters, digits and hyphens"
        return ""


@dataclass(frozen=True)
class Enrolment(Statement):
    """The research team's word: the clinic of this claim is enrolled, and here is the way."""

    label: ClassVar[str] = "enrolment"

    claim: Annotated[bytes, Fixed(32)]  # JoinClaim.digest
    team: Annotated[bytes, Fixed(PUBLIC_BYTES)]
    node: Annotated[int, UInt(8)]
    fleet: Annotated[str, Text(LARGEST_URL)]

    def fault(self) -> str:
        return "" if self.fleet.startswith("https://") else "fleet must be an https address"


@dataclass(frozen=True)
class StatusQuery(Statement):
    """A clinic's question how it stands with the server behind `authority`."""

    label: ClassVar[str] = "status query"

    identity: Annotated[bytes, Fixed(PUBLIC_BYTES)]
    authority: Annotated[bytes, Fixed(32)]
    time: Annotated[int, UInt(8)]
    nonce: Annotated[bytes, Fixed(16)]


def token_hash(secret: bytes) -> bytes:
    """The hash under which a server stores a token, 32 bytes."""
    return hashed("join secret", secret)
