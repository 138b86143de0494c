"""Arms' effects from a table of means, stratum × arm: weighted least squares on stratum and arm.

The mean of a cell is taken as stratum + arm + error, with the error's variance σ²/n from sampling
and ν from noise, and weight W = 1/(σ²/n + ν). Eliminating the strata leaves for the arms' effects θ

    L θ = z,   L = Σ_s [diag(W_s) − W_s W_sᵀ/ΣW_s],   z = Σ_s W_s·(m_s − m̄_s)

which any generalised inverse solves: contrasts of arms that share a stratum, or are linked through
strata that others share, do not depend on which. With one σ² for all cells and no noise W ∝ n, and
θ is ordinary least squares with a fixed effect for each stratum. With noise, ν ∝ 1/n² lets small
cells count for less: these are the weights of least variance. One stratum: the difference of two
means, whatever the weights. A contrast is w·m with known w; a part of its variance is Σw²·part.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cairn_models.arm_means import ArmMeans, Array, Interval
from cairn_models.change_coding import PREDICTED_WEIGHT, ChangeCoding, ChangeSums
from cairn_models.pooled_spread import PooledSpread

LEAST_SPREAD: Final = 1e-12  # a spread of 0 would weigh nobody: below this, patients weigh alike
Pair = tuple[int, int]


@dataclass(frozen=True)
class CellMeans:
    """(C,) means of the cells with the parts of their variance, in units of the limit.

    `doubt` is the variance of `sampling`; `one_spread` says that all cells share one, so that their
    doubts move together. Cells that are not `readable` count for nothing.
    """

    readable: NDArray[np.bool_]
    value: Array
    sampling: Array
    noise: Array
    doubt: Array
    one_spread: bool


def own_spreads(means: ArmMeans) -> CellMeans:
    """Cells with a spread each: Welch's way."""
    n = np.where(means.readable, means.count, 2.0)
    doubt = means.spread_error / n**2
    return CellMeans(means.readable, means.mean, means.sampling, means.noise, doubt, False)


def one_spread(means: ArmMeans, spread: PooledSpread) -> CellMeans:
    """The same means with the pooled spread in every cell."""
    n = np.where(means.readable, means.count, 2.0)
    least = max(float(np.sqrt(spread.noise)), LEAST_SPREAD)
    sampling = np.where(means.readable, max(spread.variance, least) / n, 0.0)
    doubt = np.where(means.readable, spread.doubt / n**2, 0.0)
    return CellMeans(means.readable, means.mean, sampling, means.noise, doubt, True)


def as_it_was(
    means: ArmMeans,
    sums: ChangeSums,
    coding: ChangeCoding,
    spread: PooledSpread,
    *,
    noise_sd: float,
) -> CellMeans:
    """Means of change as it was, around the public centre: of t = u + κq, with pooled spread."""
    n = np.where(means.readable, means.count, 2.0)
    value = np.where(means.readable, means.mean + sums.predicted / n, 0.0)
    noise = 1.0 + (coding.reach / PREDICTED_WEIGHT) ** 2 + (value / coding.count_weight) ** 2
    pooled = one_spread(means, spread)
    shown = np.where(means.readable, noise_sd**2 * noise / n**2, 0.0)
    return CellMeans(means.readable, value, pooled.sampling, shown, pooled.doubt, True)


@dataclass(frozen=True)
class ArmEffects:
    """θ as (arms, C) weights on the cells' means; `linked` (arms, arms): what can be compared."""

    cells: CellMeans
    weights: Array
    linked: NDArray[np.bool_]

    def weights_of(self, pair: Pair) -> Array:
        """(C,) weights of the first arm's effect minus the second's."""
        return np.asarray(self.weights[pair[0]] - self.weights[pair[1]])

    def contrast(self, pair: Pair) -> Interval:
        """The first arm's effect minus the second's; only where they are `linked`."""
        w, cells = self.weights_of(pair), self.cells
        sampling = float((w**2 * cells.sampling).sum())
        noise = float((w**2 * cells.noise).sum())
        root = w**2 * np.sqrt(cells.doubt)
        doubt = float(root.sum() ** 2 if cells.one_spread else (root**2).sum())
        variance = sampling + noise
        known = doubt <= 0.0 or variance <= 0.0
        return Interval(
            value=np.asarray((w * cells.value).sum()),
            standard_error=np.asarray(np.sqrt(variance)),
            noise_share=np.asarray(noise / variance if variance > 0.0 else 0.0),
            degrees=np.asarray(np.inf if known else 2.0 * variance**2 / doubt),
        )

    def correlation(self, pairs: tuple[Pair, ...]) -> Array:
        """(P, P) correlation of the errors of these contrasts."""
        w = np.stack([self.weights_of(pair) for pair in pairs])
        covariance = (w * (self.cells.sampling + self.cells.noise)) @ w.T
        sd = np.sqrt(np.maximum(np.diag(covariance), LEAST_SPREAD**2))
        correlation = covariance / np.outer(sd, sd)
        np.fill_diagonal(correlation, 1.0)
        return np.asarray(correlation)


def arm_effects(cells: CellMeans, arms: int) -> ArmEffects:
    """The effects of `arms` arms from cells in the order stratum · arms + arm."""
    readable = cells.readable.reshape(-1, arms)
    variance = np.where(cells.readable, cells.sampling + cells.noise, np.inf)
    w = np.where(cells.readable, 1.0 / np.maximum(variance, LEAST_SPREAD**2), 0.0)
    w = (w / max(float(w.max()), LEAST_SPREAD)).reshape(-1, arms)
    design = np.zeros((arms, *w.shape))  # (arms, strata, arms): z as weights on the cells
    laplacian = np.zeros((arms, arms))
    linked = np.eye(arms, dtype=np.bool_)
    for s, (weight, there) in enumerate(zip(w, readable, strict=True)):
        linked |= np.outer(there, there)
        whole = weight.sum()
        if whole > 0.0:
            design[:, s] = np.diag(weight) - np.outer(weight, weight) / whole
            laplacian += design[:, s]
    for _ in range(arms):
        linked = (linked.astype(np.int64) @ linked.astype(np.int64)) > 0
    weights = np.linalg.pinv(laplacian, hermitian=True) @ design.reshape(arms, -1)
    return ArmEffects(cells, weights, linked & np.outer(readable.any(0), readable.any(0)))
