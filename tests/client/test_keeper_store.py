"""The keeper's store: what survives, what is refused, what a failed write does."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cairn_client.keeper_state import KeeperState, Memory, Place
from cairn_client.keeper_store import KeeperStore
from cairn_protocol.errors import InputError, OurFault, PeerFault, PolicyRefusal
from cairn_protocol.identity import Identity
from cairn_protocol.progress import NOTHING, Progress
from cairn_protocol.roster import Roster, SignedRoster
from cairn_protocol.signed_study import SignedStudy
from cairn_protocol.study import Study
from keeper_bench import STUDY

TEAM, OWN = Identity.generate(), Identity.generate()
SIGNED = SignedStudy.sign(Study.parse(STUDY.encode()), TEAM)
CLINICS = {name: Identity.generate().public for name in ("ash", "elm", "oak")}
FIRST = Roster.first(SIGNED, CLINICS)
RUN = bytes(range(16))


def signed(roster: Roster) -> SignedRoster:
    return SignedRoster.sign(roster, TEAM)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keeper.sqlite"


@pytest.fixture
def store(path: Path) -> Iterator[KeeperStore]:
    opened = KeeperStore(path, OWN)
    opened.pin_team(TEAM.public)
    yield opened
    opened.close()


def again(store: KeeperStore, path: Path) -> KeeperStore:
    store.close()
    return KeeperStore(path, OWN)


def approve(store: KeeperStore) -> None:
    store.offer(SIGNED, signed(FIRST))
    store.decide(SIGNED.digest, FIRST.digest, "approved", "Ada")


def test_everything_survives_and_every_opening_is_an_epoch(store: KeeperStore, path: Path) -> None:
    approve(store)
    here = Place(SIGNED.digest, 2, Progress.fresh(RUN, 3))
    store.keep(here, b"q" * 32, b"the reply")
    assert store.epoch == 1
    boot = store.boot
    reopened = again(store, path)
    assert reopened.epoch == 2
    assert reopened.boot != boot
    assert len(boot) == len(reopened.boot) == 16
    assert reopened.team() == TEAM.public
    assert reopened.place(RUN) == here
    assert reopened.reply(RUN, b"q" * 32) == b"the reply"
    assert reopened.reply(RUN, b"x" * 32) is None
    approval = reopened.approval(SIGNED.digest)
    assert approval is not None
    assert (approval.team, approval.roster) == (TEAM.public, FIRST.digest)
    (offered,) = reopened.offers()
    assert (offered.signed, offered.roster) == (SIGNED, signed(FIRST))
    assert offered.decision is not None
    assert offered.decision.person == "Ada"
    reopened.close()


def asked(question: str = "effect", round_: int = 0, attempt: int = 0, setup: int = 0) -> Progress:
    """A place whose header's digest is made of these, so that it is the same for the same."""
    header = hashlib.sha256(f"{question} {round_} {attempt}".encode()).digest()
    fresh = Progress.fresh(RUN, setup)
    return replace(fresh, question=question, round=round_, attempt=attempt, header=header)


def place(progress: Progress, question: int = 0) -> Place:
    return Place(SIGNED.digest, 0, progress, question)


def states(path: Path) -> Iterator[KeeperState]:
    store = KeeperStore(path, OWN)
    yield store
    store.close()
    yield Memory()


def test_the_replies_under_one_header_stay_together(path: Path) -> None:
    for state in states(path):
        state.keep(place(asked()), b"a" * 32, b"upload")
        state.keep(place(asked(setup=1)))
        assert state.reply(RUN, b"a" * 32) == b"upload", "a new setup is no new header"
        opened = replace(asked(setup=1), answer=b"v" * 32, survivors=b"u" * 32)
        state.keep(place(opened), b"b" * 32, b"consent")
        state.keep(place(opened), b"c" * 32, b"opening")
        assert [state.reply(RUN, c * 32) for c in (b"a", b"b", b"c")] == [
            b"upload",
            b"consent",
            b"opening",
        ]
        state.keep(place(asked(attempt=1, setup=1)))
        assert [state.reply(RUN, c * 32) for c in (b"a", b"b", b"c")] == [None] * 3
        state.keep(place(asked(attempt=1, setup=1)), b"d" * 32, b"upload again")
        state.end(place(asked(attempt=1, setup=1)), b"e" * 32, b"closed")
        assert state.reply(RUN, b"d" * 32) is None
        assert state.reply(RUN, b"e" * 32) == b"closed"


