"""What the noise costs: ρ, μ, ε and δ of Gaussian releases, both ways.

A release of noise multiplier σ is μ-GDP with μ = 1/σ and ρ-zCDP with ρ = μ²/2. Both add over
releases, however later ones depend on earlier ones: ρ = Σ ρᵢ, μ = √(Σ μᵢ²) (Dong, Roth and Su
2022; Smith and Thakurta 2022 for amounts that are chosen on the way). A ledger that holds Gaussian
releases only is therefore √(2ρ)-GDP, and its exact price is

    δ(ε) = Φ(−ε/μ + μ/2) − e^ε · Φ(−ε/μ − μ/2)          (Balle and Wang 2018, theorem 8).

`docs/privacy-accounting.md` derives why this holds for distributed discrete noise.
ρ is counted in whole RHO_UNITs so that the ledger adds integers; charges are rounded up, caps down.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

from cairn_protocol.errors import OurFault

RHO_UNIT: Final = 2.0**-50
LARGEST_RHO: Final = 4096.0  # keeps sums of units inside int64
_STEPS: Final = 200  # bisection steps: float64 is exhausted before


def delta_of_mu(mu: float, epsilon: float) -> float:
    """δ of a μ-GDP mechanism at `epsilon`."""
    from scipy.special import log_ndtr, ndtr  # noqa: PLC0415 - half a second, which most commands spare

    _positive(mu=mu)
    if not epsilon >= 0:
        raise _wrong("epsilon", epsilon)
    first = float(ndtr(-epsilon / mu + mu / 2))
    second = math.exp(min(epsilon + float(log_ndtr(-epsilon / mu - mu / 2)), 0.0))
    return max(first - second, 0.0)


def epsilon_of_mu(mu: float, delta: float) -> float:
    """Smallest ε, rounded up, at which a μ-GDP mechanism is (ε, δ)-DP."""
    _probability(delta)
    if mu == 0:
        return 0.0
    _positive(mu=mu)
    if delta_of_mu(mu, 0.0) <= delta:
        return 0.0
    low, high = 0.0, epsilon_of_zcdp(mu * mu / 2, delta)
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if not low < middle < high:
            break
        low, high = (low, middle) if delta_of_mu(mu, middle) <= delta else (middle, high)
    return high * (1 + 1e-12)


def mu_for(epsilon: float, delta: float) -> float:
    """Largest μ, rounded down, for which μ-GDP implies (ε, δ)-DP."""
    _positive(epsilon=epsilon)
    _probability(delta)
    low, high = 0.0, 1.0
    while delta_of_mu(high, epsilon) <= delta:
        low, high = high, 2 * high
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if not low < middle < high:
            break
        low, high = (middle, high) if delta_of_mu(middle, epsilon) <= delta else (low, middle)
    return low * (1 - 1e-12)


def rho_for(epsilon: float, delta: float) -> float:
    """Largest ρ of Gaussian releases that together stay (ε, δ)-DP, in whole units, rounded down."""
    return units_within(mu_for(epsilon, delta) ** 2 / 2) * RHO_UNIT


def sigma_for(epsilon: float, delta: float, rounds: int) -> float:
    """Noise multiplier of each of `rounds` Gaussian releases that together are (ε, δ)-DP."""
    if rounds < 1:
        raise _wrong("rounds", rounds)
    return math.sqrt(rounds) / mu_for(epsilon, delta)


def epsilon_of_rho(rho: float, delta: float) -> float:
    """ε at δ of Gaussian releases whose ρ add to `rho`; exact, through μ = √(2ρ)."""
    if not 0 <= rho <= LARGEST_RHO:
        raise _wrong("rho", rho)
    return epsilon_of_mu(math.sqrt(2 * rho), delta)


def epsilon_of_zcdp(rho: float, delta: float) -> float:
    """ε at δ of *any* ρ-zCDP mechanism (Bun and Steinke 2016, proposition 1.3): an upper bound."""
    _probability(delta)
    if not 0 <= rho < math.inf:
        raise _wrong("rho", rho)
    return rho + 2 * math.sqrt(rho * -math.log(delta))


def epsilon_pld(sigma: float, rounds: int, delta: float) -> float:
    """ε at δ of `rounds` Gaussian releases by dp_accounting's privacy-loss distributions."""
    from dp_accounting import GaussianDpEvent, SelfComposedDpEvent  # noqa: PLC0415
    from dp_accounting.pld import PLDAccountant  # noqa: PLC0415

    _positive(sigma=sigma)
    _probability(delta)
    if rounds < 1:
        raise _wrong("rounds", rounds)
    accountant = PLDAccountant()
    accountant.compose(SelfComposedDpEvent(GaussianDpEvent(sigma), rounds))
    return float(accountant.get_epsilon(delta))


