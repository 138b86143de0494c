"""Which numbers may be shown: small cells are held back, and whatever would give them away.

A cell is judged by its *noised* count, so judging it reveals nothing more. Where totals are shown
too, cells that are held back may follow from the rest by subtraction, one alone or several together
as one group. So further numbers are held back, the smallest first, until no cell follows and no
group that is smaller than may be shown.

**Which groups follow.** Take rows and columns as the nodes of a graph and each cell that is held
back as an edge. A total that is shown, less its cells that are shown, gives the sum of the edges at
its node. For a set T of rows and a set U of columns, all with totals that are shown, the difference
of these sums is the sum of the edges from T to columns outside U, less that of the edges from U to
rows outside T; where the one or the other is empty, the rest is a group that follows. Others are
such groups together: a combination of the sums by whole numbers that is 0 or 1 on every edge is a
sum of such differences, one for each level that its coefficients reach. To a T belong the largest U
without edges to other rows and the smallest U with all edges of T; any other U adds whole columns.
A cell that follows is such a group of one. (Cox 1980, JASA 75:377; Gusfield 1988, SIAM J. Comput.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
MOST_SUBSETS: Final = 8  # rows of which every subset is looked at


class Withheld(NamedTuple):
    """What of a table must not be shown: its (r, c) cells, (r,) row and (c,) column totals."""

    cells: Mask
    rows: Mask
    columns: Mask


@dataclass(frozen=True)
class _Leak:
    """A group that follows, from the totals of these rows and columns."""

    rows: Mask
    columns: Mask


def held_back(counts: Array, fewest: float, *, totals: bool) -> Mask:
    """Which numbers of a list must not be shown, (n,) as `counts`.

    Args:
        counts: noised counts; what is not a number is held back.
        fewest: the least count that may be shown.
        totals: whether their sum is shown.
    """
    row = np.asarray(counts, dtype=np.float64)[None]
    hidden = Withheld(
        np.zeros(row.shape, dtype=np.bool_), np.array([not totals]), np.ones(row.size, np.bool_)
    )
    found: Mask = withheld(row, fewest, hidden).cells[0]
    return found


def withheld(counts: Array, fewest: float, known: Withheld) -> Withheld:
    """What must not be shown of a table of (r, c) noised counts whose totals are shown too.

    Rows are what is asked first: where a total must go, a column's does before a row's.

    Args:
        counts: what is not a number is held back.
        fewest: the least count that may be shown, and the least group that may follow.
        known: what is not shown in any case, beside cells with fewer.
    """
    table = np.nan_to_num(np.asarray(counts, dtype=np.float64), nan=-np.inf)
    hidden = Withheld(known.cells | (table < fewest), known.rows.copy(), known.columns.copy())
    if len(table) > MOST_SUBSETS and hidden.cells.any():
        hidden.columns[:] = True  # then only a row's own sum follows
    while (leak := _leak(table, hidden, fewest)) is not None:
        _stop(table, hidden, leak)
    return hidden


def _leak(table: Array, hidden: Withheld, fewest: float) -> _Leak | None:
    """The group with fewest totals behind it that follows and must not, None where none does."""
    cells, rows, columns = _sets(hidden)
    outward = cells & rows[:, :, None] & ~columns[:, None, :]
    inward = cells & ~rows[:, :, None] & columns[:, None, :]
    one_way = ~(outward.any(axis=(1, 2)) & inward.any(axis=(1, 2)))
    group = outward | inward
    size = group.sum(axis=(1, 2))
    people = np.where(group, table, 0.0).sum(axis=(1, 2))
    wrong = one_way & ((size == 1) | ((size > 0) & (people < fewest)))
    if not wrong.any():
        return None
    behind = rows.sum(axis=1) + columns.sum(axis=1)
    first = min(np.flatnonzero(wrong).tolist(), key=lambda k: int(behind[k]))
    return _Leak(rows[first], columns[first])


def _sets(hidden: Withheld) -> tuple[Mask, Mask, Mask]:
    """The cells that are held back, and the sets of rows and columns that can be behind a group."""
    cells = hidden.cells
    r, c = cells.shape
    told = np.flatnonzero(~hidden.rows)
    if len(told) > MOST_SUBSETS:  # no column's total is shown
        some = np.eye(r, dtype=np.bool_)[told]
    else:
        some = np.zeros((2 ** len(told), r), dtype=np.bool_)
        some[:, told] = np.arange(2 ** len(told))[:, None] >> np.arange(len(told)) & 1 > 0
    reached: Mask = np.asarray((some[:, :, None] & cells).any(axis=1))
    beyond = (~some[:, :, None] & cells).any(axis=1)
    largest = reached & ~beyond & ~hidden.columns
    closed = ~(reached & hidden.columns).any(axis=1)
    alone = np.eye(c, dtype=np.bool_)[~hidden.columns]
    rows = np.concatenate([some, some[closed], np.zeros((len(alone), r), dtype=np.bool_)])
    return cells, rows, np.concatenate([largest, reached[closed], alone])


def _stop(table: Array, hidden: Withheld, leak: _Leak) -> None:
    """Hold back the smallest cell that makes the group larger or unknown, else a total of it."""
    beside = leak.rows[:, None] != leak.columns[None]
    cost = np.where(beside & ~hidden.cells, table, np.inf)
    if np.isfinite(cost).any():
        hidden.cells[np.unravel_index(int(np.argmin(cost)), table.shape)] = True
        return
    of_column = bool(leak.columns.any())
    behind, totals = (leak.columns, hidden.columns) if of_column else (leak.rows, hidden.rows)
    people = np.where(behind, table.sum(axis=0 if of_column else 1), np.inf)
    totals[int(np.argmin(people))] = True
