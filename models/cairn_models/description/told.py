"""One `Estimate` of a mean, an SD, a share or a standardised difference, noise included."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cairn_models.answers import Estimate
from cairn_models.arm_means import ArmMeans, mean_of
from cairn_models.description.blocks import Number
from cairn_models.proportions import NORMAL_95, Proportion, noise_share

TOO_FEW: Final = "too few people to tell through the noise"
NO_SPREAD: Final = "nobody differs, so there is no spread to standardise by"
LEAST_SPREAD: Final = 1e-6  # of u², below which nothing is standardised
NOT_SHOWN: Final = "not shown"

Array = NDArray[np.float64]


def at(found: Proportion, place: tuple[int, ...]) -> Proportion:
    """One of an array of proportions."""
    arrays = {
        name: getattr(found, name)[place]
        for name in ("readable", "count", "having", "value", "sampling", "noise", "low", "high")
    }
    return replace(found, **arrays)


def share(
    blank: Estimate, found: Proportion, *, certain: bool = False, count: float | None = None
) -> Estimate:
    """`blank` with a share; a `certain` one is 1 by definition."""
    value = float(found.value)
    ends = (value, value) if certain else (float(found.low), float(found.high))
    sampling, noise = (0.0, 0.0) if certain else (float(found.sampling), float(found.noise))
    return replace(
        blank,
        value=value,
        low=ends[0],
        high=ends[1],
        standard_error=float(np.sqrt(sampling + noise)),
        noise_share=float(noise_share(np.asarray(sampling), np.asarray(noise))),
        count=float(found.count) if count is None else count,
    )


def mean(blank: Estimate, block: Number, means: ArmMeans, arm: int) -> Estimate:
    """The arm's mean in the number's own units."""
    if not means.readable[arm]:
        return replace(blank, suppressed=TOO_FEW)
    found = mean_of(means, arm)
    ends = [
        float(np.clip(block.middle + block.limit * end, block.lowest, block.highest))
        for end in found.ends()
    ]
    return replace(
        blank,
        value=block.middle + block.limit * float(found.value),
        low=ends[0],
        high=ends[1],
        standard_error=block.limit * float(found.standard_error),
        noise_share=float(found.noise_share),
        count=float(means.count[arm]),
    )


def spread_sampling(means: ArmMeans) -> Array:
    """The part of `spread_error` that would be there without noise."""
    n = np.maximum(means.count, 2.0)
    return np.asarray((1.0 - means.public_weight) ** 2 * 2.0 * means.spread**2 / (n - 1.0))


def sd(blank: Estimate, block: Number, means: ArmMeans, arm: int) -> Estimate:
    """The arm's standard deviation, with a log-normal interval."""
    if not means.readable[arm]:
        return replace(blank, suppressed=TOO_FEW)
    spread, variance = float(means.spread[arm]), float(means.spread_error[arm])
    value = block.limit * float(np.sqrt(spread))
    relative = float(np.sqrt(variance)) / (2.0 * spread) if spread > LEAST_SPREAD else 0.0
    reach = float(np.exp(NORMAL_95 * min(relative, 5.0)))
    sampling = np.asarray(spread_sampling(means)[arm])
    return replace(
        blank,
        value=value,
        low=value / reach,
        high=max(value, min(value * reach, 2.0 * block.limit)),
        standard_error=value * relative,
        noise_share=float(noise_share(sampling, np.asarray(variance - sampling))),
        count=float(means.count[arm]),
    )


def standardised_shares(blank: Estimate, one: Proportion, other: Proportion) -> Estimate:
    """`blank` with the standardised difference of two shares."""
    p, q = float(one.value), float(other.value)
    spread = (p * (1.0 - p) + q * (1.0 - q)) / 2.0
    if spread < LEAST_SPREAD:
        return replace(blank, suppressed=NO_SPREAD, count=None)
    root = np.sqrt(spread)
    value = (p - q) / root
    slopes = [
        sign / root - value / (4.0 * spread) * (1.0 - 2.0 * share)
        for sign, share in ((1.0, p), (-1.0, q))
    ]
    parts = (one, other)
    sampling = sum(s**2 * float(f.sampling) for s, f in zip(slopes, parts, strict=True))
    noise = sum(s**2 * float(f.noise) for s, f in zip(slopes, parts, strict=True))
    return normal(blank, float(value), sampling, noise, count=blank.count)


def normal(
    blank: Estimate, value: float, sampling: float, noise: float, *, count: float | None
) -> Estimate:
    """`blank` with `value` and a normal interval."""
    error = float(np.sqrt(sampling + noise))
    return replace(
        blank,
        value=value,
        low=value - NORMAL_95 * error,
        high=value + NORMAL_95 * error,
        standard_error=error,
        noise_share=float(noise_share(np.asarray(sampling), np.asarray(noise))),
        count=count,
    )


def percent(e: Estimate) -> str:
    """A share in a table's cell."""
    return NOT_SHOWN if e.value is None else f"{100 * e.value:.0f} %"


def signed(e: Estimate) -> str:
    """A difference in a table's cell."""
    return NOT_SHOWN if e.value is None else f"{round(e.value, 2) + 0.0:+.2f}".replace("-", "−")


def with_interval(e: Estimate) -> str:
    """A number with its interval in a table's cell."""
    return NOT_SHOWN if e.value is None else f"{e.value:.1f} ({e.low:.1f} to {e.high:.1f})"


def point(e: Estimate) -> str:
    """A score in a table's cell."""
    return NOT_SHOWN if e.value is None else f"{e.value:g}"


def whole(e: Estimate) -> str:
    """A number of people, or of minutes, in a table's cell."""
    return NOT_SHOWN if e.value is None else f"{e.value:.0f}"
