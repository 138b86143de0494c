"""The noise plan: shares, deviations, charges, and what it refuses."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cairn_privacy.accounting import RHO_UNIT, epsilon_pld, rho_for, sigma_for, units_within
from cairn_privacy.noise import NoisePlan, add_noise, plan_noise
from cairn_protocol.errors import OurFault, PolicyRefusal
from cairn_protocol.policy import Policy

TEN = Policy(clinics=10, survivors=8, threshold=8, colluding=2, dropout="recovered")


@given(
    epsilon=st.floats(0.05, 8),
    delta=st.sampled_from([1e-5, 1e-6, 1e-8]),
    rounds=st.integers(1, 200),
)
@settings(max_examples=80, deadline=None)
def test_a_plan_is_the_least_noise_that_fits(epsilon: float, delta: float, rounds: int) -> None:
    plan = plan_noise(epsilon, delta, rounds, TEN)
    assert plan.epsilon(delta) <= epsilon * (1 + 1e-11)
    assert round(plan.sigma * 10_000) / 10_000 == plan.sigma
    assert 0 <= plan.sigma - sigma_for(epsilon, delta, rounds) < 2e-4
    charges = rounds * int(plan.rho_per_round / RHO_UNIT)
    assert charges <= units_within(rho_for(epsilon, delta))
    assert plan == plan_noise(epsilon, delta, rounds, TEN)


@pytest.mark.parametrize(("epsilon", "rounds"), [(0.5, 1), (1.0, 8), (2.0, 60)])
def test_another_accountant_agrees_that_the_plan_fits(epsilon: float, rounds: int) -> None:
    plan = plan_noise(epsilon, 1e-6, rounds, TEN)
    assert epsilon_pld(plan.sigma, rounds, 1e-6) <= epsilon * (1 + 2e-4)


def test_figures_of_the_design(plan: NoisePlan) -> None:
    assert plan == plan_noise(1.0, 1e-6, 1, TEN)
    assert plan.sum_sd(1.0) == pytest.approx(5.454, abs=1e-3)  # 'summed noise 5.45 × the bound'
    assert plan.sum_sd(0.5, uploads=8) == pytest.approx(4.2247 * 0.5 * math.sqrt(8 / 6))
    assert plan.clinic_sigma_steps == pytest.approx(4.2247 * 65536 / math.sqrt(6))
    assert plan.step(0.5) == 0.5 / 65536
    assert plan.rho_per_round == pytest.approx(1 / (2 * 4.2247**2), rel=1e-9)
    assert plan.rho_per_round > 1 / (2 * 4.2247**2)


def test_the_least_sum_that_opens_hides_what_is_charged(plan: NoisePlan) -> None:
    """h shares together have the variance σ²S² of the accountant."""
    together = plan.honest * plan.clinic_sigma_steps**2
    assert together == pytest.approx((plan.sigma * plan.grid) ** 2, rel=1e-14)


@pytest.mark.parametrize(
    "values",
    [
        {"sigma": 0.0},
        {"sigma": math.nan},
        {"sigma": math.inf},
        {"rounds": 0},
        {"honest": 0},
        {"uploads": 5},
        {"grid": 0},
    ],
)
def test_impossible_plans_cannot_exist(values: dict[str, float]) -> None:
    with pytest.raises(OurFault):
        NoisePlan(**{"sigma": 4.0, "rounds": 1, "honest": 6, "uploads": 10, **values})


def test_noise_below_four_steps_is_refused() -> None:
    assert NoisePlan(4.0, 1, 4, 4, grid=2).clinic_sigma_steps == 4.0
    for sigma, grid in ((3.999, 2), (1e6, 1 << 16)):
        with pytest.raises(PolicyRefusal, match="noise-grid"):
            NoisePlan(sigma, 1, 4, 4, grid=grid)


@pytest.mark.parametrize(
    "policy",
    [
        Policy(clinics=3, survivors=3, threshold=3, colluding=0),
        Policy(clinics=2, survivors=2, threshold=2, colluding=1),
        Policy(clinics=1, survivors=1, threshold=1, colluding=1),
        Policy(clinics=10, survivors=8, threshold=5, colluding=2, dropout="recovered"),
    ],
)
def test_a_policy_that_cannot_protect_gets_no_plan(policy: Policy) -> None:
    with pytest.raises(PolicyRefusal, match="policy-unsafe"):
        plan_noise(1.0, 1e-6, 1, policy)


def test_wrong_sums_of_uploads(plan: NoisePlan) -> None:
    for uploads in (5, 11):
        with pytest.raises(OurFault):
            plan.sum_sd(1.0, uploads)


def test_noise_keeps_type_shape_and_the_sum_itself(plan: NoisePlan) -> None:
    total = np.arange(5, dtype=np.int64)
    noised = add_noise(total, plan)
    assert (noised.dtype, noised.shape) == (np.int64, (5,))
    assert total.tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("spoilt", [1 << 62, -(1 << 62), np.iinfo(np.int64).min])
def test_a_sum_that_could_overflow_takes_no_noise(spoilt: int, plan: NoisePlan) -> None:
    with pytest.raises(OurFault, match="noise-sum"):
        add_noise(np.array([0, spoilt]), plan)
    with pytest.raises(OurFault, match="noise-sum"):
        add_noise(np.zeros(2), plan)
