"""Wrong shares: the right ones are used, and whoever dealt or opened a wrong one is named."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cairn_protocol import self_mask, shares
from cairn_protocol.errors import PeerFault
from cairn_protocol.messages import Opening, Upload
from cairn_protocol.round_messages import (
    COMMITMENT_BYTES,
    NO_SHARE,
    SEALED_BYTES,
    SHARE_BYTES,
    parts,
)

VECTORS = 10 ** np.arange(6)[:, None] * np.ones((1, 4), dtype=np.int64)
SUM = [111111] * 4


@pytest.fixture
def six(federate):
    """Six clinics, of which five must survive and four must open."""
    return federate(6, dropout="recovered", survivors=5, threshold=4).agreed()


def signed(federation, clinic: int, message):
    """The message under its clinic's own signature: what a lying clinic can send."""
    label = {Upload: "upload", Opening: "opening"}[type(message)]
    signature = federation.identities[clinic].sign(label, message.signed)
    return replace(message, signature=signature)


def openings(federation) -> dict[int, Opening]:
    """What every clinic opens, all of them having survived."""
    asked = federation.server.survivors()
    return {clinic: federation.runs[clinic].survivors(asked[clinic]) for clinic in asked}


def with_share(opening: Opening, column: int, share: bytes) -> Opening:
    """The opening with another share of clinic `column`'s seed."""
    held = parts(opening.shares, SHARE_BYTES)
    held[column] = share
    return replace(opening, shares=b"".join(held))


def take(federation, opened: dict[int, Opening]) -> None:
    """The server receives them."""
    for clinic, opening in opened.items():
        federation.server.receive(clinic, opening)


@pytest.mark.parametrize("wrong", [shares.to_bytes(7), b"\xff" * 31 + b"\xec"])
def test_an_opener_of_a_wrong_share_is_named_and_done_without(six, wrong):
    six.ask(VECTORS)
    opened = openings(six)
    opened[1] = signed(six, 1, with_share(opened[1], 3, wrong))
    take(six, opened)
    assert six.server.total().tolist() == SUM
    assert six.server.blamed == (1,)


def test_one_word_against_another_names_both(six):
    """A share that one clinic calls unreadable: it lies, or the dealer did not seal it."""
    six.ask(VECTORS)
    opened = openings(six)
    opened[1] = signed(six, 1, with_share(opened[1], 3, NO_SHARE))
    take(six, opened)
    assert six.server.total().tolist() == SUM
    assert six.server.blamed == ()
    assert six.server.disputed == ((3, 1),)


def test_a_dealer_whose_shares_are_not_those_that_it_promised_is_named(six, monkeypatch):
    """Its receivers see that they do not fit, so nobody else is named for opening them."""
    real = self_mask.share_commitment

    def lie(share: bytes, dealer: int, receiver: int, header: bytes) -> bytes:
        return real(share, dealer, receiver + dealer // 5, header)

    monkeypatch.setattr(self_mask, "share_commitment", lie)
    six.ask(VECTORS, lost=tuple(range(5)))
    monkeypatch.setattr(self_mask, "share_commitment", real)
    context = six.server._open.context
    for clinic in range(5):
        upload = six.upload(clinic, six.requests_again[clinic], context, VECTORS[clinic])
        six.server.receive(clinic, upload)
    opened = openings(six)
    assert all(parts(opened[c].shares, SHARE_BYTES)[5] == NO_SHARE for c in range(5))
    take(six, opened)
    with pytest.raises(PeerFault):
        six.server.total()
    assert six.server.blamed == (5,)
    assert six.server.disputed == ()


def test_two_openers_of_wrong_shares_are_both_named(six):
    six.ask(VECTORS)
    opened = openings(six)
    for liar in (0, 5):
        opened[liar] = signed(six, liar, with_share(opened[liar], 2, shares.to_bytes(liar)))
    take(six, opened)
    assert six.server.total().tolist() == SUM
    assert six.server.blamed == (0, 5)


def test_too_few_right_shares_void_the_round_and_name_the_openers(six):
    six.ask(VECTORS)
    opened = openings(six)
    for liar in (0, 1, 5):
        opened[liar] = signed(six, liar, with_share(opened[liar], 2, shares.to_bytes(liar)))
    take(six, opened)
    before = list(six.server.records)
    with pytest.raises(PeerFault) as refused:
        six.server.total()
    assert refused.value.code == "peer.shares-wrong"
    assert six.server.blamed == (0, 1, 5)
    assert six.server.records == before  # void: nothing for the next round to follow


def test_a_dealer_whose_shares_cannot_be_read_is_named_by_more_than_can_lie(six):
    six.ask(VECTORS, lost=(4,))
    context = six.server._open.context
    vector = np.full(4, VECTORS[4, 0]).astype(np.uint64)
    run = six.runs[4]
    run.accept(six.requests_again[4], context, lambda head: True)
    upload = run.upload(six.requests_again[4], vector, six.mark(4))
    garbage = parts(upload.sealed, SEALED_BYTES)
    garbage[:2] = [bytes(SEALED_BYTES)] * 2  # two receivers cannot read theirs; f is 1
    six.server.receive(4, signed(six, 4, replace(upload, sealed=b"".join(garbage))))
    # clinic 4 lied about its own upload; the others open what they can
    asked = six.server.survivors()
    opened = {c: six.runs[c].survivors(asked[c]) for c in asked if c != 4}
    assert [parts(opened[c].shares, SHARE_BYTES)[4] == NO_SHARE for c in (0, 1, 2)] == [1, 1, 0]
    take(six, opened)
    with pytest.raises(PeerFault):  # only three can read: too few for t = 4
        six.server.total()
    assert six.server.blamed == (4,)


def test_shares_of_no_polynomial_name_their_dealer(six, monkeypatch):
    real = shares.deal
    monkeypatch.setattr(shares, "deal", lambda secret, t, points: real(secret, 6, points))
    six.ask(VECTORS, lost=tuple(range(1, 6)))
    monkeypatch.setattr(shares, "deal", real)
    context = six.server._open.context
    for clinic in range(1, 6):
        upload = six.upload(clinic, six.requests_again[clinic], context, VECTORS[clinic])
        six.server.receive(clinic, upload)
    take(six, openings(six))
    with pytest.raises(PeerFault):
        six.server.total()
    assert six.server.blamed == (0,)


def test_an_opening_must_be_whole(six, refuses):
    six.ask(VECTORS)
    opened = openings(six)
    short = signed(six, 0, replace(opened[0], shares=opened[0].shares[:-SHARE_BYTES]))
    with refuses("peer.shares-missing", six.server):
        six.server.receive(0, short)


def test_a_sealed_share_says_nothing_to_another_clinic(six):
    six.ask(VECTORS)
    header = six.server._open.header.digest
    sealed = parts(six.server._open.uploads[0].sealed, SEALED_BYTES)
    promised = parts(six.server._open.uploads[0].commitments, COMMITMENT_BYTES)
    for_clinic_1 = sealed[0] + promised[1]
    read = [self_mask.unsealed(for_clinic_1, 0, c, six.runs[c]._roots, header) for c in (1, 2)]
    assert read[0] != NO_SHARE
    assert read[1] == NO_SHARE
