"""The pooled variance within cells, of adjusted change or of change as it was, from noised sums.

With t = u + κq and sums over the n patients of each cell, within-cell squares are

    of u:  Σ_cells [ Σu² − (Σu)²/n ]
    of t:  those  +  Σ(t² − u²) − Σ_cells [ (Σt)² − (Σu)² ]/n

and S² is their sum over N − cells: without noise, the pooled variance of a t-test or an analysis of
variance. S² is a smooth function of the summed coordinates, so noise of variance v in each gives
it the variance v·‖∇S²‖². (Σt)² holds the square of its own noise, which is taken off again.

The first part is told well, the second (what the prediction took away, a fifth of S² on published
figures) through more noise. Each is drawn to its public value with the weight that its noise
deserves: then nothing is divided by a variance that noise made up. Units of the limit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from cairn_models.arm_means import PUBLIC_SPREAD_DOUBT, Array
from cairn_models.change_coding import CROSS_WEIGHT, PREDICTED_WEIGHT, ChangeCoding, ChangeSums

LEAST_COUNT: Final = 0.5  # patients in a cell, below which its mean is nobody's
# The sd of the true second part around the public one, as a share of it: a line with no slope where
# −0.36 is published doubles it, one that overshoots turns its sign.
PUBLIC_DOUBT: Final = 1.5
READABLE: Final = 2.5  # standard deviations of its noise from which S² can be divided by


@dataclass(frozen=True)
class PooledSpread:
    """`variance` S² with its uncertainty; `by_sum` and `by_count` (C,) say how S² moves with them.

    `sampling` and `noise` are the two parts of the variance of S²; what the public values may be
    off by counts as sampling. `degrees` is N − cells; `public_share` the part of S² that is public.
    """

    variance: float
    degrees: float
    sampling: float
    noise: float
    public_share: float
    by_sum: Array
    by_count: Array

    @property
    def doubt(self) -> float:
        """The variance of S²."""
        return self.sampling + self.noise

    @property
    def told(self) -> bool:
        """Whether S² stands out from its noise, so that one can divide by it."""
        return bool(self.variance > READABLE * self.noise**0.5)


@dataclass(frozen=True)
class _Part:
    """A part of S² and its gradient by each coordinate: sums of u, of q, counts, squares, e."""

    raw: float
    by_sum: Array
    by_predicted: Array
    by_count: Array
    by_square: float
    by_cross: float

    def squared_gradient(self) -> float:
        cells = self.by_sum**2 + self.by_predicted**2 + self.by_count**2 + self.by_square**2
        return float(cells.sum()) + self.by_cross**2

    def times(self, factor: float) -> _Part:
        return _Part(
            factor * self.raw,
            factor * self.by_sum,
            factor * self.by_predicted,
            factor * self.by_count,
            factor * self.by_square,
            factor * self.by_cross,
        )


def pooled_spread(
    sums: ChangeSums,
    coding: ChangeCoding,
    *,
    noise_sd: float,
    public_adjusted: float,
    public_as_it_was: float | None,
) -> PooledSpread:
    """S² of t, or of u where nothing public is given for t; over all cells, the smallest included.

    A cell that is no larger than the noise of its count has no mean to take off: its patients vary
    around the public centre instead, which is too few of them to matter.
    """
    v, a, n = noise_sd**2, coding.count_weight, sums.count
    centred = n >= max(LEAST_COUNT, noise_sd / a)
    safe = np.where(centred, n, 1.0)
    degrees = max(float(n.sum()) - int(centred.sum()), 1.0)
    u = np.where(centred, sums.u / safe, 0.0)
    own_noise = np.where(centred, v / safe, 0.0)
    within = float((sums.u_squared - u * sums.u + own_noise).sum()) / degrees
    first = _Part(
        raw=within,
        by_sum=-2.0 * u / degrees,
        by_predicted=np.zeros_like(u),
        by_count=(1.0 + u**2 - within) / (a * degrees),
        by_square=1.0 / degrees,
        by_cross=0.0,
    )
    doubt = PUBLIC_SPREAD_DOUBT * public_adjusted
    parts = [_drawn(first, public_adjusted, doubt, v)]
    if public_as_it_was is not None and coding.reach > 0:
        t = np.where(centred, (sums.u + sums.predicted) / safe, 0.0)
        per_sum = coding.reach / PREDICTED_WEIGHT
        of_means = t * (sums.u + sums.predicted) - u * sums.u - own_noise * per_sum**2
        more = (sums.cross - float(of_means.sum())) / degrees
        second = _Part(
            raw=more,
            by_sum=-2.0 * (t - u) / degrees,
            by_predicted=-2.0 * per_sum * t / degrees,
            by_count=(t**2 - u**2 - more) / (a * degrees),
            by_square=0.0,
            by_cross=coding.cross_range / CROSS_WEIGHT / degrees,
        )
        public = public_as_it_was - public_adjusted
        parts.append(_drawn(second, public, PUBLIC_DOUBT * abs(public), v))
    return _together(parts, degrees, v)


def _drawn(part: _Part, public: float, doubt: float, v: float) -> tuple[_Part, float, float]:
    """The part with the weight that its noise deserves, what public comes to it, and its doubt."""
    noise, prior = v * part.squared_gradient(), doubt**2
    own = prior / (prior + noise) if noise > 0.0 else 1.0
    return part.times(own), (1.0 - own) * public, (1.0 - own) ** 2 * prior


def _together(parts: list[tuple[_Part, float, float]], degrees: float, v: float) -> PooledSpread:
    own = [part for part, _, _ in parts]
    public = sum(value for _, value, _ in parts)
    every = _Part(
        raw=sum(p.raw for p in own),
        by_sum=np.sum([p.by_sum for p in own], axis=0),
        by_predicted=np.sum([p.by_predicted for p in own], axis=0),
        by_count=np.sum([p.by_count for p in own], axis=0),
        by_square=sum(p.by_square for p in own),
        by_cross=sum(p.by_cross for p in own),
    )
    variance = max(every.raw + public, 0.0)
    shown = sum(abs(value) for _, value, _ in parts)
    return PooledSpread(
        variance=variance,
        degrees=degrees,
        sampling=2.0 * variance**2 / degrees + sum(doubt for _, _, doubt in parts),
        noise=v * every.squared_gradient(),
        public_share=min(shown / variance, 1.0) if variance > 0.0 else 1.0,
        by_sum=every.by_sum,
        by_count=every.by_count,
    )
