"""`TrialWeights`: how person-trials of sequential trials are counted, and what that costs.

**Why weights.** One person can be a reference in several trials and begin an arm in one. Trials
differ: people fare otherwise who have waited longer, and more begin early than late. Summed as they
are, arms would be compared over different times of waiting. With n_ak the people of arm a in trial
k, weights c_ak = π_k/n_ak give every arm the same mix of trials; π_k = 1/Σ_a(1/n_ak), the overlap
weight of a trial, keeps c ≤ 1 and costs the least precision.

**Bound.** Every start falls into one trial, so with c scaled to Σ_k c_0k = 1 in the reference and
max_k c_ak = 1 elsewhere, who begins in trial j has, with b = Σ_{k<j} c_0k of trials before, a norm
of at most C·√(c_aj² + b² + 2γ·c_aj·b), and who never begins at most C. γC² is the largest inner
product of rows in different arms (0 where each arm has coordinates of its own: then at most C·√2).
The largest of these norms is public and divides every row.

**Variance.** Of one arm, a person's weights W = Σ_k w_k ≤ 1, so by Jensen's inequality
(Σ_k w_k r_k)² ≤ W·Σ_k w_k r_k² ≤ Σ_k w_k r_k²: the variance of a mean that clusters person-trials
by person is at most the one that takes Σw for a number of independent people. Counts of people,
and so what is held back, err to the same side.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
MOST_PEOPLE: Final = 1e9


@dataclass(frozen=True)
class TrialWeights:
    """Weights c (trials, arms) from 0 to 1, and the largest norm of a person in bounds."""

    each: Array
    norm: float

    @classmethod
    def of(
        cls, counts: Array, reference: int | None, *, fewest: float, alike: float
    ) -> TrialWeights:
        """The weights that noised `counts` (trials, arms) ask for; never a NaN, whatever they hold.

        Args:
            reference: the arm of those who have not begun; None where it is not compared.
            fewest: a trial is left out in which an arm has fewer people.
            alike: γ above.
        """
        clean = np.where(np.isfinite(counts), np.clip(counts, 0.0, MOST_PEOPLE), 0.0)
        told = (clean >= max(fewest, 1.0)).all(axis=1)
        each = np.zeros_like(clean)
        if not told.any():
            return cls(each, 1.0)
        shown = clean[told]
        overlap = 1.0 / (1.0 / shown).sum(axis=1, keepdims=True)
        each[told] = overlap / shown
        begun = [arm for arm in range(each.shape[1]) if arm != reference]
        for arm in begun:
            each[:, arm] = each[:, arm] / each[:, arm].max()
        norm = 1.0
        if reference is not None:
            each[:, reference] = each[:, reference] / each[:, reference].sum()
            before = np.cumsum(each[:, reference]) - each[:, reference]
            most = each[:, begun].max(axis=1, initial=0.0)
            square = most**2 + before**2 + 2.0 * alike * most * before
            norm = max(1.0, float(np.sqrt(square.max())))
        return cls(each, norm)


def worst(alike: float) -> float:
    """No norm of a person is larger, in bounds."""
    return float(np.sqrt(2.0 + 2.0 * alike))


def counting(trials: int, arms: int, reference: int | None) -> Array:
    """(trials, arms) what a person puts into each count, of norm 1 at most.

    Who begins puts in one number besides those of earlier trials, so theirs may be larger.
    """
    if reference is None or trials < 2:
        return np.ones((trials, arms))
    units = np.full((trials, arms), np.sqrt(0.5))
    units[:, reference] = np.sqrt(0.5 / (trials - 1))
    return units
