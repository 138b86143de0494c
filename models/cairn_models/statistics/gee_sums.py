"""`GeeSums`: what generalised estimating equations need of the data at given β and α, as sums.

With μ = g⁻¹(Xβ), variance function v(μ), e = (y − μ)/√v and D = diag(μ′(η)/√v) X, and an
exchangeable working correlation R = (1 − α)I + α11ᵀ over a patient's n scores, whose inverse is

    R⁻¹ = (I − c 11ᵀ)/(1 − α),    c = α/(1 + (n − 1)α)    (α = 0: independence),

a patient contributes

    B = DᵀR⁻¹D    UUᵀ    DᵀD    (Dᵀ1)(1ᵀD)    U = DᵀR⁻¹e    Dᵀe    (Dᵀ1)(1ᵀe)
    eᵀe    (1ᵀe)²    n    n²    1.

B and U give the next β, B and ΣUUᵀ the sandwich; the rest gives scale and α *after* that step,
since e(β + δ) = e − Dδ (exact for the identity link): β and α move in the same round.

Source: Liang & Zeger 1986, Biometrika 73: 13; moments as in R's gee (Carey), see `gee_fit`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Family = Literal["gaussian", "logit"]
LARGEST_PREDICTOR: Final = 30.0  # of a logit: beyond it a probability is 0 or 1 to 13 digits
SCALARS: Final = 5


@dataclass(frozen=True)
class GeeScales:
    """Powers of two for fixed-point sums: of residuals, and of sums of products of two.

    ΣUUᵀ is a sum of products of four; what fits it would leave the others too few digits.
    """

    errors: float = 1.0
    second: float = 1.0


def gee_vector_length(p: int) -> int:
    """Numbers in a patient's vector with `p` coefficients."""
    return 2 * p * (p + 1) + 3 * p + SCALARS


def gee_vector(
    x: Array, y: Array, beta: Array, *, alpha: float, family: Family, scales: GeeScales
) -> Array:
    """One patient's vector, (gee_vector_length,) float64; zeros if the patient has no score.

    Args:
        x: (visits, p), scaled.
        y: (visits,), in its own units.
        beta: (p,), of the scaled columns.
        alpha: the working correlation, −1/(visits − 1) < α < 1.
        family: identity link and constant variance, or logit and binomial variance.
        scales: what residuals and sums are multiplied by.
    """
    n, p = x.shape
    if n == 0:
        return np.zeros(gee_vector_length(p))
    d, e = _standardised(x, y, beta, family)
    e = e * scales.errors
    d1, e1 = d.sum(axis=0), e.sum()
    c = alpha / (1 + (n - 1) * alpha)
    upper = np.triu_indices(p)
    gram, ones, de = d.T @ d, np.outer(d1, d1), d.T @ e
    bread = (gram - c * ones) / (1 - alpha)
    score = (de - c * d1 * e1) / (1 - alpha)
    second = [*(a[upper] for a in (bread, gram, ones)), score, de, d1 * e1, [e @ e, e1**2]]
    meat = np.outer(score, score)[upper]
    return np.concatenate([meat, np.concatenate(second) * scales.second, [n, n * n, 1.0]])


def _standardised(x: Array, y: Array, beta: Array, family: Family) -> tuple[Array, Array]:
    """D (visits, p) and e (visits,)."""
    eta = (x * beta).sum(axis=1)
    if family == "gaussian":
        return x, y - eta
    mean = 1 / (1 + np.exp(-np.clip(eta, -LARGEST_PREDICTOR, LARGEST_PREDICTOR)))
    spread = np.sqrt(mean * (1 - mean))
    return x * spread[:, None], (y - mean) / spread


@dataclass(frozen=True)
class GeeSums:
    """Sums over patients, of scaled columns and of residuals in their own units.

    Shapes: `bread`, `meat`, `dd`, `d1d1` (p, p); `score`, `de`, `d1e1` (p,).
    """

    bread: Array
    meat: Array
    dd: Array
    d1d1: Array
    score: Array
    de: Array
    d1e1: Array
    ee: float
    e1e1: float
    observations: int
    pairs: int
    subjects: int

    @classmethod
    def unpack(cls, total: Array, p: int, scales: GeeScales) -> GeeSums:
        """From a sum of patients' vectors."""
        half = p * (p + 1) // 2
        meat, second, counts = np.split(total, [half, total.size - 3])
        parts = np.split(second / scales.second, np.cumsum([half] * 3 + [p] * 3))
        bread, dd, d1d1 = (_symmetric(upper, p) for upper in parts[:3])
        score, de, d1e1, (ee, e1e1) = parts[3:]
        visits, squared, subjects = counts.tolist()
        e = scales.errors
        return cls(
            bread=bread,
            meat=_symmetric(meat, p) / e**2,
            dd=dd,
            d1d1=d1d1,
            score=score / e,
            de=de / e,
            d1e1=d1e1 / e,
            ee=float(ee) / e**2,
            e1e1=float(e1e1) / e**2,
            observations=round(visits),
            pairs=round((squared - visits) / 2),
            subjects=round(subjects),
        )


def _symmetric(upper: Array, p: int) -> Array:
    full = np.zeros((p, p))
    rows, columns = np.triu_indices(p)
    full[rows, columns] = upper
    full[columns, rows] = upper
    return full
