"""A keeper while survivors are named and opened: pauses (K6), resends (K5), and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from cairn_client.keeper_store import KeeperStore
from cairn_protocol.messages import Consent, Opening, Refusal, Survivors, Upload
from cairn_protocol.record import Message
from keeper_bench import RECOVERED, Bench

Make = Callable[..., Bench]
ASH, YEW = 0, 4


def refused(reply: Message) -> str:
    assert isinstance(reply, Refusal), reply
    return reply.code


def without_the_last(named: Survivors) -> Survivors:
    """Another set of survivors, with the shares that belong to it."""
    share = len(named.sealed) // (len(named.uploads) - 1)
    return replace(named, sealed=named.sealed[:-share], uploads=named.uploads[:-1])


class Round:
    """Five clinics, the first with a store; every one but `lost` has uploaded."""

    def __init__(self, bench: Bench, *lost: int) -> None:
        self.bench = bench
        bench.settle(ASH)
        self.store = bench.boot(ASH)
        bench.set_up()
        self.requests = bench.requests()
        bench.everyone(self.requests, but=lost)
        self.survivors = bench.server.survivors()

    def ask(self, message: Message) -> Message:
        return self.bench.ask(message, ASH)

    def decide(self, state: str) -> None:
        b = self.bench
        roster = b.roster.roster.digest
        self.store.decide(b.signed.digest, roster, state, "Ada")  # type: ignore[arg-type]


@pytest.fixture
def all_uploaded(bench: Make) -> Round:
    return Round(bench(text=RECOVERED))


@pytest.fixture
def one_lost(bench: Make) -> Round:
    return Round(bench(text=RECOVERED), YEW)


def test_where_all_survived_one_more_exchange_opens_the_sum(all_uploaded: Round) -> None:
    replies = all_uploaded.bench.everyone(all_uploaded.survivors)
    assert all(isinstance(reply, Opening) for reply in replies)
    assert all_uploaded.bench.server.certificate() == {}
    assert all_uploaded.bench.server.total().shape == (9,)  # four numbers an arm, and one


def test_without_one_clinic_the_others_sign_and_then_open(one_lost: Round) -> None:
    b = one_lost.bench
    assert all(isinstance(reply, Consent) for reply in b.everyone(one_lost.survivors))
    assert all(isinstance(reply, Opening) for reply in b.everyone(b.server.certificate()))
    assert b.server.total().shape == (9,)  # four numbers an arm, and one
    assert b.server.records[-1].survivors == (0, 1, 2, 3)


def test_every_stage_is_kept_and_sent_again_byte_for_byte(one_lost: Round) -> None:
    b = one_lost.bench
    b.everyone(one_lost.survivors)
    certificate = b.server.certificate()
    b.everyone(certificate)
    asked = (one_lost.requests[ASH], one_lost.survivors[ASH], certificate[ASH])
    first = [one_lost.ask(message) for message in asked]
    assert [type(reply) for reply in first] == [Upload, Consent, Opening]
    one_lost.store = b.boot(ASH)
    assert [one_lost.ask(message) for message in asked] == first, "a restart changes nothing"
    spent = b.keepers[ASH].ledger.spent()
    assert [one_lost.ask(message) for message in asked] == first
    assert b.keepers[ASH].ledger.spent() == spent


def test_after_a_restart_nothing_new_is_signed_or_opened(one_lost: Round) -> None:
    """Its roots are gone; what it said stands, and nobody gets it to say anything else."""
    b = one_lost.bench
    b.everyone(one_lost.survivors)
    certificate = b.server.certificate()
    one_lost.store = b.boot(ASH)
    mine = one_lost.survivors[ASH]
    assert refused(one_lost.ask(without_the_last(mine))) == "peer.run-unknown"
    assert refused(one_lost.ask(certificate[ASH])) == "peer.run-unknown"
    assert isinstance(one_lost.ask(mine), Consent)


def test_one_set_of_survivors_is_answered_and_no_other(one_lost: Round) -> None:
    mine = one_lost.survivors[ASH]
    first = one_lost.ask(mine)
    assert isinstance(first, Consent)
    place = one_lost.store.place(mine.run)
    assert place is not None
    assert place.progress.survivors == mine.survivors_digest, "kept before it left"
    assert isinstance(one_lost.ask(without_the_last(mine)), Refusal)
    assert one_lost.ask(mine) == first
    assert one_lost.store.place(mine.run) == place


@pytest.mark.parametrize("state", ["paused", "refused"])
def test_a_pause_after_the_upload_stops_the_opening_and_costs_the_others_nothing(
    all_uploaded: Round, state: str
) -> None:
    b = all_uploaded.bench
    all_uploaded.decide(state)
    assert refused(all_uploaded.ask(all_uploaded.survivors[ASH])) == "policy.study-not-approved"
    assert refused(all_uploaded.ask(all_uploaded.requests[ASH])) == "policy.study-not-approved"
    b.everyone(all_uploaded.survivors, but=(ASH,))
    assert np.any(b.server.total()), "four others open the sum that it is in"
    entries = b.keepers[ASH].ledger.entries()
    assert [entry.state for entry in entries] == ["committed"], "so its charge stays"
    all_uploaded.decide("approved")
    assert isinstance(all_uploaded.ask(all_uploaded.survivors[ASH]), Opening)


def test_a_pause_between_signing_and_opening_stops_both(one_lost: Round) -> None:
    b = one_lost.bench
    b.everyone(one_lost.survivors)
    certificate = b.server.certificate()
    one_lost.decide("paused")
    for message in (one_lost.survivors[ASH], certificate[ASH], one_lost.requests[ASH]):
        assert refused(one_lost.ask(message)) == "policy.study-not-approved"
    b.everyone(certificate, but=(ASH,))
    assert not b.server.enough, "all four are needed: the attempt is void"
    one_lost.decide("approved")
    assert isinstance(one_lost.ask(certificate[ASH]), Opening)


@pytest.mark.parametrize("step", ["survivors kept", "opening kept"])
def test_a_pause_while_it_answers_holds_the_answer_back(bench: Make, step: str) -> None:
    r = Round(bench(text=RECOVERED), YEW)
    b = r.bench

    def passing(passed: str) -> None:
        if passed == step:
            r.decide("paused")

    b.keepers[ASH]._passing = passing
    first = b.everyone(r.survivors, but=(ASH,)) and r.ask(r.survivors[ASH])
    if step == "opening kept":
        assert isinstance(first, Consent)
        b.server.receive(ASH, first)
        certificate = b.server.certificate()[ASH]
        assert refused(r.ask(certificate)) == "policy.study-not-approved"
        r.decide("approved")
        assert isinstance(r.ask(certificate), Opening)
    else:
        assert refused(first) == "policy.study-not-approved"
        r.decide("approved")
        assert isinstance(r.ask(r.survivors[ASH]), Consent)


def test_what_is_kept_of_a_round_goes_with_the_next(one_lost: Round) -> None:
    b = one_lost.bench
    b.everyone(one_lost.survivors)
    b.everyone(b.server.certificate())
    b.server.total()
    assert replies(one_lost.store) == 3
    b.everyone(b.requests("course"), but=(YEW,))
    assert replies(one_lost.store) == 1
    assert refused(one_lost.ask(one_lost.survivors[ASH])).startswith("peer.")
    b.everyone(b.server.survivors())
    b.everyone(b.server.certificate())
    b.server.total()
    b.ask(b.server.close("done"), ASH)
    assert replies(one_lost.store) == 1, "the last word"


def replies(store: KeeperStore) -> int:
    count: int = store._database.execute("SELECT count(*) FROM replies").fetchone()[0]
    return count


def test_a_run_that_was_never_opened_here_is_refused(one_lost: Round) -> None:
    b = one_lost.bench
    b.everyone(one_lost.survivors)
    certificate = b.server.certificate()[ASH]
    named = replace(certificate.survivors, run=b"?" * 16)
    for foreign in (named, replace(certificate, run=b"?" * 16, survivors=named)):
        assert refused(one_lost.ask(foreign)) == "peer.run-unknown"


def test_a_study_that_forbids_dropout_opens_nothing(bench: Make) -> None:
    b = bench()
    b.set_up()
    requests = b.requests()
    b.everyone(requests)
    asked = Survivors(bytes(16), requests[0].header.digest, (), b"")
    assert refused(b.ask(asked)) == "peer.header-differs"
