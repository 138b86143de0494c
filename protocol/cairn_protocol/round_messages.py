"""Messages of rounds: a vector uploaded, survivors named, shares opened; the end.  # SPEC 5"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Annotated, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from cairn_protocol.codec import Blob, Indices, Text, UInt
from cairn_protocol.context import (
    LARGEST_ATTEMPT,
    LARGEST_STATE,
    LARGEST_VECTOR,
    Context,
    state_array,
)
from cairn_protocol.fixed_point import RINGS
from cairn_protocol.mark import Mark
from cairn_protocol.policy import LARGEST_ROSTER
from cairn_protocol.record import Many, Message, Nested, Record, hashed
from cairn_protocol.setup_messages import Notes
from cairn_protocol.wire_types import Clinic, Hash, Run, Signature, Signed

SEALED_BYTES: Final = 48  # a share of 32 bytes and AES-GCM's tag
SHARE_BYTES: Final = 32
NO_SHARE: Final = b"\xff" * SHARE_BYTES  # no number of the field: what was sealed cannot be read
COMMITMENT_BYTES: Final = 16
DEALT_BYTES: Final = SEALED_BYTES + COMMITMENT_BYTES
LARGEST_HISTORY: Final = 2000  # records in one request
LARGEST_UPLOAD: Final = 8 * LARGEST_VECTOR + (SEALED_BYTES + COMMITMENT_BYTES) * LARGEST_ROSTER
NO_COMMITMENT: Final = bytes(32)


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
    """A clinic's signature on the digest of what it uploaded, and on where it stood then."""

    clinic: Clinic
    upload: Hash  # Upload.upload_digest
    mark: Annotated[Mark, Nested(Mark)]
    signature: Signature

    def signed(self, run: bytes, header: bytes) -> bytes:
        """What the signature covers, under the header with this digest."""
        return upload_statement(run, self.clinic, header, self.upload, self.mark)


@dataclass(frozen=True)
class SignedConsent(Record):
    """A clinic's signature on a set of survivors; see `consent_statement`."""

    clinic: Clinic
    signature: Signature


SignedDigests = Annotated[tuple[SignedDigest, ...], Many(SignedDigest, LARGEST_ROSTER)]
SignedConsents = Annotated[tuple[SignedConsent, ...], Many(SignedConsent, LARGEST_ROSTER)]


@dataclass(frozen=True)
class RoundRecord(Record):
    """A finished round: header, what each survivor signed, the certificate. Digest: transcript.

    `consents` is empty where every participant survived.
    """

    label: ClassVar[str] = "transcript"

    header: Annotated[Header, Nested(Header)]
    uploads: SignedDigests
    consents: SignedConsents = ()

    def fault(self) -> str:
        return _ascending(self.uploads) or _ascending(self.consents)

    @property
    def survivors(self) -> tuple[int, ...]:
        """U, ascending."""
        return tuple(upload.clinic for upload in self.uploads)

    @cached_property
    def survivors_digest(self) -> bytes:
        """Names U and its uploads under this header."""
        return survivors_digest(self.header.digest, self.uploads)


