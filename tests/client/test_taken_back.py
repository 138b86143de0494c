"""What a clinic's people take back counts at the next request: who is real, and which roster."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from cairn_client.active_runs import ActiveRuns
from cairn_client.keeper_state import Place
from cairn_client.keeper_store import KeeperStore
from cairn_client.seal import Seal
from cairn_protocol.errors import PolicyRefusal
from cairn_protocol.identity import Identity, fingerprint
from cairn_protocol.messages import (
    Closed,
    Confirmation,
    Consent,
    KeyPackage,
    Opening,
    Refusal,
    Upload,
)
from cairn_protocol.progress import NOTHING
from cairn_protocol.record import Message
from cairn_protocol.roster import SignedRoster
from keeper_bench import RECOVERED, Bench

Make = Callable[..., Bench]
TOO_FEW = "policy.too-few-verified"


def refused(reply: Message) -> str:
    assert isinstance(reply, Refusal), reply
    return reply.code


class Kept:
    """A bench whose first clinic has a store, and verified everyone."""

    def __init__(self, bench: Bench, **more: Any) -> None:
        self.bench = bench
        bench.settle(0)
        self.store = bench.boot(0, **more)
        entries = bench.roster.roster.entries
        self.others = [e for e in entries if e.identity != bench.keepers[0].identity.public]

    def ask(self, message: Message | Mapping[int, Message]) -> Message:
        return self.bench.ask(message)

    def restart(self) -> None:
        self.store = self.bench.boot(0)

    def revoke(self, *clinics: str) -> None:
        for entry in self.others:
            if not clinics or entry.clinic in clinics:
                self.store.revoke_member(entry.clinic, fingerprint(entry.identity), "Ada")

    def verify(self) -> None:
        for entry in self.others:
            self.store.verify_member(entry.clinic, entry.identity, "Ada")

    def next_roster(self, gone: str = "oak", *, approve: bool = True) -> SignedRoster:
        """The team's next roster, with another clinic in place of one that is gone."""
        b = self.bench
        clinics = {e.clinic: e.identity for e in b.roster.roster.entries if e.clinic != gone}
        clinics["zelkova"] = Identity.generate().public
        following = SignedRoster.sign(b.roster.roster.next(clinics), b.team)
        self.store.offer(b.signed, following)
        if approve:
            self.store.decide(b.signed.digest, following.roster.digest, "approved", "Ada")
        return following


@pytest.fixture
def kept(bench: Make) -> Kept:
    return Kept(bench())


@pytest.fixture
def recovered(bench: Make) -> Kept:
    return Kept(bench(text=RECOVERED))


def test_who_is_no_longer_verified_gets_no_keys_and_no_upload(kept: Kept) -> None:
    b = kept.bench
    b.everyone(b.opening)
    packages = b.server.packages()
    kept.revoke()
    assert refused(kept.ask(b.opening)) == TOO_FEW
    assert refused(kept.ask(packages)) == TOO_FEW
    kept.verify()
    assert isinstance(kept.ask(b.opening), KeyPackage)
    replies = b.everyone(packages)
    assert all(isinstance(reply, Confirmation) for reply in replies)
    requests = b.requests()
    kept.revoke()
    assert refused(kept.ask(packages)) == TOO_FEW
    assert refused(kept.ask(requests)) == TOO_FEW
    assert b.keepers[0].ledger.spent() == 0
    kept.verify()
    assert isinstance(kept.ask(requests), Upload)
    kept.revoke()
    assert refused(kept.ask(requests)) == TOO_FEW, "a kept reply does not leave either"
    kept.restart()
    assert refused(kept.ask(requests)) == TOO_FEW, "nor after a restart"
    kept.verify()
    assert isinstance(kept.ask(requests), Upload)


def test_a_revocation_while_an_answer_is_computed_holds_it_back(bench: Make) -> None:
    steps: dict[str, Callable[[], None]] = {}
    kept = Kept(bench(), passing=lambda step: steps.pop(step, lambda: None)())
    kept.bench.set_up()
    steps["answered"] = kept.revoke
    assert refused(kept.ask(kept.bench.requests())) == TOO_FEW


