"""What a keeper knows of the other clinics: their newest marks, and which of them are verified."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cairn_client.keeper_state import KeeperState, Memory
from cairn_client.keeper_store import KeeperStore
from cairn_protocol.errors import PolicyRefusal
from cairn_protocol.identity import Identity
from cairn_protocol.mark import Mark
from cairn_protocol.member_list import MemberList
from cairn_protocol.roster import Roster, SignedRoster
from cairn_protocol.signed_study import SignedStudy
from cairn_protocol.study import Study
from keeper_bench import STUDY

TEAM, OWN, BOARD = Identity.generate(), Identity.generate(), Identity.generate()
ELM, OAK, YEW = Identity.generate(), Identity.generate(), Identity.generate()
SIGNED = SignedStudy.sign(Study.parse(STUDY.encode()), TEAM)
ROSTER = Roster.first(
    SIGNED, {"ash": OWN.public, "elm": ELM.public, "oak": OAK.public, "yew": YEW.public}
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keeper.sqlite"


@pytest.fixture
def store(path: Path) -> Iterator[KeeperStore]:
    opened = KeeperStore(path, OWN)
    opened.offer(SIGNED, SignedRoster.sign(ROSTER, TEAM))
    yield opened
    opened.close()


def others(store: KeeperStore) -> set[bytes]:
    verified = store.verified()
    assert OWN.public in verified
    return set(verified - {OWN.public})


def listed(issue: int, **members: Identity) -> MemberList:
    marks = {name: identity.fingerprint for name, identity in members.items()}
    return MemberList.sign(BOARD, "Ethics board", issue, marks)


def mark(identity: Identity, epoch: int, boot: bytes = b"b", head: bytes = b"h") -> Mark:
    return Mark.sign(identity, epoch, boot * 16, head * 32)


@pytest.fixture(params=["disk", "memory"])
def state(request: pytest.FixtureRequest, store: KeeperStore) -> KeeperState:
    return store if request.param == "disk" else Memory()


def test_the_newest_mark_of_each_is_kept(state: KeeperState) -> None:
    assert state.marks([ELM.public, OAK.public]) == {}
    state.keep_marks([mark(ELM, 3), mark(OAK, 1)])
    state.keep_marks([mark(ELM, 3, head=b"i")])
    state.keep_marks([mark(OAK, 2, boot=b"c")])
    assert state.marks([ELM.public, OAK.public, YEW.public]) == {
        ELM.public: mark(ELM, 3, head=b"i"),
        OAK.public: mark(OAK, 2, boot=b"c"),
    }
    assert state.marks([ELM.public]) == {ELM.public: mark(ELM, 3, head=b"i")}


@pytest.mark.parametrize("back", [mark(ELM, 2), mark(ELM, 3, boot=b"c")])
def test_a_mark_is_never_set_back(state: KeeperState, back: Mark) -> None:
    state.keep_marks([mark(ELM, 3)])
    state.keep_marks([mark(OAK, 9), back])
    both = state.marks([ELM.public, OAK.public])
    assert both == {ELM.public: mark(ELM, 3), OAK.public: mark(OAK, 9)}
    state.keep_marks([mark(ELM, 5, boot=b"d"), mark(ELM, 4, boot=b"e")])
    assert state.marks([ELM.public])[ELM.public].epoch == 5


@given(epochs=st.lists(st.integers(0, 5), max_size=8))
def test_whatever_is_shown_the_epoch_never_falls(epochs: list[int]) -> None:
    state = Memory()
    for number, epoch in enumerate(epochs):
        state.keep_marks([mark(ELM, epoch, boot=bytes([epoch]))])
        assert state.marks([ELM.public])[ELM.public].epoch == max(epochs[: number + 1])


def test_marks_and_verified_members_survive(store: KeeperStore, path: Path) -> None:
    store.keep_marks([mark(ELM, 3)])
    store.verify_member("elm", ELM.public, "Ada")
    store.close()
    again = KeeperStore(path, OWN)
    assert again.marks([ELM.public]) == {ELM.public: mark(ELM, 3)}
    assert others(again) == {ELM.public}
    again.close()


def test_in_one_persons_hands_nobody_is_counted() -> None:
    assert Memory().verified() is None


def test_a_member_counts_from_its_comparison_to_its_revocation(store: KeeperStore) -> None:
    assert others(store) == set()
    store.verify_member("elm", ELM.public, "Ada")
    assert others(store) == {ELM.public}
    assert store.members()[ELM.public].startswith("compared by Ada on 20")
    store.revoke_member("elm", ELM.fingerprint, "Ben")
    assert others(store) == set()
    store.verify_member("elm", ELM.public, "Ben")
    assert "Ben" in store.members()[ELM.public]


def test_what_was_said_of_a_member_stays(store: KeeperStore, path: Path) -> None:
    store.verify_member("elm", ELM.public, "Ada")
    store.revoke_member("elm", ELM.fingerprint, "Ben")
    store.pin_registry(BOARD.public, "Ethics board", "Ada")
    store.close()
    with sqlite3.connect(path) as database:
        query = "SELECT clinic, stands, person FROM members ORDER BY number"
        assert database.execute(query).fetchall() == [("elm", 1, "Ada"), ("elm", 0, "Ben")]
        for table in ("members", "registries"):
            for change in (f"DELETE FROM {table}", f"UPDATE {table} SET person = ''"):
                with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                    database.execute(change)
    database.close()


def test_a_list_counts_only_while_its_registry_is_pinned(store: KeeperStore) -> None:
    with pytest.raises(PolicyRefusal) as caught:
        store.take_list(listed(1, elm=ELM), "Ada")
    assert caught.value.code == "policy.registry-unknown"
    assert BOARD.fingerprint in caught.value.why
    assert "cairn clinic registry pin" in caught.value.hint
    store.pin_registry(BOARD.public, "Ethics board", "Ada")
    assert store.take_list(listed(1, elm=ELM, oak=OAK), "Ada") == (2, 0)
    assert others(store) == {ELM.public, OAK.public}
    assert store.members()[ELM.public] == "on the list of Ethics board"
    store.unpin_registry(store.registries()[0], "Ada")
    assert others(store) == set()
    with pytest.raises(PolicyRefusal):
        store.take_list(listed(2, elm=ELM), "Ada")
    store.pin_registry(BOARD.public, "Ethics board", "Ada")
    assert others(store) == {ELM.public, OAK.public}


def test_a_newer_list_replaces_and_an_older_one_is_refused(store: KeeperStore) -> None:
    store.pin_registry(BOARD.public, "Ethics board", "Ada")
    store.take_list(listed(1, elm=ELM, oak=OAK), "Ada")
    assert store.take_list(listed(2, oak=OAK, yew=YEW), "Ada") == (1, 1)
    assert store.take_list(listed(2, oak=OAK, yew=YEW), "Ada") == (0, 0)
    for _ in range(2):
        with pytest.raises(PolicyRefusal) as caught:
            store.take_list(listed(1, elm=ELM, oak=OAK), "Ada")
        assert caught.value.code == "policy.member-list-past"
        assert others(store) == {OAK.public, YEW.public}
        store.unpin_registry(store.registries()[0], "Ada")  # unpinning forgets no number
        store.pin_registry(BOARD.public, "Ethics board", "Ada")


def test_the_operators_word_goes_before_a_registrys(store: KeeperStore) -> None:
    store.pin_registry(BOARD.public, "Ethics board", "Ada")
    store.take_list(listed(1, elm=ELM, oak=OAK), "Ada")
    store.revoke_member("elm", ELM.fingerprint, "Ada")
    store.take_list(listed(2, elm=ELM), "Ada")
    assert others(store) == set()
    store.verify_member("oak", OAK.public, "Ada")
    assert others(store) == {OAK.public}


def test_a_list_may_come_before_the_offer(path: Path) -> None:
    store = KeeperStore(path, OWN)
    store.pin_registry(BOARD.public, "Ethics board", "Ada")
    store.take_list(listed(1, elm=ELM), "Ada")
    assert others(store) == set()
    store.offer(SIGNED, SignedRoster.sign(ROSTER, TEAM))
    assert others(store) == {ELM.public}
    store.close()


def test_two_keys_with_one_fingerprint_count_once(
    store: KeeperStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is known to find such two; whoever did would still be one clinic."""
    store.verify_member("elm", ELM.public, "Ada")
    monkeypatch.setattr(
        "cairn_client.store_peers.fingerprint",
        lambda public: ELM.fingerprint if public in (ELM.public, OAK.public) else "other",
    )
    assert len(others(store)) == 1