DONE = replace(asked("effect", 2, 3, setup=4), answer=b"v" * 32, survivors=b"u" * 32)
ONWARD = {
    "the same": place(DONE, 1),
    "a later setup": place(replace(DONE, setup=5), 1),
    "a later attempt": place(asked("effect", 2, 4, setup=4), 1),
    "a later round": place(asked("effect", 3, 0, setup=4), 1),
    "a later question": place(asked("course", 0, 0, setup=4), 2),
}
BACK = {
    "an earlier setup": place(replace(DONE, setup=3), 1),
    "an earlier attempt": place(asked("effect", 2, 2, setup=5), 1),
    "an earlier round": place(asked("effect", 1, 9, setup=5), 1),
    "an earlier question": place(asked("course", 9, 9, setup=5), 0),
    "before every question": place(Progress.fresh(RUN, 5), 0),
    "another header": place(replace(DONE, header=b"x" * 32), 1),
    "another answer": place(replace(DONE, answer=b"x" * 32), 1),
    "no answer": place(replace(DONE, answer=NOTHING), 1),
    "another set of survivors": place(replace(DONE, survivors=b"x" * 32), 1),
    "another study": replace(place(DONE, 1), study=b"x" * 32),
    "another index": replace(place(DONE, 1), clinic=1),
}


@pytest.mark.parametrize("onward", ONWARD)
def test_a_run_moves_on_to(path: Path, onward: str) -> None:
    for state in states(path):
        state.keep(place(DONE, 1))
        state.keep(ONWARD[onward])
        assert state.place(RUN) == ONWARD[onward]


@pytest.mark.parametrize("back", BACK)
def test_a_run_is_never_set_back_to(path: Path, back: str) -> None:
    for state in states(path):
        state.keep(place(DONE, 1), b"q" * 32, b"the reply")
        for move in (state.keep, state.end):
            with pytest.raises(OurFault) as caught:
                move(BACK[back], b"r" * 32, b"another reply")
            assert caught.value.code == "internal.place-past"
        assert state.place(RUN) == place(DONE, 1)
        assert state.reply(RUN, b"q" * 32) == b"the reply"
        assert state.reply(RUN, b"r" * 32) is None


def test_another_team_is_refused(store: KeeperStore) -> None:
    store.pin_team(TEAM.public)
    with pytest.raises(PolicyRefusal) as caught:
        store.pin_team(Identity.generate().public)
    assert caught.value.code == "policy.team-pinned"
    assert store.team() == TEAM.public


def test_without_a_decision_nothing_is_approved(store: KeeperStore) -> None:
    assert store.standing(SIGNED.digest, FIRST.digest) is None
    store.offer(SIGNED, signed(FIRST))
    assert store.standing(SIGNED.digest, FIRST.digest) == "offered"
    assert store.approval(SIGNED.digest) is None


@pytest.mark.parametrize("state", ["refused", "paused"])
def test_the_last_decision_holds_and_the_earlier_ones_stay(
    store: KeeperStore, path: Path, state: str
) -> None:
    approve(store)
    store.decide(SIGNED.digest, FIRST.digest, state, "Ben")  # type: ignore[arg-type]
    assert store.approval(SIGNED.digest) is None
    assert store.standing(SIGNED.digest, FIRST.digest) == state
    store.close()
    with sqlite3.connect(path) as database:
        people = database.execute("SELECT person FROM decisions ORDER BY number").fetchall()
        assert people == [("Ada",), ("Ben",)]
        for change in ("DELETE FROM decisions", "UPDATE decisions SET state = 'approved'"):
            with pytest.raises(sqlite3.IntegrityError):
                database.execute(change)
    database.close()


