"""Hedges' g: a difference between arms over the pooled SD of change, corrected for small samples.

g = J·Δ/S with the exact correction J = Γ(m/2) / (√(m/2)·Γ((m − 1)/2)), m = N − groups (Hedges 1981,
J. Educ. Stat. 6:107; 1 − 3/(4m − 1) is its well-known approximation). J undoes that E 1/S exceeds
1/σ, by a share of ⅜·Var S²/σ⁴ with Var S² = 2σ⁴/m; noise in S² adds to that variance, and 1 + ⅜ of
its own share divides g once more. Δ may be adjusted; S is the
spread of change as it was, so that adjusting does not enlarge g (as Cochrane and What Works
Clearinghouse ask). By the delta method

    Var g = J² [ Var Δ/S² + Δ²/(4S⁶)·Var S² − Δ/S⁴·Cov(Δ, S²) ]

where the covariance is that of noise, which meets both in the counts and sums of the cells; under
the normal law sampling adds none. Without noise and adjustment this is the textbook
1/n₁ + 1/n₂ + g²/(2m).
"""

from __future__ import annotations

import numpy as np
from scipy.special import gammaln

from cairn_models.arm_effects import ArmEffects, Pair
from cairn_models.arm_means import ArmMeans, Array, Interval
from cairn_models.pooled_spread import PooledSpread


def small_sample(degrees: float) -> float:
    """J; 1 for very many."""
    m = max(degrees, 2.0)
    return float(np.exp(gammaln(m / 2) - gammaln((m - 1) / 2)) / np.sqrt(m / 2))


def hedges_g(
    effects: ArmEffects,
    pair: Pair,
    spread: PooledSpread,
    means: ArmMeans,
    *,
    count_weight: float,
    noise_sd: float,
) -> Interval | None:
    """g of one contrast; None where nobody's change differs, or noise hides by how much."""
    if not spread.told:
        return None
    difference = effects.contrast(pair)
    s2, delta = spread.variance, float(difference.value)
    total = float(difference.standard_error) ** 2
    noise = total * float(difference.noise_share)
    crossed = _noise_together(effects.weights_of(pair), spread, means, count_weight) * noise_sd**2
    by_spread = delta**2 / (4 * s2**3)
    of_noise = noise / s2 + by_spread * spread.noise - delta / s2**2 * crossed
    of_sampling = (total - noise) / s2 + by_spread * spread.sampling
    of_noise = max(of_noise, 0.0)
    variance = of_noise + of_sampling
    factor = small_sample(spread.degrees) / (1.0 + 0.375 * spread.noise / s2**2)
    return Interval(
        value=np.asarray(factor * delta / np.sqrt(s2)),
        standard_error=np.asarray(factor * np.sqrt(variance)),
        noise_share=np.asarray(of_noise / variance if variance > 0.0 else 0.0),
        degrees=difference.degrees,
    )


def _noise_together(
    weights: Array, spread: PooledSpread, means: ArmMeans, count_weight: float
) -> float:
    """Covariance of Δ and S² by noise of variance 1 in every coordinate of the sum."""
    n = np.where(means.readable, means.count, 1.0)
    by_sum, by_count = weights / n, -weights * means.mean / (count_weight * n)
    return float((by_sum * spread.by_sum + by_count * spread.by_count).sum())
