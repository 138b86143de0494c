"""`profile`: −2 log-likelihood of a random-slope model at one θ, with gradient and Hessian.

With the sums Q = Σ WᵀV⁻¹W partitioned into A = XᵀV⁻¹X, b = XᵀV⁻¹y, q = yᵀV⁻¹y and their
derivatives (`random_slopes`), β = A⁻¹b minimises the residual R = q − bᵀβ, and with u = (−β, 1)

    R_k = uᵀQ_k u                        R_kl = uᵀQ_kl u − 2 w_kᵀA⁻¹w_l

by the envelope theorem, w_k being Q_k u without its last entry. With M = N (ML) or N − p (REML)
and σ² = R/M profiled out,

    −2ℓ = M (1 + log 2πσ²) + Σ log|V|  [+ log|A| for REML],

whose derivatives follow term by term; log|A|_k = tr A⁻¹A_k, and
log|A|_kl = tr A⁻¹A_kl − tr A⁻¹A_kA⁻¹A_l.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from cairn_models.statistics.random_intercept import Method
from cairn_models.statistics.random_slopes import PAIRS, Array, SlopeSums

_LEAST_RESIDUAL: Final = 1e-13  # of Σy²: a smaller residual is rounding


@dataclass(frozen=True)
class SlopePoint:
    """The likelihood's parts at one θ. Shapes: `beta` (p,), `inverse` A⁻¹ (p, p), `gradient` (3,),
    `hessian` (3, 3) of `deviance` = −2ℓ by θ."""

    beta: Array
    inverse: Array
    residual: float
    deviance: float
    gradient: Array
    hessian: Array


def profile(sums: SlopeSums, block: int, method: Method) -> SlopePoint | None:
    """The likelihood at the block's θ; None where the sums do not determine it."""
    products, logs = sums.products[block], sums.logs[block]
    p = products.shape[1] - 1
    weight = sums.observations - (p if method == "REML" else 0)
    if weight <= 0 or not (np.isfinite(products).all() and np.isfinite(logs).all()):
        return None
    factored = _inverse(products[0, :p, :p])
    if factored is None:
        return None
    inverse, log_det = factored
    beta = inverse @ products[0, :p, p]
    u = np.append(-beta, 1.0)
    residual = max(float(u @ products[0] @ u), _LEAST_RESIDUAL * float(products[0, p, p]))
    if not residual > 0:
        return None
    along = products[1:] @ u  # (9, p + 1)
    first, second = along[:3] @ u, along[3:] @ u
    steps = along[:3, :p]
    residual_2 = _symmetric(second) - 2 * steps @ inverse @ steps.T
    gradient = weight * first / residual + logs[1:4]
    hessian = weight * (residual_2 / residual - np.outer(first, first) / residual**2)
    hessian = hessian + _symmetric(logs[4:])
    deviance = weight * (1 + math.log(2 * math.pi * residual / weight)) + float(logs[0])
    if method == "REML":
        turned = inverse @ products[1:, :p, :p]  # A⁻¹A_k, A⁻¹A_kl
        traces = np.trace(turned, axis1=1, axis2=2)
        deviance += log_det
        gradient = gradient + traces[:3]
        crossed = np.einsum("kij,lji->kl", turned[:3], turned[:3])
        hessian = hessian + _symmetric(traces[3:]) - crossed
    return SlopePoint(beta, inverse, residual, deviance, gradient, hessian)


def _symmetric(pairs: Array) -> Array:
    full = np.zeros((3, 3))
    for (k, j), value in zip(PAIRS, pairs, strict=True):
        full[k, j] = full[j, k] = value
    return full


def _inverse(a: Array) -> tuple[Array, float] | None:
    """A⁻¹ and log|A| of a symmetric positive matrix, its diagonal scaled to 1; None if singular."""
    diagonal = np.diag(a)
    if not (diagonal > 0).all():
        return None
    length = np.sqrt(diagonal)
    values, vectors = np.linalg.eigh(a / np.outer(length, length))
    if values[0] <= 1e-14 * values[-1]:
        return None
    inverse = (vectors / values) @ vectors.T / np.outer(length, length)
    return inverse, float(np.log(values).sum() + 2 * np.log(length).sum())
