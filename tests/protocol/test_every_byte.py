"""Every byte of every message is changed in turn: refused without a trace, or provably harmless."""

from __future__ import annotations

from contextlib import contextmanager

import numpy as np
import pytest

from cairn_protocol.errors import CairnError
from cairn_protocol.messages import (
    CloseRun,
    Confirmation,
    KeyPackage,
    OpenRun,
    Packages,
    Refusal,
    RoundRequest,
    Upload,
    decode,
)

FLIPS = (0x01, 0x80)


def flips(data: bytes):
    """`data` with one bit turned, for every byte, low and high bit."""
    for at in range(len(data)):
        for flip in FLIPS:
            yield data[:at] + bytes((data[at] ^ flip,)) + data[at + 1 :]


@contextmanager
def untouched(run, snapshot):
    """Fails if the block changes `run`."""
    before = snapshot(run)
    yield
    assert snapshot(run) == before


def survivors(data, kind, receive):
    """The changed messages of `kind` that `receive` did not refuse."""
    kept = []
    for changed in flips(data):
        try:
            message = decode(changed)
            assert type(message) is kind, "one bit turned a kind into another"
            receive(message)
        except CairnError:
            continue
        kept.append(message)
    return kept


def test_open_run(federate):
    # Run id and setup number are the server's to choose, so a clinic cannot know them wrong; the
    # key package names the digest of what was opened, and the server that sent something else
    # refuses it. Everything else is under the team's signatures.
    federation = federate(3)
    kept = survivors(
        federation.opening.to_bytes(), OpenRun, lambda message: federation.open(0, message)
    )
    assert len(kept) == len(FLIPS) * (16 + 4)
    for message in kept:
        assert (message.study, message.roster) == (federation.signed, federation.signed_roster)
        _, package = federation.open(0, message)
        with pytest.raises(CairnError):
            federation.server.receive(0, package)


def test_key_package(federate, snapshots):
    federation = federate(3)
    _, package = federation.open(1)
    with untouched(federation.server, snapshots):
        assert not survivors(
            package.to_bytes(), KeyPackage, lambda message: federation.server.receive(1, message)
        )


def test_packages(federate, snapshots):
    federation = federate(3).opened()
    run = federation.runs[1]
    data = federation.server.packages().to_bytes()
    with untouched(run, snapshots):
        assert not survivors(data, Packages, lambda message: run.confirm(message, bytes(32)))


def test_confirmation(federate, snapshots):
    federation = federate(3).opened()
    reply = federation.runs[1].confirm(federation.server.packages(), bytes(32))
    with untouched(federation.server, snapshots):
        assert not survivors(
            reply.to_bytes(), Confirmation, lambda message: federation.server.receive(1, message)
        )


def keepers_accept(federation, clinic):
    """What a keeper does with a request: its own context from the request's place and state."""

    def accept(message: RoundRequest) -> None:
        header = message.header
        context = federation.context(
            header.round, header.attempt, header.question, state=message.public
        )
        federation.runs[clinic].accept(message, context)

    return accept


def test_first_round_request(three, snapshots):
    data = three.request(three.context()).to_bytes()
    with untouched(three.runs[1], snapshots):
        assert not survivors(data, RoundRequest, keepers_accept(three, 1))


def test_later_round_request(three, snapshots):
    three.round(np.ones((3, 5), dtype=np.int64))
    data = three.request(three.context(round_=1)).to_bytes()
    with untouched(three.runs[1], snapshots):
        assert not survivors(data, RoundRequest, keepers_accept(three, 1))


def test_upload(three, snapshots):
    context = three.context()
    reply = three.upload(1, three.request(context), context, np.arange(5))
    with untouched(three.server, snapshots):
        assert not survivors(
            reply.to_bytes(), Upload, lambda message: three.server.receive(1, message)
        )


def test_close_run(federate):
    # Only the words of the reason can differ: they go into a log and nowhere else.
    def close(message: CloseRun) -> None:
        federate(3).opened().runs[0].close(message)  # a run that is still open, each time

    data = CloseRun(federate(3).opening.run, "the study is done").to_bytes()
    kept = survivors(data, CloseRun, close)
    assert {message.run for message in kept} == {federate(3).opening.run}


def test_closed(three, snapshots):
    reply = three.runs[1].close(three.server.close("done"))
    with untouched(three.server, snapshots):
        assert not survivors(
            reply.to_bytes(), type(reply), lambda message: three.server.receive(1, message)
        )


def test_refusal(three, snapshots):
    # A refusal is not signed: whatever it says, the server only raises it.
    data = Refusal("budget.spent", "nothing is left").to_bytes()
    with untouched(three.server, snapshots):
        assert not survivors(data, Refusal, lambda message: three.server.receive(1, message))
