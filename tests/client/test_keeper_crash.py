"""Kill −9 at every named step of a reply: what left was paid for, and no header covers two vectors.

The keeper runs in a process of its own and ends itself at the step; the test plays the server,
which asks again, opens the next setup where it must, and carries the study to its end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from cairn_client.keeper import Keeper, Step
from cairn_client.keeper_store import KeeperStore
from cairn_privacy.ledger import Ledger
from cairn_protocol.messages import Closed, Refusal, RoundRequest, Upload
from cairn_protocol.record import Message
from cairn_protocol.server_run import ServerRun
from keeper_bench import STUDY, Bench
from keeper_crash import CrashingKeeper

Make = Callable[..., Bench]
PLAN = ("effect", "course")
TEXT = STUDY.replace("[policy]", "[privacy]\nretries = 3\n[policy]").replace(
    'kind = "trajectory"\nepsilon = 1.0\nrounds = 2', 'kind = "effect"\nepsilon = 1.0\nweek = 4'
)
STEPS = get_args(Step)


class Server:
    """Carries a study over one keeper that may die and two that do not."""

    def __init__(self, bench: Bench, folder: Path, step: str, number: int) -> None:
        self.bench = bench
        self.folder = folder
        self.keeper = CrashingKeeper(folder, step, number)
        self.deaths = 0
        self.setup = 0
        self.left: dict[bytes, set[bytes]] = {}  # vectors by header, as they left

    def ask(self, message: Message) -> Message:
        """The clinic's reply; after a death, that of the keeper that was started anew."""
        reply = self.keeper.ask(message)
        if reply is None:
            self.deaths += 1
            self.keeper.__exit__(None, None, None)
            self.keeper = CrashingKeeper(self.folder)
            reply = self.keeper.ask(message)
        assert reply is not None
        if isinstance(reply, Upload):
            self.left.setdefault(reply.header, set()).add(reply.vector)
        return reply

    def everyone(self, message: Message) -> bool:
        """Whether every clinic answered."""
        replies = [self.ask(message), *(self.bench.ask(message, i) for i in (1, 2))]
        if any(isinstance(reply, Refusal) for reply in replies):
            return False
        for index, reply in enumerate(replies):
            self.bench.server.receive(index, reply)  # type: ignore[arg-type]
        return True

    def set_up(self) -> None:
        for _ in range(3):
            if self.everyone(self.bench.opening) and self.everyone(self.bench.server.packages()):
                return
            self.next_setup()
        raise AssertionError("no setup came about")

    def next_setup(self) -> None:
        b = self.bench
        self.setup += 1
        b.server, b.opening = ServerRun.open(
            bytes(16), b.signed, b.roster, setup=self.setup, record=b.server.record
        )

    def run(self) -> int:
        """Uploads that every attempt together asked for."""
        self.set_up()
        asked = 0
        for question in PLAN:
            for attempt in range(4):
                asked += 1
                request = self.bench.request(question, 0, attempt)
                if self.everyone(request):
                    assert self.ask(request) == self.ask(request), "again: the same bytes"
                    break
                self.next_setup()
                self.set_up()
            else:
                raise AssertionError("no attempt was answered")
            self.bench.server.total()
        assert isinstance(self.ask(self.bench.server.close("done")), Closed)
        return asked


def prepare(bench: Make) -> tuple[Bench, Path]:
    b = bench(text=TEXT)
    clinic = b.keepers[0].clinic
    b.keepers[0].close()
    store = KeeperStore.of(clinic)
    store.pin_team(b.signed.team)
    store.offer(b.signed, b.roster)
    store.decide(b.signed.digest, b.roster.roster.digest, "approved", "Ada")
    store.close()
    return b, clinic.path


