"""How a patient's change becomes a row: adjusted mean, spread, and change as it was, in one bound.

A patient in a cell (arm, or stratum × arm) has u, the change beyond its public prediction over the
winsorising limit, and q, that prediction over its own public range, both in [−1, 1]. With
κ = range/limit, t = u + κq is the change as it was, around a public centre. The row holds

    (a, u, 1 − u²) in the cell's slot          the adjusted mean and spread (`arm_means`)
    b·q in the cell's second slot              the unadjusted mean: Σu + κ Σq
    c·e once,  e = (κ²q² + 2κuq)/(κ² + 2κ)     the unadjusted spread: t² = u² + (κ² + 2κ) e

and zeros elsewhere. |e| ≤ 1 since |u|, |q| ≤ 1, so C² = 1 + a² + b² + c², reached at u = q = ±1.

*Why so.* The unadjusted change is asked for as what the prediction took away: q moves by 2 points
where change moves by 5, so its noise is that much smaller than that of a second mean of changes.
The spread needs one number for all cells, because the squares of the cells' means are known from
the sums that are there anyway. b = c = 0.2 widen the noise in everything else by 3 % (a = ½),
which at 3,000 patients widens the main result's interval by 0.3 %.

Nothing is predicted apart from a constant (κ = 0): u is the change as it was, b and c fall away.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cairn_models.arm_means import WIDTH, Array, Coding

PREDICTED_WEIGHT: Final = 0.2  # b
CROSS_WEIGHT: Final = 0.2  # c


@dataclass(frozen=True)
class ChangeSums:
    """What a total says, in units of the limit: noised sums over the patients of each cell (C,).

    `slots` (3C,) as `arm_means` reads them; `count`, `u`, `u_squared`, `predicted` (sum of κq);
    `cross`: the sum of t² − u² over everybody.
    """

    slots: Array
    count: Array
    u: Array
    u_squared: Array
    predicted: Array
    cross: float


@dataclass(frozen=True)
class ChangeCoding:
    """The code for `strata` × `arms` cells; cell = stratum · arms + arm.

    Args:
        count_weight: a above.
        reach: κ above; 0 where nothing but a constant is predicted.
    """

    arms: int
    strata: int
    count_weight: float
    reach: float

    @cached_property
    def means(self) -> Coding:
        """The part of the row from which adjusted means and spreads come."""
        return Coding(self.cells, self.count_weight)

    @property
    def cells(self) -> int:
        """Groups that are told apart."""
        return self.arms * self.strata

    @property
    def length(self) -> int:
        """Coordinates in the vector."""
        return self.means.length + (self.cells + 1 if self.reach > 0 else 0)

    @property
    def bound(self) -> float:
        """C: the largest norm of one patient's row."""
        more = PREDICTED_WEIGHT**2 + CROSS_WEIGHT**2 if self.reach > 0 else 0.0
        return float(np.sqrt(1.0 + self.count_weight**2 + more))

    @property
    def shared(self) -> float:
        """Largest inner product of two patients' rows in different cells."""
        return CROSS_WEIGHT**2 if self.reach > 0 else 0.0

    @property
    def cross_range(self) -> float:
        """κ² + 2κ: the largest t² − u²."""
        return self.reach**2 + 2.0 * self.reach

    def rows(self, cell: NDArray[np.int64], u: Array, q: Array) -> Array:
        """(N, length) rows of patients in `cell` (N,) with `u` and `q` (N,) in [−1, 1]."""
        rows = np.zeros((len(u), self.length))
        first = self.means.length
        rows[:, :first] = self.means.rows(cell, u)
        if self.reach > 0:
            rows[np.arange(len(u)), first + cell] = PREDICTED_WEIGHT * q
            e = self.reach * q * (self.reach * q + 2.0 * u) / self.cross_range
            rows[:, -1] = CROSS_WEIGHT * e
        return rows

    def sums(self, total: Array) -> ChangeSums:
        """What a (length,) total says."""
        slots = total[: self.means.length]
        parts = slots.reshape(self.cells, WIDTH)
        count = parts[:, 0] / self.count_weight
        predicted, cross = np.zeros(self.cells), 0.0
        if self.reach > 0:
            predicted = total[self.means.length : -1] * (self.reach / PREDICTED_WEIGHT)
            cross = float(total[-1]) * self.cross_range / CROSS_WEIGHT
        return ChangeSums(slots, count, parts[:, 1], count - parts[:, 2], predicted, cross)
