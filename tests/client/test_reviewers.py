"""Reviewers' accounts and sessions: who may make one, who gets in, and for how long."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cairn_client import passwords, reviewer_proof
from cairn_client.keeper_store import KeeperStore
from cairn_client.passwords import Cost
from cairn_client.reviewer_proof import LONGEST_WAIT, name_of, wait_after
from cairn_client.reviewers import Reviewers
from cairn_client.sessions import IDLE_SECONDS, LONGEST_SECONDS, MOST_SESSIONS, Sessions
from cairn_client.store_reviewers import MOST_REVIEWERS, Account
from cairn_protocol.errors import CairnError, InputError
from cairn_protocol.identity import Identity

OWN = Identity.generate()
ANNA, BOB, NEW = "annual turnip parade", "brown lanterns hum", "quiet green afternoon"


@dataclass
class Desk:
    """A clinic's accounts over a store on disk, with a clock that a test turns."""

    path: Path
    needed: int = 1
    now: float = 1_800_000_000.0
    ticks: float = 0.0
    store: KeeperStore = field(init=False)
    reviewers: Reviewers = field(init=False)

    def __post_init__(self) -> None:
        self.boot()

    def boot(self) -> None:
        self.store = KeeperStore(self.path, OWN)
        sessions = Sessions(lambda: self.ticks)
        self.reviewers = Reviewers(self.store, lambda: self.needed, sessions, lambda: self.now)

    def enter(self, name: str, password: str) -> str:
        return self.reviewers.sign_in(name, password)[0]

    def two(self) -> tuple[str, str]:
        """Anna and Bob, both signed in."""
        self.reviewers.add("anna", ANNA)
        anna = self.enter("anna", ANNA)
        self.reviewers.add("bob", BOB, anna)
        return anna, self.enter("bob", BOB)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setattr(passwords, "COST", Cost(memory_kib=64, passes=1, lanes=1))
    made = Desk(tmp_path / "keeper.sqlite")
    yield made
    made.store.close()


def code_of(act: object, *words: str, **more: str) -> str:
    with pytest.raises(CairnError) as caught:
        act(*words, **more)  # type: ignore[operator]
    return caught.value.code


def test_the_first_account_needs_nobody_and_every_other_one_a_reviewer(desk: Desk) -> None:
    desk.reviewers.add("Anna", ANNA)
    assert code_of(desk.reviewers.add, "bob", BOB) == "policy.session-needed"
    assert code_of(desk.reviewers.add, "bob", BOB, "a made-up token") == "policy.session-ended"
    added = desk.reviewers.add("bob", BOB, desk.enter("anna", ANNA))
    assert (added.name, added.added_by) == ("bob", "anna")
    assert [account.name for account in desk.reviewers.accounts()] == ["anna", "bob"]
    assert code_of(desk.reviewers.remove, "bob", "") == "policy.session-needed"


def test_a_name_is_taken_once_whatever_its_case(desk: Desk) -> None:
    anna, _ = desk.two()
    assert code_of(desk.reviewers.add, "ANNA", NEW, anna) == "policy.reviewer-exists"
    assert desk.reviewers.person_of(desk.enter(" Anna ", ANNA)) == "anna"


@pytest.mark.parametrize("name", ["", " ", "-anna", "a" * 64, "an\nna", "an\x00na", "a/b"])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(InputError) as caught:
        name_of(name)
    assert caught.value.code == "input.reviewer-name"


def test_only_the_right_password_signs_in_and_a_stranger_is_told_the_same(desk: Desk) -> None:
    desk.reviewers.add("anna", ANNA)
    told = set()
    for name, password in (("anna", BOB), ("anna", ""), ("carla", ANNA), ("", ""), ("a/b", ANNA)):
        with pytest.raises(CairnError) as caught:
            desk.enter(name, password)
        told.add((caught.value.code, str(caught.value), caught.value.hint))
    assert len(told) == 1
    assert told.pop()[0] == "policy.sign-in-refused"