def check(server: Server, folder: Path, bench: Bench) -> None:
    """Spend ≥ what left; one vector a header; every charge is settled."""
    server.keeper.__exit__(None, None, None)
    assert all(len(vectors) == 1 for vectors in server.left.values())
    clinic = bench.keepers[0].clinic
    keeper = Keeper(clinic, KeeperStore.of(clinic))
    try:
        ledger = keeper.ledger
        assert ledger.pending() == ()
        committed = [entry for entry in ledger.entries() if entry.state == "committed"]
        assert len(committed) >= len(server.left)
        assert len({entry.name for entry in ledger.entries()}) == len(ledger.entries())
        assert ledger.spent() >= sum(entry.rho for entry in committed[: len(server.left)])
    finally:
        keeper.close()
    with Ledger.open(folder / ".cairn" / "ledger.sqlite") as again:
        assert again.spent() > 0


@pytest.mark.parametrize("step", STEPS)
def test_the_study_ends_right_after_a_death_at(bench: Make, step: str) -> None:
    b, folder = prepare(bench)
    server = Server(b, folder, step, 1)
    server.run()
    assert server.deaths == 1
    check(server, folder, b)


@pytest.mark.parametrize("step", ["answered", "kept"])
def test_and_after_a_death_in_the_second_round_at(bench: Make, step: str) -> None:
    b, folder = prepare(bench)
    server = Server(b, folder, step, 2)
    server.run()
    assert server.deaths == 1
    check(server, folder, b)


def test_a_kept_reply_survives_and_is_the_same(bench: Make) -> None:
    """Death after the reply was kept: no new attempt is needed, nothing is charged twice."""
    b, folder = prepare(bench)
    server = Server(b, folder, "kept", 1)
    server.run()
    check(server, folder, b)
    with Ledger.open(folder / ".cairn" / "ledger.sqlite") as ledger:
        told = [(e.question, e.attempt, e.state) for e in ledger.entries()]
    # The second question's first attempt met a keeper without keys: refused before any charge.
    assert told == [("effect", 0, "committed"), ("course", 1, "committed")]


def test_a_death_before_it_was_kept_is_sat_out(bench: Make) -> None:
    b, folder = prepare(bench)
    server = Server(b, folder, "answered", 1)
    assert server.run() == len(PLAN) + 1
    server.keeper.__exit__(None, None, None)
    with Ledger.open(folder / ".cairn" / "ledger.sqlite") as ledger:
        assert [e.state for e in ledger.entries()] == ["void", "committed", "committed"]


def test_another_request_under_an_answered_header_gets_no_vector(bench: Make) -> None:
    """After a restart the header's roots are gone, and only the very request gets the reply."""
    b, folder = prepare(bench)
    server = Server(b, folder, "kept", 1)
    server.set_up()
    request = b.request("effect", 0, 0)
    assert isinstance(server.ask(request), Upload)
    other: RoundRequest = replace(request, confirmations=())
    reply = server.ask(other)
    assert isinstance(reply, Refusal)
    assert reply.code == "peer.run-unknown"
    server.keeper.__exit__(None, None, None)


def test_a_setup_that_was_answered_before_a_death_is_past(bench: Make) -> None:
    """R4: its keys are gone, so nothing of it may be made again."""
    b, folder = prepare(bench)
    server = Server(b, folder, "opened", 1)
    reply = server.ask(b.opening)
    server.keeper.__exit__(None, None, None)
    assert server.deaths == 1
    assert isinstance(reply, Refusal)
    assert reply.code == "peer.setup-past"


def test_an_attempt_that_a_death_cut_off_is_past_in_the_next_setup(bench: Make) -> None:
    b, folder = prepare(bench)
    server = Server(b, folder, "answered", 1)
    server.set_up()
    assert isinstance(server.ask(b.request("effect", 0, 0)), Refusal)
    server.next_setup()
    server.set_up()
    reply = server.ask(b.request("effect", 0, 0))
    server.keeper.__exit__(None, None, None)
    assert isinstance(reply, Refusal)
    assert reply.code == "peer.round-past"
