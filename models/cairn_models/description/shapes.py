"""`toward_shares`: the public matrix that spares the shares and quantiles asked of one table.

A share p of the people in a table has the gradient (1_S − p)/N with respect to the cells, S its
cells; a quantile is read where such a share of a cumulated table passes its level. Each answer's
noise counts relative to its sampling variance p(1 − p)/N. What p will be is not known when the
matrix is made, so public guesses stand for it: they steer precision and bias nothing.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cairn_models.shaping import Shaping

Array = NDArray[np.float64]
EVERY_CELL: Final = 0.02  # weights beside an average answer's 1, found by trial; flat around them
PEOPLE: Final = 0.1  # on the number of people
BARS: Final = 0.15  # of a histogram, beside its quantiles
GUESS_SD: Final = 0.2  # of the bins' range, around the guessed place of a quantile
ANYWHERE: Final = 0.05  # weight far from it


def toward_shares(groups: Array, typical: Array, weights: Array) -> Shaping:
    """The matrix for the shares of `groups` (answers, cells), 1 in the cells that count.

    Args:
        typical: (answers,) what each share is guessed to be, between 0 and 1.
        weights: (answers,) how much each counts.
    """
    cells = groups.shape[1]
    slopes = groups - typical[:, None]
    scaled = weights / (weights.sum() * typical * (1.0 - typical))
    wanted = (slopes * scaled[:, None]).T @ slopes
    return Shaping.toward(wanted + EVERY_CELL * np.eye(cells) / cells + PEOPLE)


@lru_cache(maxsize=32)
def for_quantiles(
    cells: int, bins: int, levels: tuple[tuple[float, float], ...], bars: int
) -> Shaping:
    """For quantiles over the first `bins` of `cells`, bars of `bars` bins, and each cell beyond.

    Args:
        levels: of each quantile, and its guessed place, 0 to 1 along the bins; it may lie anywhere,
            and is spared most where it is guessed to lie.
    """
    place, last = np.arange(cells), min(bins, cells - 1)
    q, guessed = (np.repeat(part, last) for part in zip(*levels, strict=True))
    at = np.tile(np.arange(last), len(levels))
    far = ((at + 0.5) / bins - guessed) / GUESS_SD
    weight = np.exp(-0.5 * far**2) + ANYWHERE
    first = [*range(0, bins, bars), *range(bins, cells)]  # of each bar; cells beyond are their own
    ends = [*first[1:], cells]
    bar = (place >= np.array(first)[:, None]) & (place < np.array(ends)[:, None])
    return toward_shares(
        np.concatenate([place <= at[:, None], bar]).astype(np.float64),
        np.concatenate([q, bar.sum(axis=1) / cells]),
        np.concatenate([weight / weight.sum(), np.full(len(bar), BARS / len(bar))]),
    )


@lru_cache(maxsize=32)
def for_groups(
    cells: int, groups: tuple[tuple[int, ...], ...], typical: tuple[float, ...]
) -> Shaping:
    """For the shares of people in each of `groups` of cells."""
    inside = np.array([np.isin(np.arange(cells), group) for group in groups], dtype=np.float64)
    return toward_shares(inside, np.asarray(typical), np.ones(len(groups)))
