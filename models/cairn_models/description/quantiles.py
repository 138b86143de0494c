"""Quantiles of a bounded quantity, by arm, from a noised histogram over public bins.

**What is summed.** One cell a patient: the score rounded to a public step, halves up: whole points
for an instrument of 10 to 31 points, as many as give at most 32 bins otherwise. Cells are seen
through a matrix that spares cumulated shares (`shapes`).

**Estimator.** The q-quantile is the first bin where the cumulated count A_j reaches qN: without
noise NumPy's `inverted_cdf` of the rounded scores. Noise makes A fall here and there; it is first
replaced by the nearest table that never falls, in least squares (isotonic regression; Barlow et
al. 1972, by its min–max formula).

**Interval** (Woodruff 1952, JASA 47:635, with noise). For bin j, A_j − qN = Σ_c w_c x_c with
w_c = 1(c ≤ j) − q, so where F_j = q it has sampling variance Nq(1 − q) and noise variance wᵀVw, V
the covariance of the table's noise. The interval holds every bin j that a test does not refuse:
F_j ≥ q is refused where A_j − qN < −1.96 sd_j, F_{j−1} < q where A_{j−1} − qN > 1.96 sd_{j−1}. The
true quantile is lost with 2.5 % on either side at most, less because scores come in steps, whatever
other bins say.

**Not everybody in a bin.** Where the table has cells beyond the bins, who is in them counts in N
and has no value: the quantile is of everybody, and may not be reached.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cairn_models.description.counts import Counts, noise_between
from cairn_models.proportions import NORMAL_95

Array = NDArray[np.float64]
MOST_BINS: Final = 32
FEWEST_STEPS: Final = 10
MOST_BARS: Final = 10
GRID: Final = 0.01  # people; sums come on a grid, and a tie must not hang on its last digit


@dataclass(frozen=True)
class Bins:
    """Values rounded to `lowest` + k·`step`, k from 0."""

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

    @property
    def bar(self) -> int:
        """Bins in a bar of the histogram; the last bar holds what is left over too."""
        return -(-self.number // MOST_BARS)

    def places(self, score: Array) -> Array:
        """(N,) the bin of each score, NaN where there is none."""
        place = np.floor((score - self.lowest) / self.step + 0.5)
        return np.where((place >= 0) & (place < self.number), place, np.nan)

    def value(self, place: NDArray[np.int64]) -> Array:
        """The score that a bin stands for."""
        return np.asarray(self.lowest + self.step * place, dtype=np.float64)


@dataclass(frozen=True)
class Quantile:
    """A quantile in the bins' unit with its interval; harmless numbers where not readable.

    `reached`: so many are in the bins at all; where not, `value` is the last bin.
    """

    readable: NDArray[np.bool_]
    reached: NDArray[np.bool_]
    count: Array
    value: Array
    low: Array
    high: Array
    noise_share: Array


def quantile(counts: Counts, bins: Bins, q: float) -> Quantile:
    """The `q`-quantile (..., arms) of people in `counts`, whose first places are `bins`."""
    everybody = np.ones(counts.places, dtype=np.bool_)
    count, least = counts.of(everybody), counts.least(everybody)
    readable = np.asarray(count >= least)
    weights = np.tril(np.ones((counts.places, counts.places)))[: bins.number] - q
    noise = noise_between(counts.covariance, weights)  # (bins,)
    sampling = np.where(readable, count, least)[..., None] * q * (1 - q)
    excess = counts.table @ weights.T  # A_j − qN, (..., arms, bins)
    reach = NORMAL_95 * np.sqrt(sampling + noise)
    refused_at = excess < -reach - GRID  # F_j ≥ q is refused
    refused_before = np.zeros_like(refused_at)
    refused_before[..., 1:] = (excess > reach + GRID)[..., :-1]  # F_{j−1} < q is refused
    smooth = isotonic(excess) >= -GRID
    reached = smooth.any(axis=-1) | (bins.number == counts.places)
    smooth[..., -1] = True  # the last bin stands for all that is not reached
    refused_at[..., -1] = False
    kept = ~(refused_at | refused_before)
    middle = np.argmax(smooth, axis=-1)
    some = kept.any(axis=-1)
    low = np.where(some, np.minimum(np.argmax(kept, axis=-1), middle), middle)
    last = bins.number - 1 - np.argmax(kept[..., ::-1], axis=-1)
    high = np.where(some, np.maximum(last, middle), middle)
    added = noise[middle]
    return Quantile(
        readable=readable,
        reached=np.asarray(reached),
        count=count,
        value=bins.value(middle),
        low=bins.value(low),
        high=bins.value(high),
        noise_share=added / (added + sampling[..., 0]),
    )


def isotonic(values: Array) -> Array:
    """(..., K) the nearest values that never fall, in least squares: max over s of min over t."""
    k = values.shape[-1]
    sums = np.concatenate([np.zeros((*values.shape[:-1], 1)), np.cumsum(values, axis=-1)], axis=-1)
    start, end = np.arange(k)[:, None], np.arange(k)[None, :]
    length = np.maximum(end - start + 1, 1)
    means = (sums[..., None, 1:] - sums[..., :-1, None]) / length  # (..., s, t)
    means = np.where(end >= start, means, np.inf)
    least = np.minimum.accumulate(means[..., ::-1], axis=-1)[..., ::-1]  # over ends from t on
    least = np.where(end >= start, least, -np.inf)
    return np.asarray(least.max(axis=-2))