def test_survivors_are_counted_as_they_are_verified_now(recovered: Kept) -> None:
    """Three of five have to be verified: of the participants they are, of survivors only two."""
    b = recovered.bench
    b.set_up()
    b.everyone(b.requests(), but=(4,))
    gone, named = b.roster.roster.entries[4].clinic, b.server.survivors()
    here = [entry.clinic for entry in recovered.others if entry.clinic != gone]
    recovered.revoke(*here[:2])
    assert refused(recovered.ask(named)) == TOO_FEW
    recovered.verify()
    assert isinstance(recovered.ask(named), Consent)
    for again in (nothing, recovered.restart):
        again()
        recovered.revoke(*here[:2])
        assert refused(recovered.ask(named)) == TOO_FEW, "signed before, and not sent again"
        recovered.verify()
        assert isinstance(recovered.ask(named), Consent)


def test_a_run_that_is_over_may_be_closed_whoever_is_verified(kept: Kept) -> None:
    kept.bench.set_up()
    kept.revoke()
    assert isinstance(kept.ask(kept.bench.server.close("done")), Closed)


def test_a_roster_that_is_only_offered_takes_nobodys_verification_away(kept: Kept) -> None:
    b = kept.bench
    b.set_up()
    kept.next_roster(kept.others[0].clinic, approve=False)
    assert isinstance(kept.ask(b.requests()), Upload)


def test_a_kept_reply_leaves_under_its_own_roster_only(bench: Make) -> None:
    steps: dict[str, Callable[[], object]] = {}
    kept = Kept(bench(), passing=lambda step: steps.pop(step, lambda: None)())
    b = kept.bench
    b.set_up()
    steps["answered"] = kept.next_roster
    requests = b.requests()
    for again in (nothing, nothing, kept.restart):
        again()
        assert refused(kept.ask(requests)) == "policy.roster-changed"


def test_a_kept_reply_waits_while_another_roster_is_only_offered(kept: Kept) -> None:
    """Who is on a roster is known of the newest alone, so that a restart cannot count them."""
    b = kept.bench
    b.set_up()
    requests = b.requests()
    assert isinstance(kept.ask(requests), Upload)
    kept.next_roster(approve=False)
    assert isinstance(kept.ask(requests), Upload)
    kept.restart()
    assert refused(kept.ask(requests)) == "peer.run-unknown"


def test_a_run_under_another_roster_keeps_no_reply_of_before(kept: Kept) -> None:
    b = kept.bench
    b.set_up()
    assert isinstance(kept.ask(b.requests()), Upload)
    (active,) = kept_runs(b)
    before = active.place
    assert before.roster == b.roster.roster.digest
    assert replies(kept.store) == 1
    kept.store.keep(before)
    assert replies(kept.store) == 1
    moved = Place(before.study, before.clinic, before.progress, before.question, bytes(31) + b"1")
    kept.store.keep(moved)
    assert replies(kept.store) == 0


def test_a_reply_that_was_kept_without_its_roster_is_not_sent_again(kept: Kept) -> None:
    """As an earlier keeper wrote it: a place that ends before its roster."""
    b = kept.bench
    b.set_up()
    requests = b.requests()
    assert isinstance(kept.ask(requests), Upload)
    keeper = b.keepers[0]
    keeper.close()
    file = keeper.clinic.state / "keeper.sqlite"
    database, seal = sqlite3.connect(file, isolation_level=None), Seal(keeper.identity)
    run, blob = database.execute("SELECT run, place FROM runs").fetchone()
    place = seal.open(blob, b"runs", b"place", run)
    assert place.endswith(b.roster.roster.digest)
    older = seal.seal(place[:-32], b"runs", b"place", run)
    database.execute("UPDATE runs SET place = ?", (older,))
    database.execute("PRAGMA user_version = 3")
    database.close()
    for _ in range(2):
        kept.restart()
        known = kept.store.place(run)
        assert known is not None
        assert known.body == place[:-32] + NOTHING
    assert refused(kept.ask(requests)) == "peer.run-unknown"
    b.reopen(1)
    assert isinstance(kept.ask(b.opening), KeyPackage), "the run goes on from its place"