@dataclass(frozen=True)
class RoundRequest(Message):
    """Asks one upload. `public_state` is little-endian float32, finite.

    `notes` are those of every other participant to the receiver, at least until it has answered
    once in this setup; empty afterwards. `records` are those of finished rounds, in order, from
    the receiver's last one on; it passes over those that it knows.
    """

    kind: ClassVar[int] = 5
    label: ClassVar[str] = "round request"

    header: Annotated[Header, Nested(Header)]
    public_state: Annotated[bytes, Blob(LARGEST_STATE)]
    notes: Notes = ()
    records: Annotated[tuple[RoundRecord, ...], Many(RoundRecord, LARGEST_HISTORY)] = ()

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
    """A masked vector, packed; in a study that recovers from dropout also the self mask's shares.

    `vector` are integers of `modulus_bits`, as `fixed_point.to_wire` packs them. `commitment` is
    to the seed of the self mask (32 zero bytes: there is none), `sealed` one sealed share for each
    other participant and `commitments` one commitment for each participant's share, both in
    ascending order of the participants. `mark` is where the clinic stands once it was charged.
    """

    kind: ClassVar[int] = 6

    run: Run
    clinic: Clinic
    header: Hash  # Header.digest
    modulus_bits: Annotated[int, UInt(1)]
    vector: Annotated[bytes, Blob(8 * LARGEST_VECTOR)]
    commitment: Hash
    sealed: Annotated[bytes, Blob(SEALED_BYTES * LARGEST_ROSTER)]
    commitments: Annotated[bytes, Blob(COMMITMENT_BYTES * LARGEST_ROSTER)]
    mark: Annotated[Mark, Nested(Mark)]
    signature: Signature

    def fault(self) -> str:
        if self.modulus_bits not in RINGS:
            return "modulus_bits must be that of a ring"
        if not self.vector:
            return "vector must not be empty"
        if len(self.sealed) % SEALED_BYTES or len(self.commitments) % COMMITMENT_BYTES:
            return "shares must be whole"
        count = len(self.commitments) // COMMITMENT_BYTES
        if len(self.sealed) // SEALED_BYTES != max(count - 1, 0):
            return "shares and commitments must be of the same participants"
        if (self.commitment == NO_COMMITMENT) != (count == 0):
            return "shares and the commitment to their seed belong together"
        return ""

    @property
    def dealt(self) -> int:
        """How many participants have a share of the self mask; 0: there is none."""
        return len(self.commitments) // COMMITMENT_BYTES

    @cached_property
    def upload_digest(self) -> bytes:
        """Names ring, vector and shares, 32 bytes."""
        return upload_digest(
            self.modulus_bits, self.vector, self.commitment, self.sealed, self.commitments
        )

    @property
    def signed(self) -> bytes:
        """What the signature covers: not the vector itself, so that a record can hold it."""
        return upload_statement(self.run, self.clinic, self.header, self.upload_digest, self.mark)

    @property
    def signed_digest(self) -> SignedDigest:
        """What a record holds of it."""
        return SignedDigest(self.clinic, self.upload_digest, self.mark, self.signature)


@dataclass(frozen=True)
class Survivors(Message):
    """Names the survivors by their signed digests; brings the receiver the shares sealed for it.

    `sealed` is one for each survivor but the receiver, in ascending order: a sealed share and the
    commitment to it.
    """

    kind: ClassVar[int] = 7

    run: Run
    header: Hash
    uploads: SignedDigests
    sealed: Annotated[bytes, Blob(DEALT_BYTES * LARGEST_ROSTER)]

    def fault(self) -> str:
        if len(self.sealed) % DEALT_BYTES:
            return "shares must be whole"
        return _ascending(self.uploads)

    @property
    def survivors(self) -> tuple[int, ...]:
        """U, ascending."""
        return tuple(upload.clinic for upload in self.uploads)

    @cached_property
    def survivors_digest(self) -> bytes:
        """Names U and its uploads under this header."""
        return survivors_digest(self.header, self.uploads)


@dataclass(frozen=True)
class Consent(Message):
    """A clinic's signature on survivors that are not all participants."""

    kind: ClassVar[int] = 8

    run: Run
    clinic: Clinic
    header: Hash
    survivors: Hash  # Survivors.survivors_digest
    signature: Signature

    @property
    def signed(self) -> bytes:
        """What the signature covers."""
        return consent_statement(self.run, self.clinic, self.header, self.survivors)


@dataclass(frozen=True)
class Certificate(Message):
    """At least t signatures on the same survivors, with all that `Survivors` said.

    So a clinic that missed that message can open its shares too.
    """

    kind: ClassVar[int] = 9

    run: Run
    survivors: Annotated[Survivors, Nested(Survivors)]
    consents: SignedConsents

    def fault(self) -> str:
        if self.survivors.run != self.run:
            return "survivors must be of the same run"
        return _ascending(self.consents)


