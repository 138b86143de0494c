"""The blocks of a description: what one patient puts into each, and how it is read back.

`Cells`: the patient's own cell of arm × place, a column of a public matrix no longer than 1
(`shapes`), or a 1 on public data. `Number`: (a, u, 1 − u²) in the arm's slot, where u is the value
brought from its public range to [−1, 1], norm at most √(1 + a²) (`arm_means` has the proof).
`Divided`: a `Number` with two slots an arm, one for people who have a trait; the norm is the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from cairn_models.arm_means import ArmMeans, Coding, arm_means
from cairn_models.cohort import NO_ARM
from cairn_models.description.counts import Counts
from cairn_models.shaping import Shaping

Array = NDArray[np.float64]
COUNT_WEIGHT = 0.5
PUBLIC_VARIANCE = 0.2  # of u: an SD of 0.22 of the range, PHQ-9's 6.1 of 27 points


@dataclass(frozen=True)
class Cells:
    """A table of arm × place; a value is the number of a place. Unit vectors without `shaping`."""

    name: str
    arms: int
    places: int
    shaping: Shaping | None = field(default=None, compare=False)

    bound: ClassVar[float] = 1.0
    columns: ClassVar[int] = 1

    @property
    def length(self) -> int:
        """Coordinates of the block."""
        return self.arms * self.places

    @property
    def seen(self) -> Shaping:
        """The matrix through which a patient's cell is seen."""
        return self.shaping or Shaping.plain(self.places)

    def rows(self, arm: NDArray[np.int64], value: Array) -> Array:
        """(N, length) rows; zero where the arm or the value (NaN) is missing."""
        rows = np.zeros((len(arm), self.arms, self.places))
        told = np.flatnonzero((arm != NO_ARM) & np.isfinite(value[:, 0]))
        place = value[told, 0].astype(np.int64)
        rows[told, arm[told]] = self.seen.seen.T[place]
        return rows.reshape(len(arm), self.length)

    def counts(self, sums: Array, *, noise_sd: float, fewest: float) -> Counts:
        """The noised table behind `sums` (..., length)."""
        by_arm = sums.reshape(*sums.shape[:-1], self.arms, self.places)
        return Counts(self.seen.table(by_arm), noise_sd**2 * self.seen.covariance, fewest)


@dataclass(frozen=True)
class Number:
    """The moments of a bounded number by arm; a value beyond its range is missing."""

    name: str
    arms: int
    lowest: float
    highest: float

    columns: ClassVar[int] = 1

    @cached_property
    def coding(self) -> Coding:
        """How u becomes an arm's slot."""
        return Coding(self.arms, COUNT_WEIGHT)

    @property
    def bound(self) -> float:
        """C_b."""
        return self.coding.bound

    @property
    def length(self) -> int:
        """Coordinates of the block."""
        return self.coding.length

    @property
    def middle(self) -> float:
        """The value at u = 0."""
        return (self.lowest + self.highest) / 2

    @property
    def limit(self) -> float:
        """From the middle to either end."""
        return (self.highest - self.lowest) / 2

    def rows(self, arm: NDArray[np.int64], value: Array) -> Array:
        """(N, length) rows; zero where the arm or the value is missing."""
        number = value[:, 0]
        inside = (number >= self.lowest) & (number <= self.highest)
        told = np.flatnonzero((arm != NO_ARM) & inside)
        rows = np.zeros((len(arm), self.length))
        u = np.clip((number[told] - self.middle) / self.limit, -1.0, 1.0)
        rows[told] = self.coding.rows(arm[told], u)
        return rows

    def means(self, sums: Array, *, noise_sd: float, fewest: float) -> ArmMeans:
        """The arms' moments (..., arms), in units of `limit` from `middle`."""
        return arm_means(
            sums, self.coding, noise_sd=noise_sd, public_variance=PUBLIC_VARIANCE, fewest=fewest
        )


@dataclass(frozen=True)
class Divided:
    """A `Number` from 0 to `highest`, apart for people without and with a trait: two columns."""

    name: str
    arms: int
    highest: float

    columns: ClassVar[int] = 2

    @cached_property
    def number(self) -> Number:
        """Slot 2k holds arm k's people without the trait, slot 2k + 1 those with it."""
        return Number(self.name, 2 * self.arms, 0.0, self.highest)

    @property
    def bound(self) -> float:
        """C_b."""
        return self.number.bound

    @property
    def length(self) -> int:
        """Coordinates of the block."""
        return self.number.length

    def rows(self, arm: NDArray[np.int64], value: Array) -> Array:
        """(N, length) rows; `value` (N, 2) is the number and whether one has the trait, 0 or 1."""
        trait = np.where(value[:, 1] == 1.0, 1, 0)
        slot = np.where(arm == NO_ARM, NO_ARM, 2 * arm + trait)
        return self.number.rows(slot, value[:, :1])


Block = Cells | Number | Divided
