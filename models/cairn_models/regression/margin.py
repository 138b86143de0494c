"""Average marginal risk differences: what a model says the whole table's people would have, by arm.

D_k = Σ_c m_c (p(x_c with arm k) − p(x_c with the reference arm)) / M over the people of the table,
m_c people in cell c, M all (g-computation with the table's own mix of covariates, which is held
fixed as in Stata's and statsmodels' margins). Sampling variance: ∇Dᵀ I⁻¹ ∇D. Noise moves D through
the coefficients and through the mix; both are carried through the one gradient by cell.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cairn_models.regression.binary import BinaryRows, observed, score_slopes
from cairn_models.regression.fitted import Array, Fitted, basis_of
from cairn_models.regression.links import LinkName, pull


@dataclass(frozen=True)
class Difference:
    """A risk difference and the two parts of its variance."""

    value: float
    sampling: float
    noise: float


def risk_difference(
    rows: BinaryRows, fitted: Fitted, link: LinkName, arm: Array, reference: Array
) -> Difference:
    """The difference averaged over `rows`, (R,) as they were fitted.

    Args:
        arm: (R, p) the rows' covariates with the arm exchanged; its coefficients all told.
        reference: (R, p) likewise with the reference arm.
    """
    one, other = pull(link, arm @ fitted.beta), pull(link, reference @ fitted.beta)
    people = rows.events + rows.others
    total = people.sum()
    gap = one.mean - other.mean
    value = float(people @ gap / total)
    steep = [np.sqrt(at.weight * at.mean * (1.0 - at.mean)) for at in (one, other)]  # μ'
    slope = (people / total) @ (steep[0][:, None] * arm - steep[1][:, None] * reference)
    sampling = float(slope @ fitted.sampling @ slope)
    if not rows.noised:
        return Difference(value, sampling, 0.0)
    basis = basis_of(rows.x)
    z = rows.x @ basis
    at = pull(link, rows.x @ fitted.beta)
    by_count = score_slopes(z, at) @ np.linalg.solve(observed(z, at, rows), basis.T @ slope)
    by_mix = (gap - value) / total
    whole = by_count + np.concatenate([by_mix, by_mix])
    return Difference(value, sampling, float(whole @ rows.covariance @ whole))
