"""`SlopeSums`: what the likelihood of a random-slope model needs of the data, at given θ, as sums.

A patient's scores are y = Xβ + Zb + e with Z = (1, t), b ~ N(0, σ²D), e ~ N(0, σ²I) and
D = ΛΛᵀ, Λ = [[a, 0], [b, c]], θ = (a, b, c): the *relative* covariance factor of lme4. With
V = I + ZDZᵀ, W = (X, y), S = ZᵀZ, C = ZᵀW the identity of Woodbury leaves 2 × 2 matrices only:

    WᵀV⁻¹W = WᵀW − CᵀKC     K = MD     M = (I + DS)⁻¹     log|V| = log|I + DS|

and with N = SM, subscripts of D for its derivatives by the entries of θ,

    K_k  = M D_k Mᵀ                                     log|V|_k  = tr N D_k
    K_kl = M (D_kl − D_k N D_l − D_l N D_k) Mᵀ          log|V|_kl = tr N D_kl − tr N D_k N D_l.

A patient's vector holds, for each of several θ, WᵀV⁻¹W and log|V| with their first and second
derivatives. From their sums β and σ² are profiled out exactly and Newton's step in θ is exact
(`slope_profile`): no coefficient and no variance is in the public state, and nothing depends on
the outcome's units. Unlike a random intercept's, these sums do not reduce to groups of patients
with equally many visits: V depends on every visit's time.

Source: Bates et al. 2015, 'Fitting linear mixed-effects models using lme4', J. Stat. Softw. 67(1),
§3; Harville 1977, JASA 72: 320.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
ORDERS: Final = 10  # the value, three first derivatives, six second ones
PAIRS: Final = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))  # kl of the second derivatives
HEAD: Final = 4  # patients, then ZᵀZ: visits, sum of times, sum of squared times
_SECOND: Final[Array] = np.array(
    [
        [[2.0, 0.0], [0.0, 0.0]],
        [[0.0, 1.0], [1.0, 0.0]],
        np.zeros((2, 2)),
        [[0.0, 0.0], [0.0, 2.0]],
        np.zeros((2, 2)),
        [[0.0, 0.0], [0.0, 2.0]],
    ]
)


def products_length(p: int) -> int:
    """Numbers in the upper triangle of WᵀV⁻¹W with `p` coefficients and the outcome."""
    return (p + 1) * (p + 2) // 2


def slope_vector_length(p: int, blocks: int) -> int:
    """Numbers in a patient's vector for `blocks` values of θ."""
    return HEAD + blocks * ORDERS * (products_length(p) + 1)


@dataclass(frozen=True)
class PatientProducts:
    """Each patient's ZᵀZ, WᵀW and products of the rows of C = ZᵀW, T = upper triangle's length.

    Shapes: `present` (N,); `zz` (N, 3): s₀₀, s₀₁, s₁₁; `ww` (N, T); `cc` (N, 3, T): the parts of
    CᵀKC that k₀₀, k₀₁ and k₁₁ multiply.
    """

    present: Array
    zz: Array
    ww: Array
    cc: Array

    @classmethod
    def of(cls, x: Sequence[Array], y: Sequence[Array], times: Sequence[Array]) -> PatientProducts:
        """From each patient's rows.

        Args:
            x: (visits, p) each, scaled.
            y: (visits,) each, scaled.
            times: (visits,) each, scaled to at most 1 in size.
        """
        rows = [_products(*one) for one in zip(x, y, times, strict=True)]
        zz, ww, cc = (np.stack(part) for part in zip(*rows, strict=True))
        return cls((zz[:, 0] > 0).astype(np.float64), zz, ww, cc)

    def vectors(self, thetas: Array, log_scale: float) -> Array:
        """(N, slope_vector_length) float64; zeros for a patient without a score.

        Args:
            thetas: (blocks, 3), one θ a block.
            log_scale: what log|V| and its derivatives are multiplied by.
        """
        parts = [self.present[:, None], self.zz]
        for theta in thetas:
            k, logs = _shrinkage(self.zz, theta)
            explained = np.stack(
                [sum(k[:, o, j, None] * self.cc[:, j] for j in range(3)) for o in range(ORDERS)],
                axis=1,
            )
            products = -explained
            products[:, 0] += self.ww
            parts += [products.reshape(len(logs), -1), logs * log_scale]
        return np.concatenate(parts, axis=1)


