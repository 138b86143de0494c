"""The self mask: a seed that its clinic keeps, shared among the participants for the unmasking.

    b        uniform in GF(2²⁵⁵−19), fresh for every header
    mask     the stream of H("self mask", header ‖ b), added to the vector like a pair's
    shares   Shamir's, of degree t − 1, at the point index + 1 of each participant; each sealed by
             AES-256-GCM under a key that is used for nothing else
    promised H("self seed", header ‖ clinic ‖ b), and 16 bytes of H("share", header ‖ from ‖ to ‖
             share) for each share, so that whoever deals or opens a wrong one is named

A vector whose pair masks have all been taken off is still covered by this one, which is opened
only for survivors: so an upload that comes late is safe.  # SPEC 8.2
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from cairn_protocol import shares
from cairn_protocol.record import hashed
from cairn_protocol.roots import Roots
from cairn_protocol.round_messages import COMMITMENT_BYTES, NO_SHARE, SEALED_BYTES

_NONCE = bytes(12)  # each key seals one share


@dataclass(frozen=True)
class SelfMask:
    """A clinic's self mask for one header: `stream` and `own_share` stay, the rest is uploaded."""

    stream: bytes
    own_share: bytes
    commitment: bytes
    sealed: bytes
    commitments: bytes

    def __repr__(self) -> str:
        return "SelfMask(…)"


def make(
    own: int, participants: Sequence[int], threshold: int, roots: Roots, header: bytes
) -> SelfMask:
    """A fresh self mask of the clinic `own`, shared among `participants` (ascending)."""
    secret = shares.random_secret()
    dealt = shares.deal(secret, threshold, [point(clinic) for clinic in participants])
    pieces = {c: shares.to_bytes(share) for c, share in zip(participants, dealt, strict=True)}
    return SelfMask(
        stream=stream_seed(secret, header),
        own_share=pieces[own],
        commitment=seed_commitment(secret, own, header),
        sealed=b"".join(
            AESGCM(roots.sealing(clinic, header)).encrypt(_NONCE, piece, None)
            for clinic, piece in pieces.items()
            if clinic != own
        ),
        commitments=b"".join(
            share_commitment(piece, own, clinic, header) for clinic, piece in pieces.items()
        ),
    )


def unsealed(dealt: bytes, sender: int, receiver: int, roots: Roots, header: bytes) -> bytes:
    """The share, 32 bytes, that `sender` sealed for `receiver`; `NO_SHARE` if it did not.

    Args:
        dealt: the sealed share and the commitment to it. A share that does not fit the commitment
            is not opened: its dealer is to be named for it, not this clinic.
    """
    sealed, promised = dealt[:SEALED_BYTES], dealt[SEALED_BYTES:]
    try:
        share = AESGCM(roots.unsealing(sender, header)).decrypt(_NONCE, sealed, None)
    except InvalidTag:
        return NO_SHARE
    made = share_commitment(share, sender, receiver, header)
    return share if hmac.compare_digest(made, promised) else NO_SHARE


def point(clinic: int) -> int:
    """Where a clinic's share lies on the polynomial."""
    return clinic + 1


def stream_seed(secret: int, header: bytes) -> bytes:
    """The seed of the mask's stream."""
    return hashed("self mask", header, shares.to_bytes(secret))


def seed_commitment(secret: int, clinic: int, header: bytes) -> bytes:
    """A clinic's commitment to its seed, 32 bytes."""
    return hashed("self seed", header, clinic.to_bytes(2, "big"), shares.to_bytes(secret))


def share_commitment(share: bytes, dealer: int, receiver: int, header: bytes) -> bytes:
    """A dealer's commitment to one share, 16 bytes."""
    ends = dealer.to_bytes(2, "big") + receiver.to_bytes(2, "big")
    return hashed("share", header, ends, share)[:COMMITMENT_BYTES]
