"""Means and their differences between arms, from noised sums of one bounded number a patient.

A patient with u ∈ [−1, 1] puts (a, u, 1 − u²) into their arm's slot and zeros into all others, so
the bound does not grow with the number of arms. Why these three:

- *Bound.* ‖·‖² = a² + v + (1 − v)² with v = u² is convex in v, so its largest value is at v = 0 or
  v = 1, and both give a² + 1. Hence C = √(1 + a²), reached by every patient at an end. A second
  moment written as u² would cost C² = a² + 2; written as 1 − u² it is free.
- *Count.* A mean is Σu / N. Noise of variance C²s² in every coordinate gives it the variance
  s²(1 + a²)(1 + ū²/a²)/N², least at a² = |ū|, where it is s²(1 + |ū|)²/N². With a public
  prediction subtracted |ū| is 0.1 to 0.3; a² = 1/4 costs at most 15 % more than the least variance
  for |ū| from 0.05 to 0.55 and keeps the count itself readable (noise of sd 2.24 s).
- *Nothing better in this family.* Let the noised pair (Σ(1 − u²), Σu²) be taken through any linear
  map; with Gram entries A ≤ C², B ≤ C² − 1 and off-diagonal D, Var(N) ∝ (A + B − 2D)/(AB − D²) is
  least at D = B: the map above.

Means carry three uncertainties: sampling, noise in Σu and noise in N (delta method). The spread is
itself noised: it is drawn to a public value with the weight that its noise deserves (no noise: not
at all), and what remains unknown of it enters the degrees of freedom (Welch–Satterthwaite, equal to
Welch's t-test without noise). Everything is vectorised over leading axes, in units of the limit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float64]
WIDTH = 3  # coordinates an arm
PUBLIC_SPREAD_DOUBT = 0.5  # sd of the true variance around the public one, as a share of it


@dataclass(frozen=True)
class Coding:
    """How one number in [−1, 1] becomes an arm's slot; `count_weight` is a above."""

    arms: int
    count_weight: float

    @property
    def length(self) -> int:
        """Coordinates in the vector."""
        return self.arms * WIDTH

    @property
    def bound(self) -> float:
        """C = √(1 + a²): the largest norm of one patient's row."""
        return float(np.sqrt(1.0 + self.count_weight**2))

    def rows(self, arm: NDArray[np.int64], u: Array) -> Array:
        """(N, length) rows of patients in `arm` (N,) with `u` (N,) in [−1, 1]."""
        slots = np.zeros((len(u), self.arms, WIDTH))
        here = np.arange(len(u))
        slots[here, arm, 0] = self.count_weight
        slots[here, arm, 1] = u
        slots[here, arm, 2] = 1.0 - u**2
        return slots.reshape(len(u), self.length)


@dataclass(frozen=True)
class ArmMeans:
    """Per arm, arrays (..., arms), in units of the limit; unreadable arms hold zeros.

    `readable`: enough patients by the noised `count`. `spread`: variance of u, `spread_error`: its
    own variance. `sampling` and `noise`: the two parts of the variance of `mean`.
    `public_weight`: share of the public value in `spread`.
    """

    readable: NDArray[np.bool_]
    count: Array
    count_sd: float
    mean: Array
    spread: Array
    spread_error: Array
    sampling: Array
    noise: Array
    public_weight: Array


@dataclass(frozen=True)
class Interval:
    """A mean or a difference with its standard error; arrays of one shape."""

    value: Array
    standard_error: Array
    noise_share: Array
    degrees: Array  # of freedom; infinite where the standard error is known

    def ends(self, level: float = 0.95) -> tuple[Array, Array]:
        """Lower and upper end of the two-sided interval at `level`."""
        reach = stats.t.ppf(0.5 + level / 2, self.degrees) * self.standard_error
        return self.value - reach, self.value + reach


def arm_means(
    total: Array, coding: Coding, *, noise_sd: float, public_variance: float, fewest: float
) -> ArmMeans:
    """The arms' means from a noised `total` (..., length).

    An arm is readable if its noised count is at least `fewest`, 2, and three standard deviations of
    the count's own noise: below that a ratio of noised sums means nothing.
    """
    slots = total.reshape(*total.shape[:-1], coding.arms, WIDTH)
    a, v = coding.count_weight, noise_sd**2
    count = slots[..., 0] / a
    count_sd = noise_sd / a
    readable = count >= max(fewest, 2.0, 3.0 * count_sd)
    n = np.where(readable, count, 2.0)
    mean = np.where(readable, np.clip(slots[..., 1] / n, -1.0, 1.0), 0.0)
    short = np.where(readable, slots[..., 2] / n, 0.0)  # mean of 1 − u²
    raw = (1.0 - short - mean**2) * n / (n - 1.0)

    raw_noise = v * (1.0 + 4.0 * mean**2 + (short + 2.0 * mean**2) ** 2 / a**2) / n**2
    doubt = (PUBLIC_SPREAD_DOUBT * public_variance) ** 2
    own = doubt / (doubt + raw_noise)
    spread = own * np.maximum(raw, 0.0) + (1.0 - own) * public_variance
    spread_error = own**2 * 2.0 * spread**2 / (n - 1.0) + own * raw_noise
    return ArmMeans(
        readable=readable,
        count=count,
        count_sd=count_sd,
        mean=mean,
        spread=np.where(readable, spread, 0.0),
        spread_error=np.where(readable, spread_error, 0.0),
        sampling=np.where(readable, spread / n, 0.0),
        noise=np.where(readable, v * (1.0 + mean**2 / a**2) / n**2, 0.0),
        public_weight=np.where(readable, 1.0 - own, 0.0),
    )


def mean_of(means: ArmMeans, arm: int) -> Interval:
    """The mean of `arm` with its uncertainty."""
    return _interval(means, {arm: 1.0})


def difference(means: ArmMeans, arm: int, reference: int) -> Interval:
    """Mean of `arm` minus mean of `reference`; the slots' noises are independent."""
    return _interval(means, {arm: 1.0, reference: -1.0})


def _interval(means: ArmMeans, weights: dict[int, float]) -> Interval:
    value = sum((w * means.mean[..., k] for k, w in weights.items()), np.float64(0.0))
    sampling = sum((means.sampling[..., k] for k in weights), np.float64(0.0))
    noise = sum((means.noise[..., k] for k in weights), np.float64(0.0))
    variance = np.asarray(sampling + noise)
    doubt = np.zeros_like(variance)
    for k in weights:
        n = np.where(means.readable[..., k], means.count[..., k], 2.0)
        doubt = doubt + means.spread_error[..., k] / n**2
    known = (doubt <= 0.0) | (variance <= 0.0)
    degrees = np.where(known, np.inf, 2.0 * variance**2 / np.where(known, 1.0, doubt))
    share = np.where(variance > 0.0, noise / np.where(variance > 0.0, variance, 1.0), 0.0)
    return Interval(np.asarray(value), np.sqrt(variance), share, degrees)
