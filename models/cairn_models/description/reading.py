"""`Reading`: one noised sum of a description, taken apart into tables and moments by arm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cairn_models.answers import Estimate, Figure, Table
from cairn_models.arm_means import ArmMeans
from cairn_models.description.blocks import Cells, Divided, Number
from cairn_models.description.counts import Counts
from cairn_models.description.layout import Layout
from cairn_models.description.quantiles import Bins
from cairn_models.measures import Instrument

Array = NDArray[np.float64]
ByArm = tuple[Estimate, ...]


@dataclass(frozen=True)
class Use:
    """How the use of a programme is described; weeks are since first use.

    `arms` are the places of the arms that have one; `most_weeks`: active ones counted at most.
    """

    arms: tuple[int, ...]
    weeks: tuple[float, ...]
    most_weeks: int


@dataclass(frozen=True)
class Frame:
    """The public facts that an answer is worded with.

    `variables` name level lists, () a number; `left_out` are those that name a clinic.
    """

    question: str
    layout: Layout
    instrument: Instrument
    bins: Bins
    arms: tuple[str, ...]
    reference: int
    weeks: tuple[float, ...]
    window: float
    variables: dict[str, tuple[str, ...]]
    left_out: tuple[str, ...]
    use: Use
    waits: Bins
    scales: tuple[str, ...]
    synthetic: bool
    fewest: int
    window_of_entry_open: bool

    @property
    def others(self) -> list[int]:
        """The arms that are compared with the reference."""
        return [k for k in range(len(self.arms)) if k != self.reference]


@dataclass(frozen=True)
class Section:
    """What one part adds to an answer; `about` is what it is about, for a title."""

    about: str
    estimates: tuple[Estimate, ...]
    sentences: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    figures: tuple[Figure, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reading:
    """The noised sum `total` (length,) of the blocks of `frame`."""

    frame: Frame
    total: Array
    noise_sd: float

    def counts(self, block: Cells) -> Counts:
        """The block's table."""
        sums, noise_sd = self._of(block)
        return block.counts(sums, noise_sd=noise_sd, fewest=float(self.frame.fewest))

    def means(self, block: Number) -> ArmMeans:
        """The arms' moments, in units of `block.limit` from `block.middle`."""
        sums, noise_sd = self._of(block)
        return block.means(sums, noise_sd=noise_sd, fewest=float(self.frame.fewest))

    def slots(self, block: Divided) -> tuple[Array, float]:
        """(arms, 2, 3) the sums of (a, u, 1 − u²) of people without and with the trait; their sd.

        u is in units of half the range, from its middle.
        """
        sums, noise_sd = self._of(block)
        return sums.reshape(block.arms, 2, -1), noise_sd

    def _of(self, block: Cells | Number | Divided) -> tuple[Array, float]:
        layout = self.frame.layout
        return layout.sums(self.total, block), layout.noise_sd(block, self.noise_sd)
