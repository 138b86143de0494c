"""`GroupedSums`: all that a random-intercept model needs to know of the data, as sums.

With y_i = X_i β + 1 b_i + e_i, b_i ~ N(0, σ_b²), e_i ~ N(0, σ²I) a patient's n_i scores have the
covariance σ²(I + λ 11ᵀ), λ = σ_b²/σ². By Sherman and Morrison its inverse is

    σ⁻²(I − c_n 11ᵀ),   c_n = λ/(1 + n λ),

so the likelihood meets the data only through, for each number of visits n, the sums over patients
of XᵀX, (Xᵀ1)(1ᵀX), Xᵀy, (Xᵀ1)(1ᵀy), yᵀy, (1ᵀy)² and 1. A patient's vector holds those in the
segment of that patient's n and zeros elsewhere; `vector(a) + vector(b) == vector(a and b)`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def segment_length(p: int) -> int:
    """Numbers for one n with `p` coefficients: two upper triangles, two columns, three scalars."""
    return p * (p + 1) + 2 * p + 3


def vector_length(p: int, max_visits: int) -> int:
    """Numbers in a patient's vector: a segment for every n from 1 to `max_visits`."""
    return max_visits * segment_length(p)


def patient_vector(x: Array, y: Array, max_visits: int) -> Array:
    """One patient's vector, (vector_length,) float64; zeros if the patient has no score.

    Args:
        x: (visits, p), visits ≤ `max_visits`.
        y: (visits,).
        max_visits: the largest n that the question admits.
    """
    n, p = x.shape
    vector = np.zeros((max_visits, segment_length(p)))
    if n:
        upper = np.triu_indices(p)
        x1, y1 = x.sum(axis=0), y.sum()
        vector[n - 1] = np.concatenate(
            [(x.T @ x)[upper], np.outer(x1, x1)[upper], x.T @ y, x1 * y1, [y @ y, y1**2, 1.0]]
        )
    return vector.ravel()


@dataclass(frozen=True)
class GroupedSums:
    """Sums over patients, one group for each number of visits n = 1 … G.

    Shapes: `visits`, `patients`, `yy`, `y1y1` (G,); `xy`, `x1y1` (G, p); `xx`, `x1x1` (G, p, p).
    """

    visits: Array
    patients: Array
    xx: Array
    x1x1: Array
    xy: Array
    x1y1: Array
    yy: Array
    y1y1: Array

    @property
    def subjects(self) -> int:
        """Patients with at least one score."""
        return round(float(self.patients.sum()))

    @property
    def observations(self) -> int:
        """Scores, N."""
        return round(float(self.visits @ self.patients))

    @classmethod
    def unpack(cls, total: Array, scale: Array, outcome_scale: float) -> GroupedSums:
        """The sums in the variables' own units, from a sum of patients' vectors.

        Args:
            total: (vector_length,), of columns that were multiplied by `scale`.
            scale: (p,) powers of two.
            outcome_scale: what the outcome was multiplied by, a power of two.
        """
        p = scale.size
        rows = total.reshape(-1, segment_length(p))
        half = p * (p + 1) // 2
        cuts = np.cumsum([half, half, p, p, 1, 1])
        xx, x1x1, xy, x1y1, yy, y1y1, count = np.split(rows, cuts, axis=1)
        products = np.outer(scale, scale)
        return cls(
            visits=np.arange(1.0, len(rows) + 1),
            patients=count[:, 0],
            xx=_symmetric(xx, p) / products,
            x1x1=_symmetric(x1x1, p) / products,
            xy=xy / (scale * outcome_scale),
            x1y1=x1y1 / (scale * outcome_scale),
            yy=yy[:, 0] / outcome_scale**2,
            y1y1=y1y1[:, 0] / outcome_scale**2,
        )


def _symmetric(upper: Array, p: int) -> Array:
    full = np.zeros((len(upper), p, p))
    rows, columns = np.triu_indices(p)
    full[:, rows, columns] = upper
    full[:, columns, rows] = upper
    return full
