"""`Clock`: what each step of a protocol costs, in processor time and on the wall."""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Spent = tuple[float, float]  # (processor, wall), seconds


def now() -> Spent:
    """Processor (user and system, all threads of this process) and wall seconds, both from here."""
    return time.process_time(), time.perf_counter()


class Clock:
    """Times of named steps. Processor time is what counts where other work shares the machine.

    Args:
        signed: processor seconds until now that went into signatures and digests.
    """

    def __init__(self, signed: Callable[[], float] = float) -> None:
        self.spent: dict[str, list[Spent]] = defaultdict(list)
        self._signed = signed
        self._of_which: dict[str, list[float]] = defaultdict(list)

    @contextmanager
    def __call__(self, step: str) -> Iterator[None]:
        """Times what happens inside once more under the name `step`."""
        signed, before = self._signed(), now()
        yield
        self.add(step, before, now())
        self._of_which[step].append(self._signed() - signed)

    def add(self, step: str, before: Spent, after: Spent) -> None:
        """One more time of `step`."""
        self.spent[step].append((after[0] - before[0], after[1] - before[1]))

    def cpu(self, *steps: str) -> float:
        """Median processor seconds of a step, added up over `steps`; 0 for one never taken."""
        return self._sum(steps, 0)

    def wall(self, *steps: str) -> float:
        """Median wall seconds of a step, added up over `steps`; 0 for one never taken."""
        return self._sum(steps, 1)

    def signed(self, *steps: str) -> float:
        """Median processor seconds of signatures and digests in a step, added up over `steps`."""
        taken = [self._of_which[step] for step in steps if self._of_which[step]]
        return float(sum(statistics.median(times) for times in taken))

    def alone(self, *steps: str) -> float:
        """`cpu` without what went into signatures and digests."""
        return self.cpu(*steps) - self.signed(*steps)

    def _sum(self, steps: tuple[str, ...], which: int) -> float:
        taken = [[spent[which] for spent in self.spent[step]] for step in steps if self.spent[step]]
        return float(sum(statistics.median(times) for times in taken))
