"""What people decided and where that leaves a study (E1–E4); two approvals are two accounts'."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cairn_client.decisions import Decision, Decisions
from cairn_client.keeper_store import KeeperStore
from cairn_protocol.errors import PolicyRefusal
from cairn_protocol.messages import KeyPackage, Refusal
from cairn_protocol.record import Message
from keeper_bench import Bench

Make = Callable[..., Bench]
HERE, OTHER = b"r" * 32, b"o" * 32


def said(state: str, person: str = "anna", roster: bytes = HERE, *, account: bool = True) -> object:
    return Decision(state, roster, person, "now", account)  # type: ignore[arg-type]


def after(*taken: object, needed: int = 2) -> Decisions:
    return Decisions(taken, needed)  # type: ignore[arg-type]


def test_one_approval_of_two_leaves_a_study_as_offered() -> None:
    one = after(said("approved"))
    assert one.standing(HERE) == "offered"
    assert one.approved_by(HERE) == ("anna",)
    assert one.approved_roster() is None
    both = after(said("approved"), said("approved", "bob"))
    assert both.standing(HERE) == "approved"
    assert both.approved_by(HERE) == ("anna", "bob")
    assert both.approved_roster() == HERE


@pytest.mark.parametrize(
    "second",
    [
        said("approved", "anna"),
        said("approved", "bob", OTHER),
        said("approved", "bob", account=False),
    ],
)
def test_two_approvals_are_two_accounts_of_the_same_roster(second: object) -> None:
    for order in ((said("approved"), second), (second, said("approved"))):
        assert after(*order).standing(HERE) == "offered"
        assert after(*order).approved_roster() is None


@pytest.mark.parametrize("state", ["refused", "paused"])
def test_one_person_stops_a_study_and_two_start_it_again(state: str) -> None:
    taken = [said("approved"), said("approved", "bob"), said(state, "bob")]
    assert after(*taken).standing(HERE) == state
    taken.append(said("approved"))
    assert after(*taken).standing(HERE) == "offered", "what was said before the pause is gone"
    assert after(*taken).approved_by(HERE) == ("anna",)
    taken.append(said("approved", "bob"))
    assert after(*taken).standing(HERE) == "approved"


def test_one_is_enough_where_one_is_needed_signed_in_or_not() -> None:
    assert after(said("approved", account=False), needed=1).standing(HERE) == "approved"
    assert after(said("approved", account=False), needed=1).standing(OTHER) == "offered"


STATES = st.sampled_from(["offered", "approved", "refused", "paused", "left"])
TAKEN = st.lists(
    st.builds(
        said,
        STATES,
        st.sampled_from(["anna", "bob"]),
        st.sampled_from([HERE, OTHER]),
        account=st.booleans(),
    )
)


@given(TAKEN, st.sampled_from([1, 2]))
def test_a_study_is_approved_for_one_roster_at_most_and_never_after_it_was_left(
    taken: list[Decision], needed: int
) -> None:
    decisions = after(*taken, needed=needed)
    approved = [r for r in (HERE, OTHER) if decisions.standing(r) == "approved"]
    assert len(approved) <= 1
    for roster in approved:
        people = {d.person for d in taken if d.state == "approved" and d.roster == roster}
        assert len(people) >= needed
        assert taken[-1].state == "approved"
    if any(d.state == "left" for d in taken):
        assert decisions.standing(HERE) == "left"
        assert decisions.approved_roster() is None
    if (roster := decisions.approved_roster()) is not None:
        assert decisions.standing(roster) == "approved"


def refused(reply: Message) -> str:
    assert isinstance(reply, Refusal), reply
    return reply.code


@pytest.fixture
def two(bench: Make) -> tuple[Bench, KeeperStore]:
    """A study that two have to approve, offered to a clinic whose people said nothing yet."""
    b = bench()
    b.settle(0)
    (b.keepers[0].clinic.path / "policy.toml").write_text("approvals = 2\n")
    return b, b.boot(0)


def test_a_keeper_answers_nothing_until_two_accounts_have_approved(
    two: tuple[Bench, KeeperStore],
) -> None:
    b, store = two
    study, roster = b.signed.digest, b.roster.roster.digest
    assert refused(b.ask(b.opening)) == "policy.study-not-approved", "Ada alone, and unproved"
    store.decide(study, roster, "approved", "anna", account=True)
    assert refused(b.ask(b.opening)) == "policy.study-not-approved"
    assert store.standing(study, roster) == "offered"
    store.decide(study, roster, "approved", "anna", account=True)
    assert refused(b.ask(b.opening)) == "policy.study-not-approved"
    store.decide(study, roster, "approved", "bob", account=True)
    assert isinstance(b.ask(b.opening), KeyPackage)


def test_a_policy_that_asks_for_two_from_now_on_takes_one_approval_back(bench: Make) -> None:
    b = bench()
    b.settle(0)
    b.boot(0)
    b.set_up()
    policy = b.keepers[0].clinic.path / "policy.toml"
    policy.write_text("approvals = 2\n")
    assert refused(b.ask(b.requests())) == "policy.study-not-approved"
    policy.unlink()
    assert not isinstance(b.ask(b.requests()), Refusal)


def test_a_study_that_was_left_takes_no_decision(bench: Make) -> None:
    b = bench()
    b.settle(0)
    with closing(KeeperStore.of(b.keepers[0].clinic)) as store:
        study, roster = b.signed.digest, b.roster.roster.digest
        store.decide(study, roster, "left", "Ada")
        for state in ("approved", "paused", "refused", "left"):
            with pytest.raises(PolicyRefusal) as caught:
                store.decide(study, roster, state, "Ada")  # type: ignore[arg-type]
            assert caught.value.code == "policy.study-left"
        assert store.standing(study, roster) == "left"
        assert store.approval(study) is None