def test_a_new_roster_has_to_be_looked_at(store: KeeperStore) -> None:
    approve(store)
    second = FIRST.next({**CLINICS, "yew": Identity.generate().public})
    store.offer(SIGNED, signed(second))
    assert store.standing(SIGNED.digest, second.digest) == "offered"
    assert store.standing(SIGNED.digest, FIRST.digest) == "approved"
    approval = store.approval(SIGNED.digest)
    assert approval is not None
    assert approval.roster == FIRST.digest, "what was approved stays pinned"
    with pytest.raises(PolicyRefusal) as caught:
        store.decide(SIGNED.digest, FIRST.digest, "approved", "Ada")
    assert caught.value.code == "policy.roster-changed"
    store.decide(SIGNED.digest, second.digest, "approved", "Ada")
    assert store.standing(SIGNED.digest, second.digest) == "approved"


def test_a_forked_or_older_roster_is_refused(store: KeeperStore) -> None:
    approve(store)
    fork = Roster.first(SIGNED, {"ash": CLINICS["ash"], "elm": CLINICS["elm"]})
    with pytest.raises(PeerFault) as caught:
        store.offer(SIGNED, signed(fork))
    assert caught.value.code == "peer.roster-fork"
    store.offer(SIGNED, signed(FIRST.next(CLINICS)))
    with pytest.raises(PeerFault):
        store.offer(SIGNED, signed(FIRST))


def test_a_decision_needs_an_offer(store: KeeperStore) -> None:
    with pytest.raises(PolicyRefusal) as caught:
        store.decide(SIGNED.digest, FIRST.digest, "approved", "Ada")
    assert caught.value.code == "policy.study-unknown"


def test_offers_do_not_fill_the_disk(store: KeeperStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cairn_client.store_offers.MOST_OFFERS", 1)
    store.offer(SIGNED, signed(FIRST))
    store.offer(SIGNED, signed(FIRST))
    other = SignedStudy.sign(Study.parse((STUDY + "\n# another\n").encode()), TEAM)
    with pytest.raises(PolicyRefusal) as caught:
        store.offer(other, signed(Roster.first(other, CLINICS)))
    assert caught.value.code == "policy.too-many-offers"


def test_one_process_at_a_time(store: KeeperStore, path: Path) -> None:
    with pytest.raises(InputError) as caught:
        KeeperStore(path, OWN)
    assert caught.value.code == "input.keeper-running"


def test_the_file_is_private(store: KeeperStore, path: Path) -> None:
    for file in path.parent.iterdir():
        assert file.stat().st_mode & 0o077 == 0, file.name


def test_after_a_failed_write_nothing_is_answered(store: KeeperStore, path: Path) -> None:
    """A full disk: SQLite's own page limit stands in for it."""
    approve(store)
    store._database.execute("PRAGMA max_page_count = 40")
    with pytest.raises(OurFault) as caught:
        store.keep(place(Progress.fresh(RUN, 0)), b"q" * 32, bytes(1 << 20))
    assert caught.value.code == "internal.keeper-store-stopped"
    assert "disk" in caught.value.hint
    for act in (lambda: store.approval(SIGNED.digest), lambda: store.reply(RUN, b"q" * 32)):
        with pytest.raises(OurFault):
            act()
    reopened = again(store, path)
    assert reopened.place(RUN) is None, "nothing of the failed step was kept"
    assert reopened.approval(SIGNED.digest) is not None
    reopened.close()


@pytest.mark.parametrize("junk", [b"not a database, but long enough to look at", b"\x00" * 5000])
def test_a_damaged_file_is_an_error_with_a_remedy(path: Path, junk: bytes) -> None:
    path.write_bytes(junk)
    with pytest.raises(InputError) as caught:
        KeeperStore(path, OWN)
    assert caught.value.code == "input.keeper-store-damaged"
    assert "backup" in caught.value.hint


def test_a_store_of_another_version_is_refused(path: Path) -> None:
    KeeperStore(path, OWN).close()
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(InputError) as caught:
        KeeperStore(path, OWN)
    assert "99" in caught.value.why
