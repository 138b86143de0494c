"""`Lone`: one clinic among many, whose peers only ever do what it can see.

Its messages are those of a whole run: every peer's keys, marks, notes and upload are its own and
signed. A thousand clinics' notes to each other, and their vectors, would be made for nothing.
"""

from __future__ import annotations

import numpy as np
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from numpy.typing import NDArray

from benchmarks.masking_parties import PUBLIC_STATE, RUN, Parties, Size
from cairn_protocol.context import state_bytes
from cairn_protocol.keys import KeyPair, encapsulate, encapsulates
from cairn_protocol.messages import (
    Header,
    KeyPackage,
    Note,
    OpenRun,
    Packages,
    RoundRecord,
    RoundRequest,
    SignedDigest,
    Survivors,
    Upload,
    decode,
    genesis,
)
from cairn_protocol.round_messages import SHARE_BYTES, upload_statement
from cairn_protocol.self_mask import share_commitment
from cairn_protocol.wire_types import UNSIGNED


class Lone(Parties):
    """The clinic in the middle of the roster: half of its masks are added, half taken off."""

    def __init__(self, size: Size) -> None:
        super().__init__(size)
        self.own = size.clinics // 2
        self.others = [i for i in range(size.clinics) if i != self.own]
        self._notes: tuple[Note, ...] = ()
        self._records: tuple[RoundRecord, ...] = ()
        self._t1 = b""

    def agree(self) -> None:
        """The clinic has agreed on keys; its peers' notes wait for the first request."""
        opening = OpenRun(RUN, 0, self.signed, self.roster)
        with self.clock("open"):
            run, sent = self.open(self.own, opening.to_bytes())
        package = decode(sent)
        assert isinstance(package, KeyPackage)
        packages = {i: self._package(i, opening) for i in self.others} | {self.own: package}
        message = Packages(RUN, tuple(packages[i] for i in sorted(packages)))
        relayed = message.to_bytes()
        with self.clock("confirm"):
            self.confirm(run, relayed)
        self._t1 = message.t1
        self._notes = tuple(self._note(i, package) for i in self.others)
        self.runs = {self.own: run}

    def _package(self, clinic: int, opening: OpenRun) -> KeyPackage:
        keys = KeyPair.generate()
        unsigned = KeyPackage(
            run=RUN,
            clinic=clinic,
            opening=opening.digest,
            x25519=keys.x25519,
            mlkem=keys.mlkem,
            nonce=bytes(32),
            mark=self.mark(clinic),
            signature=UNSIGNED,
        )
        signature = self.identities[clinic].sign("key package", unsigned.signed)
        return unsigned.with_signature(signature)

    def _note(self, clinic: int, package: KeyPackage) -> Note:
        sends = encapsulates(clinic, self.own)
        ciphertext = encapsulate(package.mlkem)[1] if sends else b""
        note = Note(clinic, self.own, ciphertext, (), UNSIGNED)
        return note.signed_by(self.identities[clinic], RUN, self._t1)

    def round(self) -> NDArray[np.int64]:
        """One round of the clinic, all peers surviving; its vector, since nobody adds them up."""
        context = self.context()
        header = Header(
            run=RUN,
            t1=self._t1,
            question=context.question,
            round=context.round,
            attempt=context.attempt,
            participants=tuple(range(self.size.clinics)),
            context=context.digest,
            previous=self._records[-1].digest if self._records else genesis(RUN),
        )
        request = RoundRequest(header, state_bytes(PUBLIC_STATE), self._notes, self._records)
        upload = decode(self.upload(self.own, request.to_bytes(), context))
        assert isinstance(upload, Upload)
        digests = {i: self._digest(i, header) for i in self.others}
        digests[self.own] = upload.signed_digest
        signed = tuple(digests[i] for i in sorted(digests))
        named = Survivors(RUN, header.digest, signed, self._sealed(header))
        self.answer("survivors", {self.own: named.to_bytes()})
        self._notes, self._records = (), (RoundRecord(header, signed),)
        self.rounds += 1
        return self.vectors[self.own % 3]

    def _digest(self, clinic: int, header: Header) -> SignedDigest:
        digest, mark = bytes([clinic % 256]) * 32, self.mark(clinic)
        statement = upload_statement(RUN, clinic, header.digest, digest, mark)
        return SignedDigest(clinic, digest, mark, self.identities[clinic].sign("upload", statement))

    def _sealed(self, header: Header) -> bytes:
        """Every peer's share for the clinic, with what it promised. Their roots are its own."""
        round_ = self.runs[self.own]._round
        assert round_ is not None
        name, share = header.digest, bytes(SHARE_BYTES)
        return b"".join(
            AESGCM(round_._roots.unsealing(i, name)).encrypt(bytes(12), share, None)
            + share_commitment(share, i, self.own, name)
            for i in self.others
        )
