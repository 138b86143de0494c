"""Which rows of a binary outcome are separated: their fitted probabilities would be 0 or 1.

A maximum of the likelihood is at infinity if and only if some direction γ has x·γ ≥ 0 in every row
with the outcome and x·γ ≤ 0 in every row without it, and not 0 everywhere (Albert & Anderson 1984,
Biometrika 71:1). A linear programme finds one (Konis 2007). Rows with x·γ ≠ 0 are fitted perfectly
in the limit and say nothing about anything else; what the others tell is the limiting conditional
model (Geyer 2009, Electron J Stat 3:259), finite.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


def separated(x: Array, events: Array, others: Array) -> Mask:
    """(R,) which rows are separated; exact counts, without noise.

    Args:
        x: (R, p).
        events: (R,) people with the outcome in each row.
        others: (R,) people without it.
    """
    out = np.zeros(len(x), dtype=np.bool_)
    seen = (events > 0.5) | (others > 0.5)
    for _ in range(len(x)):
        left = seen & ~out
        rows = np.concatenate([x[left & (events > 0.5)], -x[left & (others > 0.5)]])
        if not len(rows):
            break
        found = linprog(-rows.sum(axis=0), A_ub=-rows, b_ub=np.zeros(len(rows)), bounds=(-1.0, 1.0))
        if found.status != 0 or -found.fun < 1e-7:
            break
        more = left & (np.abs(x @ found.x) > 1e-7)
        if not more.any():
            break
        out |= more
    return out
