"""Bounded integer sums: the one place where patients' vectors become a sum.

Everything here works row by row, so that a patient's integers depend on that patient's row and on
public constants alone. Sensitivity is not argued from floating point: each row's squared norm is
checked in integers after rounding.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cairn_protocol.errors import InputError, OurFault

GRID: Final = 1 << 16  # S: steps in one bound
LARGEST_GRID: Final = 1 << 30  # rows' squared norms stay inside int64
PUBLIC_SCALE: Final = 1 << 20  # steps in one unit of a public sum
LARGEST_SUM: Final = 1 << 62
CACHED: Final = 1 << 16  # numbers worked on at a time: they stay in the processor's cache
SMALLEST: Final = 1e-200  # of a sum of squares that is worth its name

Vector = NDArray[np.float64]
Steps = NDArray[np.int64]


def bounded_sum(blocks: Iterable[Vector], length: int, bound: float, grid: int = GRID) -> Steps:
    """The sum (length,) int64 of bounded rows, in steps of `bound / grid`.

    A row with a NaN or an infinity counts as zero; a row longer than `bound` is scaled onto it;
    then each coordinate is truncated toward zero. Adding or removing one row changes the sum by
    integers whose squares add to at most `grid`².

    Args:
        blocks: (patients, length) float64, one row a patient.
        bound: C > 0, the L2 norm that no patient's vector exceeds.
        grid: S, steps in one bound.

    Raises:
        OurFault: a block of another shape or type, or a bound or grid out of range.
    """
    if not (math.isfinite(bound) and bound > 0 and 1 <= grid <= LARGEST_GRID):
        raise OurFault("a bound must be positive and finite", code="bound-invalid")
    total = np.zeros(length, dtype=np.int64)
    together = max(1, CACHED // max(length, 1))
    for block in blocks:
        rows = _checked(block, length)
        for at in range(0, len(rows), together):
            total += bounded_rows(rows[at : at + together], bound, grid).sum(axis=0)
    return total


def bounded_rows(rows: Vector, bound: float, grid: int = GRID) -> Steps:
    """Each row of (patients, d) float64 as bounded integers (patients, d) in steps of bound/grid.

    Every returned row z has ‖z‖² ≤ grid², checked in integers. How a row is treated depends on
    that row alone.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        square = np.einsum("ij,ij->i", rows, rows)
    norm = np.sqrt(square)
    scale = np.where(norm > bound, grid / np.where(norm > 0, norm, 1.0), grid / bound)
    # A sum of squares that overflowed, or a NaN; or one so small that squares were lost.
    odd = ~(np.isfinite(square) & (square > SMALLEST))
    if odd.any():
        rows = rows.copy()
        rows[odd], scale[odd] = _odd(rows[odd], bound, grid)
    return _within(np.trunc(rows * scale[:, None]).astype(np.int64), grid)


def _odd(rows: Vector, bound: float, grid: int) -> tuple[Vector, Vector]:
    """(n, d) rows over their largest entries, zero where one is not finite; (n,) what to take
    them times. So divided a row has norm 1 … √d, whatever its size: nothing overflows."""
    rows = np.where(np.isfinite(rows).all(axis=1, keepdims=True), rows, 0.0)
    largest = np.abs(rows).max(axis=1, initial=0.0)
    unit = rows / np.where(largest > 0, largest, 1.0)[:, None]
    norm = np.sqrt(np.square(unit).sum(axis=1))
    with np.errstate(over="ignore"):  # an infinite norm is above every bound
        long = largest * norm > bound
    onto_bound = grid / np.where(norm > 0, norm, 1.0)
    return unit, np.where(long, onto_bound, np.where(long, 0.0, largest) / bound * grid)


def _within(steps: Steps, grid: int) -> Steps:
    """`steps` with every row that rounding carried past the grid shrunk until it is inside."""
    while (outside := np.einsum("ij,ij->i", steps, steps) > grid * grid).any():
        steps[outside] = np.trunc(steps[outside] * (1 - 2.0**-20)).astype(np.int64)
    return steps


def saturate(total: Steps, limit: int) -> Steps:
    """`total` with each coordinate clamped to ±`limit`, so that the encoding cannot wrap around.

    Clamping is 1-Lipschitz in each coordinate: |clamp(a) − clamp(b)| ≤ |a − b|. If the sums with
    and without a patient differ by z, the clamped sums differ by z′ with |z′ᵢ| ≤ |zᵢ|, hence
    ‖z′‖ ≤ ‖z‖ ≤ grid: the sensitivity is unchanged, whatever the limit. It precedes the noise.
    """
    if limit < 1:
        raise OurFault("a clamp must leave room for a sum", code="saturate-limit")
    return np.clip(total, -limit, limit)


def exact_sum(blocks: Iterable[Vector], length: int, scale: int = PUBLIC_SCALE) -> Steps:
    """The unbounded sum (length,) int64 of public rows, in steps of 1/`scale`.

    Rows are added without rounding (`math.fsum`), then rounded once to the nearest step, so the
    result depends neither on the order of the rows nor on the blocks. For public data only.

    Raises:
        InputError: a NaN or an infinity, or a sum too large for 62 bits at this scale.
        OurFault: a block of another shape or type, or a scale that is not a power of two.
    """
    if scale < 1 or scale & (scale - 1):
        raise OurFault("the scale of a public sum must be a power of two", code="scale-invalid")
    parts = [_checked(block, length) for block in blocks]
    if not parts:
        return np.zeros(length, dtype=np.int64)
    rows = np.concatenate(parts)
    if not np.isfinite(rows).all():
        raise InputError(
            "the public data hold a number that is missing or infinite",
            code="public-not-finite",
            why="without noise there is no bound that could absorb it",
            hint="correct or leave out the rows that the import report names",
        )
    steps = [round(_sum(column) * scale) for column in rows.T]
    if any(abs(step) >= LARGEST_SUM for step in steps):
        raise InputError(
            "a sum over the public data is too large to encode",
            code="public-too-large",
            hint="scale the variables in the study to a usual range",
        )
    return np.array(steps, dtype=np.int64)


def _sum(column: Vector) -> float:
    try:
        total = math.fsum(column)
    except OverflowError:
        return float(LARGEST_SUM)
    return total if abs(total) < LARGEST_SUM else float(LARGEST_SUM)


def _checked(block: Vector, length: int) -> Vector:
    if block.ndim != 2 or block.shape[1] != length or block.dtype != np.float64:
        raise OurFault(
            "a question gave a block of the wrong shape",
            code="block-shape",
            why=f"{block.dtype} {block.shape}, expected float64 (patients, {length})",
        )
    return np.ascontiguousarray(block)
