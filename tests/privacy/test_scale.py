"""The scale: the narrowest ring that cannot wrap, on the finest grid that reaches it."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cairn_privacy import scale as scales
from cairn_privacy.bound import bounded_sum, saturate
from cairn_privacy.noise import NoisePlan, add_noise, plan_noise
from cairn_privacy.scale import GRIDS, MOST_PULL, Scale, noise_and_scale
from cairn_protocol.errors import OurFault, PolicyRefusal
from cairn_protocol.fixed_point import RINGS, decode, encode, from_wire, to_wire
from cairn_protocol.policy import Policy
from cairn_protocol.study import Cohort

TEN = Policy(clinics=10, survivors=8, threshold=8, colluding=2, dropout="recovered")
CLINIC_SIZES = st.integers(1, 100_000)


def cohort(largest: int, planned: int = 1000) -> Cohort:
    """A cohort of which only the public figures matter."""
    return Cohort(planned_patients=planned, largest_clinic=largest)


def plan(grid: int, sigma: float = 4.2247) -> NoisePlan:
    """The noise of ten clinics of which six are honest."""
    return NoisePlan(sigma, 1, 6, 10, grid)


@given(largest=CLINIC_SIZES, planned=st.integers(1, 10**6), sigma=st.floats(0.2, 60))
@settings(max_examples=150, deadline=None)
def test_the_ring_is_the_narrowest_and_its_grid_the_finest(
    largest: int, planned: int, sigma: float
) -> None:
    noise, scale = noise_and_scale(2.0, cohort(largest, planned), partial(plan, sigma=sigma))
    assert scale.clamp == largest * noise.grid
    assert scale.reach == scale.clamp + math.ceil(14 * noise.clinic_sigma_steps)
    assert scale.step == 2.0 / noise.grid
    allowed = {
        grid: Scale.of_patients(2.0, largest, plan(grid, sigma)).modulus_bits
        for grid in GRIDS
        if grid == GRIDS[0] or planned / (2 * grid) <= MOST_PULL * noise.sum_sd(1.0)
    }
    assert scale.modulus_bits == min(allowed.values())
    assert noise.grid == max(g for g, bits in allowed.items() if bits == scale.modulus_bits)
    assert 10 * scale.reach < 2 ** (scale.modulus_bits - 1)
    narrower = [w for w in RINGS if w < scale.modulus_bits]
    assert all(10 * scale.reach >= 2 ** (w - 1) for w in narrower)


@pytest.mark.parametrize(
    ("largest", "grid", "bits"),
    [
        *((1, 15, 24), (20, 14, 24), (60, 13, 24)),
        *((150, 16, 28), (300, 15, 28), (600, 14, 28), (1500, 13, 28), (1700, 16, 32)),
    ],
)
def test_a_coarser_grid_is_taken_only_where_it_saves_bits(
    largest: int, grid: int, bits: int
) -> None:
    noise, scale = noise_and_scale(1.0, cohort(largest), plan)
    assert (noise.grid, scale.modulus_bits) == (2**grid, bits)


@given(largest=CLINIC_SIZES)
@settings(max_examples=25, deadline=None)
def test_clinics_at_the_extremes_are_summed_exactly(largest: int) -> None:
    noise, scale = noise_and_scale(1.0, cohort(largest), plan)
    bits = scale.modulus_bits
    for sign in (1, -1):
        extreme = np.array([sign * scale.reach, 0], dtype=np.int64)
        vector = encode(extreme, reach=scale.reach, modulus_bits=bits)
        total = sum(from_wire(to_wire(vector, bits), bits, 2) for _ in range(noise.uploads))
        assert decode(total, bits).tolist() == [sign * 10 * scale.reach, 0]


def test_clamped_and_noised_sums_stay_within_reach() -> None:
    noise, scale = noise_and_scale(1.0, cohort(30), plan)
    whole = saturate(np.full(10_000, 1 << 40), scale.clamp)
    for total in (whole, -whole):
        encode(add_noise(total, noise), reach=scale.reach, modulus_bits=scale.modulus_bits)


def test_a_grid_too_coarse_for_the_noise_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scales, "GRIDS", (1 << 16, 1 << 15, 2))
    noise, scale = noise_and_scale(1.0, cohort(300, planned=1), plan)
    assert (noise.grid, scale.modulus_bits) == (1 << 15, 28)


def test_no_grid_at_all_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scales, "GRIDS", (4, 2))
    with pytest.raises(PolicyRefusal, match="noise-grid"):
        noise_and_scale(1.0, cohort(500), partial(plan, sigma=1.0))


def test_a_grid_that_would_pull_large_sums_is_left() -> None:
    few, many = cohort(600, planned=3500), cohort(600, planned=3600)
    noise, scale = noise_and_scale(1.0, few, plan)
    assert (noise.grid, scale.modulus_bits) == (1 << 14, 28)
    assert noise.sum_sd(1.0) * 2 * noise.grid * MOST_PULL == pytest.approx(3574, abs=1)
    noise, scale = noise_and_scale(1.0, many, plan)
    assert (noise.grid, scale.modulus_bits) == (1 << 16, 32)


def test_truncation_costs_less_than_what_is_allowed() -> None:
    """Half a step a patient, at worst: rows of one sign, whose coordinates are no whole steps."""
    rng = np.random.default_rng(7)
    planned = 3500
    rows = np.abs(rng.normal(size=(planned, 20)))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    noise, scale = noise_and_scale(1.0, cohort(600, planned), plan)
    assert noise.grid == 1 << 14
    total = bounded_sum([rows], 20, 1.0, noise.grid) * scale.step
    pull = rows.sum(axis=0) - total
    assert (pull > 0).all()
    assert pull.max() < 1.1 * planned * scale.step / 2 < 1.1 * MOST_PULL * noise.sum_sd(1.0)


@pytest.mark.parametrize("epsilon", [0.3, 1.0, 2.0])
def test_the_price_does_not_depend_on_the_grid(epsilon: float) -> None:
    finest, coarsest = (plan_noise(epsilon, 1e-6, 40, TEN, S) for S in (GRIDS[0], GRIDS[-1]))
    assert coarsest.sigma - finest.sigma <= 1e-4
    assert coarsest.sum_sd(1.0) == pytest.approx(finest.sum_sd(1.0), rel=1e-4)
    assert coarsest.epsilon(1e-6) <= epsilon * (1 + 1e-11)


def test_noise_without_a_bound_is_a_fault() -> None:
    with pytest.raises(OurFault) as refused:
        noise_and_scale(None, cohort(5), plan)
    assert refused.value.code == "internal.unbounded-question"


def test_public_sums_have_the_whole_width() -> None:
    scale = Scale.of_public(5)
    assert (scale.modulus_bits, scale.sigma, scale.bound) == (64, 0.0, None)
    assert 5 * scale.reach < 2**63
