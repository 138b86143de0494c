"""The public matrix that spares the rates asked for, so that all of them are told together.

A rate p̂ = A/N moves with the table by g = (1 − p)/n in the cells of its numerator and −p/n in the
rest of its denominator. Its noise, relative to its sampling variance p(1 − p)/n, is gᵀKg·n/p(1 − p)
with K the covariance of the cells' noise; `Shaping.toward` makes a weighted sum of these least.

**Weights.** A plain sum lets the worst rate pay for the others, the least maximum lets the others
pay for it in vain. Weights in proportion to each rate's own relative noise squared make the sum of
its cubes least, which is near the maximum and wastes little; they are found by repetition, each
step a geometric mean with the one before, since full steps overshoot.

**What is not known.** p is a public rate, the study's is another: if p has the standard deviation
d, the expected noise gains d²·kᵀKk with k = g's derivative, the count's own direction. The count of
a group decides whether it is shown, so it has a weight too.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from cairn_models.proportions import Array
from cairn_models.reliable_change import Outcome
from cairn_models.shaping import Shaping

# Of people with all scores. NHS Talking Therapies 2024-25, guided computerised self-help: PHQ-9
# 11.7 ± 5.8, GAD-7 11.2 ± 5.1, at a correlation of .75 of normal totals.
AT_CASENESS: Final = 0.85
DOUBT: Final = 0.3  # standard deviation of a public rate as a multiple of p(1 − p)
COUNT: Final = 0.3  # weight of a noised count beside a rate
EVERY_CELL: Final = 0.01
REPETITIONS: Final = 12

Asked = tuple[Outcome, NDArray[np.int64], NDArray[np.int64]]
"""A rate with the cells of people who have the outcome and of those who have it not."""


def shaping_for(asked: tuple[Asked, ...], cells: int) -> Shaping:
    """The F of little noise in every rate of `asked`, over `cells` cells."""
    p = np.array([outcome.typical for outcome, _, _ in asked])
    share = np.array([AT_CASENESS if outcome.of_cases else 1.0 for outcome, _, _ in asked])
    slopes, counts = np.zeros((len(asked), cells)), np.zeros((len(asked), cells))
    for row, (_, having, lacking) in enumerate(asked):
        slopes[row, having], slopes[row, lacking] = 1.0 - p[row], -p[row]
        counts[row, [*having, *lacking]] = 1.0
    scale = 1.0 / np.sqrt(share * p * (1.0 - p))  # with it, gᵀKg is noise relative to sampling
    slopes *= scale[:, None]
    doubts = counts * (scale * DOUBT * p * (1.0 - p))[:, None]
    fixed = COUNT * _spread(counts, np.full(len(asked), 1.0 / len(asked)))
    fixed += EVERY_CELL * np.eye(cells)
    weights = np.ones(len(asked))
    shaping = Shaping.plain(cells)
    for _ in range(REPETITIONS):
        wanted = _spread(slopes, weights) + _spread(doubts, weights)
        shaping = Shaping.toward(wanted + fixed)
        noise = np.einsum("oc,cd,od->o", slopes, shaping.covariance, slopes)
        weights = np.sqrt(weights * noise**2 / np.mean(noise**2))
    return shaping


def _spread(directions: Array, weights: Array) -> Array:
    """(cells, cells) Σ w·g·gᵀ."""
    return np.asarray((directions * weights[:, None]).T @ directions)
