"""`coverage`: in how many studies of a known population the intervals hold the truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from benchmarks.studies_pool import Pool
from cairn_models.answers import Estimate


@dataclass
class Covered:
    """Studies in which a number was shown, those whose interval held the truth, and its noise."""

    shown: int = 0
    held: int = 0
    noise_share: float = 0.0

    def count(self, estimate: Estimate | None, truth: float) -> None:
        """Adds one study; `estimate` is None or suppressed where nothing was shown."""
        if estimate is None or None in (estimate.value, estimate.low, estimate.high):
            return
        self.shown += 1
        self.held += estimate.low <= truth <= estimate.high  # type: ignore[operator]
        self.noise_share += estimate.noise_share or 0.0

    @property
    def share(self) -> float:
        """Of the studies in which the number was shown."""
        return self.held / self.shown if self.shown else float("nan")


@dataclass(frozen=True)
class Coverage:
    """One number's coverage: by its own interval, and by one that forgets the noise."""

    name: str
    studies: int
    aware: Covered
    naive: Covered


def coverage(
    pool: Pool, names: tuple[str, ...], *, patients: int, studies: int, seed: int
) -> dict[str, Coverage]:
    """The coverage of each number in `names`, over `studies` studies of `patients` people."""
    rng = np.random.default_rng(seed)
    truths = {name: _value(pool.truth, name) for name in names}
    found = {name: Coverage(name, studies, Covered(), Covered()) for name in names}
    for exact, noise in zip(pool.sums(patients, studies, rng), pool.noises(studies), strict=True):
        aware, naive = (pool.read(exact + noise, sd) for sd in (pool.sd, 0.0))
        for name, truth in truths.items():
            found[name].aware.count(aware.get(name), truth)
            found[name].naive.count(naive.get(name), truth)
    return found


def _value(truth: Mapping[str, Estimate], name: str) -> float:
    value = truth[name].value
    if value is None:
        raise ValueError(f"the population has no {name}")
    return value
