"""No cell that is held back follows from what is shown."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cairn_models.disclosure import held_back

TABLES = arrays(
    np.float64,
    st.tuples(st.integers(1, 5), st.integers(1, 5)),
    elements=st.floats(-5, 60, allow_nan=False),
)
LISTS = arrays(np.float64, st.integers(1, 7), elements=st.floats(-5, 60, allow_nan=False))


def determined(hidden: np.ndarray) -> np.ndarray:
    """By linear algebra: hidden cells whose value the published sums fix."""
    cells = [tuple(c) for c in np.argwhere(hidden)]
    lines = [[c[0] == r for c in cells] for r in range(hidden.shape[0])]
    lines += [[c[1] == k for c in cells] for k in range(hidden.shape[1])]
    sums = np.array(lines, dtype=float)
    rank = np.linalg.matrix_rank(sums) if cells else 0
    fixed = np.zeros_like(hidden)
    for i, cell in enumerate(cells):
        one = np.zeros(len(cells))
        one[i] = 1
        fixed[cell] = np.linalg.matrix_rank(np.vstack([sums, one])) == rank
    return fixed


@settings(max_examples=300)
@given(TABLES)
def test_no_hidden_cell_of_a_table_follows_from_its_totals(counts):
    hidden = held_back(counts, 10, totals=True)
    assert hidden[counts < 10].all()
    if not hidden.all():
        assert not determined(hidden).any()
    # what is hidden beyond the small cells is there for a reason
    if not (counts < 10).any():
        assert not hidden.any()


@given(TABLES)
def test_without_totals_only_small_cells_are_hidden(counts):
    assert (held_back(counts, 10, totals=False) == (counts < 10)).all()


@given(LISTS)
def test_one_hidden_number_of_a_list_takes_the_smallest_other_with_it(counts):
    hidden = held_back(counts, 10, totals=True)
    small = counts < 10
    if small.sum() == 1 and counts.size > 1:
        assert hidden.sum() == 2
        others = np.where(small, np.inf, counts)
        assert hidden[int(np.argmin(others))]
    else:
        assert (hidden == small).all()


def test_two_blocks_joined_by_one_cell_do_not_give_that_cell_away():
    """A cell on no cycle follows although two are hidden in its row and in its column."""
    counts = np.full((4, 4), 50.0)
    for r, c in ((0, 0), (0, 1), (1, 0), (1, 1), (2, 2), (2, 3), (3, 2), (3, 3), (1, 2)):
        counts[r, c] = 1.0
    assert determined(counts < 10)[1, 2]
    assert not determined(held_back(counts, 10, totals=True)).any()


def test_what_is_not_a_number_is_hidden():
    assert held_back(np.array([np.nan, 50.0, 60.0]), 10, totals=True).tolist() == [
        True,
        True,
        False,
    ]
