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
WHOLE: Final = 0.02
BARS: Final = 0.15  # of a histogram, beside its quantiles


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
    return Shaping.toward(wanted + EVERY_CELL * np.eye(cells) / cells + WHOLE / cells**2)


@lru_cache(maxsize=32)
def for_quantiles(cells: int, bins: int, levels: tuple[float, ...], bars: int) -> Shaping:
    """For quantiles at `levels` over the first `bins` of `cells`, wherever they lie.

    Bars are `bars` bins wide.
    """
    place = np.arange(cells)
    last = min(bins, cells - 1)
    up_to = np.array([place <= j for j in range(last) for _ in levels], dtype=np.float64)
    share = np.array([q for _ in range(last) for q in levels])
    bar = np.array([place // bars == k for k in range(-(-cells // bars))], dtype=np.float64)
    return toward_shares(
        np.concatenate([up_to, bar]),
        np.concatenate([share, bar.sum(axis=1) / cells]),
        np.concatenate([np.full(len(up_to), 1 / len(up_to)), np.full(len(bar), BARS / len(bar))]),
    )


@lru_cache(maxsize=32)
def for_tails(cells: int, starts: tuple[int, ...], typical: tuple[float, ...]) -> Shaping:
    """For the shares of people in the cells from each of `starts` on."""
    tails = np.array([np.arange(cells) >= start for start in starts], dtype=np.float64)
    return toward_shares(tails, np.asarray(typical), np.ones(len(starts)))
