"""All messages between a clinic and the server, each in one dataclass; `decode` reads any.

    server                     clinic
    OpenRun        ─────────▶  KeyPackage
    Packages       ─────────▶  Confirmation
    RoundRequest   ─────────▶  Upload            once a round or attempt
    CloseRun       ─────────▶  Closed
    Offer          ─────────▶  Standing          before any run, and whenever the server asks
    any            ─────────▶  Refusal           instead

The annotations are the wire format, in order.  # SPEC 5
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated, ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray

from cairn_protocol.codec import Blob, Fixed, Indices, Text, UInt, refuse, unframed
from cairn_protocol.context import (
    LARGEST_ATTEMPT,
    LARGEST_STATE,
    LARGEST_VECTOR,
    Context,
    state_array,
)
from cairn_protocol.errors import CairnError, PeerFault
from cairn_protocol.identity import SIGNATURE_BYTES
from cairn_protocol.policy import LARGEST_ROSTER
from cairn_protocol.record import Many, Message, Nested, Record, hashed
from cairn_protocol.roster import SignedRoster
from cairn_protocol.signed_study import SignedStudy

RUN_BYTES: Final = 16
LARGEST_MESSAGE: Final = LARGEST_STATE + 512 * 1024
Run = Annotated[bytes, Fixed(RUN_BYTES)]
Hash = Annotated[bytes, Fixed(32)]
Clinic = Annotated[int, UInt(2)]
STANDINGS: Final = ("offered", "approved", "refused", "paused")
Signature = Annotated[bytes, Fixed(SIGNATURE_BYTES)]


@dataclass(frozen=True)
class Signed(Message):
    """A message whose last field is a signature on everything before it."""

    @property
    def signed(self) -> bytes:
        """What the signature covers."""
        return self.body[:-SIGNATURE_BYTES]

    def with_signature(self, signature: bytes) -> Self:
        """The same message under another signature."""
        return replace(self, **{"signature": signature})


@dataclass(frozen=True)
class OpenRun(Message):
    """Starts a setup. `setup` counts the setups of one run: each makes fresh keys for all."""

    kind: ClassVar[int] = 1
    label: ClassVar[str] = "open run"

    run: Run
    setup: Annotated[int, UInt(4)]
    study: Annotated[SignedStudy, Nested(SignedStudy)]
    roster: Annotated[SignedRoster, Nested(SignedRoster)]


@dataclass(frozen=True)
class KeyPackage(Signed):
    """A clinic's fresh X25519 key for one setup, bound to the very `OpenRun` that it answers."""

    kind: ClassVar[int] = 2

    run: Run
    clinic: Clinic
    opening: Hash  # OpenRun.digest
    epoch: Annotated[int, UInt(8)]  # the keeper's boot
    x25519: Annotated[bytes, Fixed(32)]
    nonce: Hash
    signature: Signature


@dataclass(frozen=True)
class Packages(Message):
    """All key packages of a setup, in the order of the clinics' indices."""

    kind: ClassVar[int] = 3

    run: Run
    packages: Annotated[tuple[KeyPackage, ...], Many(KeyPackage, LARGEST_ROSTER)]

    def fault(self) -> str:
        if [p.clinic for p in self.packages] != list(range(len(self.packages))):
            return "packages must be every clinic's, in order"
        return ""

    @property
    def t1(self) -> bytes:
        """T1: the digest that every clinic confirms and that every key is derived under."""
        return hashed("T1", self.body)


@dataclass(frozen=True)
class Confirmation(Signed):
    """A clinic's word that it saw this T1, with the head of its ledger for the others to see."""

    kind: ClassVar[int] = 4

    run: Run
    clinic: Clinic
    t1: Hash
    ledger_head: Hash
    signature: Signature


@dataclass(frozen=True)
class Header(Record):
    """What one upload answers. Its digest is in every mask seed and every upload's signature."""

    label: ClassVar[str] = "header"

    run: Run
    t1: Hash
    question: Annotated[str, Text(63)]
    round: Annotated[int, UInt(4)]
    attempt: Annotated[int, UInt(2)]
    participants: Annotated[tuple[int, ...], Indices(LARGEST_ROSTER)]
    context: Hash
    previous: Hash  # transcript of the round before; `genesis` for the first

    def fault(self) -> str:
        return "attempt is too high" if self.attempt > LARGEST_ATTEMPT else ""

    def means(self, context: Context) -> bool:
        """Whether this header asks the sum of `context`."""
        here = (self.context, self.question, self.round, self.attempt)
        return here == (context.digest, context.question, context.round, context.attempt)


@dataclass(frozen=True)
class SignedDigest(Record):
    """A clinic's signature on the digest of the vector that it uploaded."""

    clinic: Clinic
    vector: Hash  # Upload.vector_digest
    signature: Signature


@dataclass(frozen=True)
class RoundRecord(Record):
    """A finished round: its header's digest and what each clinic signed. Digest: transcript."""

    label: ClassVar[str] = "transcript"

    header: Hash
    uploads: Annotated[tuple[SignedDigest, ...], Many(SignedDigest, LARGEST_ROSTER)]


