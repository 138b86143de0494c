"""The accountants against each other, against published numbers, and against wrong inputs."""

from __future__ import annotations

import itertools
import math
from functools import partial
from time import process_time

import numpy as np
import pytest
from dp_accounting import dp_event
from dp_accounting.pld import privacy_loss_distribution
from dp_accounting.rdp import RdpAccountant
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from cairn_privacy import accounting
from cairn_privacy.accounting import (
    RHO_UNIT,
    delta_of_mu,
    epsilon_of_mu,
    epsilon_of_rho,
    epsilon_of_zcdp,
    epsilon_pld,
    mu_for,
    rho_for,
    rho_of_event,
    sigma_for,
    tell,
    tell_rho,
    units,
    units_within,
)
from cairn_privacy.noise import NoisePlan
from cairn_protocol.errors import OurFault

CASES = [(4.22, 1, 1e-6), (8.0, 1, 1e-5), (17.2772, 60, 1e-6), (1.5, 1, 1e-6), (3.0, 20, 1e-7)]


def _of_mu(sigma: float, rounds: int, delta: float) -> float:
    return epsilon_of_mu(math.sqrt(rounds) / sigma, delta)


def _of_opacus(kind: str, sigma: float, rounds: int, delta: float) -> float:
    accountants = pytest.importorskip("opacus.accountants")
    accountant = getattr(accountants, kind)()
    accountant.history = [(sigma, 1.0, rounds)]
    return float(accountant.get_epsilon(delta))


def _of_rdp(sigma: float, rounds: int, delta: float) -> float:
    accountant = RdpAccountant()
    accountant.compose(dp_event.SelfComposedDpEvent(dp_event.GaussianDpEvent(sigma), rounds))
    return float(accountant.get_epsilon(delta))


# An accountant, by how much more and by how much less than the ledger's ε it may say.
ACCOUNTANTS = {
    "closed form of Gaussian DP": (_of_mu, 1e-9, 1e-9),
    "dp_accounting's PLD": (epsilon_pld, 2e-4, 2e-4),
    "opacus' PRV, a second opinion": (partial(_of_opacus, "PRVAccountant"), 0.025, 1e-4),
    "zCDP, an upper bound": (
        lambda sigma, rounds, delta: epsilon_of_zcdp(rounds / (2 * sigma**2), delta),
        0.4,
        0.0,
    ),
    "dp_accounting's RDP, an upper bound": (_of_rdp, 0.25, 0.0),
    "opacus' RDP, an upper bound": (partial(_of_opacus, "RDPAccountant"), 0.25, 0.0),
}


@pytest.mark.filterwarnings("ignore")  # opacus' own, on its way to the answer
@pytest.mark.parametrize(("sigma", "rounds", "delta"), CASES)
@pytest.mark.parametrize("name", ACCOUNTANTS)
def test_contract_every_accountant_gives_the_same_price(
    name: str, sigma: float, rounds: int, delta: float
) -> None:
    accountant, more, less = ACCOUNTANTS[name]
    ledger = epsilon_of_rho(rounds / (2 * sigma**2), delta)
    assert ledger * (1 - less) <= accountant(sigma, rounds, delta) <= ledger * (1 + more)


def test_both_ways_take_less_than_a_second_of_cpu() -> None:
    epsilon_pld(8.0, 1, 1e-6)  # its import is paid once a process
    start = process_time()
    sigma = sigma_for(2.0, 1e-6, 60)
    assert epsilon_of_rho(60 / (2 * sigma**2), 1e-6) == pytest.approx(2.0, rel=1e-9)
    assert epsilon_pld(sigma, 60, 1e-6) == pytest.approx(2.0, rel=2e-4)
    assert process_time() - start < 1.0


@pytest.mark.parametrize("epsilon", [0.1, 0.5, 1.0, 2.0, 4.0, 8.0])
@pytest.mark.parametrize("delta", [1e-5, 1e-6, 1e-9])
def test_both_ways_meet_and_err_on_the_safe_side(epsilon: float, delta: float) -> None:
    mu = mu_for(epsilon, delta)
    assert delta_of_mu(mu, epsilon) <= delta
    assert epsilon_of_mu(mu, delta) == pytest.approx(epsilon, rel=1e-9)
    assert epsilon_of_rho(rho_for(epsilon, delta), delta) <= epsilon * (1 + 1e-11)
    assert sigma_for(epsilon, delta, 49) == pytest.approx(7 / mu, rel=1e-12)


