"""Rounds when a clinic is away, restarted or wrong, and a server that is killed and carried on.

Real keepers over tiny clinics; the exchange is a function, so that a test can lose what it likes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from cairn_client.clinic_folder import ClinicFolder
from cairn_client.keeper import Keeper
from cairn_client.keeper_state import Memory
from cairn_protocol.errors import StudyStopped
from cairn_protocol.identity import Identity
from cairn_protocol.roster import Roster, SignedRoster
from cairn_protocol.signed_study import SignedStudy
from cairn_protocol.study import Study
from cairn_server.events import Event
from cairn_server.exchange import Deadlines, Replies, Until
from cairn_server.journal import MemoryJournal
from cairn_server.study_run import StudyRun
from keeper_bench import STUDY, write_clinic

NODES = (11, 12, 13)
QUICK = Deadlines(set_up=5, round=5, close=1, patience=0, pause=0)
Lose = Callable[[str, int], bool]


def retrying(retries: int) -> str:
    return STUDY.replace("[policy]", f"[privacy]\nretries = {retries}\n[policy]")


class Federation:
    """Three keepers, a team, and an exchange that asks `lose(stage, node)` before each delivery."""

    def __init__(self, folder: Path, text: str) -> None:
        team = Identity.generate()
        self.study = Study.parse(text.encode())
        self.signed = SignedStudy.sign(self.study, team)
        names = ("ash", "elm", "oak")
        self.folders = [ClinicFolder.open(write_clinic(folder / n, n)) for n in names]
        self.states = [Memory() for _ in names]  # what a real keeper has in its store
        self.keepers = [self.keeper(i) for i in range(3)]
        keys = {n: k.identity.public for n, k in zip(names, self.keepers, strict=True)}
        self.roster = SignedRoster.sign(Roster.first(self.signed, keys), team)
        self.lose: Lose = lambda stage, node: False
        self.lose_reply: Lose = lambda stage, node: False

    def keeper(self, index: int) -> Keeper:
        keeper = Keeper(self.folders[index], self.states[index])
        keeper.approve(self.signed)
        keeper.read_records(self.study)
        return keeper

    def restart(self, index: int) -> None:
        self.keepers[index].close()
        self.keepers[index] = self.keeper(index)

    def run(self, **more: object) -> StudyRun:
        return StudyRun(self.signed, self.roster, NODES, deadlines=QUICK, **more)  # type: ignore[arg-type]

    def __call__(
        self, stage: str, requests: Mapping[int, bytes], seconds: float, until: Until | None = None
    ) -> Replies:
        replies: Replies = {}
        for node, body in requests.items():
            if self.lose(stage, node):
                continue
            reply = self.keepers[NODES.index(node)].forward(body)
            if not self.lose_reply(stage, node):
                replies[node] = reply
        return replies

    def charges(self, index: int) -> list[tuple[str, int, int]]:
        entries = self.keepers[index].ledger.entries()
        return [(e.question, e.round, e.attempt) for e in entries]


@pytest.fixture
def federation(tmp_path: Path) -> Callable[[str], Federation]:
    return lambda text: Federation(tmp_path, text)


def once(stage: str, node: int) -> Lose:
    """Loses one message of a stage to or from a node."""
    left = [1]

    def lose(s: str, n: int) -> bool:
        if (s, n) == (stage, node) and left[0]:
            left[0] -= 1
            return True
        return False

    return lose


def test_without_trouble_every_round_is_asked_once(federation) -> None:  # type: ignore[no-untyped-def]
    f = federation(STUDY)
    run = f.run()
    run.execute(f)
    assert [a.question for a in run.answers] == ["effect", "course"]
    assert f.charges(0) == [("effect", 0, 0), ("course", 0, 0), ("course", 1, 0)]


@pytest.mark.parametrize("direction", ["lose", "lose_reply"])
def test_a_lost_message_stops_a_study_without_retries(federation, direction: str) -> None:  # type: ignore[no-untyped-def]
    f = federation(STUDY)
    setattr(f, direction, once("query.round", 12))
    run = f.run()
    with pytest.raises(StudyStopped) as caught:
        run.execute(f)
    assert caught.value.code == "stopped.clinic-missing"
    assert "elm" in caught.value.what


@pytest.mark.parametrize("direction", ["lose", "lose_reply"])
def test_a_lost_message_is_a_new_attempt_and_a_new_charge(federation, direction: str) -> None:  # type: ignore[no-untyped-def]
    f = federation(retrying(1))
    setattr(f, direction, once("query.round", 12))
    run = f.run()
    run.execute(f)
    assert len(run.answers) == 2
    assert run.attempts("effect") == 2
    assert f.charges(0)[:2] == [("effect", 0, 0), ("effect", 0, 1)]


def test_retries_are_counted_over_the_whole_run(federation) -> None:  # type: ignore[no-untyped-def]
    f = federation(retrying(1))
    first, second = once("query.round", 12), once("train.round", 13)
    f.lose = lambda stage, node: first(stage, node) or second(stage, node)
    run = f.run()
    with pytest.raises(StudyStopped):
        run.execute(f)
    assert [a.question for a in run.answers] == ["effect"]


def test_a_restarted_keeper_gets_new_keys_and_the_study_goes_on(federation) -> None:  # type: ignore[no-untyped-def]
    f = federation(retrying(2))
    seen: list[Event] = []

    def watch(event: Event) -> None:
        seen.append(event)
        if event.stage == "answered" and event.question == "effect":
            f.restart(1)

    run = f.run(watch=watch)
    run.execute(f)
    assert len(run.answers) == 2
    assert [e.stage for e in seen].count("set-up") == 2
    assert "trouble" in [e.stage for e in seen]


def test_a_clinic_that_comes_late_is_waited_for_before_keys_are_agreed(federation) -> None:  # type: ignore[no-untyped-def]
    f = federation(STUDY)
    f.lose = once("query.open", 13)
    run = StudyRun(f.signed, f.roster, NODES, deadlines=Deadlines(5, 5, 1, patience=5, pause=0))
    run.execute(f)
    assert len(run.answers) == 2
    assert f.charges(0)[0] == ("effect", 0, 0), "waiting before keys are agreed costs nothing"


def test_a_refusal_for_good_is_not_asked_again(federation) -> None:  # type: ignore[no-untyped-def]
    f = federation(retrying(5))
    f.keepers[2].state = Memory()
    asked: list[str] = []
    f.lose = lambda stage, node: asked.append(stage) or False  # type: ignore[func-returns-value]
    with pytest.raises(StudyStopped) as caught:
        f.run().execute(f)
    assert caught.value.code == "stopped.clinic-refused"
    assert asked == ["query.open"] * 3


class Killed(BaseException):
    """Stands for the end of the server's process."""


