"""Quantiles of a bounded score, by arm, from a noised histogram over public bins.

**What is summed.** One 1 a patient in the bin of the score rounded to a public step, halves up:
whole points for an instrument of 10 to 31 points, as many as give at most 32 bins otherwise.

**Estimator.** The q-quantile is the first bin where the cumulated count A_j reaches qN: without
noise NumPy's `inverted_cdf` of the rounded scores. Noise makes A fall here and there; it is first
made monotone as the mean of its running maximum from below and its running minimum from above.

**Interval** (Woodruff 1952, JASA 47:635, with noise). For bin j with a bins up to it and b beyond,
A_j − qN has, where F_j = q, sampling variance Nq(1 − q) and noise variance
v·((1 − q)²a + q²b). The interval holds every bin j that a test does not refuse: F_j ≥ q is refused
where A_j − qN < −1.96 sd_j, F_{j−1} < q where A_{j−1} − qN > 1.96 sd_{j−1}. The true quantile is
lost with 2.5 % on either side at most, less because scores come in steps, whatever other bins say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cairn_models.proportions import NORMAL_95, least_count

Array = NDArray[np.float64]
MOST_BINS: Final = 32
FEWEST_STEPS: Final = 10
GRID: Final = 0.01  # people; sums come on a grid, and a tie must not hang on its last digit


@dataclass(frozen=True)
class Bins:
    """Scores rounded to `lowest` + k·`step`, k from 0."""

    lowest: float
    step: float
    number: int

    @staticmethod
    def over(lowest: float, highest: float) -> Bins:
        """The bins of a scale."""
        width = highest - lowest
        step = width / 20 if width < FEWEST_STEPS else 1.0
        while int(np.floor(width / step + 0.5)) + 1 > MOST_BINS:
            step += 1.0
        return Bins(lowest, step, int(np.floor(width / step + 0.5)) + 1)

    def places(self, score: Array) -> Array:
        """(N,) the bin of each score, NaN where there is none."""
        place = np.floor((score - self.lowest) / self.step + 0.5)
        return np.where((place >= 0) & (place < self.number), place, np.nan)

    def value(self, place: NDArray[np.int64]) -> Array:
        """The score that a bin stands for."""
        return np.asarray(self.lowest + self.step * place, dtype=np.float64)


@dataclass(frozen=True)
class Quantile:
    """A quantile in score points with its interval; harmless numbers where not readable."""

    readable: NDArray[np.bool_]
    count: Array
    value: Array
    low: Array
    high: Array
    noise_share: Array


def quantile(counts: Array, bins: Bins, q: float, *, noise_sd: float, fewest: float) -> Quantile:
    """The `q`-quantile (...,) of noised `counts` (..., bins)."""
    v, z = noise_sd**2, NORMAL_95
    count = counts.sum(axis=-1)
    least = least_count(fewest, bins.number, noise_sd)
    readable = np.asarray(count >= least)
    n = np.where(readable, count, least)[..., None]
    excess = np.cumsum(counts, axis=-1) - q * count[..., None]
    up_to = np.arange(1, bins.number + 1, dtype=np.float64)
    noise = v * ((1 - q) ** 2 * up_to + q**2 * (bins.number - up_to))
    sampling = n * q * (1 - q)
    reach = z * np.sqrt(sampling + noise)
    refused_at = excess < -reach - GRID  # F_j ≥ q is refused
    refused_before = np.zeros_like(refused_at)
    refused_before[..., 1:] = (excess > reach + GRID)[..., :-1]  # F_{j−1} < q is refused
    refused_at[..., -1] = False  # everybody is in some bin
    kept = ~(refused_at | refused_before)
    rising = np.maximum.accumulate(excess, axis=-1)
    falling = np.minimum.accumulate(excess[..., ::-1], axis=-1)[..., ::-1]
    reached = (rising + falling) / 2 >= -GRID
    reached[..., -1] = True
    middle = np.argmax(reached, axis=-1)
    some = kept.any(axis=-1)
    low = np.where(some, np.minimum(np.argmax(kept, axis=-1), middle), middle)
    last = bins.number - 1 - np.argmax(kept[..., ::-1], axis=-1)
    high = np.where(some, np.maximum(last, middle), middle)
    added = np.take_along_axis(np.broadcast_to(noise, excess.shape), middle[..., None], -1)
    return Quantile(
        readable=readable,
        count=count,
        value=bins.value(middle),
        low=bins.value(low),
        high=bins.value(high),
        noise_share=(added / (added + sampling))[..., 0],
    )
