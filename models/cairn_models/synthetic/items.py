"""`items_from_totals`: item answers that sum to a given total, in plausible proportions.

In a partial credit model the law of the items given their sum does not depend on the person: it
is the product of the items' category weights, restricted to that sum (Masters 1982). It is
sampled exactly, item by item, with the weights of all ways to reach what is left.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Items = NDArray[np.int64]

# Shares of answers 0 to 3 in NHANES adults, N = 8,276 (US government data), questionnaire order:
# interest, mood, sleep, tired, appetite, failure, concentration, slow or restless, item 9.
PHQ9_WEIGHTS: Final = np.array(
    [
        [0.7436, 0.1653, 0.0540, 0.0371],
        [0.7457, 0.1757, 0.0466, 0.0320],
        [0.6057, 0.2276, 0.0746, 0.0921],
        [0.5019, 0.3233, 0.0906, 0.0841],
        [0.7430, 0.1560, 0.0557, 0.0453],
        [0.8294, 0.1170, 0.0289, 0.0248],
        [0.8272, 0.1077, 0.0303, 0.0348],
        [0.8949, 0.0638, 0.0237, 0.0176],
        [0.9615, 0.0282, 0.0062, 0.0042],
    ]
)
# No item shares of GAD-7 are at hand: chosen, with restlessness and fear answered less often.
GAD7_WEIGHTS: Final = np.array(
    [
        [0.60, 0.25, 0.08, 0.07],
        [0.70, 0.18, 0.06, 0.06],
        [0.62, 0.23, 0.08, 0.07],
        [0.62, 0.24, 0.08, 0.06],
        [0.80, 0.13, 0.04, 0.03],
        [0.65, 0.23, 0.07, 0.05],
        [0.78, 0.14, 0.04, 0.04],
    ]
)


def items_from_totals(totals: Items, weights: Floats, uniform: Floats) -> Items:
    """(n, items) answers 0 to 3 that sum to `totals` (n,).

    Args:
        totals: whole numbers from 0 to 3 x items.
        weights: (items, 4) category weights above 0.
        uniform: (n, items) uniforms that decide.
    """
    count, categories = weights.shape
    reach = np.zeros((count + 1, (categories - 1) * count + 1))
    reach[count, 0] = 1.0  # reach[j, s]: weight of all ways in which items j… sum to s
    for j in range(count - 1, -1, -1):
        reach[j] = np.convolve(reach[j + 1], weights[j])[: reach.shape[1]]
    left = np.asarray(totals, dtype=np.int64).copy()
    answers = np.zeros((len(left), count), dtype=np.int64)
    category = np.arange(categories)
    for j in range(count):
        rest = left[:, None] - category[None, :]
        ways = np.where(rest >= 0, reach[j + 1][np.maximum(rest, 0)], 0.0) * weights[j]
        edges = np.cumsum(ways, axis=1)
        answers[:, j] = (uniform[:, j, None] * edges[:, -1:] >= edges[:, :-1]).sum(axis=1)
        left -= answers[:, j]
    return answers