def _products(x: Array, y: Array, times: Array) -> tuple[Array, Array, Array]:
    w = np.column_stack([x, y])
    i, j = np.triu_indices(w.shape[1])
    c0, c1 = w.sum(axis=0), (times[:, None] * w).sum(axis=0)
    zz = np.array([float(len(y)), times.sum(), (times * times).sum()])
    cc = np.stack([c0[i] * c0[j], c0[i] * c1[j] + c1[i] * c0[j], c1[i] * c1[j]])
    return zz, (w[:, i] * w[:, j]).sum(axis=0), cc


def _shrinkage(zz: Array, theta: Array) -> tuple[Array, Array]:
    """K (N, ORDERS, 3) as k₀₀, k₀₁, k₁₁, and log|V| (N, ORDERS), with their derivatives."""
    a, b, c = theta.tolist()
    d = np.array([[a * a, a * b], [a * b, b * b + c * c]])
    first = np.array([[[2 * a, b], [b, 0.0]], [[0.0, a], [a, 2 * b]], [[0.0, 0.0], [0.0, 2 * c]]])
    s = zz[:, [[0, 1], [1, 2]]]
    ds = d @ s
    area = np.maximum(zz[:, 0] * zz[:, 2] - zz[:, 1] ** 2, 0.0)  # |S|, rounding aside
    grown = ds[:, 0, 0] + ds[:, 1, 1] + (a * c) ** 2 * area  # |I + DS| − 1
    adjugate = np.empty_like(ds)
    adjugate[:, 0, 0], adjugate[:, 1, 1] = 1 + ds[:, 1, 1], 1 + ds[:, 0, 0]
    adjugate[:, 0, 1], adjugate[:, 1, 0] = -ds[:, 0, 1], -ds[:, 1, 0]
    m = adjugate / (1 + grown)[:, None, None]
    mt, n = m.swapaxes(1, 2), s @ m
    inner = [d @ mt]
    logs = [np.log1p(grown), *(np.trace(n @ f, axis1=1, axis2=2) for f in first)]
    inner += [f @ mt for f in first]
    for (k, j), second in zip(PAIRS, _SECOND, strict=True):
        crossed = first[k] @ n @ first[j]
        inner.append((second - crossed - crossed.swapaxes(1, 2)) @ mt)
        both = n @ first[k] @ n @ first[j]
        logs.append(np.trace(n @ second - both, axis1=1, axis2=2))
    # K = MD has the factor Mᵀ on neither side: D Mᵀ is it already.
    ks = [inner[0], *(m @ part for part in inner[1:])]
    upper = np.stack([np.stack([k[:, 0, 0], k[:, 0, 1], k[:, 1, 1]], axis=1) for k in ks], axis=1)
    return upper, np.stack(logs, axis=1)


@dataclass(frozen=True)
class SlopeSums:
    """Sums over patients in the variables' own units; times as divided by `longest_time`.

    Shapes: `zz` (3,); `products` (blocks, ORDERS, p+1, p+1), the outcome last; `logs`
    (blocks, ORDERS).
    """

    subjects: int
    zz: Array
    products: Array
    logs: Array
    longest_time: float

    @property
    def observations(self) -> int:
        """Scores, N."""
        return round(float(self.zz[0]))

    @property
    def root_mean_square_time(self) -> float:
        """√ mean t² over all scores, in the scaled unit of time; 0 if all are at 0."""
        return float(np.sqrt(max(self.zz[2], 0.0) / max(self.zz[0], 1.0)))

    @classmethod
    def unpack(
        cls,
        total: Array,
        scale: Array,
        outcome_scale: float,
        log_scale: float,
        longest_time: float,
    ) -> SlopeSums:
        """From a sum of patients' vectors, of columns multiplied by `scale` (p,)."""
        p = scale.size
        body = total[HEAD:].reshape(-1, ORDERS * (products_length(p) + 1))
        cut = ORDERS * products_length(p)
        upper = body[:, :cut].reshape(len(body), ORDERS, -1)
        both = np.append(scale, outcome_scale)
        products = np.zeros((len(body), ORDERS, p + 1, p + 1))
        i, j = np.triu_indices(p + 1)
        products[:, :, i, j] = upper
        products[:, :, j, i] = upper
        return cls(
            subjects=round(float(total[0])),
            zz=total[1:HEAD],
            products=products / np.outer(both, both),
            logs=body[:, cut:] / log_scale,
            longest_time=longest_time,
        )
