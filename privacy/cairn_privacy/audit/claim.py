"""`Claim`: what one question promises, taken from what its ledger was charged.

The charge, not the noise plan, is what patients were told; so wrong inputs to the accountant show
as noise that is too small for its charge.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from cairn_privacy.accounting import epsilon_of_rho
from cairn_privacy.noise import ROUNDING_VARIANCE
from cairn_protocol.errors import OurFault


@dataclass(frozen=True)
class Claim:
    """One question's promise.

    Args:
        rho: ρ that the ledger was charged for one release.
        releases: releases that the question plans.
        epsilon: ε that the study says all of them may spend.
        delta: δ of the study.
        grid: S, steps in one bound.
        survivors: m, fewest clinics whose sum can be opened.
        colluding: f clinics, whose own noise the attacker knows.
    """

    rho: float
    releases: int
    epsilon: float
    delta: float
    grid: int
    survivors: int
    colluding: int

    def __post_init__(self) -> None:
        if not (self.rho > 0 and self.releases >= 1 and 0 <= self.colluding < self.survivors):
            raise OurFault("a claim holds an impossible value", code="claim-invalid")

    @property
    def honest(self) -> int:
        """h = m − f."""
        return self.survivors - self.colluding

    @property
    def variance(self) -> float:
        """Variance in steps² that each coordinate needs from the honest clinics.

        S²/2ρ and what discreteness costs: docs/privacy-accounting.md §4.
        """
        return self.grid**2 / (2 * self.rho) + ROUNDING_VARIANCE

    @property
    def mu(self) -> float:
        """μ of all releases together: √(2ρT)."""
        return math.sqrt(2 * self.rho * self.releases)

    @property
    def charged_epsilon(self) -> float:
        """ε at δ of what the ledger is charged for all releases."""
        return epsilon_of_rho(self.rho * self.releases, self.delta)
