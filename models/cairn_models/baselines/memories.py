"""`memories`: what a linear predictor reads at each week: running means that forget, and the rest.

A row is a function of one patient's weeks and of public constants alone, so that sums over patients
are as private as their noise.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from cairn_models.trajectory.columns import ARMS, COLUMNS
from cairn_models.trajectory.features import Weekly

MEMORIES: Final = (0.5, 0.8, 0.95)  # weights a week back, of the running means
FEW: Final = (
    *("last_score", "weeks_since_score", "first_score", "last_companion", "week", "started"),
    *(f"arm_{arm}" for arm in ARMS[1:]),
)


def memories(weeks: Weekly, columns: tuple[str, ...] = COLUMNS) -> NDArray[np.float64]:
    """(N, T, K): a one, `columns`, and running means of both scores less the last, three each."""
    f = weeks.features.astype(np.float64)
    parts = [np.ones((*f.shape[:2], 1)), f[:, :, [COLUMNS.index(name) for name in columns]]]
    for name in ("score", "companion"):
        value = f[:, :, COLUMNS.index(name)]
        seen = f[:, :, COLUMNS.index(f"{name}_observed")]
        last = f[:, :, COLUMNS.index(f"last_{name}")]
        parts += [(_running(value, seen, m, last) - last)[:, :, None] for m in MEMORIES]
    return np.concatenate(parts, axis=2)


def _running(
    value: NDArray[np.float64],
    seen: NDArray[np.float64],
    memory: float,
    otherwise: NDArray[np.float64],
) -> NDArray[np.float64]:
    """(N, T) means of what was seen so far, a week back weighing `memory`."""
    total, weight = np.zeros(len(value)), np.zeros(len(value))
    mean = np.empty(value.shape)
    for t in range(value.shape[1]):
        total = memory * total + seen[:, t] * value[:, t]
        weight = memory * weight + seen[:, t]
        mean[:, t] = np.divide(total, weight, out=otherwise[:, t].copy(), where=weight > 1e-9)
    return mean
