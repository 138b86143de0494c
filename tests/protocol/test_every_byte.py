"""Every byte of every message is changed in turn: refused without a trace, or provably harmless."""

from __future__ import annotations

import re
from contextlib import contextmanager

import numpy as np
import pytest

from cairn_protocol.errors import CairnError
from cairn_protocol.messages import (
    KINDS,
    AuditHead,
    AuditRequest,
    Certificate,
    Closed,
    CloseRun,
    Consent,
    Findings,
    Offer,
    Opening,
    Received,
    Refusal,
    RoundRequest,
    Standing,
    Survivors,
    decode,
)
from cairn_protocol.round_messages import NO_SHARE
from cairn_protocol.survivors import Answered

FLIPS = (0x01, 0x80)
LONG = 2500  # bytes


def flips(data: bytes):
    """`data` with one bit turned, for every byte: low and high bit; of a long message in turn."""
    long = len(data) > LONG
    for at in range(len(data)):
        for flip in FLIPS[at % 2 :][:1] if long else FLIPS:
            yield data[:at] + bytes((data[at] ^ flip,)) + data[at + 1 :]


@contextmanager
def untouched(run, snapshot):
    """Fails if the block changes `run`."""
    before = snapshot(run)
    yield
    assert snapshot(run) == before


def survivors(message, receive):
    """The changed messages of this kind that `receive` did not refuse."""
    kind, kept = type(message), []
    for changed in flips(message.to_bytes()):
        try:
            received = decode(changed)
            assert type(received) is kind, "one bit turned a kind into another"
            receive(received)
        except CairnError:
            continue
        kept.append(received)
    return kept


@pytest.fixture
def four(federate):
    """Four clinics of which three must survive."""
    return federate(4, dropout="recovered", survivors=3)


def test_open_run(federate):
    # Run id and setup number are the server's to choose, so a clinic cannot know them wrong; the
    # key package names the digest of what was opened, and the server that sent something else
    # refuses it. Everything else is under the team's signatures.
    federation = federate(3)
    kept = survivors(federation.opening, lambda message: federation.open(0, message))
    assert len(kept) == len(FLIPS) * (16 + 4)
    for message in kept:
        assert (message.study, message.roster) == (federation.signed, federation.signed_roster)
        _, package = federation.open(0, message)
        with pytest.raises(CairnError):
            federation.server.receive(0, package)


def test_key_package(four, snapshots):
    _, package = four.open(1)
    with untouched(four.server, snapshots):
        assert not survivors(package, lambda message: four.server.receive(1, message))


def test_packages(federate, snapshots):
    federation = federate(3).opened()
    run = federation.runs[1]
    with untouched(run, snapshots):
        packages = federation.server.packages()
        assert not survivors(packages, lambda message: run.confirm(message, {}))


def test_confirmation(federate, snapshots):
    federation = federate(3).opened()
    reply = federation.runs[1].confirm(federation.server.packages(), {})
    with untouched(federation.server, snapshots):
        assert not survivors(reply, lambda message: federation.server.receive(1, message))


def keepers_accept(federation, clinic):
    """What a keeper does with a request: its own context from the request's place and state."""

    def accept(message: RoundRequest) -> None:
        header = message.header
        context = federation.context(
            header.round, header.attempt, header.question, state=message.public
        )
        federation.runs[clinic].accept(message, context, bool)

    return accept


def test_first_round_request(three, snapshots):
    request = three.requests(three.context())[1]
    with untouched(three.runs[1], snapshots):
        assert not survivors(request, keepers_accept(three, 1))


def test_a_request_behind_a_round_of_all(three, snapshots):
    # No certificate stands over the uploads in this record, only their own signatures.
    three.round(np.ones((3, 5), dtype=np.int64))
    request = three.requests(three.context(round_=1))[1]
    assert request.records
    with untouched(three.runs[1], snapshots):
        assert not survivors(request, keepers_accept(three, 1))


def test_a_request_behind_a_recovered_round(four, snapshots):
    four.agreed().round(np.ones((4, 5), dtype=np.int64), lost=(3,))
    request = four.requests(four.context(round_=1))[1]
    assert request.records[0].consents
    with untouched(four.runs[1], snapshots):
        assert not survivors(request, keepers_accept(four, 1))


@pytest.fixture
def uploaded(four):
    """All but clinic 3 have uploaded."""
    four.agreed().ask(np.ones((4, 2), dtype=np.int64), lost=(3,))
    return four


def test_upload(four, snapshots):
    four.agreed()
    context = four.context()
    reply = four.upload(1, four.requests(context)[1], context, np.arange(5))
    with untouched(four.server, snapshots):
        assert not survivors(reply, lambda message: four.server.receive(1, message))


