"""Which numbers may be shown: small cells are held back, and whatever would give them away.

A cell is judged by its *noised* count, so judging it reveals nothing more. Where a table's totals
are shown too, a cell that was held back may follow from the others by subtraction; then further
cells are held back, the smallest first, until none does.

**When a cell follows.** Take rows and columns as the nodes of a graph and each cell that is held
back as an edge. Published totals less published cells give the sum of the edges at every node. An
edge is determined by these sums if and only if it lies on no cycle: along a cycle of even length
(the graph is bipartite) values can be raised and lowered in turn without changing any sum, and an
edge that is a bridge is the difference of the sums on its two sides. So every edge must lie on a
cycle. (Cox 1980, JASA 75:377, on suppression as a flow; bridges: Gusfield 1988, SIAM J. Comput.)
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Edge = tuple[int, int]


def held_back(counts: NDArray[np.float64], fewest: float, *, totals: bool) -> Mask:
    """Which cells of a table must not be shown, (r,) or (r, c) as `counts`.

    Args:
        counts: noised counts; what is not a number is held back.
        fewest: the least count that may be shown.
        totals: whether totals are shown: the sum of a list, or of every row and column of a table.
    """
    table = np.atleast_2d(np.nan_to_num(np.asarray(counts, dtype=np.float64), nan=-np.inf))
    hidden: Mask = table < fewest
    if totals:
        list_only = np.ndim(counts) == 1
        while (bare := _determined(hidden, list_only=list_only)).any():
            open_cells = np.where(hidden, np.inf, table)
            if not np.isfinite(open_cells).any():
                break  # everything is hidden: only the totals speak
            near = _neighbours(bare, list_only=list_only) & ~hidden
            cost = np.where(near, open_cells, np.inf) if near.any() else open_cells
            hidden[np.unravel_index(int(np.argmin(cost)), table.shape)] = True
    return hidden.reshape(np.shape(counts))


def _determined(hidden: Mask, *, list_only: bool) -> Mask:
    """The hidden cells that follow from what is shown."""
    result = np.zeros_like(hidden)
    if list_only:
        result[:] = hidden if hidden.sum() == 1 else False
        return result
    edges = [(int(r), int(c) + hidden.shape[0]) for r, c in zip(*np.nonzero(hidden), strict=True)]
    for edge in edges:
        if not _joined(edge, (other for other in edges if other != edge)):
            result[edge[0], edge[1] - hidden.shape[0]] = True
    return result


def _joined(edge: Edge, others: Iterable[Edge]) -> bool:
    """Whether the ends of `edge` are joined by the other edges: it then lies on a cycle."""
    near: dict[int, set[int]] = {}
    for a, b in others:
        near.setdefault(a, set()).add(b)
        near.setdefault(b, set()).add(a)
    seen, todo = {edge[0]}, [edge[0]]
    while todo:
        for node in near.get(todo.pop(), set()) - seen:
            seen.add(node)
            todo.append(node)
    return edge[1] in seen


def _neighbours(cells: Mask, *, list_only: bool) -> Mask:
    """The cells in a row or column of one of `cells`."""
    if list_only:
        return np.ones_like(cells)
    rows, columns = cells.any(axis=1, keepdims=True), cells.any(axis=0, keepdims=True)
    return np.asarray(rows | columns)
