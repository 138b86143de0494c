"""`PredictionTable`: what one patient says about a foretold chance: one cell of bin × outcome.

**What is summed.** Each patient whose outcome is known is in one bin of the probability that the
model gave, and had the outcome or not: column 2b + y of a public matrix F in the patient's level's
slot, zeros elsewhere. **Bound.** No column is longer than 1, so C = 1 for any number of bins and
levels.

**F** (`shaping`) spares what is asked, chiefly cumulative sums: the area under the curve, the share
in each bin, net benefit at each threshold, each relative to its sampling variance in a public,
calibrated cohort in which log odds are normal around a public rate.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, ndtr

from cairn_models.shaping import Shaping
from cairn_models.statistics.binned import Binned, auc, net_benefit, outcome_share

Array = NDArray[np.float64]
NOWHERE: Final = -1
SPREAD: Final = 1.5  # standard deviation of the public cohort's log odds; synthetic: .4 to 2.2
GRID: Final = np.linspace(-4.0, 4.0, 161)  # in standard deviations
AREA, BIN, BENEFIT, COUNT, EVERY_CELL = 1.0, 0.1, 0.1, 0.05, 0.01  # weights in the shaping


@dataclass(frozen=True)
class PredictionTable:
    """The layout; `edges` are the rising inner ends of bins, `typical` a public rate.

    Without `shaped` cells are unit vectors: for data without noise, whose sums are whole numbers.
    """

    edges: tuple[float, ...]
    typical: float
    levels: int = 1
    shaped: bool = True

    bound = 1.0

    @property
    def bins(self) -> int:
        """How many."""
        return len(self.edges) + 1

    @property
    def cells(self) -> int:
        """Of one level."""
        return 2 * self.bins

    @property
    def length(self) -> int:
        """Coordinates in the vector."""
        return self.levels * self.cells

    @cached_property
    def middles(self) -> Array:
        """(bins,) the public probability that stands for each bin: its middle."""
        ends = np.array([0.0, *self.edges, 1.0])
        return np.asarray((ends[:-1] + ends[1:]) / 2.0)

    def coordinates(
        self,
        probability: NDArray[np.float32],
        outcome: NDArray[np.float32],
        known: NDArray[np.bool_],
        level: NDArray[np.int64],
    ) -> NDArray[np.int64]:
        """(N,) each patient's place, `NOWHERE` without outcome, level or finite probability."""
        bin_ = np.searchsorted(np.array(self.edges), probability.astype(np.float64), side="right")
        there = known & np.isfinite(probability) & (level >= 0)
        place = level * self.cells + 2 * bin_ + (outcome > 0.5)
        return np.where(there, place, NOWHERE).astype(np.int64)

    def rows(self, coordinates: NDArray[np.int64]) -> Array:
        """(N, length) rows."""
        rows = np.zeros((len(coordinates), self.levels, self.cells))
        known = np.flatnonzero(coordinates >= 0)
        level, cell = np.divmod(coordinates[known], self.cells)
        rows[known, level] = self.shaping.seen.T[cell]
        return rows.reshape(len(coordinates), self.length)

    def read(self, total: Array, noise_sd: float, level: int | None = None) -> Binned:
        """The noised table of one level, or of all together."""
        sums = np.asarray(total, dtype=np.float64).reshape(self.levels, self.cells)
        part = sums.sum(axis=0) if level is None else sums[level]
        levels = self.levels if level is None else 1
        return Binned(self.shaping.table(part), levels * noise_sd**2 * self.shaping.covariance)

    def planned(self, people: float) -> Array:
        """(cells,) the public cohort's table."""
        weight = np.diff(ndtr(np.concatenate([[-np.inf], (GRID[:-1] + GRID[1:]) / 2, [np.inf]])))
        p = expit(logit(self.typical) + SPREAD * GRID)
        bin_ = np.searchsorted(np.array(self.edges), p, side="right")
        table = np.zeros(self.cells)
        np.add.at(table, 2 * bin_, people * weight * (1.0 - p))
        np.add.at(table, 2 * bin_ + 1, people * weight * p)
        return table

    @cached_property
    def shaping(self) -> Shaping:
        """How a patient's cell is seen."""
        if not self.shaped:
            return Shaping.plain(self.cells)
        seen = Binned(self.planned(1.0), np.zeros((self.cells, self.cells)))
        answers = [(AREA, auc(seen)), (COUNT, outcome_share(seen))]
        for first, edge in enumerate(self.edges, 1):
            answers.append((BENEFIT / len(self.edges), net_benefit(seen, first, edge)))
        wanted = EVERY_CELL * np.eye(self.cells)
        for weight, told in answers:
            wanted += weight * np.outer(told.gradient, told.gradient) / told.sampling
        for b in range(self.bins):
            zero, one = float(seen.without[b]), float(seen.having[b])
            rate = (one + LITTLE) / (one + zero + 2 * LITTLE)
            slope = np.zeros(self.cells)
            slope[2 * b], slope[2 * b + 1] = -rate, 1.0 - rate
            wanted += BIN / self.bins * np.outer(slope, slope) / (rate * (1.0 - rate))
        return Shaping.toward(wanted)


LITTLE: Final = 1e-3  # people of one, so that a bin in which the public cohort is not has a rate
