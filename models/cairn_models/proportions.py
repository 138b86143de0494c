"""Proportions, their differences and ratios, from noised counts; intervals include the noise.

A = noised number of people who have an outcome, B = of those who have it not, N = A + B. Their
noise has the variances va and vb and the covariance vc; sums of a and b cells of a table, each with
noise of variance v of its own, have c = 0.

**One proportion.** p̂ = A/N. For the true p, A − pN = (1 − p)A − pB has mean zero, sampling
variance n·p(1 − p) and noise variance v·V(p), V(p) = (1 − p)²a + p²b − 2p(1 − p)c: the noise in the
denominator is counted without linearising. The interval holds every p that a test at 5 % does not
refuse,

    (A − pN)² ≤ z²·(N·p(1 − p) + v·V(p)),

a quadratic in p, cut to [0, 1]. Without noise it is Wilson's (1927, JASA 22:209); the ratio's noise
enters as in Fieller (1954, J. R. Stat. Soc. B 16:175). It opens upwards because a count is shown
only from three standard deviations of its noise on, N ≥ 3√(v(a + b + 2c)); where
a wider interval (`reach`) does not open upwards no p is refused. A is cut to [0, N] first, which
brings it no farther from any pN, so no p is lost.

**A difference** of two independent proportions: Newcombe (1998, Stat Med 17:873, method 10) from
the ends of both intervals, which are the noisy ones here.

**A ratio**: normal on the log scale with variance Σ (1 − p)/(pN) + v·V(p)/(pN)² (Katz et al. 1978,
Biometrics 34:469, with noise by the delta method). It is told only where both A are at
least `FEWEST_HAVING` and three standard deviations of their own noise.

Everything is vectorised over leading axes. What is not readable holds harmless numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
NORMAL_95: Final = 1.959963984540054
READABLE: Final = 3.0  # standard deviations of its own noise that a noised count must reach
FEWEST_HAVING: Final = 5.0


class Cells(NamedTuple):
    """Noise variances of A and B and their covariance, a, b and c, as multiples of one variance.

    For sums of separate cells a and b are how many cells there are.
    """

    having: float
    lacking: float
    together: float = 0.0

    @property
    def whole(self) -> float:
        """Of A + B."""
        return self.having + self.lacking + 2.0 * self.together

    @property
    def apart(self) -> float:
        """Of A − B: for a share of one half, four times what is in the share's own noise."""
        return self.having + self.lacking - 2.0 * self.together


@dataclass(frozen=True)
class Proportion:
    """p̂ with its two variances and its 95 % interval; arrays of one shape.

    `having` and `count` are the noised A and N, `least` is the N that is asked for;
    `having_noise` is the variance of A's noise.
    """

    readable: Mask
    least: float
    count: Array
    having: Array
    having_noise: float
    value: Array
    sampling: Array
    noise: Array
    low: Array
    high: Array


@dataclass(frozen=True)
class Contrast:
    """A difference or a ratio of proportions; `standard_error` and variances in its own units."""

    readable: Mask
    count: Array  # the smaller group's
    value: Array
    low: Array
    high: Array
    standard_error: Array
    noise_share: Array


def least_count(fewest: float, cells: float, noise_sd: float) -> float:
    """The least noised count that is shown, where its noise has the variance of so many cells."""
    return max(fewest, 1.0, READABLE * noise_sd * float(np.sqrt(cells)))


def variances(
    p: Array, n: Array, cells: Cells | tuple[int, int], noise_sd: float
) -> tuple[Array, Array]:
    """The two parts of p̂'s variance, sampling and noise, for a share `p` of `n` people."""
    a, b, c = Cells(*cells)
    scattered = (1.0 - p) ** 2 * a + p**2 * b - 2.0 * p * (1.0 - p) * c
    return p * (1.0 - p) / n, noise_sd**2 * scattered / n**2


def proportion(
    having: Array,
    lacking: Array,
    cells: Cells | tuple[int, int],
    *,
    noise_sd: float,
    fewest: float,
    reach: float = NORMAL_95,
) -> Proportion:
    """The share `having` among both, with an interval of `reach` standard deviations.

    `cells` is what noise the two sums carry: a and b, and c where they share some.
    """
    a, _, c = cells = Cells(*cells)
    v, z2 = noise_sd**2, reach**2
    count = np.asarray(having + lacking, dtype=np.float64)
    least = least_count(fewest, cells.whole, noise_sd)
    readable = np.asarray(count >= least)
    n = np.where(readable, count, least)
    held = np.clip(having, 0.0, n)
    p = held / n
    square = n**2 + z2 * n - z2 * v * cells.whole
    half = held * n + z2 * n / 2.0 - z2 * v * (a + c)
    rest = held**2 - z2 * v * a
    root = np.sqrt(np.maximum(half**2 - square * rest, 0.0))
    opens = square > 0.0
    over = np.where(opens, square, 1.0)
    sampling, noise = variances(p, n, cells, noise_sd)
    return Proportion(
        readable=readable,
        least=least,
        count=count,
        having=held,
        having_noise=v * a,
        value=p,
        sampling=sampling,
        noise=noise,
        low=np.where(opens, np.clip((half - root) / over, 0.0, p), 0.0),
        high=np.where(opens, np.clip((half + root) / over, p, 1.0), 1.0),
    )


def difference(one: Proportion, other: Proportion) -> Contrast:
    """`one` minus `other`, within −1 to 1."""
    value = one.value - other.value
    down = np.hypot(one.value - one.low, other.high - other.value)
    up = np.hypot(one.high - one.value, other.value - other.low)
    return Contrast(
        readable=one.readable & other.readable,
        count=np.minimum(one.count, other.count),
        value=value,
        low=value - down,
        high=value + up,
        standard_error=np.sqrt(one.sampling + other.sampling + one.noise + other.noise),
        noise_share=noise_share(one.sampling + other.sampling, one.noise + other.noise),
    )


def ratio(one: Proportion, other: Proportion) -> Contrast:
    """`one` over `other`; not readable where either has too few people with the outcome."""
    readable = one.readable & other.readable & _enough(one) & _enough(other)
    sampling, noise, log = (np.zeros_like(one.value) for _ in range(3))
    for part, sign in ((one, 1.0), (other, -1.0)):
        p = np.where(readable, part.value, 1.0)
        sampling = sampling + np.where(readable, part.sampling, 0.0) / p**2
        noise = noise + np.where(readable, part.noise, 0.0) / p**2
        log = log + sign * np.log(p)
    value, error = np.exp(log), np.sqrt(sampling + noise)
    reach = np.exp(NORMAL_95 * error)
    return Contrast(
        readable=readable,
        count=np.minimum(one.count, other.count),
        value=value,
        low=value / reach,
        high=value * reach,
        standard_error=value * error,
        noise_share=noise_share(sampling, noise),
    )


def noise_share(sampling: Array, noise: Array) -> Array:
    """The part of the variance that is noise; 0 where there is no variance."""
    variance = np.asarray(sampling + noise)
    return np.where(variance > 0.0, noise / np.where(variance > 0.0, variance, 1.0), 0.0)


def _enough(part: Proportion) -> Mask:
    least = max(FEWEST_HAVING, READABLE * float(np.sqrt(part.having_noise)))
    return np.asarray(part.having >= least)
