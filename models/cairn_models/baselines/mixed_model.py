"""`MixedModel`: a linear mixed model of the course, and what it foretells of a person so far.

    y = Xβ + Zb + e,   Z = (1, t),   b ~ N(0, σ²ΛΛᵀ),   e ~ N(0, σ²I)

X holds, for each arm, a level, a slope and a slope in log(1 + week), for courses that flatten; t is
the week over 26. Fitted by maximum likelihood over all scores, with β and σ² profiled out. At a
week the person's own b is predicted (BLUP) from the scores so far alone, and the course drawn on
from there.

Source: Laird & Ware 1982, Biometrics 38: 963; Bates et al. 2015, J. Stat. Softw. 67(1), §3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from cairn_models.baselines.arm_mean import arm_of
from cairn_models.trajectory.columns import ARMS, HORIZONS, WEEKS
from cairn_models.trajectory.features import Weekly
from cairn_models.trajectory.placing import Floats

Array = NDArray[np.float64]
CURVES: Final = 3  # numbers an arm
TINY: Final = 1e-8  # of a penalty on β: an arm that nobody is in gets a 0
STARTS: Final = ((1.0, 0.0, 0.5), (0.5, 0.0, 0.1))  # of θ, the entries of Λ


@dataclass(frozen=True)
class MixedModel:
    """`beta` (3 (arms + 1),) by arm: level, slope, slope of log(1 + week); scores on 0-1.

    `covariance` (2, 2) of a person's own level and slope, `residual` the variance of a score
    around the person's course; `log_likelihood` at the maximum.
    """

    beta: Array
    covariance: Array
    residual: float
    log_likelihood: float

    @classmethod
    def fit(cls, weeks: Weekly) -> MixedModel:
        """By maximum likelihood over all scores, pooled without privacy."""
        seen = weeks.observed[:, :, 0].astype(np.float64)
        z, w = _clock(WEEKS), _design(weeks)  # (T, 2), (N, T, p + 1): the outcome last
        s = np.einsum("nt,ti,tj->nij", seen, z, z)
        c = np.einsum("nt,ti,ntk->nik", seen, z, w)
        ww = np.einsum("nt,ntj,ntk->jk", seen, w, w, optimize=True)
        count = float(seen.sum())

        def profile(theta: Array) -> tuple[float, Array, float]:
            """(−2ℓ at its best β and σ², β, σ²)."""
            d = _factor(theta) @ _factor(theta).T
            grown = np.eye(2) + d @ s
            shrunk = np.linalg.solve(grown, d)  # (N, 2, 2)
            products = ww - sum(
                (c[:, i] * shrunk[:, i, j, None]).T @ c[:, j] for i in range(2) for j in range(2)
            )
            a, b = products[:-1, :-1], products[:-1, -1]
            beta = np.linalg.solve(a + TINY * np.eye(len(b)), b)
            residual = float(products[-1, -1] - 2 * b @ beta + beta @ a @ beta) / count
            logs = float(np.log(np.linalg.det(grown)).sum())
            return logs + count * (1 + np.log(2 * np.pi * residual)), beta, residual

        found = [
            minimize(
                lambda theta: profile(theta)[0],
                start,
                method="Nelder-Mead",
                options={"xatol": 1e-6, "fatol": 1e-7, "maxiter": 1000},
            )
            for start in STARTS
        ]
        theta = min(found, key=lambda one: float(one.fun)).x
        deviance, beta, residual = profile(theta)
        covariance = residual * _factor(theta) @ _factor(theta).T
        return cls(beta, covariance, residual, -deviance / 2)

    def predict(self, weeks: Weekly) -> Floats:
        """(N, T, H) float32 on 0-1, each from the scores up to that week."""
        seen = weeks.observed[:, :, 0].astype(np.float64)
        z = _clock(WEEKS + max(HORIZONS))
        course = _courses(len(z)) @ self.beta.reshape(-1, CURVES).T  # (T + 12, arms + 1)
        expected = course[:, arm_of(weeks)].T  # (N, T + 12)
        off = seen * (weeks.scores[:, :, 0] - expected[:, :WEEKS])
        now = z[:WEEKS]
        s = np.cumsum(np.einsum("nt,ti,tj->ntij", seen, now, now), axis=1) / self.residual
        r = np.cumsum(off[:, :, None] * now, axis=1) / self.residual
        # (D⁻¹ + S)⁻¹ r, without the inverse of a D that may be singular.
        gain = np.linalg.solve(np.eye(2) + self.covariance @ s, (r @ self.covariance)[..., None])
        own = gain[..., 0]  # (N, T, 2)
        ahead = [
            expected[:, h : h + WEEKS] + np.einsum("nti,ti->nt", own, z[h : h + WEEKS])
            for h in HORIZONS
        ]
        return np.asarray(np.clip(np.stack(ahead, axis=2), 0.0, 1.0), dtype=np.float32)


def _factor(theta: Array) -> Array:
    """Λ: lower triangular (2, 2)."""
    return np.array([[theta[0], 0.0], [theta[1], theta[2]]])


def _clock(weeks: int) -> Array:
    """(T, 2): Z."""
    return np.stack([np.ones(weeks), np.arange(weeks) / (WEEKS - 1)], axis=1)


def _courses(weeks: int) -> Array:
    """(T, CURVES): an arm's columns of X."""
    return np.column_stack([_clock(weeks), np.log1p(np.arange(weeks))])


def _design(weeks: Weekly) -> Array:
    """(N, T, p + 1): X by arm, then the score."""
    mine = np.eye(len(ARMS) + 1)[arm_of(weeks)]
    x = np.einsum("na,tk->ntak", mine, _courses(WEEKS)).reshape(len(weeks), WEEKS, -1)
    return np.concatenate([x, weeks.scores[:, :, :1].astype(np.float64)], axis=2)
