"""`Counts`: one table's noised numbers of people by arm, and the shares that they make."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cairn_models import proportions
from cairn_models.proportions import Proportion, least_count, proportion

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Counts:
    """`table` (..., arms, places); `covariance` (places, places) is that of one arm's noise."""

    table: Array
    covariance: Array
    fewest: float

    @property
    def places(self) -> int:
        """Columns of the table."""
        return len(self.covariance)

    @property
    def noised(self) -> bool:
        """Whether there is any noise."""
        return bool(self.covariance.any())

    def of(self, places: Mask) -> Array:
        """(..., arms) people in any of `places` (places,)."""
        return np.asarray(self.table[..., places].sum(axis=-1))

    def sd(self, places: Mask) -> float:
        """Standard deviation of the noise in `of`."""
        return float(np.sqrt(max(_between(self.covariance, places, places), 0.0)))

    def least(self, places: Mask) -> float:
        """The least noised number of people in `places` that is shown."""
        return least_count(self.fewest, 1.0, self.sd(places))

    def share(self, having: Mask, among: Mask | None = None) -> Proportion:
        """The share of people in `having`, of those in `among` (everybody), (..., arms)."""
        everybody = np.ones(self.places, dtype=np.bool_) if among is None else among
        lacking = everybody & ~having
        cells = proportions.Cells(
            _between(self.covariance, having, having),
            _between(self.covariance, lacking, lacking),
            _between(self.covariance, having, lacking),
        )
        return proportion(
            self.of(having), self.of(lacking), cells, noise_sd=1.0, fewest=self.fewest
        )


def noise_between(covariance: Array, weights: Array) -> Array:
    """(K,) variance of the noise in the sums of cells that `weights` (K, places) make."""
    return np.asarray(np.einsum("kc,cd,kd->k", weights, covariance, weights))


def _between(covariance: Array, one: Mask, other: Mask) -> float:
    return float(covariance[np.ix_(one, other)].sum())
