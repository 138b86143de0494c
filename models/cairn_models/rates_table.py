"""`RatesTable`: the one-hot table behind rates, arm × level × cell, and the sums it gives back.

**What is summed.** Each patient who is counted puts a 1 into one place and zeros everywhere else.
**Bound.** So the norm is 1 for any number of arms, levels and cells, reached by everybody counted.

**Cells.** Nine courses (`reliable_change`) are disjoint, and each rate's numerator and denominator
are sums of them. A sum of k cells carries k times the noise of one, so courses are merged where no
rate that is asked for tells them apart, and left out where none counts them: all four rates need
nine cells, improvement and deterioration three, one rate alone two. Then

    Var(noise of p̂) = v·((1 − p)²·a + p²·b)/N²

with a cells in the numerator and b in the rest of the denominator (`proportions`); summed over L
levels both are L times as many.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from cairn_models.proportions import Array, Proportion, proportion
from cairn_models.reliable_change import COURSES, Outcome

NOWHERE = -1


@dataclass(frozen=True)
class RatesTable:
    """The layout of the table for these outcomes; `levels` is 1 where nobody is divided."""

    arms: int
    levels: int
    outcomes: tuple[Outcome, ...]

    bound = 1.0

    @cached_property
    def place(self) -> NDArray[np.int64]:
        """(9,) the cell of each course, `NOWHERE` where no outcome counts it."""
        told = [tuple((o.counted[c], o.having[c]) for o in self.outcomes) for c in range(COURSES)]
        kinds = [kind for kind in dict.fromkeys(told) if any(counted for counted, _ in kind)]
        return np.array([kinds.index(k) if k in kinds else NOWHERE for k in told], dtype=np.int64)

    @property
    def cells(self) -> int:
        """Cells of one arm at one level."""
        return int(self.place.max()) + 1

    @property
    def length(self) -> int:
        """Coordinates in the vector."""
        return self.arms * self.levels * self.cells

    def having(self, outcome: Outcome) -> NDArray[np.int64]:
        """The cells of people who have `outcome`."""
        return np.unique(self.place[outcome.having & outcome.counted])

    def lacking(self, outcome: Outcome) -> NDArray[np.int64]:
        """The cells of people who are counted for `outcome` and have it not."""
        return np.unique(self.place[~outcome.having & outcome.counted])

    def coordinates(
        self, arm: NDArray[np.int64], level: NDArray[np.int64], course: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """(N,) where each patient's 1 stands, or `NOWHERE`; a negative part is unknown."""
        cell = np.where(course >= 0, self.place[course], NOWHERE)
        where = (arm * self.levels + level) * self.cells + cell
        known = (arm >= 0) & (level >= 0) & (cell >= 0)
        return np.where(known, where, NOWHERE)

    def rows(self, coordinates: NDArray[np.int64]) -> Array:
        """(N, length) one-hot rows, zero where there is no coordinate."""
        rows = np.zeros((len(coordinates), self.length))
        known = np.flatnonzero(coordinates >= 0)
        rows[known, coordinates[known]] = 1.0
        return rows

    def proportion(
        self,
        total: Array,
        outcome: Outcome,
        *,
        noise_sd: float,
        fewest: float,
        arm: int | None = None,
        level: int | None = None,
    ) -> Proportion:
        """The rate of `outcome` (...,) in an arm and level of `total` (..., length); None: all."""
        table = total.reshape(*total.shape[:-1], self.arms, self.levels, self.cells)
        arms = slice(None) if arm is None else slice(arm, arm + 1)
        levels = slice(None) if level is None else slice(level, level + 1)
        part = table[..., arms, levels, :].sum(axis=(-3, -2))
        having, lacking = self.having(outcome), self.lacking(outcome)
        groups = (self.arms if arm is None else 1) * (self.levels if level is None else 1)
        return proportion(
            part[..., having].sum(axis=-1),
            part[..., lacking].sum(axis=-1),
            (groups * len(having), groups * len(lacking)),
            noise_sd=noise_sd,
            fewest=fewest,
        )
