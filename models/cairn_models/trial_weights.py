"""`TrialWeights`: how person-trials of sequential trials are counted, and what that costs.

**Why weights.** One person can be a reference in several trials and begin an arm in one. Trials
differ: people fare otherwise who have waited longer, and more begin early than late. Summed as they
are, arms would be compared over different times of waiting. With n_ak the people of arm a in trial
k, weights c_ak = π_k/n_ak give every arm the same mix of trials; π_k = 1/Σ_a(1/n_ak) is the overlap
weight of a trial, where it costs the least precision.

**Scale.** A constant per arm cancels in means, shares and curves, but estimators take the sum of
weights for a number of people. A person with weights w_k in an arm has Σ_k w_k = W there, and the
variance of the arm's mean is at most s²·ΣW²/(ΣW)², s² the spread, however much alike a person's
trials are. So c is scaled to ΣW² = ΣW: the sum is then the effective number of people (Kish 1965),
which is never above the true one. Who begins is in one trial, so ΣW² = Σ_k c_ak² n_ak; the
reference of a later trial is among that of an earlier one, so ΣW² = Σ_kl c_k c_l min(n_0k, n_0l),
an upper bound in any case. Propensity weights w ≤ 1 count as w for w²: too wide, never too narrow.

**Bound.** Every start falls into one trial, so who begins in trial j has, with b = Σ_{k<j} c_0k of
trials before, a norm of at most C·√(c_aj² + b² + 2γ·c_aj·b), and who never begins at most
C·Σ_k c_0k. γC² is the largest inner product of rows in different arms (0 where each arm has
coordinates of its own). The largest of these norms is public and divides every row. So that a small
trial cannot drown all others in noise, a person's weights in an arm add up to `HEAVIEST` at most;
where that binds, intervals are wider.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
HEAVIEST: Final = 1.5
MOST_PEOPLE: Final = 1e9


@dataclass(frozen=True)
class Comparison:
    """What is public of a comparison: arms, and how their rows can add up.

    Args:
        reference: the place of the arm of those who have not begun; None where it is not compared.
        largest: (arms,) what a propensity weight of 1 stands for; ones where there is none.
        alike: γ above.
        fewest: a trial is left out in which an arm has fewer people.
    """

    reference: int | None
    largest: Array
    alike: float
    fewest: float


@dataclass(frozen=True)
class TrialWeights:
    """Weights c (trials, arms) from 0 to `HEAVIEST`, and the largest norm of a person in bounds."""

    each: Array
    norm: float

    @classmethod
    def of(cls, counts: Array, compared: Comparison) -> TrialWeights:
        """The weights that noised `counts` (trials, arms) ask for; all 0 if no trial can be read.

        Never a NaN, whatever is in them.
        """
        clean = np.where(np.isfinite(counts), np.clip(counts, 0.0, MOST_PEOPLE), 0.0)
        told = (clean >= max(compared.fewest, 1.0)).all(axis=1)
        each = np.zeros_like(clean)
        if not told.any():
            return cls(each, 1.0)
        people = clean[told]
        overlap = 1.0 / (1.0 / (people * compared.largest)).sum(axis=1, keepdims=True)
        each[told] = overlap / people
        for arm in range(each.shape[1]):
            own, is_reference = each[told, arm], arm == compared.reference
            n = people[:, arm]
            if is_reference:
                square, most = float(own @ np.minimum.outer(n, n) @ own), float(own.sum())
            else:
                square, most = float(own**2 @ n), float(own.max())
            each[:, arm] *= min(float(own @ n) / square, HEAVIEST / most)
        return cls(each, _norm(each, compared))


def _norm(each: Array, compared: Comparison) -> float:
    """The largest norm of a person's row, in bounds."""
    place = compared.reference
    begun = np.delete(each, place, axis=1) if place is not None else each
    most = begun.max(axis=1, initial=0.0)
    if place is None:
        return float(most.max())
    reference = each[:, place]
    before = np.cumsum(reference) - reference
    square = most**2 + before**2 + 2.0 * compared.alike * most * before
    return float(max(reference.sum(), np.sqrt(square.max())))


def usual_norm(alike: float) -> float:
    """A public guess of the norm, for plans: both parts of who begins last at 1."""
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