def test_survivors(uploaded, snapshots):
    # Shares are sealed, each with its commitment: one that was changed on the way does not open,
    # which is said in the reply, and what the clinic signs of U is not touched by it.
    named, run = uploaded.server.survivors()[1], uploaded.runs[1]
    with untouched(run, snapshots):
        assert not survivors(named, refused_but_for_shares(named, run.survivors))


def test_certificate(uploaded, snapshots):
    for clinic, named in uploaded.server.survivors().items():
        uploaded.server.receive(clinic, uploaded.runs[clinic].survivors(named))
    certificate, run = uploaded.server.certificate()[1], uploaded.runs[1]
    named = certificate.survivors
    check = refused_but_for_shares(named, run.certify)
    with untouched(run, snapshots):
        assert not survivors(certificate, check)


def refused_but_for_shares(named: Survivors, receive):
    """`receive`, but for messages that differ from the right ones only in the sealed shares."""

    def checked(message: Survivors | Certificate) -> None:
        inner = message if isinstance(message, Survivors) else message.survivors
        if inner.sealed != named.sealed and len(inner.sealed) == len(named.sealed):
            raise CairnError("for another test", code="shares")
        receive(message)

    return checked


def test_shares_changed_on_their_way_are_not_opened(federate):
    # The receiver's digest of U does not cover the shares, so each is judged by itself.
    federation = federate(3, dropout="recovered").agreed()
    federation.ask(np.ones((3, 2), dtype=np.int64))
    named, run = federation.server.survivors()[1], federation.runs[1]
    answered = Answered(named.survivors, named.survivors_digest, opened=True)
    half = len(named.sealed) // 2

    def opened(sealed: bytes) -> bytes:
        return run._round._open(answered, {0: sealed[:half], 2: sealed[half:]}).shares

    right = opened(named.sealed)
    assert NO_SHARE not in (right[:32], right[32:64], right[64:])
    for at, changed in enumerate(flips(named.sealed)):
        first = at < len(FLIPS) * half
        shares = opened(changed)
        assert (shares[:32] == NO_SHARE) is first
        assert (shares[64:] == NO_SHARE) is not first
        assert shares[32:64] == right[32:64]


def test_consent(uploaded, snapshots):
    reply = uploaded.runs[1].survivors(uploaded.server.survivors()[1])
    assert isinstance(reply, Consent)
    with untouched(uploaded.server, snapshots):
        assert not survivors(reply, lambda message: uploaded.server.receive(1, message))


def test_opening(federate, snapshots):
    federation = federate(3, dropout="recovered").agreed()
    federation.ask(np.ones((3, 2), dtype=np.int64))
    reply = federation.runs[1].survivors(federation.server.survivors()[1])
    assert isinstance(reply, Opening)
    with untouched(federation.server, snapshots):
        assert not survivors(reply, lambda message: federation.server.receive(1, message))


def test_close_run(federate):
    # Only the words of the reason can differ: they go into a log and nowhere else.
    def close(message: CloseRun) -> None:
        federate(3).opened().runs[0].close(message)  # a run that is still open, each time

    kept = survivors(CloseRun(federate(3).opening.run, "the study is done"), close)
    assert {message.run for message in kept} == {federate(3).opening.run}
    assert {message.records for message in kept} == {()}


def test_records_at_the_close(uploaded):
    # A record that does not begin where this clinic stands is passed over, as if none had come.
    uploaded.unmask()
    closing, run = uploaded.server.close("done")[1], uploaded.runs[1]
    history = run._history()
    assert history.follow(run.progress, None, closing.records) == closing.records != ()

    def news(message: CloseRun) -> None:
        followed = history.follow(run.progress, None, message.records)
        if message.records == closing.records or followed == ():
            raise CairnError("nothing new", code="same")

    assert not survivors(closing, news)


def test_closed(three, snapshots):
    reply = three.runs[1].close(three.server.close("done")[1])
    assert isinstance(reply, Closed)
    with untouched(three.server, snapshots):
        assert not survivors(reply, lambda message: three.server.receive(1, message))


def test_refusal(three, snapshots):
    # A refusal is not signed: whatever it says, the server only raises it.
    refusal = Refusal("budget.spent", "nothing is left")
    with untouched(three.server, snapshots):
        assert not survivors(refusal, lambda message: three.server.receive(1, message))


def test_every_kind_is_here():
    words = {kind: re.sub("([A-Z])", r"_\1", kind.__name__).lower() for kind in KINDS.values()}
    tests = [name + "_" for name in globals() if name.startswith("test_")]
    missing = {kind for kind, word in words.items() if not any(word + "_" in t for t in tests)}
    # These belong to no run.
    assert missing == {Offer, Standing, AuditRequest, AuditHead, Findings, Received}
