"""`Layout`: one vector of several blocks, each with its public share of the one bound.

**What is summed.** A block is a table or a number, by arm. `Cells`: a 1 in the patient's own cell
of arm × place, zeros elsewhere, norm 1. `Number`: (a, u, 1 − u²) in the arm's slot, where u is the
value brought from its public range to [−1, 1], norm at most √(1 + a²) (`arm_means` has the proof).

**Bound.** Block b, of norm at most C_b, is written times √q_b/C_b with public shares q_b,
Σ q_b = 1. So the square of a patient's norm is at most Σ q_b = 1, in whatever blocks they are:
C = 1. Since what is spent goes with the square of the norm, a block with share q is told as
precisely as a question of its own that may spend the share q of this one's ρ.

On public data nothing is noised and the shares buy nothing: blocks are summed *plain*, as they are,
so that a sum of ones is exact on any grid; the bound is then √(Σ C_b²).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from cairn_models.arm_means import ArmMeans, Coding, arm_means
from cairn_models.cohort import NO_ARM

Array = NDArray[np.float64]
COUNT_WEIGHT = 0.5
PUBLIC_VARIANCE = 0.2  # of u: an SD of 0.22 of the range, PHQ-9's 6.1 of 27 points


@dataclass(frozen=True)
class Cells:
    """A one-hot table of arm × place; a value is the number of a place."""

    name: str
    arms: int
    places: int

    bound = 1.0

    @property
    def length(self) -> int:
        """Coordinates of the block."""
        return self.arms * self.places

    def rows(self, arm: NDArray[np.int64], value: Array) -> Array:
        """(N, length) rows; zero where the arm or the value (NaN) is missing."""
        rows = np.zeros((len(arm), self.length))
        told = np.flatnonzero((arm != NO_ARM) & np.isfinite(value))
        rows[told, arm[told] * self.places + value[told].astype(np.int64)] = 1.0
        return rows


@dataclass(frozen=True)
class Number:
    """The moments of a bounded number by arm; a value beyond its range is missing."""

    name: str
    arms: int
    lowest: float
    highest: float

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
        inside = (value >= self.lowest) & (value <= self.highest)
        told = np.flatnonzero((arm != NO_ARM) & inside)
        rows = np.zeros((len(arm), self.length))
        u = np.clip((value[told] - self.middle) / self.limit, -1.0, 1.0)
        rows[told] = self.coding.rows(arm[told], u)
        return rows

    def means(self, sums: Array, *, noise_sd: float, fewest: float) -> ArmMeans:
        """The arms' moments (..., arms), in units of `limit` from `middle`."""
        return arm_means(
            sums, self.coding, noise_sd=noise_sd, public_variance=PUBLIC_VARIANCE, fewest=fewest
        )


Block = Cells | Number


@dataclass(frozen=True)
class Layout:
    """The blocks and their shares of the squared bound, which sum to 1; `plain`: not weighted."""

    blocks: tuple[Block, ...]
    shares: tuple[float, ...]
    plain: bool = False

    @property
    def bound(self) -> float:
        """C, the largest norm of one patient's row."""
        whole = sum(block.bound**2 for block in self.blocks)
        return float(np.sqrt(whole)) if self.plain else 1.0

    @property
    def length(self) -> int:
        """Coordinates in the whole vector."""
        return sum(block.length for block in self.blocks)

    def scale(self, block: Block) -> float:
        """√q/C_b, or 1 where blocks are plain: what the block's rows are multiplied by."""
        share = self.shares[self.blocks.index(block)]
        return 1.0 if self.plain else float(np.sqrt(share)) / block.bound

    def rows(self, arm: NDArray[np.int64], values: Array) -> Array:
        """(N, length) rows of patients in `arm` (N,) with `values` (N, blocks)."""
        parts = [
            self.scale(block) * block.rows(arm, values[:, k]) for k, block in enumerate(self.blocks)
        ]
        return np.concatenate(parts, axis=1)

    def sums(self, total: Array, block: Block) -> Array:
        """(..., block.length): the block's own sums, its scale taken out."""
        k = self.blocks.index(block)
        start = sum(b.length for b in self.blocks[:k])
        return np.asarray(total[..., start : start + block.length] / self.scale(block))

    def noise_sd(self, block: Block, noise_sd: float) -> float:
        """Standard deviation of the noise in `sums`."""
        return noise_sd / self.scale(block)
