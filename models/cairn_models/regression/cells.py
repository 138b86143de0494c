"""`Cells`: the table of all combinations of levels that a regression's patients are counted in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
NOWHERE: Final = -1


@dataclass(frozen=True)
class Cells:
    """Categorical variables by name and number of levels; the last varies fastest."""

    sizes: tuple[tuple[str, int], ...]

    @property
    def count(self) -> int:
        """How many combinations of levels there are; 1 without variables."""
        return prod(size for _, size in self.sizes)

    @property
    def values(self) -> dict[str, Array]:
        """For each variable the place of its level in each cell, (cells,) float64."""
        shape = [size for _, size in self.sizes]
        places = np.indices(shape).reshape(len(shape), -1) if shape else ()
        return {
            name: place.astype(np.float64)
            for (name, _), place in zip(self.sizes, places, strict=True)
        }

    def of(self, levels: Mapping[str, Array], patients: int) -> NDArray[np.int64]:
        """(N,) each patient's cell, `NOWHERE` where a level is not known (NaN)."""
        cell = np.zeros(patients, dtype=np.int64)
        known = np.ones(patients, dtype=np.bool_)
        for name, size in self.sizes:
            known &= np.isfinite(levels[name])
            cell = cell * size + np.nan_to_num(levels[name]).astype(np.int64)
        return np.where(known, cell, NOWHERE)
