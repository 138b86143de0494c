"""Kill −9 at every step of a link to the disk, and at random: nothing released is unpaid for.

The keeper is a child process that reserves, releases (tells the parent, through a pipe, what left)
and commits or voids, over and over. Whatever it said it released must be in the ledger afterwards,
each once; a charge without a release is allowed, for it is the cautious side.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from datetime import date
from multiprocessing.connection import Connection
from pathlib import Path
from signal import SIGKILL

import pytest

from cairn_privacy.blocks import Blocks
from cairn_privacy.ledger import Ledger
from cairn_protocol.errors import PolicyRefusal
from ledger_child import ACCOUNT, CLOSED, RELEASED, RESERVED, RHO, STEPS, STUDY, TOLD, born

PATIENCE = 60.0  # seconds for what takes some milliseconds
Kill = Callable[[int, Connection], None]  # of a child, by the pipe on which it tells


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "ledger.db"
    Ledger.create(path, clinic="Brook (synthetic)", cap_epsilon=3.0, delta=1e-6).close()
    return path


def run_until_killed(
    path: Path, first: int, kill: Kill, step: str = "", number: int = 0
) -> list[tuple[int, int]]:
    """What a keeper told before it was killed."""
    child, here = born(path, first, step, number)
    with here:
        kill(int(child.pid or 0), here)
        told = bytearray()
        while here.poll(PATIENCE) and (part := os.read(here.fileno(), 65536)):
            told += part
    child.join(PATIENCE)
    assert child.exitcode == -SIGKILL, "it ended by itself, or not at all"
    whole = len(told) // TOLD.size * TOLD.size
    return [TOLD.unpack_from(told, at) for at in range(0, whole, TOLD.size)]


def check(path: Path, told: list[tuple[int, int]], deaths: int) -> int:
    """The attempt to go on with, after every rule held."""
    with Ledger.open(path) as ledger:
        entries = {entry.attempt: entry for entry in ledger.entries()}
        assert len(entries) == len(ledger.entries()), "an attempt was charged twice"
        reserved = {attempt for what, attempt in told if what == RESERVED}
        released = {attempt for what, attempt in told if what == RELEASED}
        assert reserved <= set(entries), "a reservation was forgotten"
        assert len(set(entries) - reserved) <= deaths, "more than one charge was lost a death"
        spent = ledger.spent(blocks=ACCOUNT.blocks)
        assert spent >= len(released) * RHO, "something left that was not paid for"
        assert spent == len(entries) * RHO, "each is charged once, whole"
        assert ledger.spent(blocks=Blocks.of_window(None, date(2023, 12, 31))) == 0.0
        for what, attempt in told:
            if what == CLOSED:
                state = "void" if attempt % 3 == 2 else "committed"
                assert entries[attempt].state == state
        for entry in entries.values():
            assert entry.state != "committed" or entry.attempt in released
            assert entry.state != "void" or entry.attempt % 3 == 2 or entry.reason.startswith("the")
        with pytest.raises(PolicyRefusal, match="attempt-repeated"):
            ledger.reserve(STUDY, "q", 0, max(entries), RHO, account=ACCOUNT)
        return max(entries) + 1


# A link's turn: 1 declares the study, 2 reserves, 3 commits, 4 reserves, 5 commits, 6 and 7 void.
@pytest.mark.parametrize("number", range(1, 8))
@pytest.mark.parametrize("step", STEPS)
def test_a_death_at_every_step_of_every_kind_of_link(path: Path, step: str, number: int) -> None:
    told = run_until_killed(path, 0, lambda child, pipe: None, step, number)
    with Ledger.open(path) as ledger:
        durable = STEPS.index(step) >= STEPS.index("committed")
        assert len(ledger.export().splitlines()) == 1 + number - (not durable)
    again = run_until_killed(path, 1000, kill_after(0.005))
    check(path, [*told, *again], 2)


def kill_after(seconds: float, *, at_work: bool = True) -> Kill:
    """Kills so long after the child told of its first reservation, or after it was born."""

    def kill(child: int, pipe: Connection) -> None:
        if at_work:
            assert pipe.poll(PATIENCE), "it does nothing"
        time.sleep(seconds)
        os.kill(child, SIGKILL)

    return kill


def killed_again_and_again(path: Path, kills: int) -> int:
    generator = random.Random(kills)
    told: list[tuple[int, int]] = []
    attempt = 0
    for deaths in range(1, kills + 1):
        kill = kill_after(generator.expovariate(1 / 0.02), at_work=deaths % 4 != 0)
        told += run_until_killed(path, attempt, kill)
        attempt = check(path, told, deaths)
    return len(told)


def test_twenty_random_kills(path: Path) -> None:
    assert killed_again_and_again(path, 20) > 20


@pytest.mark.soak
def test_two_hundred_random_kills(path: Path) -> None:
    assert killed_again_and_again(path, 200) > 200
