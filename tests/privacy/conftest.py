"""Checks that the privacy tests share; each returns faults in words, so that mutants show."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from cairn_privacy.noise import NoisePlan

Steps = NDArray[np.int64]
Sum = Callable[[list[NDArray[np.float64]], int, float, int], Steps]
Noise = Callable[[Steps, NoisePlan], Steps]


def _adversaries(length: int) -> dict[str, NDArray[np.float64]]:
    """Seven patients who try to move a sum by more than the bound."""
    wave = np.where(np.arange(length) % 2 == 0, 1.0, -1.0)
    one = np.zeros(length)
    one[0] = 1.0
    return {
        "huge": 1e9 * wave,
        "nan": np.where(np.arange(length) == length // 2, np.nan, one),
        "infinite": np.where(np.arange(length) == 0, -np.inf, one),
        "empty": np.zeros(length),
        "denormal": np.full(length, 5e-324),
        "beyond squaring": np.full(length, 1e300),
        "alternating": 0.999 * wave,
    }


def _backgrounds(length: int) -> dict[str, list[NDArray[np.float64]]]:
    """Dense, sparse and empty clinics, in blocks."""
    generator = np.random.default_rng(7)
    dense = [generator.normal(size=(50, length)), generator.normal(size=(3, length)) * 1e-3]
    sparse = [np.eye(length)[generator.integers(0, length, 40)] * 0.4]
    return {"dense": dense, "sparse": sparse, "empty": []}


def _sensitivity_faults(bounded: Sum, length: int = 24, bound: float = 0.5) -> list[str]:
    """How `bounded` lets one patient move the sum by more than `bound`; none if it is right."""
    grid = 1 << 16
    faults = []
    for place, blocks in _backgrounds(length).items():
        before = bounded([*blocks], length, bound, grid)
        for name, patient in _adversaries(length).items():
            for joined in ([*blocks, patient[None, :]], _into_first_block(blocks, patient)):
                after = bounded(joined, length, bound, grid)
                moved = sum(int(z) ** 2 for z in after.astype(object) - before.astype(object))
                if moved > grid**2:
                    faults.append(f"{name} over {place}: {(moved / grid**2) ** 0.5:.3g} C")
    return faults


def _into_first_block(
    blocks: list[NDArray[np.float64]], patient: NDArray[np.float64]
) -> list[NDArray[np.float64]]:
    if not blocks:
        return [patient[None, :]]
    return [np.vstack([patient[None, :], blocks[0]]), *blocks[1:]]


def _noise_faults(noised: Noise, plan: NoisePlan, survivors: int) -> list[str]:
    """What is wrong with the noise that the adversary does not know; none if it is right.

    Empty clinics, two rounds, sums opened at `survivors`, colluders' noise subtracted.
    """
    length = 20_000
    zero = np.zeros(length, dtype=np.int64)
    rounds = [[noised(zero, plan) for _ in range(survivors)] for _ in range(2)]
    honest = [sum(uploads[: plan.honest], zero).astype(np.float64) for uploads in rounds]
    needed = (plan.sigma * plan.grid) ** 2
    faults = []
    for total in honest:
        ratio = float((total**2).mean()) / needed
        # 7 deviations of a χ² mean: a right mechanism fails once in 10^11 runs
        if not abs(ratio - 1) < 7 * (2 / length) ** 0.5:
            faults.append(f"variance {ratio:.3f} of what is charged")
        if ratio > 0 and abs(float((total**4).mean()) / (ratio * needed) ** 2 - 3) > 0.25:
            faults.append("not normal")
    pairs = [(honest[0], honest[1]), (rounds[0][0] * 1.0, rounds[0][1] * 1.0)]
    for a, b in pairs:
        if abs(float(a @ b)) > 7 / length**0.5 * float(np.sqrt((a @ a) * (b @ b))):
            faults.append("noise repeats between rounds or clinics")
    return faults


@pytest.fixture
def plan() -> NoisePlan:
    """Ten clinics, eight survivors, two colluders."""
    return NoisePlan(sigma=4.2247, rounds=1, honest=6, uploads=10)


@pytest.fixture
def sensitivity_faults() -> Callable[..., list[str]]:
    """The check of a bounded sum, with seven adversarial patients."""
    return _sensitivity_faults


@pytest.fixture
def noise_faults() -> Callable[..., list[str]]:
    """The check of a clinic's noise, as the adversary sees it."""
    return _noise_faults
