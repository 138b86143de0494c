"""`Outcome`: what a benchmark reports. It never fails; a target only says whether it was met."""

from __future__ import annotations

import json
import operator
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from time import perf_counter
from typing import Any

_TESTS: dict[str, Callable[[float, float], bool]] = {"<=": operator.le, ">=": operator.ge}


@dataclass(frozen=True)
class Target:
    """One figure that was promised: `value` must be `test` (<= or >=) `target`."""

    what: str
    value: float
    test: str
    target: float

    def row(self) -> dict[str, Any]:
        """As it stands in the JSON line."""
        met = _TESTS[self.test](self.value, self.target)
        return {
            "what": self.what,
            "value": self.value,
            "target": f"{self.test} {self.target}",
            "met": met,
        }


@dataclass
class Outcome:
    """A benchmark's name, its measured rows and the targets."""

    name: str
    rows: list[dict[str, Any]] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)

    def line(self) -> str:
        """The one line of JSON that ends a benchmark."""
        document = asdict(self) | {"targets": [target.row() for target in self.targets]}
        return json.dumps(document)


def seconds(
    work: Callable[[], object], repeats: int, clock: Callable[[], float] = perf_counter
) -> list[float]:
    """Seconds by `clock` (wall) of each of `repeats` calls, after one that is not counted."""
    work()
    times = []
    for _ in range(repeats):
        start = clock()
        work()
        times.append(clock() - start)
    return times


def median(values: Sequence[float]) -> float:
    """The median, rounded to nanoseconds so that the JSON stays readable."""
    return round(float(statistics.median(values)), 9)