@dataclass(frozen=True)
class Opening(Signed):
    """A clinic's shares of the survivors' self masks, and its pair seeds with the others.

    `shares` is one for each survivor, ascending, its own included (`NO_SHARE` where that clinic
    sealed none that can be read); `seeds` one for each
    participant that did not survive, ascending.
    """

    kind: ClassVar[int] = 10

    run: Run
    clinic: Clinic
    header: Hash
    survivors: Hash
    shares: Annotated[bytes, Blob(SHARE_BYTES * LARGEST_ROSTER)]
    seeds: Annotated[bytes, Blob(SHARE_BYTES * LARGEST_ROSTER)]
    signature: Signature

    @property
    def opened(self) -> int:
        """How many shares are opened."""
        return len(self.shares) // SHARE_BYTES

    @property
    def revealed(self) -> int:
        """How many pair seeds are revealed."""
        return len(self.seeds) // SHARE_BYTES

    def fault(self) -> str:
        whole = len(self.shares) % SHARE_BYTES == len(self.seeds) % SHARE_BYTES == 0
        return "" if whole else "shares and seeds must be whole"


@dataclass(frozen=True)
class CloseRun(Message):
    """Ends a run: the clinic erases its keys. `reason` is for its log.

    `records` are those of finished rounds, in order, from the receiver's last one on, so that the
    clinics keep each other's marks of the last round too.
    """

    kind: ClassVar[int] = 11

    run: Run
    reason: Annotated[str, Text(500)]
    records: Annotated[tuple[RoundRecord, ...], Many(RoundRecord, LARGEST_HISTORY)] = ()


@dataclass(frozen=True)
class Closed(Signed):
    """A clinic's word that it erased its keys for the run, and the last transcript it knows."""

    kind: ClassVar[int] = 12

    run: Run
    clinic: Clinic
    transcript: Hash
    signature: Signature


def upload_digest(
    modulus_bits: int, vector: bytes, commitment: bytes, sealed: bytes, commitments: bytes
) -> bytes:
    """SHA-256 over ring, shares and masked vector, 32 bytes."""
    front = bytes((modulus_bits,)) + commitment
    for part in (sealed, commitments):
        front += len(part).to_bytes(4, "big") + part
    return hashed("upload", front, vector)


def upload_statement(run: bytes, clinic: int, header: bytes, upload: bytes, mark: Mark) -> bytes:
    """What a clinic signs with an upload: run ‖ clinic ‖ header ‖ upload ‖ mark digests."""
    return run + clinic.to_bytes(2, "big") + header + upload + mark.digest


def survivors_digest(header: bytes, uploads: tuple[SignedDigest, ...]) -> bytes:
    """SHA-256 that names survivors and what they uploaded under a header, 32 bytes."""
    return hashed("survivors", header, Many(SignedDigest, LARGEST_ROSTER).write(uploads))


def consent_statement(run: bytes, clinic: int, header: bytes, survivors: bytes) -> bytes:
    """What a clinic signs to consent: run ‖ clinic ‖ header digest ‖ digest of the survivors."""
    return run + clinic.to_bytes(2, "big") + header + survivors


def genesis(run: bytes) -> bytes:
    """`previous` of a run's first round."""
    return hashed("genesis", run)


def parts(blob: bytes, size: int) -> list[bytes]:
    """`blob` cut into pieces of `size` bytes."""
    return [blob[at : at + size] for at in range(0, len(blob), size)]


def _ascending(signed: tuple[SignedDigest, ...] | tuple[SignedConsent, ...]) -> str:
    clinics = [item.clinic for item in signed]
    rising = all(a < b for a, b in pairwise(clinics))
    return "" if rising else "signatures must be of different clinics, in ascending order"