def test_published_figures() -> None:
    # Φ(−½) − e·Φ(−3/2) from tables of Φ: 0.308538 − 2.718282 × 0.066807
    assert delta_of_mu(1.0, 1.0) == pytest.approx(0.12693674, abs=1e-8)
    # The design's own figure: σ = 4.2 at ε = 1, δ = 1e-6
    assert sigma_for(1.0, 1e-6, 1) == pytest.approx(4.2247, abs=1e-4)
    # Balle and Wang 2018: the analytic σ is below the classical √(2 ln 1.25/δ)/ε
    assert sigma_for(1.0, 1e-6, 1) < math.sqrt(2 * math.log(1.25e6))


def test_delta_agrees_with_integration_of_the_privacy_loss() -> None:
    for mu, epsilon in itertools.product((0.05, 0.3, 1.0, 3.0), (0.0, 0.2, 1.0, 4.0)):
        loss = np.linspace(epsilon, mu**2 / 2 + 12 * mu + epsilon, 400_001)
        density = stats.norm.pdf(loss, mu**2 / 2, mu)
        numeric = np.trapezoid(density * -np.expm1(epsilon - loss), loss)
        assert delta_of_mu(mu, epsilon) == pytest.approx(numeric, rel=1e-5, abs=1e-14)


@pytest.mark.parametrize(("sigma", "grid", "honest"), [(1.0, 8, 2), (0.75, 16, 3), (2.0, 8, 4)])
def test_discrete_noise_costs_no_more_than_is_charged(sigma: float, grid: int, honest: int) -> None:
    """dp_accounting's exact discrete Gaussian, on grids so coarse that discreteness would show."""
    plan = NoisePlan(sigma, 1, honest, honest, grid)
    for delta in (1e-3, 1e-6, 1e-9):
        exact = privacy_loss_distribution.from_discrete_gaussian_mechanism(
            sigma * grid, sensitivity=grid, value_discretization_interval=1e-4
        ).get_epsilon_for_delta(delta)
        assert exact <= plan.epsilon(delta) + 2e-4  # the reference's own discretisation


def test_on_coarse_grids_the_continuous_formula_alone_would_promise_too_much() -> None:
    """Why `rho_per_round` subtracts ROUNDING_VARIANCE: the exact price is above 1/(2σ²)'s."""
    exact = privacy_loss_distribution.from_discrete_gaussian_mechanism(
        8.0, sensitivity=8, value_discretization_interval=1e-5
    ).get_epsilon_for_delta(1e-9)
    assert exact > epsilon_of_mu(1.0, 1e-9) + 1e-3
    assert exact < NoisePlan(1.0, 1, 2, 2, grid=8).epsilon(1e-9)


def test_discrete_noise_with_distributed_shares_costs_no_more_than_is_charged() -> None:
    """The law of a sum of three shares, convolved exactly, against ε as charged."""
    plan = NoisePlan(sigma=0.75, rounds=1, honest=3, uploads=3, grid=16)
    reach = 400
    x = np.arange(-reach, reach + 1)
    share = np.exp(-(x**2) / (2 * plan.clinic_sigma_steps**2))
    share /= share.sum()
    total = np.convolve(np.convolve(share, share), share)
    for delta in (1e-3, 1e-6):
        epsilon = plan.epsilon(delta)
        shifted = np.roll(total, plan.grid)
        assert np.maximum(total - math.exp(epsilon) * shifted, 0).sum() <= delta


@given(st.lists(st.floats(1e-6, 0.5), min_size=1, max_size=20))
@settings(deadline=None)
def test_charges_add(rhos: list[float]) -> None:
    charged = sum(units(rho) for rho in rhos)
    assert charged * RHO_UNIT >= math.fsum(rhos) * (1 - 1e-15)
    assert charged * RHO_UNIT <= math.fsum(rhos) + (len(rhos) + 1) * RHO_UNIT
    least = epsilon_of_rho(max(rhos), 1e-6)
    assert epsilon_of_rho(charged * RHO_UNIT, 1e-6) >= least * (1 - 1e-12)
    assert units_within(rhos[0]) <= units(rhos[0])


