"""A typical life table, from public numbers: what a plan expects, and what noise should spare."""

from __future__ import annotations

from typing import Final

import numpy as np

from cairn_models.endings import How
from cairn_models.life_table import (
    Array,
    Grid,
    Numbers,
    gradient,
    hazard,
    incidence,
    restricted_mean,
    survival,
)
from cairn_models.shaping import Shaping

COMPLETING: Final = 0.5  # hazard of completing a programme, as a share of that of leaving it
LAST_SEEN: Final = 0.01  # share of those at risk who are last seen in an interval
# Weights in the summed relative noise variance: found by trial over one to eight intervals, so
# that neither the named time nor any other is sacrificed; the answer is flat around them.
NAMED: Final = 3.0
RATIO: Final = 0.5
COMPLETED: Final = 0.3
COUNTS: Final = 0.02
EVERY_CELL: Final = 0.02


def typical_table(grid: Grid, at: float, retained: float) -> Array:
    """(cells,) shares of one arm if a constant hazard leaves `retained` at time `at`."""
    rate = -np.log(retained) / at
    table, left = np.zeros(grid.cells), 1.0
    for place, width in enumerate(np.diff([0.0, *grid.ends])):
        share = -np.expm1(-rate * width)
        ways = np.array([share, COMPLETING * share, LAST_SEEN])[: grid.ways]
        ways = left * ways / max(1.0, 1.01 * float(ways.sum()))
        table[place * grid.ways : (place + 1) * grid.ways] = ways
        left -= float(ways.sum())
    table[-1] = left
    return table


def shaping_for(grid: Grid, at: float, retained: float) -> Shaping:
    """The matrix that spares the curve, most at the named time, and the hazard ratio."""
    table = typical_table(grid, at, retained)

    def mean_hazard(cells: Numbers) -> Numbers:
        n = grid.at_risk(cells)[..., :-1]
        lost = (-np.log(1.0 - hazard(grid, cells)) * n).sum(axis=-1, keepdims=True)
        return np.asarray(lost / n[..., :1])

    weights = np.where(np.isclose(grid.ends, at), NAMED, 1.0)
    wanted = EVERY_CELL * np.eye(grid.cells)
    wanted += _relative(gradient(lambda t: survival(grid, t), table), table, weights)
    wanted += _relative(gradient(mean_hazard, table), table, np.array([RATIO]))
    wanted += _relative(gradient(lambda t: restricted_mean(grid, t), table), table, np.ones(1) / 2)
    if grid.ways > 1:
        completed = gradient(lambda t: incidence(grid, t, How.COMPLETED), table)
        wanted += _relative(completed, table, np.full(len(grid.ends), COMPLETED))
    tails = grid.at_risk(np.eye(grid.cells))
    wanted += COUNTS * tails @ tails.T / tails.shape[1]
    return Shaping.toward(wanted)


def _relative(slopes: Array, table: Array, weights: Array) -> Array:
    """(cells, cells) weighted noise variance of some answers, each relative to its sampling."""
    sampling = table @ slopes**2
    return np.asarray((slopes * weights / sampling) @ slopes.T)