def test_a_stranger_costs_as_much_as_an_account(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    monkeypatch.setattr(reviewer_proof.passwords, "hash_of", lambda p: made.append(p) or "")
    assert code_of(desk.enter, "carla", ANNA) == "policy.sign-in-refused"
    assert made == [ANNA]


def test_wrong_passwords_make_an_account_wait_even_for_the_right_one(desk: Desk) -> None:
    desk.reviewers.add("anna", ANNA)
    for _ in range(5):
        assert code_of(desk.enter, "anna", BOB) == "policy.sign-in-refused"
    assert code_of(desk.enter, "anna", ANNA) == "policy.sign-in-waits"
    desk.store.close()
    desk.boot()
    assert code_of(desk.enter, "anna", ANNA) == "policy.sign-in-waits", "after a restart too"
    desk.now += 31
    desk.enter("anna", ANNA)
    assert desk.reviewers.accounts()[0].failures == 0
    assert code_of(desk.enter, "anna", BOB) == "policy.sign-in-refused", "and counts from new"


def test_one_accounts_wait_is_nobody_elses(desk: Desk) -> None:
    desk.two()
    for _ in range(6):
        code_of(desk.enter, "anna", BOB)
    desk.enter("bob", BOB)


def test_the_wait_grows_and_is_bounded() -> None:
    waits = [wait_after(failures) for failures in range(70_000)]
    assert waits[:10] == [0, 0, 0, 0, 0, 30, 60, 120, 240, 480]
    assert set(waits[10:]) == {LONGEST_WAIT}


def test_a_clock_that_was_set_ahead_keeps_nobody_out_for_long(desk: Desk) -> None:
    desk.reviewers.add("anna", ANNA)
    desk.now += 10**9
    for _ in range(5):
        code_of(desk.enter, "anna", BOB)
    desk.now -= 10**9
    desk.now += LONGEST_WAIT + 1
    with pytest.raises(CairnError) as caught:
        desk.enter("anna", ANNA)
    assert f"{LONGEST_WAIT} s" in caught.value.why


def test_a_guess_is_counted_before_it_is_compared(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.reviewers.add("anna", ANNA)

    def killed(*_: str) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(reviewer_proof.passwords, "matches", killed)
    with pytest.raises(KeyboardInterrupt):
        desk.enter("anna", BOB)
    desk.store.close()
    desk.boot()
    assert desk.reviewers.accounts()[0].failures == 1


def test_a_hash_is_made_again_at_todays_cost_when_its_password_is_at_hand(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.reviewers.add("anna", ANNA)
    monkeypatch.setattr(passwords, "COST", Cost(memory_kib=128, passes=1, lanes=1))
    code_of(desk.enter, "anna", BOB)
    assert "m=64," in desk.reviewers.accounts()[0].secret
    desk.enter("anna", ANNA)
    assert "m=128," in desk.reviewers.accounts()[0].secret
    desk.enter("anna", ANNA)


def test_a_session_ends_half_an_hour_after_its_last_use_and_at_a_restart(desk: Desk) -> None:
    anna, bob = desk.two()
    desk.ticks += IDLE_SECONDS - 1
    assert desk.reviewers.person_of(anna) == "anna"
    desk.ticks += IDLE_SECONDS - 1
    assert desk.reviewers.person_of(anna) == "anna"
    assert code_of(desk.reviewers.person_of, bob) == "policy.session-ended"
    desk.store.close()
    desk.boot()
    assert code_of(desk.reviewers.person_of, anna) == "policy.session-ended"


def test_a_session_ends_after_half_a_day_however_much_it_is_used(desk: Desk) -> None:
    anna, _ = desk.two()
    for _ in range(LONGEST_SECONDS // (IDLE_SECONDS - 1)):
        desk.ticks += IDLE_SECONDS - 1
        desk.reviewers.person_of(anna)
    desk.ticks += IDLE_SECONDS - 1
    assert code_of(desk.reviewers.person_of, anna) == "policy.session-ended"


def test_signing_out_ends_one_session_and_a_new_password_all_of_them(desk: Desk) -> None:
    first, bob = desk.two()
    second = desk.enter("anna", ANNA)
    desk.reviewers.sign_out(first)
    assert code_of(desk.reviewers.person_of, first) == "policy.session-ended"
    assert desk.reviewers.person_of(second) == "anna"
    assert code_of(desk.reviewers.change_password, "anna", BOB, NEW) == "policy.sign-in-refused"
    assert code_of(desk.reviewers.change_password, "anna", ANNA, "a") == "input.password-weak"
    desk.reviewers.change_password("anna", ANNA, NEW)
    assert code_of(desk.reviewers.person_of, second) == "policy.session-ended"
    assert desk.reviewers.person_of(bob) == "bob"
    assert code_of(desk.enter, "anna", ANNA) == "policy.sign-in-refused"
    desk.enter("anna", NEW)


def test_a_removed_account_has_no_session_and_its_name_may_be_had_again(desk: Desk) -> None:
    anna, bob = desk.two()
    desk.reviewers.remove("bob", anna)
    assert code_of(desk.reviewers.person_of, bob) == "policy.session-ended"
    assert code_of(desk.reviewers.remove, "bob", anna) == "policy.reviewer-unknown"
    desk.reviewers.add("bob", NEW, anna)
    assert code_of(desk.enter, "bob", BOB) == "policy.sign-in-refused"


def test_the_last_account_stays(desk: Desk) -> None:
    anna, _ = desk.two()
    desk.reviewers.remove("bob", anna)
    assert code_of(desk.reviewers.remove, "Anna", anna) == "policy.last-reviewer"
    assert desk.reviewers.person_of(anna) == "anna"


def test_tokens_are_long_different_and_not_held(desk: Desk) -> None:
    anna, bob = desk.two()
    assert len(anna) >= 43
    assert anna != bob
    held = repr(vars(desk.reviewers._sessions))
    assert anna not in held
    assert ANNA not in held


def test_no_memory_is_filled_with_sessions(desk: Desk) -> None:
    sessions = Sessions(lambda: desk.ticks)
    tokens = []
    for _ in range(MOST_SESSIONS + 1):
        desk.ticks += 1
        tokens.append(sessions.begin("anna")[0])
    assert code_of(sessions.person_of, tokens[0]) == "policy.session-ended"
    assert {sessions.person_of(token) for token in tokens[1:]} == {"anna"}


def test_where_two_approvals_are_needed_nobody_makes_the_second_alone(desk: Desk) -> None:
    desk.needed = 2
    anna, bob = desk.two()
    again = desk.enter("anna", ANNA)
    for second in ("", anna, again):
        assert code_of(desk.reviewers.add, "carla", NEW, anna, second) == "policy.second-reviewer"
        assert code_of(desk.reviewers.remove, "bob", anna, second) == "policy.second-reviewer"
    desk.reviewers.add("carla", NEW, anna, bob)
    desk.reviewers.remove("bob", anna, desk.enter("carla", NEW))


def test_a_store_holds_no_password_and_an_account_that_was_changed_stops_it(desk: Desk) -> None:
    desk.two()
    assert desk.path.stat().st_mode & 0o777 == 0o600
    table = desk.store._database.execute("SELECT account FROM reviewers").fetchall()
    assert b"argon2id" not in b"".join(blob for (blob,) in table), "sealed"
    (_anna,), (bob,) = table
    with desk.store._writing():
        desk.store._database.execute("UPDATE reviewers SET account = ?", (bob,))
    assert code_of(desk.store.account, "anna") == "internal.keeper-store-altered"
    files = b"".join(file.read_bytes() for file in desk.path.parent.iterdir())
    for secret in (ANNA, BOB):
        assert secret.encode() not in files


def test_there_are_only_so_many_accounts(desk: Desk) -> None:
    desk.reviewers.add("anna", ANNA)
    secret = desk.reviewers.accounts()[0].secret
    for number in range(MOST_REVIEWERS - 1):
        desk.store.add_account(Account(f"person {number}", secret, 1, "anna"))
    anna = desk.enter("anna", ANNA)
    assert code_of(desk.reviewers.add, "carla", NEW, anna) == "policy.too-many-reviewers"


def test_a_clinic_with_accounts_takes_nobodys_word(desk: Desk) -> None:
    assert desk.reviewers.decider("", "Ada").name == "Ada"
    assert not desk.reviewers.decider("", "Ada").account
    assert code_of(desk.reviewers.decider, "", " ") == "input.decision"
    desk.reviewers.add("anna", ANNA)
    assert code_of(desk.reviewers.decider, "", "anna") == "policy.session-needed"
    decider = desk.reviewers.decider(desk.enter("anna", ANNA), "Ada")
    assert (decider.name, decider.account) == ("anna", True)
