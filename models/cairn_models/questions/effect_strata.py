"""Strata that are clinics: what is told of an "effect" needs several of them, and names none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cairn_models.change_fit import ChangeFit
from cairn_models.questions.effect_frame import Frame


def together(frame: Frame, readable: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(arms, arms): which two arms, or which one, enough strata hold; `readable` (cells,)."""
    there = readable.reshape(len(frame.levels), len(frame.arms)).astype(np.int64)
    return np.asarray(there.T @ there >= frame.fewest_strata, dtype=np.bool_)


def tellable(frame: Frame, fit: ChangeFit) -> ChangeFit:
    """`fit` with what too few strata hold marked as nothing that could be read."""
    enough = together(frame, fit.cells.readable)
    return replace(
        fit,
        arms=replace(fit.arms, readable=fit.arms.readable & np.diag(enough)),
        adjusted=replace(fit.adjusted, linked=fit.adjusted.linked & enough),
    )
