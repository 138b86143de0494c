"""`NoisePlan`: how much noise each clinic adds in each round, and what that costs.

Each clinic adds a discrete Gaussian of variance σ²C²/h, so that any sum that can be opened carries
at least σ²C² which neither the server nor f colluding clinics know (h = m − f). On the grid of
S steps a bound that is a deviation of σ·S/√h steps a clinic.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cairn_privacy.accounting import (
    RHO_UNIT,
    epsilon_of_rho,
    rho_for,
    sigma_for,
    units,
    units_within,
)
from cairn_privacy.bound import GRID, LARGEST_GRID, LARGEST_SUM
from cairn_privacy.sampler import LARGEST_SIGMA, discrete_gaussian
from cairn_protocol.errors import OurFault, PolicyRefusal
from cairn_protocol.policy import Policy

FEWEST_STEPS: Final = 4.0  # deviation of one clinic's noise, below which sums are not Gaussian
SIGMA_TICKS: Final = 10_000  # σ is a whole number of ticks a unit, the same on both sides
# Two constants of docs/privacy-accounting.md §4: the variance that discreteness may cost, and a
# relative margin for float64 rounding and the 10⁻³⁰ by which a sum differs from one Gaussian.
ROUNDING_VARIANCE: Final = 4.0  # steps²
RHO_MARGIN: Final = 2.0**-40


@dataclass(frozen=True)
class NoisePlan:
    """The noise of one question; public, derived alike by clinic and server.

    Args:
        sigma: noise multiplier: the honest clinics' noise together over the bound C.
        rounds: releases that are planned.
        honest: h = m − f, the divisor of the noise.
        uploads: n, clinics whose uploads a full sum holds.
        grid: S, steps in one bound.

    Raises:
        OurFault: a value that no study can hold.
        PolicyRefusal: a clinic's noise would be under 4 steps of deviation, or too many.
    """

    sigma: float
    rounds: int
    honest: int
    uploads: int
    grid: int = GRID

    def __post_init__(self) -> None:
        proper = (
            0 < self.sigma < math.inf
            and self.rounds >= 1
            and 1 <= self.honest <= self.uploads
            and 1 <= self.grid <= LARGEST_GRID
        )
        if not proper:
            raise OurFault("a noise plan holds an impossible value", code="plan-invalid")
        if not FEWEST_STEPS <= self.clinic_sigma_steps <= LARGEST_SIGMA:
            raise PolicyRefusal(
                "the grid does not fit the noise of one clinic",
                code="noise-grid",
                why=f"{self.clinic_sigma_steps:.3g} steps of deviation, "
                f"needed are {FEWEST_STEPS:.0f} to {LARGEST_SIGMA:.3g}",
                hint="a finer grid, a smaller ε, or fewer clinics",
            )

    @property
    def clinic_sigma_steps(self) -> float:
        """Deviation of one clinic's noise, in steps of the grid: σ·S/√h."""
        return self.sigma * self.grid / math.sqrt(self.honest)

    @property
    def rho_per_round(self) -> float:
        """ρ of one release, 1/(2σ²) up to a relative 10⁻⁹ (S = 2¹⁶), in whole units, rounded up.

        Half the square of the μ for which the release is μ-GDP: docs/privacy-accounting.md §4.
        """
        variance = self.sigma**2 - ROUNDING_VARIANCE / self.grid**2
        return units((1 + RHO_MARGIN) / (2 * variance)) * RHO_UNIT

    @property
    def rho(self) -> float:
        """ρ of all planned releases."""
        return self.rounds * self.rho_per_round

    def epsilon(self, delta: float) -> float:
        """ε at `delta` of all planned releases."""
        return epsilon_of_rho(self.rho, delta)

    def step(self, bound: float) -> float:
        """One step of the grid in the vector's own units: C/S."""
        return bound / self.grid

    def sum_sd(self, bound: float, uploads: int | None = None) -> float:
        """Noise deviation of a sum in the vector's own units: σ·C·√(n/h).

        `uploads` is the number of clinics in the sum; all of them unless said.
        """
        count = self.uploads if uploads is None else uploads
        if not self.honest <= count <= self.uploads:
            raise OurFault("a sum of an impossible number of uploads", code="plan-uploads")
        return self.sigma * bound * math.sqrt(count / self.honest)


def plan_noise(
    epsilon: float, delta: float, rounds: int, policy: Policy, grid: int = GRID
) -> NoisePlan:
    """The plan with the least σ, a multiple of 10⁻⁴, whose `rounds` releases are (ε, δ)-DP.

    Its charges, added in the ledger's units, fit a cap of the same ε and δ exactly.

    Raises:
        PolicyRefusal: the policy cannot protect patients, or the grid does not fit the noise.
    """
    if faults := policy.faults():
        raise PolicyRefusal(
            "this policy cannot protect patients",
            code="policy-unsafe",
            why="; ".join(faults),
            hint="docs/study-file.md has a table of safe policies by number of clinics",
        )
    cap = units_within(rho_for(epsilon, delta))
    ticks = math.floor(sigma_for(epsilon, delta, rounds) * SIGMA_TICKS)
    while True:
        plan = NoisePlan(ticks / SIGMA_TICKS, rounds, policy.honest, policy.clinics, grid)
        if rounds * units(plan.rho_per_round) <= cap:
            return plan
        ticks += 1


def add_noise(total: NDArray[np.int64], plan: NoisePlan) -> NDArray[np.int64]:
    """One clinic's sum (d,) int64 with its share of the noise; fresh at every call.

    Raises:
        OurFault: the sum is not int64, or too large to add noise to.
    """
    if total.dtype != np.int64 or ((total >= LARGEST_SUM) | (total <= -LARGEST_SUM)).any():
        raise OurFault("a sum cannot take noise", code="noise-sum")
    noise = discrete_gaussian(plan.clinic_sigma_steps, total.size)
    return total + noise.reshape(total.shape)
