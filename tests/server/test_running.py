"""A run ends when its study was answered or cannot be, and for nothing else."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import insert

from cairn_privacy.audit.configuration import code_version
from cairn_protocol.errors import StudyStopped
from cairn_protocol.identity import Identity
from cairn_protocol.roster import Roster, SignedRoster
from cairn_protocol.signed_study import SignedStudy
from cairn_protocol.study import Study
from cairn_server import running, service
from cairn_server import store_tables as t
from cairn_server.exchange import Deadlines
from cairn_server.home import Listener, ServerConfig, ServerHome
from cairn_server.journal import Unavailable
from cairn_server.offering import Offering
from cairn_server.running import Running
from cairn_server.service import Service
from cairn_server.store import Store
from cairn_server.store_journal import StoreJournal
from cairn_server.store_tables import StoredRun, StoredStudy
from cairn_server.study_run import StudyRun
from system_bench import HOST, free_port

NOW = datetime(2026, 3, 4, tzinfo=UTC)
TEAM = Identity.generate()
STUDY = """
cairn = 1
name = "first"
title = "A synthetic study"
synthetic = true
[outcome]
instrument = "PHQ-9"
[cohort]
arms = ["waiting", "dmhi_guided"]
planned_patients = 900
largest_clinic = 300
[release]
blinded = true
[[questions]]
name = "effect"
kind = "effect"
randomised = true
epsilon = 1.0
"""
AWAY = Unavailable("the store is away", code="store-unavailable", hint="wait")


@dataclass
class Fleet:
    """Of which only this is asked."""

    finished: list[str] = field(default_factory=list)

    def grid(self, name: str) -> str:
        return name

    def finish(self, name: str) -> None:
        self.finished.append(name)


@dataclass
class World:
    store: Store
    study: StoredStudy
    running: Running
    fleet: Fleet

    def turn(self) -> StoredRun | None:
        """One look of the server, and the run that it carries on."""
        if (run := self.running.next()) is not None:
            self.running.carry_on(run)
        return run

    @property
    def states(self) -> tuple[list[str], str]:
        study = self.store.study(self.study.digest)
        assert study
        return [run.state for run in self.store.runs()], study.state


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    signed = SignedStudy.sign(Study.parse(STUDY.encode()), TEAM)
    keys = {name: Identity.generate().public for name in ("ash", "elm", "oak")}
    roster = SignedRoster.sign(Roster.first(signed, keys), TEAM)
    with Store.open_file(tmp_path / "store.sqlite") as store:
        study = StoredStudy(signed.digest, "first", signed.body, roster.body, "starting", NOW)
        store.add_study(study)
        with store.transaction() as c:
            for node, (name, key) in enumerate(keys.items()):
                values = {"name": name, "identity": key, "node_key": key, "node": node}
                values |= {"state": "enrolled", "enrolled_at": NOW, "last_seen": None}
                c.execute(insert(t.clinics).values(**values))
        fleet = Fleet()
        yield World(store, study, Running(store, fleet, Deadlines(), tmp_path), fleet)  # type: ignore[arg-type]


def will(monkeypatch: pytest.MonkeyPatch, *ends: BaseException | None) -> list[StudyRun]:
    """What becomes of the next runs; the runs."""
    runs, left = [], list(ends)

    def run_on(grid: object, run: StudyRun) -> None:
        runs.append(run)
        if error := left.pop(0):
            raise error

    monkeypatch.setattr(running, "run_on", run_on)
    return runs


def test_a_study_begins_and_ends_with_its_run(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    will(monkeypatch, None)
    assert world.turn()
    assert world.states == (["finished"], "finished")
    assert world.turn() is None
    assert len(world.fleet.finished) == 1
    assert world.store.code_of(world.store.runs()[0].run) == code_version()


def test_a_store_that_is_away_ends_no_run(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = will(monkeypatch, AWAY, AWAY, None)
    first, second = world.turn(), world.turn()
    assert world.states == (["running"], "running")
    assert first
    assert second
    assert first.run == second.run
    world.turn()
    assert world.states == (["finished"], "finished")
    assert len(runs) == 3


def test_nor_does_it_stop_a_run_inside(world: World) -> None:
    """The run itself says that it stopped only where it did."""
    said: list[str] = []

    class Lost(StoreJournal):
        def attempts(self, question: str) -> int:
            raise AWAY

    signed = SignedStudy.from_body(world.study.signed)
    roster = SignedRoster.from_body(world.study.roster)
    world.store.start_run(StoredRun(b"r" * 16, world.study.digest, "running", NOW, None, ""))
    run = StudyRun(
        signed, roster, [0, 1, 2], run_id=b"r" * 16, journal=Lost(world.store, b"r" * 16),
        watch=lambda event: said.append(event.stage),
    )  # fmt: skip
    with pytest.raises(Unavailable):
        run.execute(lambda *_: {})
    assert run.stopped == ""
    assert said == []


@pytest.mark.parametrize(
    ("end", "why"),
    [
        (StudyStopped("too few clinics", code="clinic-missing"), "too few clinics"),
        (ValueError("no fault that we know"), "internal.unforeseen"),
    ],
)
def test_what_cannot_go_on_is_begun_once(
    world: World, monkeypatch: pytest.MonkeyPatch, end: Exception, why: str
) -> None:
    runs = will(monkeypatch, end)
    world.turn()
    assert world.turn() is None
    assert world.states == (["stopped"], "stopped")
    (run,) = world.store.runs()
    assert why in run.reason
    assert "no fault that we know" not in run.reason
    assert len(runs) == 1


def test_a_report_that_cannot_be_drawn_ends_no_run_twice(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    runs = will(monkeypatch, None)
    monkeypatch.setattr(Running, "_write", lambda *_: 1 / 0)
    begun = StudyRun.__init__

    def made(self: StudyRun, *given: object, **more: object) -> None:
        begun(self, *given, **more)  # type: ignore[arg-type]
        self.answers = ["an answer"]  # type: ignore[list-item]

    monkeypatch.setattr(StudyRun, "__init__", made)
    world.turn()
    assert world.turn() is None
    assert world.states == (["finished"], "finished")
    assert "cannot be written whole" in caplog.text
    assert len(runs) == 1


def test_a_run_that_is_carried_on_keeps_its_letters(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = will(monkeypatch, *[AWAY] * 9, None)
    for _ in range(10):
        world.turn()
    assert runs[0].letters.keys() == {"waiting", "dmhi_guided"}
    assert {tuple(run.letters.items()) for run in runs} == {tuple(runs[0].letters.items())}


def test_an_offer_goes_to_the_others_of_a_revoked_clinic_and_is_warned_of_once(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.store.set_study(world.study.digest, state="offered")
    world.store.revoke("elm")
    asked: list[set[int]] = []

    def exchange(stage: str, requests: dict[int, bytes], *_: object) -> dict[int, bytes]:
        asked.append(set(requests))
        return {}

    offering = Offering(world.store, lambda: exchange, stopping=lambda: False)  # type: ignore[arg-type, return-value]
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            offering.look()
    assert asked == 5 * [{0, 2}]
    assert caplog.text.count("elm was revoked") == 1


def test_a_server_that_stops_offers_no_further_study(world: World) -> None:
    world.store.set_study(world.study.digest, state="offered")
    offering = Offering(world.store, lambda: 1 / 0, stopping=lambda: True)  # type: ignore[arg-type, return-value]
    offering.look()


@pytest.fixture
def team(tmp_path: Path) -> Iterator[Service]:
    """A server that answers on ports of its own; its loop does not run."""
    fleet, registry = (Listener(listen=HOST, port=free_port()) for _ in "ab")
    config = ServerConfig(name="team", hosts=(HOST,), fleet=fleet, registry=registry)
    with Service(ServerHome.create(tmp_path / "server", config, datetime.now(UTC))) as team:
        yield team


def test_the_server_outlives_a_store_that_is_away(
    team: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(service, "TICK", 0.005)
    turns = iter([AWAY, AWAY, AWAY, None, None, AWAY])
    over = threading.Event()

    def sweep() -> None:
        end = next(turns, over)
        if end is over:
            over.set()
        elif end is not None:
            raise end

    monkeypatch.setattr(team.registry, "sweep", sweep)
    loop = threading.Thread(target=team.serve)
    with caplog.at_level(logging.WARNING):
        loop.start()
        assert over.wait(20)
        team.stop()
        loop.join(20)
    assert not loop.is_alive()
    assert caplog.text.count("the store is away") == 2, "once each time that it began"


def test_jobs_beside_do_not_wait_for_each_other(
    team: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "TICK", 0.005)
    slow, met = threading.Event(), threading.Event()
    work: dict[str, Callable[[], object]] = {
        "_offering": lambda: slow.wait(20),
        "_returning": lambda: 1 / 0,
        "_countersigning": met.set,
    }
    for name, does in work.items():
        what = {"_offering": "look", "_returning": "carry", "_countersigning": "look"}[name]
        monkeypatch.setattr(getattr(team, name), what, does)
    monkeypatch.setattr(team.registry, "sweep", lambda: None)
    monkeypatch.setattr(threading, "excepthook", lambda told: None)
    loop = threading.Thread(target=team.serve)
    loop.start()
    assert met.wait(20), "receipts are given although offers and findings do not come on"
    team.stop()
    slow.set()
    loop.join(20)
    assert not loop.is_alive()
