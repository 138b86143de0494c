"""A model of a binary outcome from noised counts: coefficients, covariance, and what is unclear.

**Score.** Row r holds A_r people with the outcome and B_r without it, and the covariates x_r; both
counts are noised, with covariance Σ. The score U(β) = Σ_r x_r (a_r A_r + b_r B_r) (`links`) is
linear in the counts, so at the true β its mean is 0 with noise as without; no count is cut at 0,
which would pull it. Its root is found by Fisher's scoring with I(β) = Σ x xᵀ w (A + B); without
noise that is iteratively reweighted least squares, the maximum of the likelihood.

**Covariance.** Sampling: I⁻¹. Noise: J⁻¹ N J⁻ᵀ, N = Gᵀ Σ G with the rows of G (a x, b x) and
J = −∂U/∂β, the delta method for the root of U.

**Bias.** Noise in J meets noise in U: to second order the root is off by
J⁻¹[−E(δJ J⁻¹ δU) + ½ Σ x_r (a″A + b″B) x_rᵀ V x_r], V the noise's covariance. This is taken off;
without noise it is 0. (Expansion of the root of an estimating equation: Cox & Snell 1968, J. R.
Stat. Soc. B 30:248; for errors in variables Stefanski 1985, Biometrika 72:583.)

**Unclear.** Rows are left out by `keeping`. Where along some eigenvector the information does not
reach three standard deviations of its own noise, or no root is found, nothing is told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cairn_models.regression.fitted import (
    CLEAR,
    NOT_FITTED,
    SWAMPED,
    TOO_FEW,
    TOO_RARE,
    Array,
    Fitted,
    basis_of,
)
from cairn_models.regression.keeping import Kept, Mask, keep
from cairn_models.regression.links import FARTHEST, LinkName, Pull, linear, pull
from cairn_models.regression.separation import separated

MOST_STEPS: Final = 60
LONGEST_STEP: Final = 2.0
FEWEST_WITH: Final = 5.0  # people with the outcome, and without it, where counts are noised


@dataclass(frozen=True)
class BinaryRows:
    """Counts by row; rows of one cell in the order of time.

    Shapes: `x` (R, p); `events`, `others` (R,); `covariance` (2R, 2R) of the noise in events and
    then others; `cell` (R,): rows of one cell are the same people, most of them in the first.
    `values`: place of each row's level by categorical variable; `terms`: those of each term.
    """

    x: Array
    events: Array
    others: Array
    covariance: Array
    cell: NDArray[np.int64]
    values: Mapping[str, Array]
    terms: tuple[tuple[str, ...], ...]

    @property
    def noised(self) -> bool:
        """Whether the counts are."""
        return bool(self.covariance.any())

    def people(self, mask: Mask) -> tuple[float, float]:
        """How many people are in the rows of `mask`, and the variance of that number's noise."""
        (rows,) = np.nonzero(mask)
        _, first = np.unique(self.cell[rows], return_index=True)
        heads = np.zeros(len(self.cell))
        heads[rows[first]] = 1.0
        twice = np.concatenate([heads, heads])
        count = float(heads @ (self.events + self.others))
        return count, float(twice @ self.covariance @ twice)

    def only(self, mask: Mask) -> BinaryRows:
        """The rows of `mask`."""
        twice = np.concatenate([mask, mask])
        return BinaryRows(
            self.x[mask],
            self.events[mask],
            self.others[mask],
            self.covariance[np.ix_(twice, twice)],
            self.cell[mask],
            {name: place[mask] for name, place in self.values.items()},
            self.terms,
        )


def fit(rows: BinaryRows, link: LinkName, *, fewest: float) -> Fitted:
    """The coefficients of `rows`, each told only where enough people stand behind it."""
    kept = _kept(rows, fewest)
    columns = [rows.people((rows.x[:, j] != 0) & kept.rows)[0] for j in range(rows.x.shape[1])]
    count, people = np.array(columns), rows.people(kept.rows)[0]
    if not kept.basis.shape[1]:
        return replace(Fitted.nothing(TOO_FEW, count, people), why=kept.why)
    found = fit_all(rows.only(kept.rows), link, kept.basis, clear=CLEAR)
    if isinstance(found, str):
        return Fitted.nothing(found, count, people)
    return replace(found, why=kept.why, count=count, people=people, rows=kept.rows)


