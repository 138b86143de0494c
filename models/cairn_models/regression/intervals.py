"""`Intervals`: a patient's course through the intervals of a discrete-time hazard, as one cell.

Cells are (interval, had the event | ended otherwise) interval by interval, then *through*. Whoever
ends in interval j is at risk in 1 … j; ending otherwise (completed, last seen, removed) counts as
at risk in that interval without the event. So rows with and without the event follow from cells by
cumulation. Where staying is asked, an end before `ends[j]` belongs to interval j and one at it to
the next; where an event is asked, one at it has happened by then (`ways.Ways`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from cairn_models.regression.covariates import Array
from cairn_models.shaping import Shaping

OTHERWISE: Final = 0.3  # hazard of ending otherwise, as a share of the event's, for planning
EACH: Final = 0.2  # weight of each interval's own hazard beside that of all together
EVERY_CELL: Final = 0.02


@dataclass(frozen=True)
class Intervals:
    """`ends` of the intervals; `otherwise`: whether one can end without the event."""

    ends: tuple[float, ...]
    otherwise: bool
    staying: bool = True

    @property
    def cells(self) -> int:
        """How many cells one covariate cell's table has."""
        return len(self.ends) * self._ways + 1

    @property
    def labels(self) -> tuple[str, ...]:
        """The levels of `time`, e.g. '0-2'."""
        starts = (0.0, *self.ends)
        return tuple(f"{a:g}-{b:g}" for a, b in zip(starts, self.ends, strict=False))

    @property
    def events(self) -> Array:
        """(K, cells): which cells are a row with the event in each interval."""
        out = np.zeros((len(self.ends), self.cells))
        for j in range(len(self.ends)):
            out[j, j * self._ways] = 1.0
        return out

    @property
    def at_risk(self) -> Array:
        """(K, cells): which cells are at risk in each interval."""
        out = np.zeros((len(self.ends), self.cells))
        for j in range(len(self.ends)):
            out[j, j * self._ways :] = 1.0
        return out

    def interval_of(self, time: Array) -> NDArray[np.int64]:
        """(N,) in which interval an end at `time` lies; their number: through."""
        side: Literal["left", "right"] = "right" if self.staying else "left"
        return np.searchsorted(np.asarray(self.ends), time, side=side).astype(np.int64)

    def cell_of(self, time: Array, had: NDArray[np.bool_]) -> NDArray[np.int64]:
        """(N,) cell of people whose observation ended at `time`, with the event or without."""
        interval = self.interval_of(time)
        way = np.where(had | (not self.otherwise), 0, 1)
        inside = interval < len(self.ends)
        return np.where(inside, interval * self._ways + way, self.cells - 1).astype(np.int64)

    def typical(self, kept: float) -> Array:
        """(cells,) shares, if a constant hazard leaves `kept` at the last end."""
        rate = -np.log(kept) / self.ends[-1]
        table, left = np.zeros(self.cells), 1.0
        for j, width in enumerate(np.diff([0.0, *self.ends])):
            share = -np.expm1(-rate * width)
            ways = left * np.array([share, OTHERWISE * share])[: self._ways]
            table[j * self._ways : (j + 1) * self._ways] = ways
            left -= float(ways.sum())
        table[-1] = left
        return table

    def shaping(self, kept: float) -> Shaping:
        """The public matrix that spares the scores of a hazard, in all and by interval."""
        table = self.typical(kept)
        hazards = (self.events @ table) / (self.at_risk @ table)
        slopes = self.events - hazards[:, None] * self.at_risk  # (K, cells) of each score
        both = np.concatenate([slopes.sum(axis=0)[None], slopes])
        weight = np.append(1.0, np.full(len(slopes), EACH)) / (both**2 @ table)
        return Shaping.toward((both.T * weight) @ both + EVERY_CELL * np.eye(self.cells))

    @property
    def _ways(self) -> int:
        return 2 if self.otherwise else 1
