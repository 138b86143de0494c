"""Several runs, a new roster, a pause in the middle: what people decided and what was charged."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cairn_client.active_runs import MOST_RUNS
from cairn_protocol.messages import (
    Closed,
    KeyPackage,
    OpenRun,
    Refusal,
    RoundRequest,
    Upload,
)
from cairn_protocol.record import Message
from cairn_protocol.roster import SignedRoster
from cairn_protocol.server_run import ServerRun
from keeper_bench import Bench

Make = Callable[..., Bench]


def refused(reply: Message) -> str:
    assert isinstance(reply, Refusal), reply
    return reply.code


def another_run(b: Bench, number: int) -> OpenRun:
    return ServerRun.open(bytes((number,)) * 16, b.signed, b.roster)[1]


def newer_roster(b: Bench, team) -> SignedRoster:
    """The same clinics again: what matters is that people looked at another paper."""
    keys = {e.clinic: e.identity for e in b.roster.roster.entries}
    return SignedRoster.sign(b.roster.roster.next(keys), team)


def test_a_run_under_a_roster_that_people_have_replaced_is_over(bench: Make) -> None:
    b = bench()
    b.settle(0)
    store = b.boot(0)
    b.set_up()
    asked = b.requests()
    roster = newer_roster(b, b.team)
    store.offer(b.signed, roster)
    store.decide(b.signed.digest, roster.roster.digest, "approved", "Ada")
    assert refused(b.ask(asked)) == "policy.roster-changed"
    assert not b.keepers[0].clinic.has_ledger or not b.keepers[0].ledger.entries()


def test_closing_one_of_two_runs_leaves_the_records_to_the_other(bench: Make) -> None:
    b = bench()
    b.set_up()
    second = another_run(b, 7)
    assert isinstance(b.ask(second), KeyPackage)
    server = ServerRun.open(bytes((7,)) * 16, b.signed, b.roster)[0]
    assert isinstance(b.ask(server.close("done").get(0)), Closed)
    assert isinstance(b.ask(b.requests()), Upload)


def test_a_pause_between_an_upload_and_its_leaving_does_not_undo_the_charge(bench: Make) -> None:
    b = bench()
    b.settle(0)

    def paused(step: str) -> None:
        if step == "kept":
            store.decide(b.signed.digest, b.roster.roster.digest, "paused", "Ada")

    store = b.boot(0, passing=paused)
    b.set_up()
    asked = b.requests()
    assert refused(b.ask(asked)) == "policy.study-not-approved"
    entry = b.keepers[0].ledger.entries()[-1]
    assert entry.number not in {e.number for e in b.keepers[0].ledger.pending()}
    store.decide(b.signed.digest, b.roster.roster.digest, "approved", "Ada")
    assert isinstance(b.ask(asked), Upload)


def test_a_closing_is_heard_again_after_the_run_was_opened_again(bench: Make) -> None:
    b = bench()
    b.set_up()
    closing = b.server.close("done")
    assert isinstance(b.ask(closing), Closed)
    b.reopen(1)
    assert isinstance(b.ask(b.opening), KeyPackage)
    (active,) = b.keepers[0]._active
    assert isinstance(b.ask(closing), Closed)
    assert not b.keepers[0]._active
    assert active.run._agreement is None, "its keys went"


def test_a_server_that_opens_run_after_run_fills_no_memory(bench: Make) -> None:
    b = bench()
    b.ask(b.opening)
    (first,) = b.keepers[0]._active
    for number in range(1, 9):
        assert isinstance(b.ask(another_run(b, number)), KeyPackage)
        assert len(b.keepers[0]._active) <= MOST_RUNS
    assert first.run._agreement is None, "its keys went"


@pytest.mark.parametrize("on_disk", [True, False])
def test_a_server_that_opens_run_after_run_fills_no_disk(
    bench: Make, monkeypatch: pytest.MonkeyPatch, *, on_disk: bool
) -> None:
    monkeypatch.setattr("cairn_client.active_runs.MOST_KEPT_RUNS", 3)
    b = bench()
    if on_disk:
        b.settle(0)
        b.boot(0)
    b.set_up()
    for number in (1, 2):
        assert isinstance(b.ask(another_run(b, number)), KeyPackage)
    state = b.keepers[0].state
    for number in (3, 4):
        assert refused(b.ask(another_run(b, number))) == "policy.too-many-runs"
        assert state.place(another_run(b, number).run) is None
    assert state.runs(b.signed.digest) == 3
    assert state.runs(bytes(32)) == 0
    b.reopen(1)
    assert isinstance(b.ask(b.opening), KeyPackage), "a known run goes on"


@pytest.mark.parametrize("kind", [RoundRequest])
def test_a_run_that_was_given_up_is_unknown(bench: Make, kind: type) -> None:
    b = bench()
    b.set_up()
    asked = b.requests()
    for number in range(1, 4):
        b.ask(another_run(b, number))
    assert refused(b.ask(asked)) == "peer.run-unknown"
