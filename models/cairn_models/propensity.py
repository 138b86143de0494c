"""`OverlapWeights`: how much a patient counts in an arm, from public propensity coefficients.

With e_a(x) the public chance that somebody with covariates x begins arm a, a patient in arm a has
the generalised overlap weight (Li & Li 2019, Ann Appl Stat 13:2389; two arms: Li, Morgan &
Zaslavsky 2018, JASA 113:390)

    w_a(x) = (1/e_a) / Σ_b (1/e_b) = 1 / (1 + Σ_{b ≠ a} exp(η_a − η_b)),    η = log odds.

- *Bound.* 0 < w < 1 for every x, with nothing cut off: a row times w keeps the row's bound. It is
  divided by U_a ≥ max_x w_a(x), its public largest value over the declared ranges and levels, so
  that a rare arm's comparison is not drowned in noise for having small weights; w/U_a ≤ 1 still.
- *Whom the answer is about.* Every arm's weighted distribution of x is that of the population with
  density ∝ 1/Σ_b(1/e_b): people who might as well have begun any of the arms. A constant per arm
  cancels in means, shares and curves.
- *Variance.* Estimators take Σw for a number of people. The variance of a weighted mean is
  Σw²r²/(Σw)² ≤ Σwr²/(Σw)², as w² ≤ w: what they report is too large, never too small.
- *Missing x*: weight 0. Such a person is in no arm.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cairn_models.description.people import numbers_of
from cairn_models.levels import NO_LEVEL, levels_of
from cairn_models.measures import Instrument
from cairn_models.records import Records
from cairn_protocol.study import Variable
from cairn_protocol.target_trial import Line, Propensity

Array = NDArray[np.float64]
STEEPEST: Final = 50.0  # log odds between two arms; beyond it a weight is 0 or 1
NO_LINE: Final = Line(intercept=0.0)


@dataclass(frozen=True)
class OverlapWeights:
    """The weights of a comparison of `arms`.

    An arm without a line is the reference, with log odds 0. `scale` is the outcome, whose score at
    the trial's time zero the lines read; `weeks` are the weeks since entry at which trials begin.
    """

    propensity: Propensity
    arms: tuple[str, ...]
    scale: Instrument
    variables: Mapping[str, Variable]
    weeks: tuple[float, ...]

    def of(self, records: Records, baseline: Array, week: float) -> Array:
        """(N, arms) w/U for each arm that a patient might be in; 0 where something is missing.

        Args:
            baseline: (N,) score at time zero, NaN where there is none.
            week: of the trial's time zero.
        """
        odds = np.empty((len(baseline), len(self.arms)))
        for place, arm in enumerate(self.arms):
            odds[:, place] = self._log_odds(self._line(arm), records, baseline, week)
        weights = np.zeros_like(odds)
        for own, largest in enumerate(self.largest):
            weights[:, own] = np.minimum(_weight(odds, own) / largest, 1.0)
        missing = ~np.isfinite(odds).all(axis=1)
        weights[missing] = 0.0
        return weights

    def _line(self, arm: str) -> Line:
        return self.propensity.arms.get(arm, NO_LINE)

    def _log_odds(self, line: Line, records: Records, baseline: Array, week: float) -> Array:
        total = np.full(len(baseline), line.intercept + line.week * week)
        if any(self._line(arm).baseline for arm in self.arms):
            total = total + line.baseline * baseline
        for name in self.propensity.variables:
            given, declared = line.variables.get(name, 0.0), self.variables[name]
            if declared.levels:
                place = levels_of(records, name, declared.levels)
                known = np.array([*_by_level(given, declared.levels), np.nan])
                total = total + known[np.where(place == NO_LEVEL, len(known) - 1, place)]
            else:
                low, high = _range(declared)
                value = numbers_of(records, name)
                inside = np.isfinite(value) & (value >= low) & (value <= high)
                total = total + _slope(given) * np.where(inside, value, np.nan)
        return total

    @cached_property
    def largest(self) -> Array:
        """(arms,) U: no weight in the arm is larger, whatever the covariates."""
        least = np.zeros((1, len(self.arms)))
        found = np.empty(len(self.arms))
        for own, arm in enumerate(self.arms):
            for other, name in enumerate(self.arms):
                least[0, other] = -self._least_gap(self._line(arm), self._line(name))
            least[0, own] = 0.0
            found[own] = _weight(least, own)[0]
        return found

    def _least_gap(self, one: Line, other: Line) -> float:
        """A lower bound of η − η′ over the declared ranges, levels and weeks."""
        ends = [
            (one.baseline - other.baseline) * b for b in (self.scale.lowest, self.scale.highest)
        ]
        weeks = [(one.week - other.week) * week for week in self.weeks]
        gap = one.intercept - other.intercept + min(ends) + min(weeks)
        for name in self.propensity.variables:
            declared = self.variables[name]
            mine, theirs = one.variables.get(name, 0.0), other.variables.get(name, 0.0)
            if declared.levels:
                pairs = zip(
                    _by_level(mine, declared.levels),
                    _by_level(theirs, declared.levels),
                    strict=True,
                )
                gap += min(a - b for a, b in pairs)
            else:
                gap += min((_slope(mine) - _slope(theirs)) * end for end in _range(declared))
        return gap


def _weight(odds: Array, own: int) -> Array:
    """(N,) 1 / (1 + Σ exp(η_own − η_b)), an arm at a time: a sum along a row rounds by layout."""
    total = np.ones(len(odds))
    for other in range(odds.shape[1]):
        if other != own:
            gap = np.clip(odds[:, own] - odds[:, other], -STEEPEST, STEEPEST)
            total = total + np.exp(gap)
    return np.asarray(1.0 / total)


def _by_level(given: float | dict[str, float], levels: tuple[str, ...]) -> list[float]:
    of_level = given if isinstance(given, dict) else {}
    return [of_level.get(level, 0.0) for level in levels]


def _slope(given: float | dict[str, float]) -> float:
    return 0.0 if isinstance(given, dict) else given


def _range(declared: Variable) -> tuple[float, float]:
    return declared.lowest or 0.0, declared.highest or 0.0
