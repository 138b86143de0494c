"""`fit`: the random-intercept model by exact ML or REML, from `GroupedSums` alone.

For λ = σ_b²/σ² and c_n = λ/(1 + nλ), with sums over the groups n of equal numbers of visits,

    A(λ) = Σ_n [XᵀX − c_n (Xᵀ1)(1ᵀX)]      β(λ) = A⁻¹ Σ_n [Xᵀy − c_n (Xᵀ1)(1ᵀy)]
    R(λ) = Σ_n [yᵀy − c_n (1ᵀy)²] − βᵀAβ   σ²(λ) = R/M,   M = N (ML) or N − p (REML)

    −2ℓ(λ) = M (1 + log 2πσ²) + Σ_n m_n log(1 + nλ)  [+ log |A| for REML]

with m_n patients in group n and N scores. The generalised least-squares β minimises R, so the
derivative of R passes β by (envelope theorem): dc_n/dλ = (1 + nλ)⁻² gives

    d(−2ℓ)/dλ = −(M/R) Σ_n r_n/(1 + nλ)² + Σ_n m_n n/(1 + nλ)  [− Σ_n tr(A⁻¹U_n)/(1 + nλ)²]

with U_n = (Xᵀ1)(1ᵀX) and r_n the sum over patients of (1ᵀ(y − Xβ))². The minimum is found on the
intraclass correlation λ/(1 + λ): a grid chooses the valley, so a local minimum cannot win, and the
root of the derivative within it is exact to machine precision. At λ = 0 the variance between
patients is 0 and ordinary least squares remains.

The coefficients' covariance is σ²A⁻¹ at the estimate. Nothing is approximate: ML and REML are
those of lme4's `lmer` and of statsmodels' `MixedLM`, the constants of the likelihood too.

Sources: Laird & Ware 1982 (Biometrics 38: 963); Searle, Casella & McCulloch 1992, 'Variance
Components', ch. 6; Everitt & Hothorn, 'HSAUR3', ch. 13, for the worked example.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from scipy.optimize import brentq

from cairn_models.statistics.grouped_sums import Array, GroupedSums

Method = Literal["ML", "REML"]
LARGEST_ICC: Final = 1 - 1e-6  # above it patients do not vary at all, as far as doubles can tell
CHI2_95: Final = 3.841458820694124  # 95 % quantile, one degree of freedom
_GRID: Final[Array] = np.r_[
    0.0,
    np.geomspace(1e-5, 0.02, 16)[:-1],
    np.linspace(0.02, 0.98, 49),
    1 - np.geomspace(0.02, 1e-6, 24)[1:],
]
_ROUNDING: Final = 1e-13
_SINGULAR: Final = 1e-9  # of a column's length: less than this is left beside the earlier columns


@dataclass(frozen=True)
class NotEstimable:
    """Why these data cannot answer, in words; `columns` lists the coefficients at fault."""

    reason: str
    columns: tuple[int, ...] = ()


@dataclass(frozen=True)
class RandomIntercept:
    """A fitted model. `covariance` (p, p) is the coefficients'; variances in outcome units²."""

    method: Method
    beta: Array
    covariance: Array
    var_subject: float
    var_resid: float
    log_likelihood: float
    subjects: int
    observations: int
    icc_low: float
    icc_high: float

    @property
    def standard_errors(self) -> Array:
        """The coefficients' standard errors, (p,)."""
        return np.sqrt(np.diag(self.covariance))

    @property
    def icc(self) -> float:
        """Share of the variance that lies between patients; 95 % profile `icc_low`, `icc_high`."""
        return self.var_subject / (self.var_subject + self.var_resid)

    @property
    def parameters(self) -> int:
        """Coefficients and the two variances."""
        return self.beta.size + 2

    @property
    def aic(self) -> float:
        """Akaike's criterion, −2ℓ + 2·parameters."""
        return 2 * self.parameters - 2 * self.log_likelihood

    @property
    def bic(self) -> float:
        """Schwarz's criterion with the number of scores, −2ℓ + parameters·log N (as lme4)."""
        return self.parameters * math.log(self.observations) - 2 * self.log_likelihood


def fit(sums: GroupedSums, method: Method) -> RandomIntercept | NotEstimable:
    """The model's estimates by `method`, or why these data do not determine them."""
    fault = _fault(sums)
    if fault is not None:
        return fault
    profile = _Profile(sums, method)
    icc = profile.best()
    if icc >= LARGEST_ICC or profile.at(icc).residual <= _SINGULAR * sums.yy.sum():
        return NotEstimable("the model leaves no variation within patients")
    best = profile.at(icc)
    var_resid = best.residual / profile.weight
    low, high = profile.interval(icc)
    return RandomIntercept(
        method=method,
        beta=best.beta,
        covariance=var_resid * best.inverse,
        var_subject=var_resid * icc / (1 - icc),
        var_resid=var_resid,
        log_likelihood=-0.5 * best.deviance,
        subjects=sums.subjects,
        observations=sums.observations,
        icc_low=low,
        icc_high=high,
    )