def test_events_made_of_gaussians_are_priced() -> None:
    gaussian = dp_event.GaussianDpEvent(4.0)
    assert rho_of_event(gaussian) == 1 / 32
    assert rho_of_event(dp_event.SelfComposedDpEvent(gaussian, 10)) == 10 / 32
    both = dp_event.ComposedDpEvent([gaussian, dp_event.GaussianDpEvent(2.0)])
    assert rho_of_event(both) == pytest.approx(1 / 32 + 1 / 8)


@pytest.mark.parametrize(
    "event",
    [
        dp_event.NoOpDpEvent(),
        dp_event.NonPrivateDpEvent(),
        dp_event.UnsupportedDpEvent(),
        dp_event.LaplaceDpEvent(1.0),
        dp_event.PoissonSampledDpEvent(0.1, dp_event.GaussianDpEvent(4.0)),
        dp_event.GaussianDpEvent(0.0),
        dp_event.ComposedDpEvent([]),
        dp_event.ComposedDpEvent([dp_event.GaussianDpEvent(4.0), dp_event.NoOpDpEvent()]),
        dp_event.SelfComposedDpEvent(dp_event.GaussianDpEvent(4.0), 0),
        None,
        4.0,
    ],
)
def test_an_unknown_event_is_refused_never_priced_at_zero(event: object) -> None:
    with pytest.raises(OurFault, match="event-unknown"):
        rho_of_event(event)


NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        *[("epsilon_of_mu", (1.0, d)) for d in (0.0, -1e-6, 1.0, 2.0, NAN)],
        *[("epsilon_of_mu", (m, 1e-6)) for m in (-1.0, INF, NAN)],
        *[("mu_for", (e, 1e-6)) for e in (0.0, -1.0, NAN, INF)],
        ("mu_for", (1.0, 0.0)),
        *[("sigma_for", (1.0, 1e-6, r)) for r in (0, -1)],
        *[("epsilon_of_rho", (r, 1e-6)) for r in (-1e-9, NAN, INF, 1e9)],
        *[("epsilon_of_zcdp", (r, 1e-6)) for r in (-1e-9, NAN, INF)],
        *[("epsilon_pld", (s, 1, 1e-6)) for s in (0.0, -1.0, NAN)],
        ("epsilon_pld", (1.0, 0, 1e-6)),
        *[("units", (r,)) for r in (0.0, -1.0, NAN, INF, 1e9)],
        *[("units_within", (r,)) for r in (0.0, -1.0, NAN, INF)],
        *[("tell", (e,)) for e in (-1.0, NAN, INF)],
        *[("tell_rho", (r, 1e-6)) for r in (-1.0, NAN, INF)],
    ],
)
def test_wrong_inputs_are_refused(function: str, arguments: tuple[float, ...]) -> None:
    with pytest.raises(OurFault, match="accountant-input"):
        getattr(accounting, function)(*arguments)


def test_extremes_stay_finite() -> None:
    assert epsilon_of_rho(0.0, 1e-6) == 0.0
    assert epsilon_of_mu(1e-9, 1e-6) == 0.0
    assert 100 < epsilon_of_rho(100.0, 1e-6) < epsilon_of_zcdp(100.0, 1e-6)
    assert 4000 < epsilon_of_rho(4000.0, 1e-12) < 5000


def test_odds_and_guesses_hold_in_simulation() -> None:
    """The best attacker on Gaussian releases guesses as often as told, and no odds exceed it."""
    rho, delta = rho_for(2.0, 1e-3), 1e-3
    mu, count = math.sqrt(2 * rho), 400_000
    generator = np.random.default_rng(5)
    inside = generator.random(count) < 0.5
    seen = generator.normal(inside * mu, 1.0)
    meaning = tell_rho(rho, delta)
    assert ((seen > mu / 2) == inside).mean() == pytest.approx(meaning.guess, abs=0.004)
    loss = mu * seen[inside] - rho
    assert (np.exp(loss) > meaning.odds).mean() == pytest.approx(delta, rel=0.5)
    assert (loss > 2.0).mean() > 2 * delta  # e^ε alone would have promised too much
    assert meaning.guess < tell(2.0).guess


def test_odds_of_pure_epsilon() -> None:
    meaning = tell(1.0)
    assert (meaning.odds, meaning.guess) == pytest.approx((math.e, math.e / (1 + math.e)))
    assert tell(0.0) == accounting.Meaning(1.0, 0.5)
