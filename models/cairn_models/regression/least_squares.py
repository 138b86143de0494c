"""A linear model from noised second moments by cell: coefficients, covariance, what is unclear.

**Coding.** A patient of cell c has d numbers t in [−1, 1], the covariates and then the outcome, and
puts (a, t_i, t_i t_j (i < j), 1 − t_i²) into the cell's slot. With v_i = t_i² the squared norm
a² + Σ v_i + Σ_{i<j} v_i v_j + Σ (1 − v_i)² is convex in each v_i, so it is largest where every v_i
is 0 or 1: k ones give a² + k + k(k − 1)/2 + d − k, most at k = d. Hence
C² = a² + d + d(d − 1)/2; squares written as squares would cost d more. Categories cost nothing:
the bound does not grow with the cells. For d = 1 this is the coding of `arm_means`.

**Estimator.** The sums give M = XᵀX, b = Xᵀy, yᵀy; β solves M β = b, ordinary least squares. Sums
are noised, so U(β) = b − M β has mean 0 at the true β and the noise N = v Σ_k u_k u_kᵀ, u_k the
slope of U in coordinate k. Noise in M meets noise in U: to second order the root is off by
−M⁻¹ v Σ_k M_k M⁻¹ u_k, which is taken off. Residual variance: (RSS + tr N M⁻¹)/(n − p), where the
trace is what fitting the noise took from RSS. Covariance M⁻¹(σ² M + N)M⁻¹; *robust*, where all
covariates are categories: M⁻¹(n/(n − p) Σ_c x_c x_cᵀ RSS_c + N)M⁻¹ (White 1980, Econometrica
48:817, as HC1). Without noise all of it is OLS on the pooled rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import block_diag

from cairn_models.regression.fitted import (
    CLEAR,
    NOT_FITTED,
    SWAMPED,
    TOO_FEW,
    Array,
    Fitted,
)
from cairn_models.regression.keeping import Mask, keep


@dataclass(frozen=True)
class MomentCoding:
    """`numbers` is d, the outcome included; `count_weight` is a; in `cells` slots."""

    cells: int
    numbers: int
    count_weight: float

    @property
    def width(self) -> int:
        """Coordinates of a cell."""
        d = self.numbers
        return 1 + 2 * d + d * (d - 1) // 2

    @property
    def bound(self) -> float:
        """C: the largest norm of one patient's row."""
        d = self.numbers
        return float(np.sqrt(self.count_weight**2 + d + d * (d - 1) / 2))

    def rows(self, cell: NDArray[np.int64], t: Array) -> Array:
        """(N, cells · width) rows of patients in `cell` (N,) with numbers `t` (N, d)."""
        first, second = np.triu_indices(self.numbers, 1)
        own = np.concatenate(
            [
                np.full((len(t), 1), self.count_weight),
                t,
                t[:, first] * t[:, second],
                1.0 - t**2,
            ],
            axis=1,
        )
        slots = np.zeros((len(t), self.cells, self.width))
        slots[np.arange(len(t)), cell] = own
        return slots.reshape(len(t), self.cells * self.width)

    @property
    def slopes(self) -> Array:
        """(width, d + 1, d + 1): how the second moments of (1, t) follow from the coordinates."""
        d, a = self.numbers, self.count_weight
        out = np.zeros((self.width, d + 1, d + 1))
        out[0, 0, 0] = 1.0 / a
        first, second = np.triu_indices(d, 1)
        for i in range(d):
            out[1 + i, 0, 1 + i] = out[1 + i, 1 + i, 0] = 1.0
            out[0, 1 + i, 1 + i] = 1.0 / a  # Σ t² = Σ 1 − Σ (1 − t²)
            out[self.width - d + i, 1 + i, 1 + i] = -1.0
        for k, (i, j) in enumerate(zip(first.tolist(), second.tolist(), strict=True)):
            out[1 + d + k, 1 + i, 1 + j] = out[1 + d + k, 1 + j, 1 + i] = 1.0
        return out


@dataclass(frozen=True)
class Moments:
    """What the sums say, cell by cell, in the variables' own units.

    Shapes: `sums` (C, W) noised coordinates; `slopes` (W, q + 2, q + 2) of the second moments of
    (1, numbers, outcome) in each; `design` (C, p, q + 1): row x = design · (1, numbers).
    `values`: place of each cell's level by variable; `terms`: the variables of each term that are
    categories. `noise_sd`: of each coordinate.
    """

    sums: Array
    slopes: Array
    design: Array
    values: Mapping[str, Array]
    terms: tuple[tuple[str, ...], ...]
    count_weight: float
    noise_sd: float

    @property
    def count(self) -> Array:
        """(C,) noised people."""
        return np.asarray(self.sums[:, 0] / self.count_weight)

    def only(self, mask: Mask) -> Moments:
        """The cells of `mask`."""
        return replace(
            self,
            sums=self.sums[mask],
            design=self.design[mask],
            values={name: place[mask] for name, place in self.values.items()},
        )


