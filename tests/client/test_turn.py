"""A long round keeps nobody at the clinic from pausing, whatever else is being looked at."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from cairn_client.keeper_client import OUTGOING, KeeperClient
from cairn_client.keeper_service import KeeperService
from cairn_client.sockets import Sockets
from cairn_client.turn import MOST_VIEWS, Turn
from cairn_protocol.errors import InputError
from cairn_protocol.proto import keeper_pb2, outgoing_pb2
from keeper_bench import Bench

Make = Callable[..., Bench]


@pytest.fixture
def turn() -> Turn:
    return Turn(seconds=0.05)


def busy(turn: Turn) -> bool:
    try:
        with turn.viewing():
            return False
    except InputError as error:
        return error.code == "input.keeper-busy" and bool(error.hint)


def all_wait(turn: Turn) -> None:
    """Returns once as many views wait as may."""
    ends = time.monotonic() + 30
    while turn._views._value:
        assert time.monotonic() < ends
        time.sleep(0.001)


def test_a_view_waits_for_a_short_turn_and_not_for_a_long_one(turn: Turn) -> None:
    with turn:
        start = time.monotonic()
        assert busy(turn)
        assert time.monotonic() - start >= 0.05
    assert not busy(turn)
    turn.seconds = 10
    with ThreadPoolExecutor(1) as pool, turn:
        looked = pool.submit(busy, turn)
        time.sleep(0.02)
        assert not looked.done()
        turn._lock.release()
        assert not looked.result(10)
        turn._lock.acquire()


def test_a_view_has_the_turn_and_gives_it_back_when_it_fails(turn: Turn) -> None:
    def look() -> None:
        with turn.viewing():
            assert busy(turn)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        look()
    assert not busy(turn)


def test_more_views_than_a_few_are_refused_at_once(turn: Turn) -> None:
    turn.seconds = 30
    with ThreadPoolExecutor(MOST_VIEWS) as pool, turn:
        waiting = [pool.submit(busy, turn) for _ in range(MOST_VIEWS)]
        all_wait(turn)
        start = time.monotonic()
        assert busy(turn)
        assert time.monotonic() - start < 5
        assert not any(one.done() for one in waiting)
        turn._lock.release()
        assert not any(one.result(10) for one in waiting)
        turn._lock.acquire()


class LongRound:
    """A clinic whose keeper is in the middle of a round, until `ends` is set."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        bench.settle(0)
        self.clinic = bench.keepers[0].clinic
        self.inside, self.ends = threading.Event(), threading.Event()

    def passing(self, step: str) -> None:
        if step == "answered":
            self.inside.set()
            assert self.ends.wait(60)

    def preview(self, people: KeeperClient, seconds: float) -> outgoing_pb2.PreviewReply:
        asked = outgoing_pb2.PreviewRequest(study="tiny")
        return people.admin("Preview", asked, outgoing_pb2.PreviewReply, seconds, OUTGOING)

    def pause(self, people: KeeperClient) -> str:
        decision = keeper_pb2.Decision(
            study=self.bench.signed.digest.hex(),
            roster=self.bench.roster.roster.digest.hex(),
            state="paused",
            person="Ada",
        )
        return people.admin("Decide", decision, keeper_pb2.StudyLine, 20).state


def test_people_can_pause_in_a_long_round_that_others_want_to_look_behind(bench: Make) -> None:
    round_ = LongRound(bench())
    b, sockets = round_.bench, Sockets(round_.clinic.path)
    with (
        KeeperService(round_.clinic, passing=round_.passing) as service,
        KeeperClient(sockets.link) as link,
        KeeperClient(sockets.admin) as people,
        ThreadPoolExecutor(MOST_VIEWS + 1) as pool,
    ):
        b.keepers[0] = link  # type: ignore[call-overload]
        b.set_up()
        service._turn.seconds = 60  # views wait all along
        people.admin("Status", keeper_pb2.StatusRequest(), keeper_pb2.StatusReply, 20)
        pool.submit(b.ask, b.requests())
        try:
            assert round_.inside.wait(30)
            views = [pool.submit(round_.preview, people, 60) for _ in range(MOST_VIEWS)]
            all_wait(service._turn)
            with pytest.raises(InputError, match="keeper-busy"):
                round_.preview(people, 20)
            people.admin("Status", keeper_pb2.StatusRequest(), keeper_pb2.StatusReply, 20)
            assert round_.pause(people) == "paused"
        finally:
            round_.ends.set()
        assert all(view.result(60).questions for view in views)
