"""A typical life table, from public numbers: what a plan expects, and what noise should spare."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Final

import numpy as np

from cairn_models.life_table import (
    Array,
    Grid,
    Numbers,
    gradient,
    hazard,
    incidence,
    main_curve,
    restricted_mean,
    untouched,
)
from cairn_models.shaping import Shaping

MOST_ENDING: Final = 0.99  # of those at risk, in an interval of any length
# Noise variance that each answer may have, relative to its sampling variance, all in proportion:
# intervals 15 % wider at the named time, 35 % at any other, are promised for the curve.
NAMED: Final = 1.15**2 - 1
ELSEWHERE: Final = 1.35**2 - 1
COMPETING: Final = (1.0, 2.0)  # at the named time and elsewhere
RATIO: Final = 0.6
MEAN: Final = 0.6
HAZARD: Final = 2.0
AT_RISK: Final = 0.45  # of a number at risk, relative to N itself


def typical_table(grid: Grid, at: float, ended: float) -> Array:
    """(cells,) shares of one arm if constant hazards act, and the event's alone reaches `ended`.

    `ended` is that share at time `at`; the other ways' are those of `Ways.typical`.
    """
    rates = -np.log1p(-np.array([ended, *grid.ways.typical])) / at
    table, left = np.zeros(grid.cells), 1.0
    for place, width in enumerate(np.diff([0.0, *grid.ends])):
        share = min(-np.expm1(-rates.sum() * width), MOST_ENDING)
        columns = slice(place * len(rates), (place + 1) * len(rates))
        table[columns] = left * share * rates / rates.sum()
        left *= 1.0 - share
    table[-1] = left
    return table


def spared(grid: Grid, at: float, ended: float) -> tuple[Array, Array]:
    """Gradients (cells, answers) of the answers, and the noise variance (answers,) allowed each."""
    table = typical_table(grid, at, ended)
    is_named = np.isclose(grid.ends, at)
    slopes, allowed = [], []

    def spare(measure: Callable[[Numbers], Numbers], share: Array | float) -> None:
        slope = gradient(measure, table)
        slopes.append(slope)
        allowed.append(share * (table @ slope**2))

    spare(partial(main_curve, grid), np.where(is_named, NAMED, ELSEWHERE))
    spare(partial(_mean_hazard, grid), RATIO)
    spare(partial(restricted_mean, grid), MEAN)
    spare(partial(hazard, grid), HAZARD)
    others = np.where(is_named, *COMPETING)
    for cause in range(len(grid.ways.causes)):
        spare(partial(incidence, grid, cause=cause), others)
    spare(partial(untouched, grid), others)
    slopes.append(grid.at_risk(np.eye(grid.cells)))
    allowed.append(np.full(len(grid.ends) + 1, AT_RISK))
    return np.concatenate(slopes, axis=1), np.concatenate(allowed)


@lru_cache(maxsize=64)
def shaping_for(grid: Grid, at: float, ended: float) -> Shaping:
    """The matrix that spares the curve, most at the named time, before all other answers."""
    return Shaping.sparing(*spared(grid, at, ended))


def _mean_hazard(grid: Grid, cells: Numbers) -> Numbers:
    """(..., 1) integrated hazards weighted by numbers at risk: what a ratio's noise comes from."""
    n = grid.at_risk(cells)[..., :-1]
    lost = (-np.log(1.0 - hazard(grid, cells)) * n).sum(axis=-1, keepdims=True)
    return np.asarray(lost / n[..., :1])