def least_squares(moments: Moments, *, fewest: float, robust: bool) -> Fitted:
    """The coefficients, each told only where enough people stand behind it."""
    support = np.abs(moments.design).sum(axis=2)

    def judge(mask: Mask) -> str:
        sd = moments.noise_sd / moments.count_weight * np.sqrt(mask.sum())
        return TOO_FEW if moments.count[mask].sum() < max(fewest, CLEAR * sd) else ""

    def directions(mask: Mask) -> Array:
        return np.concatenate([*np.moveaxis(moments.design[mask], 2, 0)])

    kept = keep(support, moments.values, judge, terms=moments.terms, directions=directions)
    columns = [moments.count[(support[:, j] != 0) & kept.rows].sum() for j in range(len(kept.why))]
    count, people = np.array(columns), float(moments.count[kept.rows].sum())
    if not kept.rows.any():
        return replace(Fitted.nothing(TOO_FEW, count, people), why=kept.why)
    found = solve(moments.only(kept.rows), robust=robust, clear=CLEAR, basis=kept.basis)
    if isinstance(found, str):
        return Fitted.nothing(found, count, people)
    return replace(found, why=kept.why, count=count, rows=kept.rows)


def solve(
    moments: Moments, *, robust: bool, clear: float = 0.0, basis: Array | None = None
) -> Fitted | str:
    """The coefficients of all cells, or why there are none; `basis` (p, r) spans their rows."""
    p = moments.design.shape[1]
    basis = np.eye(p) if basis is None else basis
    whole = np.stack([block_diag(basis.T @ own, np.eye(1)) for own in moments.design])
    # (C, W, r + 1, r + 1): how the second moments of (x, y) move with each coordinate
    moved = np.einsum("cai,wij,cbj->cwab", whole, moments.slopes, whole, optimize=True)
    square = np.einsum("cw,cwab->ab", moments.sums, moved)
    size = np.sqrt(np.abs(np.diag(square)))
    if not (size > 0.0).all():
        return NOT_FITTED
    moved, square = moved / np.outer(size, size), square / np.outer(size, size)
    people, rank = float(moments.count.sum()), basis.shape[1]
    m, b = square[:-1, :-1], square[:-1, -1]
    variance = moments.noise_sd**2
    flat = moved.reshape(-1, rank + 1, rank + 1)
    if not _is_clear(m, flat[:, :-1, :-1], moments.noise_sd, clear) or people <= rank:
        return SWAMPED if moments.noise_sd else NOT_FITTED
    inverse = np.linalg.inv(m)
    gamma = inverse @ b
    pulls = flat[:, :-1, -1] - flat[:, :-1, :-1] @ gamma  # (K, r): slope of U
    noised = variance * pulls.T @ pulls
    gamma = gamma + inverse @ (
        variance * np.einsum("kij,jl,kl->i", flat[:, :-1, :-1], inverse, pulls)
    )
    ends = np.append(-gamma, 1.0)
    scale = (ends @ square @ ends + np.trace(noised @ inverse)) / (people - rank)
    if scale <= 0.0 and (moments.noise_sd or scale < 0.0):
        return SWAMPED if moments.noise_sd else NOT_FITTED
    middle = scale * m
    if robust:
        left = np.einsum("cw,cwab,a,b->c", moments.sums, moved, ends, ends, optimize=True)
        rows = whole[:, :-1, 0] / size[:-1]
        middle = (rows.T * left) @ rows * people / (people - rank)
    turned = basis / size[:-1] * size[-1]
    sampling, noise = (turned @ inverse @ part @ inverse @ turned.T for part in (middle, noised))
    return Fitted(
        beta=turned @ gamma,
        sampling=sampling,
        noise=noise,
        why=("",) * p,
        count=np.zeros(p),
        people=people,
        degrees=people - rank,
        scale=float(scale * size[-1] ** 2),
    )


def _is_clear(m: Array, moved: Array, noise_sd: float, clear: float) -> bool:
    sizes, vectors = np.linalg.eigh(m)
    if sizes[0] <= 1e-11 * sizes[-1]:
        return False
    each = np.einsum("kij,ia,ja->ka", moved, vectors, vectors, optimize=True)
    return bool((sizes >= clear * noise_sd * np.linalg.norm(each, axis=0)).all())
