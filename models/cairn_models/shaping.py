"""A public matrix through which one-hot patients are seen, so that noise spares what is asked.

A patient in cell c contributes column c of a matrix F (cells, cells) whose columns are no longer
than 1, instead of the unit vector e_c. Sums y = F x + noise give the table back as F⁻¹y, exactly
where there is no noise, with the noise's covariance sd²·(FᵀF)⁻¹. Unit vectors are the case F = I.

**Which F.** Let the answers of interest have the gradients g_k with respect to the table, and
weights w_k. Their summed noise variance is sd²·tr(W G⁻¹), W = Σ w_k g_k g_kᵀ, G = FᵀF. Least under
diag(G) ≤ 1 means G⁻¹ W G⁻¹ = diag(v) for some v ≥ 0 (the multipliers), hence with D = diag(v)^½
G = D⁻¹ (D W D)^½ D⁻¹, and diag(G) = 1 gives v = diag((D W D)^½): a fixed point, reached by
repetition from v = 1 (Denisov et al. 2022, 'Improved differential privacy for SGD via optimal
private linear operators on adaptive streams', Theorem 3.2). F is the root of G.

**The least worst answer.** max_k g_kᵀ G⁻¹ g_k / a_k, with the noise a_k allowed to each answer, is
convex in G, so its least is the largest, over weights λ ≥ 0 with Σλ = 1, of the least sum for
W = Σ λ_k g_k g_kᵀ / a_k. Weights grow with their answer's noise until those that share the maximum
hold all of it (multiplicative weights), one step of the fixed point for each. For any λ and v the
number 2·tr((D W D)^½) − Σv is a bound that no F can beat (Lagrange dual), so how far a solution is
from the best that any matrix gives can be read off: `LeastWorst.bound`.

Everything comes from public numbers. F is cut to multiples of 2⁻²⁰ toward zero: columns only get
shorter, and machines whose linear algebra differs in the last place have the same F, but for rare
steps of 2⁻²⁰, a millionth of a person each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
REPETITIONS: Final = 200
ROUNDS: Final = 120
EVERY_CELL: Final = 1e-4  # weight of directions that no answer asks for, beside all others
STEPS: Final = 2.0**20


@dataclass(frozen=True)
class LeastWorst:
    """A Gram matrix G (cells, cells) with ones on its diagonal, and what it attains.

    `worst` is the largest noise variance of any answer relative to what it is allowed, for noise of
    variance 1; no matrix with columns of norm 1 has less than `bound`.
    """

    gram: Array
    worst: float
    bound: float


@dataclass(frozen=True)
class Shaping:
    """`seen` (cells, cells): F, a patient of cell c contributes column c."""

    seen: Array

    @classmethod
    def plain(cls, cells: int) -> Shaping:
        """Unit vectors: every cell equally noised, sums exact."""
        return cls(np.eye(cells))

    @classmethod
    def toward(cls, wanted: Array) -> Shaping:
        """The F of least weighted noise; `wanted` (cells, cells) is W, positive definite."""
        v = np.ones(len(wanted))
        for _ in range(REPETITIONS):
            d = np.sqrt(v)
            v = np.diag(_root(d[:, None] * wanted * d)).copy()
        d = np.sqrt(v)
        return cls._of(_root(d[:, None] * wanted * d) / np.outer(d, d))

    @classmethod
    def sparing(cls, slopes: Array, allowed: Array) -> Shaping:
        """The F whose worst answer is least noisy; see `least_worst`."""
        return cls._of(least_worst(slopes, allowed).gram)

    @classmethod
    def _of(cls, gram: Array) -> Shaping:
        seen = _root(gram)
        longest = np.maximum(np.linalg.norm(seen, axis=0), 1.0)
        seen = np.trunc(seen / longest * STEPS) / STEPS
        seen.flags.writeable = False
        return cls(seen)

    def table(self, sums: Array) -> Array:
        """(..., cells) noised counts from sums (..., cells)."""
        return np.asarray(np.linalg.solve(self.seen, sums[..., None])[..., 0])

    @property
    def covariance(self) -> Array:
        """(cells, cells) of the table's noise, for noise of variance 1 in every sum."""
        return np.asarray(np.linalg.inv(self.seen.T @ self.seen))


def least_worst(slopes: Array, allowed: Array) -> LeastWorst:
    """The G of the least max_k g_kᵀ G⁻¹ g_k / a_k.

    Args:
        slopes: (cells, answers) gradients g_k of the answers with respect to the table.
        allowed: (answers,) a_k > 0, the noise variance that each answer may have.
    """
    asked = slopes / np.sqrt(allowed)
    cells, answers = asked.shape
    spare = EVERY_CELL * np.sum(asked**2) / answers / cells * np.eye(cells)
    weights, v = np.full(answers, 1.0 / answers), np.ones(cells)
    gram, worst = np.eye(cells), np.inf
    for _ in range(ROUNDS):
        d = np.sqrt(v)
        root = _root(d[:, None] * ((asked * weights) @ asked.T + spare) * d)
        v = np.diag(root).copy()
        length = np.sqrt(v) / d
        tried = root / np.outer(d * length, d * length)
        noise = np.sum(asked * np.linalg.solve(tried, asked), axis=0)
        if noise.max() < worst:
            gram, worst = tried, float(noise.max())
        best, weights = weights, weights * noise
        weights /= weights.sum()
    d = np.sqrt(v)
    root = _root(d[:, None] * ((asked * best) @ asked.T) * d)
    return LeastWorst(gram, worst, float(2.0 * np.trace(root) - v.sum()))


def _root(matrix: Array) -> Array:
    """The symmetric root of a positive semidefinite matrix."""
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T)
