"""`Unmasking`: the server's arithmetic on one round: add, take off the self masks, read the sum.

    Σ_U y_i − Σ_U self_i − Σ_(i ∈ U, j ∉ U) ± stream_ij = Σ_U x_i

Self masks come back from t opened shares each; Lagrange's coefficients are computed once for a set
of openers. A seed is compared with its clinic's commitment; only if it differs, every share is,
and whoever dealt or opened a wrong one is named: the opener of a share that differs from the
commitment that it was shown; the dealer of shares that more than f could not read; dealer and
opener together, where it is one's word against the other's.  # SPEC 8.3
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from cairn_protocol import self_mask, shares
from cairn_protocol.context import Context
from cairn_protocol.errors import PeerFault
from cairn_protocol.fixed_point import decode, sum_of
from cairn_protocol.masks import Ring, add_streams, pair_sign
from cairn_protocol.messages import Header, Opening, Upload
from cairn_protocol.policy import Policy
from cairn_protocol.round_messages import (
    COMMITMENT_BYTES,
    NO_SHARE,
    SEALED_BYTES,
    SHARE_BYTES,
    parts,
)


class Unmasking:
    """One round's uploads and openings, each already checked to be its clinic's.

    Args:
        uploads: of the survivors, by clinic.
        openings: at least `policy.threshold` of theirs; all of theirs where a participant is gone.
    """

    def __init__(
        self,
        header: Header,
        context: Context,
        policy: Policy,
        uploads: Mapping[int, Upload],
        openings: Mapping[int, Opening],
    ) -> None:
        self.blamed: set[int] = set()  # clinics that dealt or opened a wrong share
        self.disputed: set[tuple[int, int]] = set()  # (dealer, opener): one of the two
        self._header, self._context, self._threshold = header, context, policy.threshold
        self._colluding = policy.colluding
        self._uploads, self._openings = uploads, openings
        self._survivors = sorted(uploads)

    def plain_sum(self) -> NDArray[np.int64]:
        """The sum of uploads whose masks cancel, (length,) int64."""
        return decode(self._added(), self._context.modulus_bits)

    def sum(self) -> NDArray[np.int64]:
        """The sum of the survivors' vectors, (length,) int64.

        Raises:
            PeerFault: `peer.shares-wrong`.
        """
        digest = self._header.digest
        own = [(self_mask.stream_seed(secret, digest), -1) for secret in self._secrets()]
        total = self._added()
        add_streams(total, own + self._left_over())
        return decode(total, self._context.modulus_bits)

    def _added(self) -> Ring:
        bits, length = self._context.modulus_bits, self._context.length
        return sum_of([self._uploads[clinic].vector for clinic in self._survivors], bits, length)

    def _left_over(self) -> list[tuple[bytes, int]]:
        """Seeds of the pair masks that did not cancel, each with the sign that takes it off."""
        gone = [c for c in self._header.participants if c not in self._uploads]
        if not gone:
            return []
        return [
            (seed, -pair_sign(clinic, peer))
            for clinic, opening in self._openings.items()
            for peer, seed in zip(gone, parts(opening.seeds, SHARE_BYTES), strict=True)
        ]

    def _secrets(self) -> list[int]:
        """Each survivor's self-mask seed, in order."""
        table = {
            opener: parts(opening.shares, SHARE_BYTES) for opener, opening in self._openings.items()
        }
        openers = sorted(table)[: self._threshold]
        coefficients = shares.coefficients([self_mask.point(opener) for opener in openers])
        secrets = []
        for column, dealer in enumerate(self._survivors):
            try:
                opened = [shares.from_bytes(table[opener][column]) for opener in openers]
                secret = shares.rebuild(opened, coefficients)
            except PeerFault:  # not a number of the field
                secret = -1
            if not self._promised(dealer, secret):
                secret = self._from_right_shares(
                    dealer, {opener: table[opener][column] for opener in table}
                )
            secrets.append(secret)
        return secrets

    def _promised(self, dealer: int, secret: int) -> bool:
        if secret < 0:
            return False
        made = self_mask.seed_commitment(secret, dealer, self._header.digest)
        return made == self._uploads[dealer].commitment

    def _from_right_shares(self, dealer: int, opened: Mapping[int, bytes]) -> int:
        """The dealer's seed from those shares alone that it committed to."""
        promised = dict(
            zip(
                self._header.participants,
                parts(self._uploads[dealer].commitments, COMMITMENT_BYTES),
                strict=True,
            )
        )
        digest = self._header.digest
        right: dict[int, int] = {}
        unreadable = [opener for opener, share in opened.items() if share == NO_SHARE]
        if len(unreadable) > self._colluding:  # more than can lie about it
            self.blamed.add(dealer)
        else:
            self.disputed |= {(dealer, opener) for opener in unreadable}
        for opener, share in opened.items():
            if opener in unreadable:
                continue
            made = self_mask.share_commitment(share, dealer, opener, digest)
            if made == promised[opener]:
                right[opener] = int.from_bytes(share, "big")
            else:  # it had the commitment, and could have said that they do not fit
                self.blamed.add(opener)
        chosen = sorted(right)[: self._threshold]
        if len(chosen) == self._threshold:
            coefficients = shares.coefficients([self_mask.point(opener) for opener in chosen])
            secret = shares.rebuild([right[opener] for opener in chosen], coefficients)
            if self._promised(dealer, secret):
                return secret
            self.blamed.add(dealer)
        raise PeerFault(
            "the masks of this round cannot be taken off",
            code="shares-wrong",
            why="some clinics' shares are not those that were promised",
            hint="the round is void; see which clinics are named, and ask again",
        )


def sealed_for(participants: Sequence[int], uploads: Mapping[int, Upload]) -> dict[int, bytes]:
    """For each survivor what the others dealt to it: sealed shares, each with its commitment."""
    survivors = sorted(uploads)
    sealed = {dealer: parts(uploads[dealer].sealed, SEALED_BYTES) for dealer in survivors}
    promised = {d: parts(uploads[d].commitments, COMMITMENT_BYTES) for d in survivors}
    place = {clinic: at for at, clinic in enumerate(participants)}
    return {
        receiver: b"".join(
            sealed[dealer][place[receiver] - (receiver > dealer)]
            + promised[dealer][place[receiver]]
            for dealer in survivors
            if dealer != receiver
        )
        for receiver in survivors
    }