def rho_of_event(event: Any) -> float:
    """ρ of a dp_accounting event that is made of Gaussian releases alone.

    Raises:
        OurFault: any other event; what is not known is refused, never priced at zero.
    """
    from dp_accounting import dp_event as known  # noqa: PLC0415

    match event:
        case known.GaussianDpEvent(noise_multiplier=sigma) if sigma > 0:
            return float(1 / (2 * sigma * sigma))
        case known.SelfComposedDpEvent(event=inner, count=count) if count >= 1:
            return int(count) * rho_of_event(inner)
        case known.ComposedDpEvent(events=events) if events:
            return math.fsum(rho_of_event(inner) for inner in events)
        case _:
            raise OurFault(
                "the accountant does not know this kind of release",
                code="event-unknown",
                why=type(event).__name__,
            )


@dataclass(frozen=True)
class Meaning:
    """What a spend allows someone who knows all else, in numbers that people can use.

    Args:
        odds: factor by which the odds of any belief about one patient can rise.
        guess: share of right guesses, of whether the patient is in the data, from a 50 % start.
        fails: share of cases in which `odds` may be exceeded (0: never).
    """

    odds: float
    guess: float
    fails: float = 0.0


def tell(epsilon: float) -> Meaning:
    """What pure `epsilon` allows: odds e^ε, guesses e^ε/(1 + e^ε)."""
    if not 0 <= epsilon < math.inf:
        raise _wrong("epsilon", epsilon)
    return Meaning(math.exp(epsilon), 1 / (1 + math.exp(-epsilon)))


def tell_rho(rho: float, delta: float) -> Meaning:
    """What Gaussian releases of `rho` together allow, tighter and truer than through (ε, δ).

    Right guesses are at most Φ(μ/2), from the trade-off function (Dong, Roth and Su 2022). The
    privacy loss is N(μ²/2, μ²), so odds rise by more than exp(μ²/2 + μ·z₁₋δ) in a share δ of
    cases; e^ε itself is exceeded more often than δ, for (ε, δ) weighs the excess.
    """
    from scipy.special import ndtr, ndtri  # noqa: PLC0415

    _probability(delta)
    if not 0 <= rho <= LARGEST_RHO:
        raise _wrong("rho", rho)
    mu = math.sqrt(2 * rho)
    return Meaning(math.exp(rho - mu * float(ndtri(delta))), float(ndtr(mu / 2)), delta)


def units(rho: float) -> int:
    """`rho` as a charge: whole RHO_UNITs, rounded up."""
    if not 0 < rho <= LARGEST_RHO:
        raise _wrong("rho", rho)
    return math.ceil(rho / RHO_UNIT)


def units_within(rho: float) -> int:
    """`rho` as a cap: whole RHO_UNITs, rounded down."""
    if not 0 < rho <= LARGEST_RHO:
        raise _wrong("rho", rho)
    return math.floor(rho / RHO_UNIT)


def _positive(**values: float) -> None:
    for name, value in values.items():
        if not 0 < value < math.inf:
            raise _wrong(name, value)


def _probability(delta: float) -> None:
    if not 0 < delta < 1:
        raise _wrong("delta", delta)


def _wrong(name: str, value: float) -> OurFault:
    return OurFault(
        f"the accountant was given an impossible {name}",
        code="accountant-input",
        why=f"{name} = {value}",
    )
