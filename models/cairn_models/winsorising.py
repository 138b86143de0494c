"""Means as they would be without winsorising, were the numbers behind them normal.

Winsorising draws a mean towards zero, most where it lies far out: a difference of 4 points may
read 3.5. If r is normal (μ, τ) then mean and second moment of u = clip(r, −1, 1) are known
functions of (μ, τ) with a simple Jacobian, so two noised moments give μ back (Tobin 1958's
two-limit model, by moments). It rests on the normal law, therefore it stands beside the winsorised
mean and never replaces it. Arrays of any one shape; units of the limit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from cairn_models.arm_means import ArmMeans, Array, Coding

FARTHEST = 3.0  # |μ| and τ beyond this cannot be told from an arm that is all at the limit
STEPS = 40
GRID: Array = ndtri((np.arange(400) + 0.5) / 400)


@dataclass(frozen=True)
class Normal:
    """The law behind winsorised moments; `found` says where there is one.

    `by_mean`, `by_square`: how `mean` moves with the winsorised mean and second moment.
    """

    mean: Array
    sd: Array
    found: NDArray[np.bool_]
    by_mean: Array
    by_square: Array


def winsorised_moments(mean: Array, sd: Array) -> tuple[Array, Array, tuple[Array, ...]]:
    """Mean and second moment of clip(N(mean, sd²), −1, 1), and their four derivatives.

    The derivatives are ∂first/∂mean, ∂first/∂sd, ∂second/∂mean, ∂second/∂sd.
    """
    low, high = (-1.0 - mean) / sd, (1.0 - mean) / sd
    at_low, at_high = ndtr(low), ndtr(-high)
    inside = 1.0 - at_low - at_high
    dense_low, dense_high = _density(low), _density(high)
    lean = dense_low - dense_high  # E[z; inside]
    square = inside + low * dense_low - high * dense_high  # E[z²; inside]
    first = at_high - at_low + mean * inside + sd * lean
    second = at_high + at_low + mean**2 * inside + 2 * mean * sd * lean + sd**2 * square
    slopes = (inside, lean, 2 * (mean * inside + sd * lean), 2 * (mean * lean + sd * square))
    return first, second, slopes


def normal_behind(first: Array, second: Array) -> Normal:
    """The normal law whose winsorised moments are `first` and `second`, by Newton's method."""
    mean, sd = first.copy(), np.sqrt(np.clip(second - first**2, 1e-4, None))
    for _ in range(STEPS):
        now, then, (a, b, c, d) = winsorised_moments(mean, sd)
        if np.all(_met(now, first) & _met(then, second)):
            break
        determinant = _away_from_zero(a * d - b * c)
        step_mean = (d * (first - now) - b * (second - then)) / determinant
        step_sd = (a * (second - then) - c * (first - now)) / determinant
        mean = np.clip(mean + np.clip(step_mean, -0.5, 0.5), -FARTHEST, FARTHEST)
        sd = np.clip(sd + np.clip(step_sd, -0.5 * sd, 0.5), 1e-3, FARTHEST)
    now, then, (a, b, c, d) = winsorised_moments(mean, sd)
    determinant = _away_from_zero(a * d - b * c)
    found = _met(now, first) & _met(then, second) & (np.abs(mean) < 1.0) & (sd < 1.5)
    return Normal(mean, sd, found, d / determinant, -b / determinant)


def unwinsorised(means: ArmMeans, coding: Coding, *, noise_sd: float) -> ArmMeans:
    """`means` without the winsorising; an arm whose law cannot be found is not readable."""
    n = np.where(means.readable, means.count, 2.0)
    short = 1.0 - means.spread - means.mean**2  # mean of 1 − u²
    law = normal_behind(means.mean, 1.0 - short)
    u = np.clip(law.mean[..., None] + law.sd[..., None] * GRID, -1.0, 1.0)
    square_error = np.var(u**2, axis=-1)
    together = np.mean(u**3, axis=-1) - np.mean(u, axis=-1) * np.mean(u**2, axis=-1)
    own = 1.0 - means.public_weight  # only this part of the spread moves with the data
    by_mean, by_square = law.by_mean, law.by_square * own
    sampling = by_mean**2 * means.spread + by_square**2 * square_error
    sampling = (sampling + 2 * by_mean * by_square * together) / n

    a, v = coding.count_weight, noise_sd**2
    noise = by_mean**2 + by_square**2 + (by_mean * means.mean - by_square * short) ** 2 / a**2
    # What the public value of the spread may be off by counts as sampling: nothing added it.
    left = law.by_square**2 * (1.0 - own) * means.spread_error
    good = means.readable & law.found
    was = np.where(good & (means.sampling > 0.0), means.sampling, np.inf)
    stretch = (sampling + left) / was
    return replace(
        means,
        readable=good,
        mean=np.where(good, law.mean, 0.0),
        sampling=np.where(good, sampling + left, 0.0),
        noise=np.where(good, v * noise / n**2, 0.0),
        spread_error=means.spread_error * stretch**2,
    )


def _met(value: Array, aim: Array) -> NDArray[np.bool_]:
    return np.asarray(np.abs(value - aim) < 1e-9)


def _density(z: Array) -> Array:
    return np.asarray(np.exp(-0.5 * np.minimum(z**2, 1400.0)) / np.sqrt(2.0 * np.pi))


def _away_from_zero(value: Array) -> Array:
    return np.where(np.abs(value) < 1e-9, 1e-9, value)
