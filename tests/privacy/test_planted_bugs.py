"""Each bug that would break the promise is planted once; the check that guards it must speak."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from cairn_privacy import bound, noise
from cairn_privacy.noise import NoisePlan, add_noise
from cairn_privacy.sampler import discrete_gaussian

Steps = NDArray[np.int64]
Sum = Callable[..., Steps]
Noise = Callable[[Steps, NoisePlan], Steps]
Check = Callable[..., list[str]]


def test_the_real_sum_moves_by_at_most_the_bound(sensitivity_faults: Check) -> None:
    assert sensitivity_faults(bound.bounded_sum) == []


def test_the_real_noise_is_what_is_charged(plan: NoisePlan, noise_faults: Check) -> None:
    assert noise_faults(add_noise, plan, survivors=8) == []


def _twice_the_bound(blocks: list, length: int, c: float, grid: int) -> Steps:
    return 2 * bound.bounded_sum(blocks, length, c, grid)


def _nan_goes_through(blocks: list, length: int, c: float, grid: int) -> Steps:
    rows = np.vstack([*blocks, np.zeros((1, length))])
    with np.errstate(all="ignore"):
        norm = np.sqrt((rows**2).sum(axis=1, keepdims=True))
        clipped = rows * np.minimum(1, c / np.where(norm > 0, norm, 1))
        return (clipped.sum(axis=0) / c * grid).astype(np.int64)


def _squares_overflow(blocks: list, length: int, c: float, grid: int) -> Steps:
    total = np.zeros(length, dtype=np.int64)
    with np.errstate(all="ignore"):
        for row in np.vstack([*blocks, np.zeros((1, length))]):
            norm = np.sqrt(np.square(np.nan_to_num(row) / 1e160).sum()) * 1e160
            scaled = row if not norm > c else row * (c / norm)
            total += np.nan_to_num(scaled / c * grid).astype(np.int64)
    return total


def _clips_the_whole_batch(blocks: list, length: int, c: float, grid: int) -> Steps:
    rows = np.nan_to_num(np.vstack([*blocks, np.zeros((1, length))]), posinf=0, neginf=0)
    return bound.bounded_sum([rows.sum(axis=0, keepdims=True) * 1.0], length, 3 * c, grid) * 3


def _counts_patients_twice(blocks: list, length: int, c: float, grid: int) -> Steps:
    return bound.bounded_sum([*blocks, *blocks], length, c, grid)


def _centres_by_the_clinic(blocks: list, length: int, c: float, grid: int) -> Steps:
    rows = np.vstack([*blocks, np.zeros((1, length))])
    clean = np.where(np.isfinite(rows), rows, 0.0).clip(-1e9, 1e9)
    return bound.bounded_sum([clean - clean.mean(axis=0)], length, c, grid)


def _rounds_to_nearest(blocks: list, length: int, c: float, grid: int) -> Steps:
    """Rounding up can carry a patient past the bound: coarse grids show it."""
    total = np.zeros(length, dtype=np.int64)
    for block in blocks:
        small = bound.bounded_rows(block, c, 1 << 30).astype(np.float64) / (1 << 30)
        total += np.rint(small * grid + np.sign(small) * 0.5).astype(np.int64).sum(axis=0)
    return total


@pytest.mark.parametrize(
    "mutant",
    [
        _twice_the_bound,
        _nan_goes_through,
        _squares_overflow,
        _clips_the_whole_batch,
        _counts_patients_twice,
        _centres_by_the_clinic,
        _rounds_to_nearest,
    ],
)
def test_a_sum_that_one_patient_can_move_too_far_is_told(
    mutant: Sum, sensitivity_faults: Check
) -> None:
    assert sensitivity_faults(mutant)


def _forgotten(total: Steps, _: NoisePlan) -> Steps:
    return total


def _share(divisor: float) -> Noise:
    return lambda total, plan: (
        total + discrete_gaussian(plan.sigma * plan.grid / divisor, total.size)
    )


def _seeded(total: Steps, plan: NoisePlan) -> Steps:
    generator = np.random.default_rng(0)
    return total + np.rint(generator.normal(0, plan.clinic_sigma_steps, total.size)).astype(
        np.int64
    )


_kept: dict[int, Steps] = {}


def _reused_per_clinic(total: Steps, plan: NoisePlan) -> Steps:
    """Each clinic draws once and uses it in every round."""
    turn = len(_kept)
    _kept[turn] = (
        _kept[turn - 8] if turn >= 8 else discrete_gaussian(plan.clinic_sigma_steps, total.size)
    )
    return total + _kept[turn]


def _uniform(total: Steps, plan: NoisePlan) -> Steps:
    width = plan.clinic_sigma_steps * 12**0.5
    words = np.frombuffer(os.urandom(8 * total.size), dtype=np.uint64)
    return total + ((words / 2.0**64 - 0.5) * width).astype(np.int64)


def _laplace(total: Steps, plan: NoisePlan) -> Steps:
    words = np.frombuffer(os.urandom(8 * total.size), dtype=np.uint64) / 2.0**64 - 0.5
    scale = plan.clinic_sigma_steps / 2**0.5
    drawn = -np.sign(words) * np.log1p(-2 * np.abs(words).clip(0, 0.4999999)) * scale
    return total + drawn.astype(np.int64)


@pytest.mark.parametrize(
    "mutant",
    [
        pytest.param(_forgotten, id="noise forgotten"),
        pytest.param(_share(10), id="share scaled by n"),
        pytest.param(_share(10**0.5), id="share scaled by root n"),
        pytest.param(_share(8**0.5), id="colluders counted as honest"),
        pytest.param(_seeded, id="seed shared by clinics and rounds"),
        pytest.param(_reused_per_clinic, id="noise reused over rounds"),
        pytest.param(_uniform, id="wrong law, bounded: the kurtosis of one upload tells"),
        pytest.param(_laplace, id="wrong law, Laplace"),
    ],
)
def test_noise_that_is_not_what_is_charged_is_told(
    mutant: Noise, plan: NoisePlan, noise_faults: Check
) -> None:
    one_upload = NoisePlan(plan.sigma, 1, 1, 1, plan.grid)
    assert noise_faults(mutant, plan, survivors=8) or noise_faults(mutant, one_upload, 2)


def test_add_noise_draws_from_the_named_sampler(
    monkeypatch: pytest.MonkeyPatch, plan: NoisePlan
) -> None:
    asked = []

    def spy(sigma: float, size: int) -> Steps:
        asked.append((sigma, size))
        return np.ones(size, dtype=np.int64)

    monkeypatch.setattr(noise, "discrete_gaussian", spy)
    noised = add_noise(np.array([5, 6, 7]), plan)
    assert noised.tolist() == [6, 7, 8]
    assert asked == [(plan.clinic_sigma_steps, 3)]
