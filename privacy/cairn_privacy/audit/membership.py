"""T3, `attack`: how well someone who knows all else tells whether one patient is there.

The attacker knows every other row, subtracts their sum, projects what is left on the canary's
direction and says 'there' above the middle. Under μ-Gaussian DP no test has more power than
Φ(Φ⁻¹(false alarms) + μ) (Dong, Roth and Su 2022), so with Clopper–Pearson limits of both rates

    μ ≥ Φ⁻¹(hits, lower limit) − Φ⁻¹(false alarms, upper limit)       with the limits' confidence

whatever the mechanism is (Nasr et al. 2023). The threshold is set before anything is seen. That μ
is shown as ε at δ, beside ln((hits − δ)/false alarms), which needs no law but says far less.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv, ndtri

from cairn_privacy.accounting import epsilon_of_mu

Steps = NDArray[np.int64]
CONFIDENCE: Final = 0.95
TRIALS: Final = 3_000  # a side
POWER: Final = 2.5  # μ at which an attack tells noise that is 10 % too small


@dataclass(frozen=True)
class Canary:
    """A patient whose vector is its input, at a clinic whose other rows the attacker knows.

    Args:
        mu: what the accountant claims of one sum.
        quiet: the clinic's sum without noise, with and without the canary.
        opened: the opened sum less the colluders' noise, with and without the canary.
    """

    mu: float
    quiet: Callable[[bool], Steps]
    opened: Callable[[bool], Steps]


@dataclass(frozen=True)
class Attack:
    """What `trials` a side gave: `hits` where the canary was there, `alarms` where it was not."""

    mu: float
    trials: int
    hits: int
    alarms: int
    confidence: float = CONFIDENCE

    @property
    def hit_rate(self) -> float:
        """Lower confidence limit of the rate of hits."""
        return lower_limit(self.hits, self.trials, (1 - self.confidence) / 2)

    @property
    def alarm_rate(self) -> float:
        """Upper confidence limit of the rate of false alarms."""
        return 1 - lower_limit(self.trials - self.alarms, self.trials, (1 - self.confidence) / 2)

    @property
    def mu_bound(self) -> float:
        """Lower bound on μ with the stated confidence; 0 where nothing is shown."""
        hits, alarms = self.hit_rate, self.alarm_rate
        if not hits > 0 or not alarms < 1:
            return 0.0
        return max(0.0, float(ndtri(hits) - ndtri(alarms)))

    def claimed_epsilon(self, delta: float) -> float:
        """ε at `delta` of the claim."""
        return epsilon_of_mu(self.mu, delta)

    def epsilon_bound(self, delta: float) -> float:
        """The lower bound as ε at `delta`."""
        return epsilon_of_mu(self.mu_bound, delta)

    def epsilon_of_any_law(self, delta: float) -> float:
        """Lower bound on ε at `delta` that holds for every mechanism, Gaussian or not."""
        share = (self.hit_rate - delta) / self.alarm_rate
        return math.log(share) if share > 1 else 0.0

    @property
    def within(self) -> bool:
        """Whether the bound is under the claim."""
        return self.mu_bound <= self.mu


def attack(canary: Canary, trials: int = TRIALS) -> Attack:
    """The result of `trials` sums with the canary and as many without it."""
    base = canary.quiet(False)
    shift = (canary.quiet(True) - base).astype(np.float64)
    size = float(np.linalg.norm(shift))
    if size == 0:
        return Attack(canary.mu, trials, 0, 0)

    def said(present: bool) -> int:
        return sum(
            float((canary.opened(present) - base) @ shift) > size**2 / 2 for _ in range(trials)
        )

    return Attack(canary.mu, trials, said(True), said(False))


def lower_limit(count: int, trials: int, alpha: float) -> float:
    """Clopper–Pearson: the rate below which `count` or more of `trials` have probability ≤ α."""
    if count == 0:
        return 0.0
    return float(betaincinv(count, trials - count + 1, alpha))
