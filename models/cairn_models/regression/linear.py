"""Linear regression from second moments by covariate cell; numbers bounded through their range."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cairn_models.cohort import changes
from cairn_models.formula import Design
from cairn_models.records import Records
from cairn_models.regression.cells import NOWHERE
from cairn_models.regression.covariates import Array
from cairn_models.regression.family import BLOCK, Family, Told
from cairn_models.regression.fitted import planned
from cairn_models.regression.least_squares import MomentCoding, Moments, least_squares, solve
from cairn_models.regression.plan import Plan

CHANGE, OUTCOME = "change", "outcome"
ASSESSED: Final = 0.8  # of planned patients who have both scores
TYPICAL_SQUARE: Final = 0.2  # of a number on −1 to 1: PHQ-9 at the start of NHS treatment


@dataclass(frozen=True)
class Score:
    """The outcome: a change or a score near `week`, in points between `low` and `high`.

    With a `limit`, what is summed is the residual from a public line, `expected` + `slope` ×
    baseline (the slope 0 unless the baseline is a number in the formula), cut at ± `limit`: less
    noise, since it is scaled by the limit. The line is added again to the sums, so coefficients
    mean the same. Windows in weeks; `residual_sd` is a public guess, for planning.
    """

    name: str
    baseline_window: tuple[float, float]
    week: float
    window: float
    low: float
    high: float
    limit: float | None
    expected: float
    slope: float
    residual_sd: float


@dataclass(frozen=True)
class Placed:
    """(N,) cell, `NOWHERE` outside the question, and (N, d) numbers and outcome on −1 to 1."""

    cell: NDArray[np.int64]
    t: Array


class Linear(Family):
    """Slots of (a, t_i, t_i t_j, 1 − t_i²) by cell; see `least_squares` for the bound."""

    def __init__(self, plan: Plan, score: Score, *, robust: bool, count_weight: float) -> None:
        self.plan, self.score, self.robust = plan, score, robust
        ranges = [plan.covariates[name].declared for name in plan.numbers]
        lows = np.array([*(float(r.lowest or 0.0) for r in ranges), score.low])
        highs = np.array([*(float(r.highest or 0.0) for r in ranges), score.high])
        self.middle, self.half = (lows + highs) / 2.0, (highs - lows) / 2.0
        self.slopes = np.zeros(len(lows) - 1)
        if score.limit is not None:
            self.middle[-1], self.half[-1] = score.expected, score.limit
            if plan.scored is not None:
                self.slopes[plan.scored] = score.slope
        self.coding = MomentCoding(plan.cells.count, len(lows), count_weight)
        self.length, self.bound = self.coding.cells * self.coding.width, self.coding.bound
        self.scale = plan.exact_scale(1.0)

    def prepare(self, records: Records) -> Placed:
        """Cell, numbers and outcome of each patient, scaled."""
        values = self.plan.values(records)
        both = changes(
            records.times_in("week"),
            self.plan.instrument,
            arms=self.plan.arms,
            baseline_window=self.score.baseline_window,
            at=self.score.week,
            within=self.score.window,
        )
        y = both.outcome - both.baseline if self.score.name == CHANGE else both.outcome
        y = np.clip(y, self.score.low, self.score.high)
        cell = self.plan.cell_of(records, values)
        numbers = np.stack([*(values[name] for name in self.plan.numbers), y], axis=1)
        known = (cell != NOWHERE) & np.isfinite(numbers).all(axis=1)
        numbers = np.where(known[:, None], numbers, 0.0)
        numbers[:, -1] -= (numbers[:, :-1] * self.slopes).sum(axis=1)
        t = np.clip((numbers - self.middle) / self.half, -1.0, 1.0)
        return Placed(np.where(known, cell, NOWHERE), t)

    def rows(self, prepared: Placed, public: NDArray[np.float32]) -> Iterator[Array]:
        """Each patient's moments in the slot of the patient's cell."""
        for start in range(0, len(prepared.cell), BLOCK):
            part = slice(start, start + BLOCK)
            known = np.flatnonzero(prepared.cell[part] != NOWHERE)
            rows = np.zeros((len(prepared.cell[part]), self.length))
            rows[known] = self.coding.rows(prepared.cell[part][known], prepared.t[part][known])
            yield rows * self.scale

    def told(self, public: NDArray[np.float32], total: Array, noise_sd: float) -> Told:
        """Coefficients in points."""
        moments = self.moments(total / self.scale, noise_sd / self.scale)
        return Told(least_squares(moments, fewest=self.plan.fewest, robust=self.robust), {})

    def moments(self, total: Array, noise_sd: float) -> Moments:
        """The sums in the variables' own units."""
        d = len(self.half)
        own = np.diag(np.append(1.0, self.half))
        own[1:, 0] = self.middle
        own[-1, :-1] += self.slopes @ own[1:-1, :-1]
        values = self.plan.cells.values
        return Moments(
            sums=total.reshape(-1, self.coding.width),
            slopes=own @ self.coding.slopes @ own.T,
            design=_designs(self.plan.design, values, self.plan.numbers, self.plan.cells.count, d),
            values=values,
            terms=self.plan.terms,
            count_weight=self.coding.count_weight,
            noise_sd=noise_sd,
        )

    @property
    def events(self) -> float:
        """People with both scores."""
        return self.plan.planned * ASSESSED

    def foretold(self, noise_sd: float) -> Told | None:
        """Cells of one size, numbers of a typical spread, the outcome on the public line."""
        each = self.plan.planned * ASSESSED / self.plan.cells.count
        d, score = len(self.half), self.score
        mean, second = np.zeros(d), np.diag(np.full(d, TYPICAL_SQUARE))
        second[-1, -1] = (score.residual_sd / self.half[-1]) ** 2
        if score.limit is None:  # otherwise the line is taken off before anything is summed
            mean[-1] = (score.expected - self.middle[-1]) / self.half[-1]
            if (k := self.plan.scored) is not None:
                mean[-1] += score.slope * self.middle[k] / self.half[-1]
                slope = score.slope * self.half[k] / self.half[-1]
                second[k, -1] = slope * TYPICAL_SQUARE
                second[-1, -1] += slope**2 * TYPICAL_SQUARE
        second[-1, -1] += mean[-1] ** 2
        crossed = second[np.triu_indices(d, 1)]
        weight = self.coding.count_weight
        slot = each * np.concatenate([[weight], mean, crossed, 1.0 - np.diag(second)])
        sums = np.tile(slot, self.plan.cells.count)
        found = planned(
            *(solve(self.moments(sums, sd), robust=self.robust) for sd in (0.0, noise_sd))
        )
        return None if found is None else Told(found, {})


def _designs(
    design: Design, values: dict[str, Array], numbers: tuple[str, ...], cells: int, d: int
) -> Array:
    """(C, p, d): each column as its factor before 1 and before each number, in each cell."""
    out = np.zeros((cells, len(design.columns), d))
    for j, column in enumerate(design.columns):
        held = [name for name, level in column.parts if level is None]
        inside = np.ones(cells)
        for name, level in column.parts:
            if level is not None:
                inside = inside * (values[name] == level)
        out[:, j, 1 + numbers.index(held[0]) if held else 0] = inside
    return out
