"""How well probabilities foretell an outcome, from a table of bin × outcome; `Statistic`s.

Cell 2b + y counts the people whose probability lay in bin b and whose outcome is y. Each statistic
T is homogeneous of degree 0 in the cells (twice as many people change nothing), so with its
gradient g the delta method gives, for people who were drawn and cells whose noise has covariance K,

    Var(T) = Σ_c x_c g_c²  +  gᵀKg .

For the area under the curve the first term is the variance of DeLong, DeLong & Clarke-Pearson 1988
(Biometrics 44:837) with n in place of n − 1. Ties within a bin count one half. Products of two
noised sums have the mean of their product and their noises' covariance, which is taken off.

Net benefit at a threshold t: (true positives − false positives·t/(1 − t))/n (Vickers & Elkin 2006,
Med Decis Making 26:565). Brier 1950, Mon Weather Rev 78:1. Slope and intercept: logistic
regression of the outcome on the bin's log odds (Cox 1958, Biometrika 45:562).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

Array = NDArray[np.float64]
NEWTON_STEPS: Final = 50
STEEPEST: Final = 20.0  # a slope beyond it is separation, or noise
LEAST: Final = 1e-9


@dataclass(frozen=True)
class Statistic:
    """A value, its gradient (cells,) and the parts of its variance: people, and noise."""

    value: float
    gradient: Array
    sampling: float
    noise: float

    @property
    def variance(self) -> float:
        """Noise included."""
        return self.sampling + self.noise

    @property
    def noise_share(self) -> float:
        """The part of the variance that is noise."""
        return self.noise / self.variance if self.variance > 0 else 0.0


@dataclass(frozen=True)
class Binned:
    """A noised table (2·bins,) whose noise has the covariance (2·bins, 2·bins); zero: exact."""

    table: Array
    covariance: Array

    @property
    def bins(self) -> int:
        """How many."""
        return len(self.table) // 2

    @property
    def without(self) -> Array:
        """(bins,) people without the outcome."""
        return self.table[0::2]

    @property
    def having(self) -> Array:
        """(bins,) people with the outcome."""
        return self.table[1::2]

    @property
    def people(self) -> float:
        """All of them, noised."""
        return float(self.table.sum())

    def told(self, value: float, gradient: Array) -> Statistic:
        """`value` with its variances."""
        people = float(np.sum(np.maximum(self.table, 0.0) * gradient**2))
        return Statistic(value, gradient, people, float(gradient @ self.covariance @ gradient))

    def ratio(self, top: Array) -> Statistic:
        """Σ top·x / Σ x."""
        n = self.people
        value = float(top @ self.table) / n
        return self.told(value, (top - value) / n)


def auc(seen: Binned) -> Statistic:
    """The probability that one with the outcome had a higher bin than one without, ties one half.

    Both groups must be larger than their noise.
    """
    pairs = _pairs(seen.bins)
    zero, one = seen.without, seen.having
    joint = seen.covariance[1::2, 0::2]  # of `having` with `without`
    both = float(one.sum() * zero.sum() - joint.sum())
    value = float((one @ pairs @ zero - np.sum(pairs * joint)) / both)
    gradient = np.empty(len(seen.table))
    gradient[1::2] = (pairs @ zero - value * zero.sum()) / both
    gradient[0::2] = (one @ pairs - value * one.sum()) / both
    return seen.told(value, gradient)


def _pairs(bins: int) -> Array:
    """(bins, bins): 1 where the first index is the higher bin, one half where they are equal."""
    return np.tri(bins, k=-1) + 0.5 * np.eye(bins)


def outcome_share(seen: Binned) -> Statistic:
    """The share of people who had the outcome."""
    return seen.ratio(_outcome(seen.bins))


def foretold_minus_observed(seen: Binned, middles: Array) -> Statistic:
    """Mean of the bins' `middles` less the share who had the outcome."""
    return seen.ratio(np.repeat(middles, 2) - _outcome(seen.bins))


def brier(seen: Binned, middles: Array) -> Statistic:
    """Mean squared difference of outcome and bin's middle."""
    return seen.ratio((_outcome(seen.bins) - np.repeat(middles, 2)) ** 2)


def net_benefit(seen: Binned, first_bin: int, threshold: float) -> Statistic:
    """Of calling everybody from `first_bin` on positive at `threshold`; from 0: treat all."""
    outcome = _outcome(seen.bins)
    called = np.repeat(np.arange(seen.bins) >= first_bin, 2)
    weight = threshold / (1.0 - threshold)
    return seen.ratio(called * (outcome - (1.0 - outcome) * weight))


def recalibration(seen: Binned, middles: Array) -> tuple[Statistic, Statistic] | None:
    """Slope and intercept of the outcome's log odds on the bins'; None where there is no answer."""
    z = np.column_stack([logit(middles), np.ones(seen.bins)])  # (bins, 2)
    beta = np.array([1.0, 0.0])
    n = seen.without + seen.having
    for _ in range(NEWTON_STEPS):
        mu = expit(z @ beta)
        information = (z * (n * mu * (1.0 - mu))[:, None]).T @ z
        values = np.linalg.eigvalsh(information)
        if not np.isfinite(values).all() or values[0] <= LEAST * max(values[1], 1.0):
            return None
        step = np.linalg.solve(information, z.T @ (seen.having - n * mu))
        beta = beta + np.clip(step, -1.0, 1.0)
        if np.abs(beta).max() > STEEPEST:
            return None
        if np.abs(step).max() < 1e-12:
            break
    else:
        return None
    mu = np.repeat(expit(z @ beta), 2)
    slopes = np.linalg.solve(information, (np.repeat(z, 2, axis=0)).T)  # (2, cells)
    slopes = slopes * (_outcome(seen.bins) - mu)
    return seen.told(float(beta[0]), slopes[0]), seen.told(float(beta[1]), slopes[1])


def _outcome(bins: int) -> Array:
    """(2·bins,) 1 in the cells of people who had the outcome."""
    return np.tile([0.0, 1.0], bins)
