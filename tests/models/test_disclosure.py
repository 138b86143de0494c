"""No cell that is held back, and no group smaller than may be shown, follows from what is shown."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cairn_models.disclosure import Withheld, held_back, withheld

COUNTS = st.floats(-5, 60, allow_nan=False) | st.integers(0, 12).map(float)
TABLES = arrays(np.float64, st.tuples(st.integers(1, 3), st.integers(1, 4)), elements=COUNTS)
LISTS = arrays(np.float64, st.integers(1, 7), elements=COUNTS)


def nothing(table: np.ndarray) -> Withheld:
    """All totals are shown."""
    r, c = table.shape
    return Withheld(np.zeros((r, c), dtype=bool), np.zeros(r, dtype=bool), np.zeros(c, dtype=bool))


def following(hidden: Withheld) -> np.ndarray:
    """(k, r, c) by linear algebra: every group of hidden cells whose sum the told totals fix."""
    r, c = hidden.cells.shape
    cells = np.argwhere(hidden.cells)
    if not len(cells):
        return np.zeros((0, r, c), dtype=bool)
    lines = [cells[:, 0] == i for i in range(r) if not hidden.rows[i]]
    lines += [cells[:, 1] == k for k in range(c) if not hidden.columns[k]]
    sums = np.array(lines, dtype=float).reshape(len(lines), len(cells))
    groups = np.array(list(product((0, 1), repeat=len(cells)))[1:]).reshape(-1, len(cells))
    fixed = np.linalg.pinv(sums) @ sums if lines else np.zeros((len(cells), len(cells)))
    told = groups[np.isclose(groups @ fixed, groups).all(axis=1)].astype(bool)
    masks = np.zeros((len(told), r, c), dtype=bool)
    masks[:, cells[:, 0], cells[:, 1]] = told
    return masks


@settings(max_examples=150, deadline=None)
@given(TABLES, st.data())
def test_no_group_of_hidden_cells_below_the_limit_follows_from_the_totals(counts, data):
    known = nothing(counts)
    known.rows[:] = data.draw(arrays(bool, counts.shape[0]))
    known.columns[:] = data.draw(arrays(bool, counts.shape[1]))
    hidden = withheld(counts, 10, known)
    assert hidden.cells[counts < 10].all()
    for group in following(hidden):
        assert group.sum() > 1
        assert counts[group].sum() >= 10
    # what is hidden beyond the small cells is there for a reason
    if not (counts < 10).any():
        assert all((a == b).all() for a, b in zip(hidden, known, strict=True))


@given(LISTS)
def test_what_is_hidden_of_a_list_is_together_a_group_that_could_be_shown(counts):
    hidden = held_back(counts, 10, totals=True)
    small = counts < 10
    assert hidden[small].all()
    assert not hidden.any() or hidden.all() or (hidden.sum() > 1 and counts[hidden].sum() >= 10)
    more = counts[hidden & ~small]
    if more.size and not hidden.all():  # the smallest, and no more than it takes
        assert more.max() <= counts[~hidden].min()
        rest = [*counts[small], *np.sort(more)[:-1]]
        assert len(rest) == 1 or sum(rest) < 10


@given(LISTS)
def test_without_a_total_only_small_numbers_are_hidden(counts):
    assert (held_back(counts, 10, totals=False) == (counts < 10)).all()


def test_two_tiny_cells_of_a_row_take_a_larger_one_with_them():
    row = np.array([100.0, 90.0, 4.0, 4.0])
    assert held_back(row, 10, totals=True).tolist() == [False, True, True, True]
    found = withheld(np.stack([row, row]), 10, nothing(np.stack([row, row])))
    assert found.cells.tolist() == [[False, True, True, True]] * 2
    assert found.columns.tolist() == [False, False, True, True]
    assert not found.rows.any()


def test_a_total_that_is_too_small_does_not_follow_from_all_the_others():
    """A level of seven people in all: hidden itself, it is everybody less the other levels."""
    table = np.array([[100.0, 90.0, 3.0], [100.0, 80.0, 4.0]])
    known = nothing(table)
    known.columns[2] = True
    hidden = withheld(table, 10, known)
    assert hidden.columns.tolist() == [False, True, True]
    assert not hidden.rows.any()


def test_two_blocks_joined_by_one_cell_do_not_give_that_cell_away():
    """A cell on no cycle follows although two are hidden in its row and in its column."""
    counts = np.full((4, 4), 50.0)
    block = ((0, 0), (0, 1), (1, 0), (1, 1), (2, 2), (2, 3), (3, 2), (3, 3), (1, 2))
    for r, c in block:
        counts[r, c] = 6.0
    alone = nothing(counts)
    alone.cells[:] = counts < 10
    assert any(group.sum() == 1 and group[1, 2] for group in following(alone))
    assert all(group.sum() > 1 for group in following(withheld(counts, 10, nothing(counts))))


@pytest.mark.parametrize("shape", [(2, 40), (40, 2), (12, 12)])
def test_a_large_table_takes_no_longer(shape):
    counts = np.full(shape, 50.0)
    counts[0, 0] = counts[1, 1] = 3.0
    hidden = withheld(counts, 10, nothing(counts))
    assert not hidden.rows.all() or not hidden.columns.all()
    assert hidden.cells.sum() < counts.size / 2


def test_what_is_not_a_number_is_hidden():
    assert held_back(np.array([np.nan, 50.0, 60.0]), 10, totals=True).tolist() == [True, True, True]
