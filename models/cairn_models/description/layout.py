"""`Layout`: one vector of several blocks, each with its public share of the one bound.

**Bound.** Block b, of norm at most C_b, is written times √q_b/C_b with public shares q_b,
Σ q_b = 1. So the square of a patient's norm is at most Σ q_b = 1, in whatever blocks they are:
C = 1. Since what is spent goes with the square of the norm, a block with share q is told as
precisely as a question of its own that may spend the share q of this one's ρ.

**Shares.** A result with sampling variance s and noise variance k/q has its interval widened by
√(1 + k/(s·q)). All blocks' foretold results are widened alike if q_b is proportional to the
largest k/s among them; `fair_shares` is that rule.

On public data nothing is noised and the shares buy nothing: blocks are summed *plain*, as they are,
so that a sum of ones is exact on any grid; the bound is then √(Σ C_b²).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cairn_models.description.blocks import Block

Array = NDArray[np.float64]


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
        """(N, length) rows of patients in `arm` (N,); `values` (N, columns), block by block."""
        parts, column = [], 0
        for block in self.blocks:
            own = values[:, column : column + block.columns]
            parts.append(self.scale(block) * block.rows(arm, own))
            column += block.columns
        return np.concatenate(parts, axis=1)

    def sums(self, total: Array, block: Block) -> Array:
        """(..., block.length): the block's own sums, its scale taken out."""
        k = self.blocks.index(block)
        start = sum(b.length for b in self.blocks[:k])
        return np.asarray(total[..., start : start + block.length] / self.scale(block))

    def noise_sd(self, block: Block, noise_sd: float) -> float:
        """Standard deviation of the noise in `sums`."""
        return noise_sd / self.scale(block)


def fair_shares(needs: Sequence[float]) -> tuple[float, ...]:
    """Shares in proportion to `needs`: each block's largest noise variance over sampling's."""
    whole = sum(needs)
    return tuple(need / whole for need in needs)
