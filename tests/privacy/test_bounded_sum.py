"""One patient moves a sum by at most the bound, whatever the patient's numbers are."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cairn_privacy import bound as bound_module
from cairn_privacy.bound import bounded_rows, bounded_sum, exact_sum, saturate
from cairn_protocol.errors import InputError, OurFault

anything = st.floats(allow_nan=True, allow_infinity=True, allow_subnormal=True)
rows = st.tuples(st.integers(0, 6), st.integers(1, 9)).flatmap(
    lambda shape: arrays(np.float64, shape, elements=anything)
)
bounds = st.floats(1e-300, 1e300)
grids = st.sampled_from([1, 2, 7, 1 << 16, 1 << 30])


@given(rows, bounds, grids)
@settings(max_examples=300, deadline=None)
def test_every_row_is_within_the_grid_in_integers(
    block: np.ndarray, bound: float, grid: int
) -> None:
    for z in bounded_rows(block, bound, grid).tolist():
        assert sum(x * x for x in z) <= grid * grid


@given(rows, bounds, st.integers(0, 5))
@settings(max_examples=200, deadline=None)
def test_a_patients_integers_depend_on_that_patient_alone(
    block: np.ndarray, bound: float, cut: int
) -> None:
    together = bounded_rows(block, bound)
    alone = [bounded_rows(row[None, :], bound)[0] for row in block]
    assert together.tolist() == [z.tolist() for z in alone]
    backwards = bounded_sum([block[::-1][cut:], block[::-1][:cut]], block.shape[1], bound)
    assert np.array_equal(backwards, together.sum(axis=0))


def test_wide_rows_do_not_depend_on_their_neighbours_or_layout() -> None:
    block = np.random.default_rng(3).normal(size=(64, 5_703)) * np.logspace(-3, 3, 64)[:, None]
    whole = bounded_sum([block], 5_703, 0.5)
    assert np.array_equal(whole, bounded_sum([np.asfortranarray(block)], 5_703, 0.5))
    singly = bounded_sum((block[i : i + 1] for i in range(64)), 5_703, 0.5)
    assert np.array_equal(whole, singly)


def test_rows_are_summed_in_one_order_whatever_their_layout() -> None:
    """NumPy adds along a row in another order in Fortran layout; purity needs one order."""
    assert bound_module._checked(np.asfortranarray(np.ones((4, 3))), 3).flags.c_contiguous


def test_a_row_that_rounding_carries_past_the_grid_is_shrunk() -> None:
    """‖(2³⁰, 1)‖ is 2³⁰ in float64, and above it in integers."""
    z = bounded_rows(np.array([[2.0**30, 1.0]]), 2.0**30, 1 << 30)[0].tolist()
    assert z == [(1 << 30) - (1 << 10), 0]


def test_rows_inside_the_bound_keep_their_value_and_longer_ones_their_direction() -> None:
    short, long = np.array([[0.3, -0.4]]), np.array([[3e200, -4e200]])
    assert bounded_rows(short, 1.0).tolist() == [[int(0.3 * 65536), -int(0.4 * 65536)]]
    assert bounded_rows(long, 1.0).tolist() == [[int(0.6 * 65536), -int(0.8 * 65536)]]
    assert bounded_rows(np.array([[2.0, 0.0]]), 2.0).tolist() == [[65536, 0]]


@pytest.mark.parametrize("spoilt", [math.nan, math.inf, -math.inf])
def test_a_spoilt_row_counts_as_zero_and_spoils_nobody_else(spoilt: float) -> None:
    clean = np.array([[0.1, 0.2], [0.3, 0.1]])
    with_spoilt = np.vstack([clean, [[spoilt, 0.1]]])
    assert np.array_equal(bounded_sum([with_spoilt], 2, 1.0), bounded_sum([clean], 2, 1.0))


@given(st.floats(1e-3, 1e3), st.integers(1, 40))
@settings(max_examples=100, deadline=None)
def test_little_is_lost_by_rounding(bound: float, length: int) -> None:
    row = np.random.default_rng(length).normal(size=length)
    row *= bound / np.linalg.norm(row)
    back = bounded_rows(row[None, :], bound)[0] * (bound / 65536)
    assert np.abs(back - row).max() <= 1.01 * bound / 65536 + bound * 2.0**-19


def test_a_clinic_without_patients_answers_with_zeros() -> None:
    assert bounded_sum([], 5, 1.0).tolist() == [0] * 5
    assert bounded_sum([np.zeros((0, 5))], 5, 1.0).tolist() == [0] * 5
    assert exact_sum([], 5).tolist() == [0] * 5


@pytest.mark.parametrize(
    "block",
    [np.zeros((2, 4)), np.zeros(3), np.zeros((2, 3), dtype=np.float32), np.zeros((1, 2, 3))],
)
def test_a_block_of_another_shape_or_type_is_refused(block: np.ndarray) -> None:
    for add in (lambda: bounded_sum([block], 3, 1.0), lambda: exact_sum([block], 3)):
        with pytest.raises(OurFault, match="block-shape"):
            add()


@pytest.mark.parametrize("bound", [0.0, -1.0, math.nan, math.inf])
def test_an_impossible_bound_is_refused(bound: float) -> None:
    with pytest.raises(OurFault):
        bounded_sum([], 3, bound)


@given(
    arrays(np.int64, 6, elements=st.integers(-(2**40), 2**40)),
    arrays(np.int64, 6, elements=st.integers(-(2**16), 2**16)),
    st.integers(1, 2**41),
)
def test_saturation_moves_no_two_sums_apart(a: np.ndarray, z: np.ndarray, limit: int) -> None:
    clamped, moved = saturate(a, limit), saturate(a + z, limit)
    assert np.abs(clamped).max() <= limit
    assert (np.abs(moved - clamped) <= np.abs(z)).all()
    with pytest.raises(OurFault):
        saturate(a, 0)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40), st.randoms())
def test_a_public_sum_depends_on_neither_order_nor_blocks(values: list[float], random) -> None:
    column = np.array(values)[:, None]
    whole = exact_sum([column], 1)
    shuffled = values[:]
    random.shuffle(shuffled)
    pieces = [np.array([[value]]) for value in shuffled]
    assert np.array_equal(whole, exact_sum(pieces, 1))
    assert abs(whole[0] / 2**20 - math.fsum(values)) <= 2.0**-21 * (1 + 1e-9)


def test_public_sums_refuse_what_they_cannot_encode() -> None:
    with pytest.raises(InputError, match="public-not-finite") as told:
        exact_sum([np.array([[17.25, math.nan]])], 2)
    assert "17" not in str(told.value) + told.value.hint
    for big in (1e300, 1.7e308, -(2.0**43)):
        with pytest.raises(InputError, match="public-too-large"):
            exact_sum([np.full((3, 1), big)], 1)
    with pytest.raises(OurFault):
        exact_sum([], 1, scale=3)
