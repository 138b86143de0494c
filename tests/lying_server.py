"""`LyingServer`: keeps every message, works with some clinics, shows each clinic what it likes.

`read` is the adversary's gain: it takes off every mask that the server can know from what it was
sent and from its colluders' own memory, and gives the sum over any clinics that is left bare.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cairn_protocol import self_mask, shares
from cairn_protocol.errors import PeerFault
from cairn_protocol.fixed_point import decode as signed_integers
from cairn_protocol.fixed_point import from_wire
from cairn_protocol.masks import add_streams, pair_sign
from cairn_protocol.messages import (
    Certificate,
    Consent,
    Opening,
    SignedConsent,
    Survivors,
    Upload,
    decode,
)
from cairn_protocol.round_messages import (
    COMMITMENT_BYTES,
    NO_SHARE,
    SEALED_BYTES,
    SHARE_BYTES,
    consent_statement,
    parts,
)
from cairn_protocol.unmasking import sealed_for


@dataclass(frozen=True)
class Seen:
    """An opening, and the survivors for whom it was given."""

    survivors: tuple[int, ...]
    opening: Opening


class LyingServer:
    """One header: every clinic but `away` uploads its row of `vectors`; then `ask` and `certify`.

    Args:
        federation: clinics that have agreed on keys.
        vectors: (n, d) integers.
        colluders: clinics whose memory and identity the server uses.
        away: clinics that upload nothing.
    """

    def __init__(self, federation, vectors, *, colluders=(), away=(), **where) -> None:
        vectors = np.asarray(vectors)
        self.federation, self.colluders = federation, tuple(colluders)
        self.context = federation.context(length=vectors.shape[1], **where)
        self.requests = federation.requests(self.context)
        self.header = next(iter(self.requests.values())).header
        self.uploads: dict[int, Upload] = {
            clinic: decode(
                federation.upload(clinic, request, self.context, vectors[clinic]).to_bytes()
            )
            for clinic, request in self.requests.items()
            if clinic not in away
        }
        self.seen: list[tuple[int, Seen]] = []
        self.consents: dict[tuple[bytes, int], bytes] = {}

    def named(
        self,
        receiver: int,
        survivors: Sequence[int],
        uploads: Mapping[int, Upload] | None = None,
        sealed: bytes | None = None,
    ) -> Survivors:
        """The message that names these survivors to a clinic, by these uploads of theirs."""
        chosen = {clinic: (uploads or self.uploads)[clinic] for clinic in survivors}
        if sealed is None:
            sealed = sealed_for(self.header.participants, chosen).get(receiver, b"")
        digests = tuple(chosen[clinic].signed_digest for clinic in survivors)
        return Survivors(self.header.run, self.header.digest, digests, sealed)

    def ask(self, clinic: int, survivors: Sequence[int], **changes) -> Consent | Opening:
        """What the clinic answers when it is shown these survivors."""
        return self.send(clinic, self.named(clinic, survivors, **changes))

    def send(self, clinic: int, message: Survivors) -> Consent | Opening:
        """The clinic's answer, over the wire; it is kept."""
        run = self.federation.runs[clinic]
        reply = decode(run.survivors(decode(message.to_bytes())).to_bytes())
        if isinstance(reply, Opening):
            self.seen.append((clinic, Seen(message.survivors, reply)))
        else:
            self.consents[message.survivors_digest, clinic] = reply.signature
        return reply

    def certificate(
        self, clinic: int, survivors: Sequence[int], signers: Mapping[int, bytes] | None = None
    ) -> Certificate:
        """A certificate with every signature that was given, and the colluders' own."""
        named = self.named(clinic, survivors)
        if signers is None:
            signers = {
                signer: signature
                for (digest, signer), signature in self.consents.items()
                if digest == named.survivors_digest
            } | {c: self.consent(c, named) for c in self.colluders}
        signed = tuple(SignedConsent(c, signature) for c, signature in sorted(signers.items()))
        return Certificate(named.run, named, signed)

    def consent(self, clinic: int, named: Survivors) -> bytes:
        """A colluder's signature on any survivors."""
        statement = consent_statement(named.run, clinic, named.header, named.survivors_digest)
        return self.federation.identities[clinic].sign("survivors", statement)

    def certify(self, clinic: int, survivors: Sequence[int], signers=None) -> Opening:
        """What the clinic opens behind a certificate."""
        message = self.certificate(clinic, survivors, signers)
        run = self.federation.runs[clinic]
        reply = decode(run.certify(decode(message.to_bytes())).to_bytes())
        self.seen.append((clinic, Seen(tuple(survivors), reply)))
        return reply

    def take(self, clinic: int, survivors: Sequence[int], opening: Opening) -> None:
        """An opening that came another way."""
        self.seen.append((clinic, Seen(tuple(survivors), opening)))

    def read(self, clinics: Sequence[int], *, selves: bool = True) -> list[int] | None:
        """The sum of these clinics' vectors; None if a mask is left over it.

        Args:
            selves: whether there are self masks to take off.
        """
        streams = []
        for clinic in clinics:
            if selves and self.uploads[clinic].dealt:
                secret = self._self_seed(clinic)
                if secret is None:
                    return None
                streams.append((self_mask.stream_seed(secret, self.header.digest), -1))
            for peer in self.header.participants:
                if peer in clinics:
                    continue
                seed = self._pair_seed(clinic, peer)
                if seed is None:
                    return None
                streams.append((seed, -pair_sign(clinic, peer)))
        return self.bare(clinics, streams)

    def bare(self, clinics: Sequence[int], streams: Sequence[tuple[bytes, int]] = ()) -> list[int]:
        """Σ of these clinics' uploads with some streams added or taken off, as signed integers."""
        bits, length = self.context.modulus_bits, self.context.length
        rows = [from_wire(self.uploads[clinic].vector, bits, length) for clinic in clinics]
        total = np.sum(rows, axis=0, dtype=rows[0].dtype)
        add_streams(total, streams)
        return signed_integers(total, bits).tolist()

    def _self_seed(self, clinic: int) -> int | None:
        held: dict[int, bytes] = {}
        for opener, seen in self.seen:
            if clinic in seen.survivors:
                pieces = parts(seen.opening.shares, SHARE_BYTES)
                held[opener] = pieces[seen.survivors.index(clinic)]
        for colluder in self.colluders:
            if colluder != clinic and self.uploads[clinic].dealt:
                sealed = self.sealed_share(clinic, colluder)
                roots = self.federation.runs[colluder]._round._roots
                digest = self.header.digest
                held[colluder] = self_mask.unsealed(sealed, clinic, colluder, roots, digest)
        good = {opener: share for opener, share in held.items() if share != NO_SHARE}
        if len(good) < self.federation.study.policy.threshold:
            return None
        lambdas = shares.coefficients([self_mask.point(opener) for opener in good])
        try:
            return shares.rebuild([shares.from_bytes(share) for share in good.values()], lambdas)
        except PeerFault:
            return None

    def sealed_share(self, dealer: int, receiver: int) -> bytes:
        """The share that one clinic sealed for another, with the commitment to it."""
        participants, upload = list(self.header.participants), self.uploads[dealer]
        others = [c for c in participants if c != dealer]
        sealed = parts(upload.sealed, SEALED_BYTES)[others.index(receiver)]
        return sealed + parts(upload.commitments, COMMITMENT_BYTES)[participants.index(receiver)]

    def _pair_seed(self, clinic: int, peer: int) -> bytes | None:
        for one, other in ((clinic, peer), (peer, clinic)):
            if one in self.colluders:
                roots = self.federation.runs[one]._round._roots
                return roots.seed(other, self.header.digest)
            for opener, seen in self.seen:
                gone = [c for c in self.header.participants if c not in seen.survivors]
                if opener == one and other in gone:
                    return parts(seen.opening.seeds, SHARE_BYTES)[gone.index(other)]
        return None
