"""A keeper that does nothing but charge, as a process to be killed: `born` starts one.

It is forked from a process that runs no other thread. A test's own process has threads (gRPC's,
polars'), and what is forked from such a one may find a lock held for ever.
"""

from __future__ import annotations

import os
import signal
import struct
from datetime import date
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Final, get_args

from cairn_privacy.accounting import units_within
from cairn_privacy.blocks import Blocks
from cairn_privacy.ledger import Ledger
from cairn_privacy.ledger_file import Passing, Step, no_step
from cairn_privacy.links import StudyAccount

STUDY: Final = b"s" * 32
RHO: Final = 2.0**-20
ACCOUNT: Final = StudyAccount(
    STUDY.hex(), "killed", "", "", Blocks.of_window(date(2024, 1, 1), None), units_within(1.0)
)
STEPS: Final = get_args(Step)
TOLD: Final = struct.Struct(">BI")  # what was told, of which attempt
RESERVED, RELEASED, CLOSED = range(3)
CLEAN: Final = get_context("forkserver")
CLEAN.set_forkserver_preload(["__main__", "cairn_privacy.ledger"])


def born(path: Path, first: int, step: str, number: int) -> tuple[ForkServerProcess, Connection]:
    """A process that charges from attempt `first` on, and where it tells of each.

    It kills itself as it passes `step` for the `number`-th time; 0: it goes on.
    """
    here, there = CLEAN.Pipe(duplex=False)
    with there:
        child = CLEAN.Process(target=_charge, args=(path, there, first, step, number), daemon=True)
        child.start()
    return child, here


def _charge(path: Path, there: Connection, first: int, step: str, number: int) -> None:
    """Charges attempt after attempt; every third comes to nothing and is void."""

    def tell(what: int, attempt: int) -> None:
        os.write(there.fileno(), TOLD.pack(what, attempt))

    with Ledger.open(path, passing=_dying_at(step, number) if number else no_step) as ledger:
        for pending in ledger.pending():
            ledger.void(pending.number, "the keeper stopped")
        for attempt in range(first, first + 100_000):
            charge = ledger.reserve(STUDY, "q", 0, attempt, RHO, account=ACCOUNT)
            tell(RESERVED, attempt)
            if attempt % 3 == 2:
                ledger.void(charge, "abandoned")
            else:
                tell(RELEASED, attempt)  # a byte has left the clinic
                ledger.commit(charge, attempt.to_bytes(32, "big"))
            tell(CLOSED, attempt)


def _dying_at(step: str, number: int) -> Passing:
    left = number

    def passing(passed: Step) -> None:
        nonlocal left
        left -= passed == step
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    return passing