def fit_all(
    rows: BinaryRows, link: LinkName, basis: Array | None = None, *, clear: float = 0.0
) -> Fitted | str:
    """The coefficients of every row, or why there are none; `basis` (p, r) spans the rows."""
    basis = basis_of(rows.x) if basis is None else basis
    z = rows.x @ basis
    gamma = _root(z, rows, link)
    if gamma is None:
        return NOT_FITTED
    at = pull(link, z @ gamma)
    information = _weighted(z, at.weight * (rows.events + rows.others))
    if clear and not _is_clear(information, z, at, rows, clear):
        return SWAMPED
    sampling = np.linalg.inv(information)
    noise = np.zeros_like(sampling)
    if rows.noised:
        bias, noise = _noise(z, at, rows)
        gamma = gamma - bias
    with np.errstate(divide="ignore"):
        log = rows.events @ np.log(at.mean) + rows.others @ np.log1p(-at.mean)
    p = rows.x.shape[1]
    return Fitted(
        beta=basis @ gamma,
        sampling=basis @ sampling @ basis.T,
        noise=basis @ noise @ basis.T,
        why=("",) * p,
        count=np.zeros(p),
        people=0.0,
        log_likelihood=None if rows.noised else float(log),
    )


def score_slopes(z: Array, at: Pull) -> Array:
    """(2R, r) how the score moves with each count, events and then others."""
    return np.concatenate([at.a[0][:, None] * z, at.b[0][:, None] * z])


def observed(z: Array, at: Pull, rows: BinaryRows) -> Array:
    """J (r, r): minus the slope of the score."""
    return -_weighted(z, rows.events * at.a[1] + rows.others * at.b[1])


def _kept(rows: BinaryRows, fewest: float) -> Kept:
    def judge(mask: Mask) -> str:
        people, variance = rows.people(mask)
        if people < max(fewest, CLEAR * np.sqrt(variance)):
            return TOO_FEW
        if not rows.noised:
            return ""  # whether anything is separated, `separated` knows exactly
        none = np.zeros_like(mask)
        for counts, which in (
            (rows.events, np.concatenate([mask, none])),
            (rows.others, np.concatenate([none, mask])),
        ):
            sd = np.sqrt(rows.covariance[np.ix_(which, which)].sum())
            if counts[mask].sum() < max(FEWEST_WITH, CLEAR * sd):
                return TOO_RARE
        return ""

    def last(stay: Mask) -> Mask:
        out = np.zeros_like(stay)
        if not rows.noised and stay.any():
            out[stay] = separated(rows.x[stay], rows.events[stay], rows.others[stay])
        return out

    return keep(rows.x, rows.values, judge, terms=rows.terms, last=last)


def _root(z: Array, rows: BinaryRows, link: LinkName) -> Array | None:
    """The root of the score, (r,), by scoring from equal probabilities; None: none was found."""
    total = rows.events.sum() + rows.others.sum()
    start = linear(link, float(rows.events.sum() / total)) if total > 0 else 0.0
    gamma = np.linalg.lstsq(z, np.full(len(z), start), rcond=None)[0]
    for _ in range(MOST_STEPS):
        at = pull(link, z @ gamma)
        information = _weighted(z, at.weight * (rows.events + rows.others))
        if not _is_positive(information):
            return None
        score = z.T @ (rows.events * at.a[0] + rows.others * at.b[0])
        step = np.linalg.solve(information, score)
        reach = float(np.abs(z @ step).max(initial=0.0))
        gamma = gamma + step * min(1.0, LONGEST_STEP / max(reach, 1e-300))
        if reach < 1e-11:
            break
    else:
        return None
    return gamma if float(np.abs(z @ gamma).max()) < FARTHEST / 2 else None


def _noise(z: Array, at: Pull, rows: BinaryRows) -> tuple[Array, Array]:
    """The second-order bias (r,) and the covariance (r, r) that noise gives the root."""
    inverse = np.linalg.inv(observed(z, at, rows))
    slopes = score_slopes(z, at)
    covariance = inverse @ slopes.T @ rows.covariance @ slopes @ inverse.T
    twice = np.concatenate([z, z])
    second, third = (np.concatenate([at.a[k], at.b[k]]) for k in (1, 2))
    together = twice @ inverse @ slopes.T  # (2R, 2R)
    met = (rows.covariance * together).sum(axis=1)
    counts = np.concatenate([rows.events, rows.others])
    bent = 0.5 * third * counts * np.einsum("ri,ij,rj->r", twice, covariance, twice)
    return inverse @ (twice.T @ (second * met + bent)), covariance


def _is_clear(information: Array, z: Array, at: Pull, rows: BinaryRows, clear: float) -> bool:
    sizes, vectors = np.linalg.eigh(information)
    if sizes[0] <= 0.0:
        return False
    moved = at.weight[:, None] * (z @ vectors) ** 2
    both = np.concatenate([moved, moved])
    sd = np.sqrt(np.einsum("ki,kl,li->i", both, rows.covariance, both))
    return bool((sizes >= clear * sd).all())


def _weighted(z: Array, weight: Array) -> Array:
    return np.asarray(z.T @ (weight[:, None] * z))


def _is_positive(matrix: Array) -> bool:
    try:
        np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        return False
    return True
