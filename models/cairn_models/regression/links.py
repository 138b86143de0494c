"""Links of a binary outcome: how a probability follows the linear predictor η.

The score of one row with the outcome is a(η)·x, of one without it b(η)·x, with a = μ'/μ and
b = −μ'/(1 − μ) (McCullagh & Nelder 1989, §4.4), so a score from counts is linear in the counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

Array = NDArray[np.float64]
LinkName = Literal["logit", "cloglog"]
FARTHEST: Final = 30.0  # |η| beyond which probabilities are 0 or 1 for every purpose


@dataclass(frozen=True)
class Pull:
    """At η (R,): μ, weight of the expected information, and a, b with two derivatives each."""

    mean: Array
    weight: Array
    a: tuple[Array, Array, Array]
    b: tuple[Array, Array, Array]


def pull(link: LinkName, eta: Array) -> Pull:
    """What a fit needs to know at `eta`."""
    eta = np.clip(eta, -FARTHEST, FARTHEST if link == "logit" else 3.0)
    if link == "logit":
        p = expit(eta)
        w = p * (1.0 - p)
        bend = -w * (1.0 - 2.0 * p)
        return Pull(p, w, (1.0 - p, -w, bend), (-p, -w, bend))
    e = np.exp(eta)
    grown = np.expm1(e)
    mean = -np.expm1(-e)
    first = 1.0 / grown - e * (grown + 1.0) / grown**2  # derivative of e/expm1(e) by e
    step = 1e-4
    ahead, behind = (_a_prime(np.exp(eta + h)) for h in (step, -step))
    return Pull(
        mean,
        e**2 * (1.0 - mean) / mean,
        (e / grown, e * first, (ahead - behind) / (2.0 * step)),
        (-e, -e, -e),
    )


def linear(link: LinkName, mean: float) -> float:
    """η where the probability is `mean`, kept away from 0 and 1."""
    p = min(max(mean, 1e-3), 1.0 - 1e-3)
    return float(np.log(p / (1 - p)) if link == "logit" else np.log(-np.log1p(-p)))


def _a_prime(e: Array) -> Array:
    grown = np.expm1(e)
    return np.asarray(e * (1.0 / grown - e * (grown + 1.0) / grown**2))
