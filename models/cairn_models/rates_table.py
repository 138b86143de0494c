"""`RatesTable`: the table behind rates, arm × level × cell, and what its sums give back.

**What is summed.** Each patient who is counted is in one cell c of one arm and level, and puts
column c of a public matrix F there, zeros everywhere else. **Bound.** No column is longer than 1,
so C = 1 for any number of arms, levels and cells.

**Cells.** Nine courses (`reliable_change`) are disjoint, and each rate's numerator and denominator
are sums of them. Courses are merged where no rate that is asked for tells them apart, and left out
where none counts them: all four rates need nine cells, improvement and deterioration three, one
rate alone two.

**F.** With unit vectors a sum of k cells carries k times the noise of one, which falls on the rate
with the fewest people: deterioration, 7 of 100, is three cells of nine. For patients' data F is
shaped towards the rates that are asked for (`rates_shaping`). With H and B the cells of numerator
and rest of the denominator and K the covariance of the cells' noise,

    Var(noise of p̂) = v·((1 − p)²·a + p²·b − 2p(1 − p)·c)/N²

with a, b and c the sums of K over H × H, B × B and H × B (`proportions`); over L levels all are L
times as much.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from cairn_models.proportions import NORMAL_95, Array, Cells, Proportion, proportion
from cairn_models.rates_shaping import shaping_for
from cairn_models.reliable_change import COURSES, Outcome
from cairn_models.shaping import Shaping

NOWHERE = -1


@dataclass(frozen=True)
class RatesTable:
    """The layout of the table for these outcomes; `levels` is 1 where nobody is divided.

    Without `shaped` cells are unit vectors: for data without noise, whose sums are whole numbers.
    """

    arms: int
    levels: int
    outcomes: tuple[Outcome, ...]
    shaped: bool = True

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

    @cached_property
    def shaping(self) -> Shaping:
        """How a patient's cell is seen."""
        if not self.shaped:
            return Shaping.plain(self.cells)
        return shaping_for(
            tuple((o, self.having(o), self.lacking(o)) for o in self.outcomes), self.cells
        )

    def having(self, outcome: Outcome) -> NDArray[np.int64]:
        """The cells of people who have `outcome`."""
        return np.unique(self.place[outcome.having & outcome.counted])

    def lacking(self, outcome: Outcome) -> NDArray[np.int64]:
        """The cells of people who are counted for `outcome` and have it not."""
        return np.unique(self.place[~outcome.having & outcome.counted])

    def coordinates(
        self, arm: NDArray[np.int64], level: NDArray[np.int64], course: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """(N,) each patient's place in the table, or `NOWHERE`; a negative part is unknown."""
        cell = np.where(course >= 0, self.place[course], NOWHERE)
        where = (arm * self.levels + level) * self.cells + cell
        known = (arm >= 0) & (level >= 0) & (cell >= 0)
        return np.where(known, where, NOWHERE)

    def rows(self, coordinates: NDArray[np.int64]) -> Array:
        """(N, length) rows, a column of F in the group's slot; zero where there is no place."""
        rows = np.zeros((len(coordinates), self.arms * self.levels, self.cells))
        known = np.flatnonzero(coordinates >= 0)
        group, cell = np.divmod(coordinates[known], self.cells)
        rows[known, group] = self.shaping.seen.T[cell]
        return rows.reshape(len(coordinates), self.length)

    def noise_in(self, outcome: Outcome, groups: int = 1) -> Cells:
        """The noise in the sums over `groups` groups of people who have `outcome`, and have not."""
        h, b = self.having(outcome), self.lacking(outcome)
        k = groups * self.shaping.covariance
        return Cells(*(float(k[np.ix_(one, two)].sum()) for one, two in ((h, h), (b, b), (h, b))))

    def proportion(
        self,
        total: Array,
        outcome: Outcome,
        *,
        noise_sd: float,
        fewest: float,
        arm: int | None = None,
        level: int | None = None,
        reach: float = NORMAL_95,
    ) -> Proportion:
        """The rate of `outcome` (...,) in an arm and level of `total` (..., length); None: all."""
        table = total.reshape(*total.shape[:-1], self.arms, self.levels, self.cells)
        arms = slice(None) if arm is None else slice(arm, arm + 1)
        levels = slice(None) if level is None else slice(level, level + 1)
        part = self.shaping.table(table[..., arms, levels, :].sum(axis=(-3, -2)))
        groups = (self.arms if arm is None else 1) * (self.levels if level is None else 1)
        return proportion(
            part[..., self.having(outcome)].sum(axis=-1),
            part[..., self.lacking(outcome)].sum(axis=-1),
            self.noise_in(outcome, groups),
            noise_sd=noise_sd,
            fewest=fewest,
            reach=reach,
        )
