"""The pooled variance within cells, of adjusted change or of change as it was, from noised sums.

With t = u + κq and sums over the n patients of each cell, within-cell squares are

    SS = Σ_cells [ Σu² − (Σt)²/n ]  +  Σ(t² − u²),        S² = SS / (N − cells)

(κ = 0: of u itself). Without noise that is the pooled variance of a t-test or an analysis of
variance. S² is a smooth function of the summed coordinates, so noise of variance v in each gives
it the variance v·‖∇S²‖². (Σt)² holds the square of its own noise, which is taken off again.

S² is drawn to a public value with the weight that its noise deserves, as the cells' own spreads
are: then nothing is divided by a variance that noise made up. Units of the limit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cairn_models.arm_means import PUBLIC_SPREAD_DOUBT, Array
from cairn_models.change_coding import CROSS_WEIGHT, PREDICTED_WEIGHT, ChangeCoding, ChangeSums

LEAST_COUNT = 0.5  # patients in a cell, below which its mean is nobody's


@dataclass(frozen=True)
class PooledSpread:
    """`variance` S² with its uncertainty; `by_sum` and `by_count` (C,) say how S² moves with them.

    `sampling` and `noise` are the two parts of the variance of S²; what the public value may be
    off by counts as sampling. `degrees` is N − cells, `public_weight` the public value's share.
    """

    variance: float
    degrees: float
    sampling: float
    noise: float
    public_weight: float
    by_sum: Array
    by_count: Array

    @property
    def doubt(self) -> float:
        """The variance of S²."""
        return self.sampling + self.noise


def pooled_spread(
    sums: ChangeSums,
    coding: ChangeCoding,
    *,
    noise_sd: float,
    public_variance: float,
    adjusted: bool,
) -> PooledSpread:
    """S² of u (`adjusted`) or of t, over all cells, those too small to be shown included.

    A cell that is no larger than the noise of its count has no mean to take off: its patients vary
    around the public centre instead, which is too few of them to matter.
    """
    v, a = noise_sd**2, coding.count_weight
    n, reach = sums.count, 0.0 if adjusted else coding.reach
    cross = 0.0 if adjusted else sums.cross
    centred = n >= max(LEAST_COUNT, noise_sd / a)
    safe = np.where(centred, n, 1.0)
    together = sums.u + (0.0 if adjusted else sums.predicted)
    mean = np.where(centred, together / safe, 0.0)
    in_sum = 1.0 + (reach / PREDICTED_WEIGHT) ** 2  # noise variance of Σt over v
    squares = sums.u_squared - mean * together + np.where(centred, v * in_sum / safe, 0.0)
    groups = int(centred.sum())
    degrees = max(float(n.sum()) - groups, 1.0)
    raw = max((float(squares.sum()) + cross) / degrees, 0.0)

    by_sum = -2.0 * mean / degrees
    by_count = (1.0 + mean**2 - raw) / (a * degrees)
    once = (coding.cross_range / CROSS_WEIGHT / degrees) ** 2 if reach > 0 else 0.0
    raw_noise = v * float(
        (by_sum**2 * in_sum + by_count**2).sum() + coding.cells / degrees**2 + once
    )

    prior = (PUBLIC_SPREAD_DOUBT * public_variance) ** 2
    own = prior / (prior + raw_noise)
    variance = own * raw + (1.0 - own) * public_variance
    return PooledSpread(
        variance=variance,
        degrees=degrees,
        sampling=own**2 * 2.0 * variance**2 / degrees + (1.0 - own) ** 2 * prior,
        noise=own**2 * raw_noise,
        public_weight=1.0 - own,
        by_sum=own * by_sum,
        by_count=own * by_count,
    )
