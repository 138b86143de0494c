"""A clinic that leaves: nothing more is answered, no key and no kept reply is left, for good."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from cairn_client.keeper_admin import KeeperAdmin
from cairn_client.keeper_store import KeeperStore
from cairn_client.leaving_admin import LeavingAdmin
from cairn_client.link_home import forget_registration
from cairn_client.reviewers import Reviewers
from cairn_client.turn import Turn
from cairn_protocol.errors import CairnError
from cairn_protocol.identity import Identity, fingerprint
from cairn_protocol.messages import Offer, Refusal, Standing, Upload
from cairn_protocol.proto import keeper_pb2
from cairn_protocol.proto import leaving_pb2 as pb
from cairn_protocol.record import Message
from keeper_bench import Bench

Make = Callable[..., Bench]


def refused(reply: Message) -> str:
    assert isinstance(reply, Refusal), reply
    return reply.code


class Desk:
    """A clinic in the middle of a run: keys agreed, one reply kept."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        bench.settle(0)
        self.boot()
        bench.set_up()
        self.request = bench.requests()
        assert isinstance(bench.ask(self.request), Upload)
        self.digest = bench.signed.digest

    def boot(self, **more: object) -> None:
        self.store: KeeperStore = self.bench.boot(0, **more)
        self.keeper = self.bench.keepers[0]
        self.turn = Turn()
        reviewers = Reviewers(self.store, lambda: 1)
        self.admin = KeeperAdmin(self.keeper, self.store, reviewers)
        self.leaving = LeavingAdmin(self.keeper, self.store, reviewers, self.turn)

    def leave(self) -> pb.LeaveStudyReply:
        return self.leaving.study(pb.LeaveStudyRequest(study=self.digest.hex(), person="Ada"))

    def leave_team(self, team: str = "") -> pb.LeaveTeamReply:
        team = team or fingerprint(self.bench.signed.team)
        return self.leaving.team(pb.LeaveTeamRequest(team=team, person="Ada"))

    def replies(self) -> int:
        (count,) = self.store._one("SELECT count(*) FROM replies")
        return int(count)


@pytest.fixture
def desk(bench: Make) -> Desk:
    return Desk(bench())


def code_of(act: Callable[[], object]) -> str:
    with pytest.raises(CairnError) as caught:
        act()
    return caught.value.code


def test_leaving_erases_keys_and_kept_replies_at_once(desk: Desk) -> None:
    (active,) = desk.keeper._active
    assert active.run._roots is not None
    assert desk.replies() == 1
    reply = desk.leave()
    assert (reply.line.state, reply.line.person, reply.runs) == ("left", "Ada", 1)
    assert active.run._roots is None
    assert len(desk.keeper._active) == 0
    assert desk.replies() == 0
    assert refused(desk.bench.ask(desk.request)) == "policy.study-not-approved"
    assert refused(desk.bench.ask(desk.bench.opening)) == "policy.study-not-approved"


def test_leaving_is_final(desk: Desk) -> None:
    desk.leave()
    assert code_of(desk.leave) == "policy.study-left"
    view = desk.admin.show(keeper_pb2.ShowRequest(study="tiny"))
    for state in ("approved", "paused", "refused"):
        decision = keeper_pb2.Decision(
            study=view.line.digest, roster=view.roster_digest, state=state, person="Ada"
        )
        assert code_of(lambda d=decision: desk.admin.decide(d)) == "policy.study-left"  # type: ignore[misc]
    desk.boot()
    assert desk.admin.show(keeper_pb2.ShowRequest(study="tiny")).line.state == "left"
    assert refused(desk.bench.ask(desk.bench.opening)) == "policy.study-not-approved"


def test_the_team_hears_that_a_left_study_is_refused(desk: Desk) -> None:
    desk.leave()
    standing = desk.bench.ask(Offer(desk.bench.signed, desk.bench.roster))
    assert isinstance(standing, Standing)
    assert standing.state == "refused"


def test_what_is_left_while_an_answer_is_computed_does_not_leave(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting: list[threading.Thread] = []
    decided = threading.Event()
    drop = KeeperStore.drop_replies

    def dropped(store: KeeperStore, study: bytes) -> None:
        drop(store, study)
        decided.set()

    def passing(step: str) -> None:
        if step == "answered" and not waiting:
            waiting.append(threading.Thread(target=desk.leave))
            waiting[0].start()
            assert decided.wait(60)

    monkeypatch.setattr(KeeperStore, "drop_replies", dropped)
    desk.boot(passing=passing)
    desk.bench.reopen(1)
    desk.bench.set_up()
    request = desk.bench.requests(attempt=1)
    with desk.turn:
        assert refused(desk.bench.ask(request)) == "policy.study-not-approved"
        assert desk.replies() == 1, "kept before it was seen that the study was left"
    waiting[0].join(60)
    assert desk.replies() == 0
    assert len(desk.keeper._active) == 0


def test_a_keeper_that_was_killed_while_leaving_drops_the_replies_at_its_next_start(
    desk: Desk,
) -> None:
    roster = desk.bench.roster.roster.digest
    desk.store.decide(desk.digest, roster, "left", "Ada")
    assert desk.replies() == 1
    desk.boot()
    desk.leaving.drop_left()
    assert desk.replies() == 0


def test_leaving_a_team_leaves_every_study_and_forgets_its_key(desk: Desk) -> None:
    desk.keeper.clinic.state.joinpath("team.pub").write_bytes(desk.bench.signed.team)
    stranger = Identity.generate().fingerprint
    assert code_of(lambda: desk.leave_team(stranger)) == "policy.team-unknown"
    spent = desk.keeper.ledger.spent()
    reply = desk.leave_team()
    assert [line.state for line in reply.studies] == ["left"]
    assert reply.runs == 1
    assert desk.keeper.team() is None
    offer = Offer(desk.bench.signed, desk.bench.roster)
    assert refused(desk.bench.ask(offer)) == "policy.team-unknown"
    assert desk.keeper.ledger.spent() == spent, "what was spent stays spent"
    desk.boot()
    assert desk.keeper.team() is None, "over a restart too"
    assert code_of(desk.leave_team) == "policy.team-unknown"


def test_a_team_that_was_left_may_be_joined_again_and_its_studies_stay_left(desk: Desk) -> None:
    desk.leave_team()
    desk.keeper.clinic.state.joinpath("team.pub").write_bytes(desk.bench.signed.team)
    standing = desk.bench.ask(Offer(desk.bench.signed, desk.bench.roster))
    assert isinstance(standing, Standing)
    assert standing.state == "refused"
    assert refused(desk.bench.ask(desk.bench.opening)) == "policy.study-not-approved"


def test_only_the_links_own_files_are_removed(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.mkdir()
    for name in ("link.toml", "ca.pem", "node.key", "notes.txt"):
        (link / name).write_text("x")
    (tmp_path / "scores.csv").write_text("x")
    gone, there = forget_registration(tmp_path)
    assert len(gone) == 3
    assert there == []
    assert sorted(f.name for f in tmp_path.rglob("*") if f.is_file()) == ["notes.txt", "scores.csv"]
    assert forget_registration(tmp_path) == ([], [])
