"""Messages that set a run up: keys and their confirmation.  # SPEC 5"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, ClassVar

from cairn_protocol.codec import Blob, Fixed, UInt
from cairn_protocol.identity import Identity, verify
from cairn_protocol.keys import CIPHERTEXT_BYTES, MLKEM_BYTES, X25519_BYTES
from cairn_protocol.mark import Mark
from cairn_protocol.policy import LARGEST_ROSTER
from cairn_protocol.record import Many, Message, Nested, Record, hashed
from cairn_protocol.roster import SignedRoster
from cairn_protocol.signed_study import SignedStudy
from cairn_protocol.wire_types import Clinic, Hash, Run, Signature, Signed


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
    """A clinic's fresh keys for one setup, bound to the very `OpenRun` that it answers."""

    kind: ClassVar[int] = 2

    run: Run
    clinic: Clinic
    opening: Hash  # OpenRun.digest
    x25519: Annotated[bytes, Fixed(X25519_BYTES)]
    mlkem: Annotated[bytes, Fixed(MLKEM_BYTES)]
    nonce: Hash
    mark: Annotated[Mark, Nested(Mark)]
    signature: Signature


@dataclass(frozen=True)
class Packages(Message):
    """The key packages of a setup's participants, in ascending order of their indices."""

    kind: ClassVar[int] = 3

    run: Run
    packages: Annotated[tuple[KeyPackage, ...], Many(KeyPackage, LARGEST_ROSTER)]

    def fault(self) -> str:
        if not self.packages or any(a >= b for a, b in pairwise(self.participants)):
            return "packages must be of one or more clinics, in ascending order"
        return ""

    @property
    def participants(self) -> tuple[int, ...]:
        """P, ascending."""
        return tuple(package.clinic for package in self.packages)

    @property
    def t1(self) -> bytes:
        """T1: the digest that every clinic confirms and that every key is derived under."""
        return hashed("T1", self.body)


@dataclass(frozen=True)
class Note(Record):
    """From one clinic to another: its word on T1, a key ciphertext, and what it knew of the other.

    `ciphertext` is empty where the receiver encapsulates. `witness` is the newest mark of the
    receiver that the sender had seen in earlier setups, if any.
    """

    sender: Clinic
    receiver: Clinic
    ciphertext: Annotated[bytes, Blob(CIPHERTEXT_BYTES)]
    witness: Annotated[tuple[Mark, ...], Many(Mark, 1)]
    signature: Signature

    def fault(self) -> str:
        if self.sender == self.receiver:
            return "a clinic sends itself no note"
        if len(self.ciphertext) not in (0, CIPHERTEXT_BYTES):
            return "ciphertext must be whole or empty"
        return ""

    def signed(self, run: bytes, t1: bytes) -> bytes:
        """What the signature covers: run ‖ T1 ‖ the note without it."""
        return run + t1 + self.body[: -len(self.signature)]

    def signed_by(self, identity: Identity, run: bytes, t1: bytes) -> Note:
        """The note under the sender's signature."""
        signature = identity.sign("note", self.signed(run, t1))
        return Note(self.sender, self.receiver, self.ciphertext, self.witness, signature)

    def genuine(self, key: bytes, run: bytes, t1: bytes) -> bool:
        """Whether the clinic with this public key signed it for this run and T1."""
        return verify(key, "note", self.signed(run, t1), self.signature)


Notes = Annotated[tuple[Note, ...], Many(Note, LARGEST_ROSTER)]


@dataclass(frozen=True)
class Confirmation(Message):
    """A clinic's notes, one to every other participant, ascending; each signs T1."""

    kind: ClassVar[int] = 4

    run: Run
    clinic: Clinic
    t1: Hash
    notes: Notes

    def fault(self) -> str:
        receivers = [note.receiver for note in self.notes]
        if any(a >= b for a, b in pairwise(receivers)):
            return "notes must be to different clinics, in ascending order"
        if any(note.sender != self.clinic for note in self.notes):
            return "notes must be this clinic's own"
        return ""
