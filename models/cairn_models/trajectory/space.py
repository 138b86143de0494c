"""`Space`: the directions in which a network may move when patients train it.

A clinic's patients cannot tell ten thousand parameters through the noise: its norm grows as the
root of their number, the gradient's does not. But the synthetic worlds on which the network was
pre-trained differ from each other in few ways that matter. Fitted to one world after another the
parameters move mostly inside a small subspace, and that subspace, being synthetic, is public. So
training asks for the gradient in k such directions, each scaled by how far worlds differ along it:
the vector is k numbers long, its noise √k, and a step where worlds hardly differ is small. They are
turned so that the loss of synthetic patients bends along each by itself; how much, its curvature,
is public too, and tells a step apart from what noise alone would do (`descent.Newton`).

(Gradients projected onto a public subspace: Zhou, Wu & Banerjee 2021, arXiv:2007.03813; Yu et al.
2021, arXiv:2102.12677. There the subspace comes from public gradients, here from public fits.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from cairn_models.trajectory.places import copies, one_thread, require_alike

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Space:
    """Where training moves: `origin` (d,) and `basis` (k, d) float32, or all of it without a basis.

    `curvature` (k,): of the mean loss along each direction, where public data have told it.
    A *place* is what is trained: (k,) coordinates from the origin, or (d,) parameters.
    """

    origin: Floats
    basis: Floats | None = None
    curvature: Floats | None = None

    @property
    def size(self) -> int:
        """How many numbers a place has."""
        return len(self.origin if self.basis is None else self.basis)

    def start(self) -> Floats:
        """The place of the origin."""
        return self.origin if self.basis is None else np.zeros(self.size, dtype=np.float32)

    def parameters(self, place: Floats) -> Floats:
        """(d,) float32 parameters at `place`."""
        if self.basis is None:
            return place
        return np.asarray(self.origin + place @ self.basis, dtype=np.float32)

    def gradients(self, rows: Floats) -> Floats:
        """(n, size): gradients with respect to the place, from (n, d) to parameters.

        Rows come in blocks of one size, so that a row's arithmetic does not depend on the others.
        """
        if self.basis is None:
            return rows
        with torch.no_grad(), one_thread():
            product = torch.from_numpy(rows) @ torch.from_numpy(self.basis).t()
        return np.asarray(product.numpy(), dtype=np.float32)

    def check_places(self, block: int) -> None:
        """Passes where one row has the same product at every place of a block.

        Raises:
            OurFault: `internal.places-differ`.
        """
        require_alike(self.gradients(copies((len(self.origin),), block, seed=9)))