def _fault(sums: GroupedSums) -> NotEstimable | None:
    """What no optimiser could mend: too few data, or columns that repeat each other."""
    p = sums.xy.shape[1]
    finite = all(np.isfinite(part).all() for part in (sums.xx, sums.xy, sums.yy, sums.patients))
    if not finite:
        return NotEstimable("the sums are not finite")
    faults = (
        (sums.subjects < 2, f"fewer than two patients have a score ({sums.subjects})"),
        (
            sums.observations <= p + 1,
            f"{sums.observations} scores cannot carry {p} coefficients",
        ),
        (
            not sums.patients[1:].any(),
            "no patient has two scores, so nothing tells patients from scores",
        ),
        (not sums.yy.sum() > 0, "every score is 0"),
    )
    for applies, reason in faults:
        if applies:
            return NotEstimable(reason)
    repeated = repeated_columns(sums.xx.sum(axis=0))
    if repeated:
        return NotEstimable("some columns are combinations of earlier ones", repeated)
    return None


def repeated_columns(gram: Array) -> tuple[int, ...]:
    """Columns that are zero or linear combinations of earlier ones, by pivots of Cholesky."""
    left = gram.copy()
    repeated = []
    for j in range(len(left)):
        if left[j, j] <= _SINGULAR * gram[j, j]:
            repeated.append(j)
        else:
            left -= np.outer(left[:, j], left[j]) / left[j, j]
    return tuple(repeated)


@dataclass(frozen=True)
class _Point:
    """The likelihood's parts at one λ. `inverse` is A⁻¹; `slope` is d(−2ℓ)/dλ."""

    beta: Array
    inverse: Array
    residual: float
    deviance: float
    slope: float


class _Profile:
    """−2 log-likelihood with β and σ² profiled out, as a function of the intraclass correlation."""

    def __init__(self, sums: GroupedSums, method: Method) -> None:
        self._sums = sums
        self._reml = method == "REML"
        p = sums.xy.shape[1]
        self.weight = sums.observations - (p if self._reml else 0)  # M
        self._least = _ROUNDING * sums.yy.sum()  # a smaller residual is rounding

    def at(self, icc: float) -> _Point:
        """The likelihood's parts at `icc`, 0 ≤ icc < 1."""
        s, ratio = self._sums, icc / (1 - icc)
        growth = 1 + s.visits * ratio  # 1 + nλ
        shrink = ratio / growth  # c_n
        a = s.xx.sum(axis=0) - np.einsum("g,gij->ij", shrink, s.x1x1)
        b = s.xy.sum(axis=0) - shrink @ s.x1y1
        inverse, log_det = _inverse(a)
        beta = inverse @ b
        residual = float(s.yy.sum() - shrink @ s.y1y1 - b @ beta)
        residual = max(residual, self._least)
        between = s.y1y1 - 2 * s.x1y1 @ beta + np.einsum("i,gij,j->g", beta, s.x1x1, beta)
        deviance = self.weight * (1 + math.log(2 * math.pi * residual / self.weight))
        deviance += float(s.patients @ np.log(growth))
        slope = -self.weight / residual * (between @ growth**-2.0)
        slope += (s.patients * s.visits) @ (1 / growth)
        if self._reml:
            deviance += log_det
            slope -= np.einsum("ij,gij,g->", inverse, s.x1x1, growth**-2.0)
        return _Point(beta, inverse, residual, deviance, float(slope))

    def best(self) -> float:
        """The intraclass correlation with the largest likelihood; 0 and `LARGEST_ICC` are ends."""
        place = int(np.argmin([self.at(icc).deviance for icc in _GRID]))
        low, high = _GRID[max(place - 1, 0)], _GRID[min(place + 1, len(_GRID) - 1)]
        if self.at(low).slope >= 0:
            return float(low)
        if self.at(high).slope <= 0:
            return float(high)
        return float(brentq(lambda icc: self.at(icc).slope, low, high, xtol=1e-15))

    def interval(self, icc: float) -> tuple[float, float]:
        """Where −2ℓ rises by χ²₁(95 %) on either side, or the end of the range."""
        limit = self.at(icc).deviance + CHI2_95

        def excess(value: float) -> float:
            return self.at(value).deviance - limit

        low = brentq(excess, 0.0, icc) if excess(0.0) > 0 else 0.0
        high = brentq(excess, icc, LARGEST_ICC) if excess(LARGEST_ICC) > 0 else 1.0
        return float(low), float(high)


def _inverse(a: Array) -> tuple[Array, float]:
    """A⁻¹ and log |A| of a symmetric positive matrix, after scaling its diagonal to 1."""
    length = np.sqrt(np.diag(a))
    vectors, values, _ = np.linalg.svd(a / np.outer(length, length), hermitian=True)
    inverse = (vectors / values) @ vectors.T / np.outer(length, length)
    return inverse, float(np.log(values).sum() + 2 * np.log(length).sum())
