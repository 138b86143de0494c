"""`ClinicRound`: one header at one clinic: its masks, what it uploaded, what it opened.

R12 and R16 to R19 of `clinic_run` are kept here; which survivors may be opened is decided in
`survivors`. A round's secrets go with this object.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from cairn_protocol import self_mask
from cairn_protocol.codec import refuse
from cairn_protocol.context import Context
from cairn_protocol.errors import OurFault
from cairn_protocol.fixed_point import to_wire, word
from cairn_protocol.identity import Identity, Label, verify
from cairn_protocol.mark import Mark
from cairn_protocol.masks import Ring, masked, masked_bytes
from cairn_protocol.messages import (
    Certificate,
    Consent,
    Header,
    Opening,
    Survivors,
    Upload,
)
from cairn_protocol.roots import Roots
from cairn_protocol.round_messages import (
    DEALT_BYTES,
    NO_COMMITMENT,
    consent_statement,
    parts,
    upload_digest,
    upload_statement,
)
from cairn_protocol.self_mask import SelfMask
from cairn_protocol.survivors import (
    Answered,
    SurvivorRules,
    certify,
    check_verified,
    consider,
)
from cairn_protocol.wire_types import UNSIGNED

_NO_SHARES: Final = (NO_COMMITMENT, b"", b"")


class ClinicRound:
    """An accepted header.

    Args:
        roots: of the setup, turned to this round.
        keys: every clinic's Ed25519 public key, by index.
        recovers: whether the vector gets a self mask and survivors are opened.
    """

    def __init__(
        self,
        identity: Identity,
        header: Header,
        context: Context,
        *,
        roots: Roots,
        rules: SurvivorRules,
        keys: Mapping[int, bytes],
        recovers: bool,
    ) -> None:
        self.header, self.context = header, context
        self.answered: Answered | None = None
        self.uploaded = b""  # digest of the upload
        self._identity, self._roots, self._rules, self._keys = identity, roots, rules, keys
        self._recovers = recovers
        self._mask: SelfMask | None = None

    def upload(self, vector: Ring, mark: Mark) -> Upload:
        """The masked, signed vector: (length,) of the context's ring, noised and encoded.

        Args:
            mark: where this clinic stands once it was charged for the vector.

        Raises:
            OurFault: another shape, or a second vector under one header (R12).
        """
        context, header, own = self.context, self.header, self._rules.own
        if vector.shape != (context.length,) or vector.dtype != word(context.modulus_bits):
            raise OurFault("the vector is not of the shape that was agreed", code="vector-type")
        mask = self._mask
        if mask is None and self._recovers:
            mask = self_mask.make(
                own, header.participants, self._rules.threshold, self._roots, header.digest
            )
        seeds = self._roots.seeds(header.digest)
        masks, bits = (own, seeds, mask.stream if mask else None), context.modulus_bits
        whole = bits == 8 * vector.dtype.itemsize  # words travel as they are
        wire = masked_bytes(vector, *masks) if whole else to_wire(masked(vector, *masks), bits)
        shares = (mask.commitment, mask.sealed, mask.commitments) if mask else _NO_SHARES
        digest = upload_digest(context.modulus_bits, wire, *shares)
        if self.uploaded not in (b"", digest):  # R12
            raise OurFault("a second vector under one header", code="second-vector")
        statement = upload_statement(header.run, own, header.digest, digest, mark)
        upload = Upload(
            header.run,
            own,
            header.digest,
            context.modulus_bits,
            wire,
            *shares,
            mark,
            self._identity.sign("upload", statement),
        )
        self._mask, self.uploaded = mask, digest
        return upload

    def recount(self, verified: frozenset[int] | None) -> None:
        """From now on these clinics count as verified."""
        self._rules = replace(self._rules, verified=verified)

    def check_counted(self, verified: frozenset[int] | None) -> None:
        """Refuses where these clinics are too few to count as verified. Changes nothing.

        Raises:
            PolicyRefusal: too few survivors that this clinic has answered for are among them.
        """
        if (answered := self.answered) is not None:
            rules = replace(self._rules, verified=verified)
            check_verified(rules, answered.survivors, rules.verified_least)

    def consider(self, message: Survivors) -> Consent | Opening:
        """What this clinic says to the survivors that the server names.

        Raises:
            PeerFault: R16 to R18 is broken.
            PolicyRefusal: too few survivors are verified here.
        """
        self._check_named(message)
        answered = consider(self._rules, self.answered, message.survivors, message.survivors_digest)
        sealed = self._shares_for_me(message)
        if answered.opened:
            reply: Consent | Opening = self._open(answered, sealed)
        else:
            statement = consent_statement(*self._said(answered.digest))
            signature = self._identity.sign("survivors", statement)
            reply = Consent(*self._said(answered.digest), signature)
        self.answered = answered
        return reply

    def certify(self, message: Certificate) -> Opening:
        """Shares and seeds, behind the signatures of t survivors.

        Raises:
            PeerFault: R18 or R19 is broken.
        """
        named = message.survivors
        self._check_named(named)
        for consent in message.consents:
            statement = consent_statement(
                message.run, consent.clinic, named.header, named.survivors_digest
            )
            if not self._signed(consent.clinic, "survivors", statement, consent.signature):
                refuse("consent-forged", "a signature on the survivors is not its clinic's")
        signers = frozenset(consent.clinic for consent in message.consents)
        answered = certify(  # R19
            self._rules, self.answered, named.survivors, named.survivors_digest, signers
        )
        reply = self._open(answered, self._shares_for_me(named))
        self.answered = answered
        return reply

    def _check_named(self, message: Survivors) -> None:
        if message.run != self.header.run:
            refuse("run-foreign", "the message is of another run")
        if message.header != self.header.digest or not self._recovers:
            refuse("header-differs", "the message is of another round or attempt")
        for upload in message.uploads:  # R18
            statement = upload.signed(message.run, message.header)
            if not self._signed(upload.clinic, "upload", statement, upload.signature):
                refuse("upload-forged", "a survivor's upload is not signed by it")
            if upload.clinic == self._rules.own and upload.upload != self.uploaded:  # R16
                refuse("upload-substituted", "this clinic's own upload was exchanged")

    def _signed(self, clinic: int, label: Label, statement: bytes, signature: bytes) -> bool:
        key = self._keys.get(clinic)
        return key is not None and verify(key, label, statement, signature)

    def _shares_for_me(self, message: Survivors) -> dict[int, bytes]:
        others = [clinic for clinic in message.survivors if clinic != self._rules.own]
        sealed = parts(message.sealed, DEALT_BYTES)
        if len(sealed) != len(others):
            refuse("shares-missing", "not every survivor's share came with the survivors")
        return dict(zip(others, sealed, strict=True))

    def _open(self, answered: Answered, sealed: Mapping[int, bytes]) -> Opening:
        if self._mask is None:
            raise OurFault("there is no self mask to open", code="not-accepted")
        digest, roots = self.header.digest, self._roots
        shares = [
            self._mask.own_share
            if clinic == self._rules.own
            else self_mask.unsealed(sealed[clinic], clinic, self._rules.own, roots, digest)
            for clinic in answered.survivors
        ]
        gone = [c for c in self.header.participants if c not in answered.survivors]
        unsigned = Opening(
            *self._said(answered.digest),
            b"".join(shares),
            b"".join(roots.seed(clinic, digest) for clinic in gone),
            UNSIGNED,
        )
        return unsigned.with_signature(self._identity.sign("opening", unsigned.signed))

    def _said(self, survivors: bytes) -> tuple[bytes, int, bytes, bytes]:
        return self.header.run, self._rules.own, self.header.digest, survivors