def test_a_new_setup_lets_nothing_leave_that_was_kept(recovered: Kept) -> None:
    """Of the roster enough are verified, so it opens; of those whose sum it was they are not."""
    b = recovered.bench
    b.everyone(b.opening, but=(4,))
    b.everyone(b.server.packages(), but=(4,))
    requests = b.requests()
    b.everyone(requests)
    named = b.server.survivors()
    assert isinstance(recovered.ask(named), Opening)
    asked = (requests[0], named[0] if isinstance(named, Mapping) else named)
    gone = b.roster.roster.entries[4].clinic
    here = [entry.clinic for entry in recovered.others if entry.clinic != gone]
    for again in (nothing, lambda: b.reopen(1)):
        recovered.verify()
        again()
        assert isinstance(recovered.ask(b.opening), KeyPackage)
        for message, reply in zip(asked, (Upload, Opening), strict=True):
            recovered.verify()
            assert isinstance(recovered.ask(message), reply)
            b.keepers[0].check_still(message.to_bytes())
            recovered.revoke(*here[:2])
            assert refused(recovered.ask(message)) == TOO_FEW
            with pytest.raises(PolicyRefusal) as raised:
                b.keepers[0].check_still(message.to_bytes())
            assert raised.value.code == TOO_FEW


@pytest.mark.parametrize("again", ["restart", "setup"])
def test_survivors_leave_only_while_their_participants_are_verified(
    bench: Make, again: str
) -> None:
    """Who took part does not stand in what names survivors, so that the roster is counted."""
    kept = Kept(bench(text=RECOVERED.replace("clinics = 5", "clinics = 6")))
    b = kept.bench
    b.set_up()
    b.everyone(b.requests(), but=(5,))
    named = b.server.survivors()
    assert isinstance(kept.ask(named), Consent)
    if again == "restart":
        kept.restart()
    else:  # with fewer clinics, so that the setup itself asks for fewer
        b.reopen(1)
        b.everyone(b.opening, but=(4, 5))
        b.everyone(b.server.packages(), but=(4, 5))
    assert isinstance(kept.ask(named), Consent)
    entries = b.roster.roster.entries
    kept.revoke(*(entry.clinic for entry in entries[3:]))
    assert refused(kept.ask(named)) == TOO_FEW, "three are the study's h, of six it needs five"
    kept.verify()
    assert isinstance(kept.ask(named), Consent)


def test_asking_whether_a_reply_may_still_leave_changes_nothing(recovered: Kept) -> None:
    """It is asked from another thread, while the run answers the next request."""
    b = recovered.bench
    b.set_up()
    requests = b.requests()
    b.everyone(requests, but=(4,))
    named = b.server.survivors()
    (active,) = kept_runs(b)
    asked = active.run._round
    assert asked is not None
    counted, rules = active.run._verified, asked._rules
    recovered.revoke(recovered.others[0].clinic)
    b.keepers[0].check_still(requests[0].to_bytes())
    assert active.run._verified is counted
    assert asked._rules is rules
    assert isinstance(recovered.ask(named), Consent)
    assert active.run._verified != counted
    assert active.run._verified == asked._rules.verified


def test_a_run_opens_under_its_roster_while_another_is_only_offered(kept: Kept) -> None:
    """Two of three are verified: this clinic, and one that the offered roster has no more."""
    b = kept.bench
    kept.revoke(kept.others[1].clinic)
    b.set_up()
    assert isinstance(kept.ask(b.requests()), Upload)
    kept.next_roster(kept.others[0].clinic, approve=False)
    b.reopen(1)
    assert isinstance(kept.ask(b.opening), KeyPackage)


def nothing() -> None:
    pass


def kept_runs(bench: Bench) -> ActiveRuns:
    return bench.keepers[0]._active


def replies(store: KeeperStore) -> int:
    (count,) = store._one("SELECT count(*) FROM replies")
    return int(count)