@dataclass(frozen=True)
class RoundRequest(Message):
    """Asks one upload. `public_state` is little-endian float32, finite.

    `confirmations` of all participants, at least until every clinic has answered once in this
    setup; empty afterwards. `record` holds at most one record: that of the round before.
    """

    kind: ClassVar[int] = 5
    label: ClassVar[str] = "round request"

    header: Annotated[Header, Nested(Header)]
    public_state: Annotated[bytes, Blob(LARGEST_STATE)]
    confirmations: Annotated[tuple[Confirmation, ...], Many(Confirmation, LARGEST_ROSTER)] = ()
    record: Annotated[tuple[RoundRecord, ...], Many(RoundRecord, 1)] = ()

    def fault(self) -> str:
        if len(self.public_state) % 4:
            return "public_state must be whole float32 values"
        if not np.isfinite(state_array(self.public_state)).all():
            return "public_state must be finite"
        return ""

    @property
    def public(self) -> NDArray[np.float32]:
        """The public state, (k,) float32, read-only."""
        return state_array(self.public_state)


@dataclass(frozen=True)
class Upload(Message):
    """A masked vector: little-endian unsigned integers of `modulus_bits`."""

    kind: ClassVar[int] = 6

    run: Run
    clinic: Clinic
    header: Hash  # Header.digest
    modulus_bits: Annotated[int, UInt(1)]
    vector: Annotated[bytes, Blob(8 * LARGEST_VECTOR)]
    signature: Signature

    def fault(self) -> str:
        if self.modulus_bits not in (32, 64):
            return "modulus_bits must be 32 or 64"
        if not self.vector or len(self.vector) % (self.modulus_bits // 8):
            return "vector must be one or more whole integers"
        return ""

    @cached_property
    def vector_digest(self) -> bytes:
        """Names ring and vector, 32 bytes."""
        return vector_digest(self.modulus_bits, self.vector)

    @property
    def signed(self) -> bytes:
        """What the signature covers: not the vector itself, so that a record can hold it."""
        return upload_statement(self.run, self.clinic, self.header, self.vector_digest)


@dataclass(frozen=True)
class CloseRun(Message):
    """Ends a run: the clinic erases its keys. `reason` is for its log."""

    kind: ClassVar[int] = 7

    run: Run
    reason: Annotated[str, Text(500)]


@dataclass(frozen=True)
class Closed(Signed):
    """A clinic's word that it erased its keys for the run, and the last transcript it knows."""

    kind: ClassVar[int] = 8

    run: Run
    clinic: Clinic
    transcript: Hash
    signature: Signature


@dataclass(frozen=True)
class Refusal(Message):
    """Why there is no other reply, as a person should read it. Holds nothing of any patient."""

    kind: ClassVar[int] = 9

    code: Annotated[str, Text(100)]
    what: Annotated[str, Text(500)]
    why: Annotated[str, Text(2000)] = ""
    hint: Annotated[str, Text(500)] = ""

    @classmethod
    def of(cls, error: CairnError) -> Refusal:
        """`error` for the other side; over-long or unprintable parts are cut."""
        return cls(
            _fit(error.code, 100),
            _fit(error.what, 500),
            _fit(error.why, 2000),
            _fit(error.hint, 500),
        )

    def as_error(self) -> PeerFault:
        """The refusal as this side may raise it: `peer.refused`, the other's code in `why`."""
        why = f"[{self.code}] {self.why}".strip()
        return PeerFault(self.what, code="refused", why=why, hint=self.hint)


@dataclass(frozen=True)
class Offer(Message):
    """Asks a clinic's people to consider a study. Nothing is computed; nothing is agreed by it."""

    kind: ClassVar[int] = 10

    study: Annotated[SignedStudy, Nested(SignedStudy)]
    roster: Annotated[SignedRoster, Nested(SignedRoster)]


@dataclass(frozen=True)
class Standing(Signed):
    """How a study stands at a clinic, in its people's word: one of `STANDINGS`."""

    kind: ClassVar[int] = 11

    study: Hash  # SignedStudy.digest
    roster: Hash  # Roster.digest
    identity: Hash  # the clinic's public key
    state: Annotated[str, Text(16)]
    signature: Signature

    def fault(self) -> str:
        return "" if self.state in STANDINGS else "state must be a standing"


AnyMessage = (
    OpenRun
    | KeyPackage
    | Packages
    | Confirmation
    | RoundRequest
    | Upload
    | CloseRun
    | Closed
    | Refusal
    | Offer
    | Standing
)
KINDS: Final[dict[int, type[Message]]] = {
    cls.kind: cls
    for cls in (
        *(OpenRun, KeyPackage, Packages, Confirmation, RoundRequest, Upload),
        *(CloseRun, Closed, Refusal, Offer, Standing),
    )
}


def decode(data: bytes, limit: int = LARGEST_MESSAGE) -> AnyMessage:
    """The message in `data`, which must be at most `limit` bytes.

    Raises:
        PeerFault: anything but exactly one well-formed message of this version.
    """
    kind, reader = unframed(data, limit)
    if kind not in KINDS:
        refuse("kind-unknown", f"no message has kind {kind}")
    message = KINDS[kind].read(reader)
    reader.end()
    return message  # type: ignore[return-value]  # KINDS holds exactly the members of AnyMessage


def vector_digest(modulus_bits: int, vector: bytes) -> bytes:
    """SHA-256 over ring and masked vector, 32 bytes."""
    return hashed("vector", bytes((modulus_bits,)), vector)


def upload_statement(run: bytes, clinic: int, header: bytes, vector: bytes) -> bytes:
    """What a clinic signs with an upload: run ‖ clinic ‖ header digest ‖ vector digest."""
    return run + clinic.to_bytes(2, "big") + header + vector


def genesis(run: bytes) -> bytes:
    """`previous` of a run's first round."""
    return hashed("genesis", run)


def _fit(text: str, most: int) -> str:
    clean = "".join(c if c.isprintable() or c == "\n" else "?" for c in text)
    return clean.encode("utf-8", "replace")[:most].decode("utf-8", "ignore")