@pytest.mark.parametrize("stage", ["set-up", "round", "answered"])
@pytest.mark.parametrize("after", [1, 2])
def test_a_killed_server_carries_on_from_its_journal(federation, stage: str, after: int) -> None:  # type: ignore[no-untyped-def]
    f = federation(retrying(3))
    journal, left = MemoryJournal(), [after]

    def kill(event: Event) -> None:
        left[0] -= event.stage == stage
        if not left[0]:
            left[0] = -1
            raise Killed

    first = f.run(journal=journal, watch=kill)
    if stage != "set-up" or after == 1:
        with pytest.raises(Killed):
            first.execute(f)
    opened = {q: first._journal.total(q, 0) for q in ("effect", "course")}
    second = f.run(journal=journal, run_id=first.run_id)
    second.execute(f)
    assert [a.question for a in second.answers] == ["effect", "course"]
    for question, total in opened.items():
        if total is not None:
            assert (journal.total(question, 0) == total).all(), "what was opened is never re-asked"
    spent = f.keepers[0].ledger.spent()
    planned = sum(t.noise.rho_per_round * second.attempts(q) for q, t in second.terms.items())  # type: ignore[union-attr]
    assert spent >= planned * (1 - 1e-9) or spent == pytest.approx(planned)


def test_a_killed_and_carried_on_run_gives_the_same_answers_on_public_data(tmp_path: Path) -> None:
    public = (
        STUDY.replace("[policy]", '[privacy]\ndata = "public"\n[policy]')
        .replace("epsilon = 1.0\n", "")
        .replace("epsilon = 1.0", "")
    )
    answers = []
    for name, interrupted in (("whole", False), ("killed", True)):
        (tmp_path / name).mkdir()
        f = Federation.__new__(Federation)
        team = Identity.from_private_bytes(bytes(32))
        f.study = Study.parse(public.encode())
        f.signed = SignedStudy.sign(f.study, team)
        f.folders = [
            ClinicFolder.open(write_clinic(tmp_path / name / n, n, data="public"))
            for n in ("ash", "elm", "oak")
        ]
        f.states = [Memory() for _ in f.folders]
        f.keepers = [f.keeper(i) for i in range(3)]
        keys = {k.clinic.config.name: k.identity.public for k in f.keepers}
        f.roster = SignedRoster.sign(Roster.first(f.signed, keys), team)
        f.lose = f.lose_reply = lambda stage, node: False
        journal, rounds = MemoryJournal(), [0]

        def kill(event: Event, rounds: list[int] = rounds) -> None:
            rounds[0] += event.stage == "round"
            if rounds[0] == 2:
                rounds[0] += 1
                raise Killed

        if interrupted:
            first = f.run(journal=journal, watch=kill)
            with pytest.raises(Killed):
                first.execute(f)
            run = f.run(journal=journal, run_id=first.run_id)
        else:
            run = f.run(journal=journal)
        run.execute(f)
        answers.append(run.answers)
    whole, killed = answers
    assert [a.to_json() for a in whole] == [a.to_json() for a in killed]
    for a, b in zip(whole, killed, strict=True):
        for key, array in a.released.items():
            assert np.array_equal(array, b.released[key]), "bit for bit"
