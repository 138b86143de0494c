"""`ChangeFit`: what one noised total says of every contrast: adjusted, as it was, in SDs.

One place where the estimators meet: `arm_means` reads the cells, `winsorising` undoes the limit,
`pooled_spread` gives the SDs, `arm_effects` the contrasts, `hedges_g` their standardised size.
Without strata the adjusted contrast has each arm's own spread (Welch's t without noise); with
strata, and for change as it was, one pooled spread (least squares). Units of the limit.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from cairn_models.arm_effects import (
    ArmEffects,
    Pair,
    arm_effects,
    as_it_was,
    one_spread,
    own_spreads,
)
from cairn_models.arm_means import WIDTH, ArmMeans, Array, Coding, Interval, arm_means
from cairn_models.change_coding import ChangeCoding
from cairn_models.hedges_g import hedges_g
from cairn_models.pooled_spread import PooledSpread, pooled_spread
from cairn_models.winsorising import unwinsorised


@dataclass(frozen=True)
class Publicly:
    """Public guesses that stand in where noise hides the truth, and the disclosure threshold.

    `adjusted`, `as_it_was`: variances within arms in units of the limit, squared.
    """

    adjusted: float
    as_it_was: float
    fewest: float


@dataclass(frozen=True)
class ChangeFit:
    """All estimates of one total. `cells` and `arms` are the means of cells and of whole arms.

    `adjusted` and `plain` (change as it was) are the contrasts, `within` and `spread` the pooled
    spreads of the two.
    """

    coding: ChangeCoding
    noise_sd: float
    cells: ArmMeans
    arms: ArmMeans
    adjusted: ArmEffects
    plain: ArmEffects
    within: PooledSpread
    spread: PooledSpread
    plain_means: Array

    @cached_property
    def full(self) -> ArmEffects:
        """The adjusted contrasts without winsorising, were changes normal."""
        law = unwinsorised(self.cells, self.coding.means, noise_sd=self.noise_sd)
        return arm_effects(own_spreads(law), self.coding.arms)

    def comparable(self, pair: Pair) -> bool:
        """Whether both arms are large enough to be shown, and have a stratum to be compared in."""
        return bool(self.adjusted.linked[pair])

    def g(self, pair: Pair) -> Interval | None:
        """Hedges' g of a comparable contrast; None where the SD of change is not told."""
        return hedges_g(
            self.adjusted,
            pair,
            self.spread,
            self.cells,
            count_weight=self.coding.count_weight,
            noise_sd=self.noise_sd,
        )

    def fewer(self, pair: Pair) -> float:
        """The noised count of the smaller of two arms.

        Of whole arms, as the arms' own changes are told: that of the cells that count alone would
        tell by subtraction how many are in a cell that is too small to be shown. An arm that is
        not told itself is counted by its cells that are.
        """
        by_cell = np.where(self.cells.readable, self.cells.count, 0.0)
        by_arm = by_cell.reshape(-1, self.coding.arms).sum(axis=0)
        return float(np.where(self.arms.readable, self.arms.count, by_arm)[list(pair)].min())


def fit_changes(
    total: Array, coding: ChangeCoding, publicly: Publicly, *, noise_sd: float
) -> ChangeFit:
    """The fit of one (length,) noised total."""
    sums = coding.sums(np.asarray(total, dtype=np.float64))
    cells = arm_means(
        sums.slots,
        coding.means,
        noise_sd=noise_sd,
        public_variance=publicly.adjusted,
        fewest=publicly.fewest,
    )
    arms = arm_means(
        sums.slots.reshape(coding.strata, coding.arms * WIDTH).sum(axis=0),
        Coding(coding.arms, coding.count_weight),
        noise_sd=noise_sd * float(np.sqrt(coding.strata)),
        public_variance=publicly.adjusted,
        fewest=publicly.fewest,
    )

    def pooled(as_it_was: float | None) -> PooledSpread:
        return pooled_spread(
            sums,
            coding,
            noise_sd=noise_sd,
            public_adjusted=publicly.adjusted,
            public_as_it_was=as_it_was,
        )

    within, spread = pooled(None), pooled(publicly.as_it_was)
    plain = as_it_was(cells, sums, coding, spread, noise_sd=noise_sd)
    mine = own_spreads(cells) if coding.strata == 1 else one_spread(cells, within)
    shift = sums.predicted.reshape(coding.strata, coding.arms).sum(axis=0)
    return ChangeFit(
        coding=coding,
        noise_sd=noise_sd,
        cells=cells,
        arms=arms,
        adjusted=arm_effects(mine, coding.arms),
        plain=arm_effects(plain, coding.arms),
        within=within,
        spread=spread,
        plain_means=arms.mean + shift / np.where(arms.readable, arms.count, 1.0),
    )
