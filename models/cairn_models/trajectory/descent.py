"""`Descent`: Adam on the server, one step a round, from noised sums alone.

Post-processing of what the rounds released, so it costs no privacy. Its moments are not part of
what clinics are sent; they are a function of the sums, so replaying the sums of the earlier rounds
rebuilds them (`advance` in round 0 starts afresh).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cairn_protocol.errors import OurFault

Vector = NDArray[np.float64]
DECAY = (0.9, 0.999)


@dataclass
class Descent:
    """Adam (Kingma & Ba 2015) with cosine decay of the learning rate over `rounds`.

    Args:
        rounds: steps in all.
        learning_rate: of the first step; the last one is near 0.
        floor: what Adam adds to a coordinate's root mean square, in units of the mean gradient.
            Near the noise of a mean gradient it keeps coordinates that carry next to nothing from
            taking full steps; with Adam's usual 1e-8 training *without* noise forgot the prior.
    """

    rounds: int
    learning_rate: float
    floor: float
    done: int = 0
    _mean: Vector = field(default_factory=lambda: np.zeros(0), repr=False)
    _square: Vector = field(default_factory=lambda: np.zeros(0), repr=False)

    def step(
        self, parameters: NDArray[np.float32], gradient: Vector, round_: int
    ) -> NDArray[np.float32]:
        """(d,) parameters after round `round_` (from 0).

        Raises:
            OurFault: rounds out of order; replay them from the first.
        """
        if round_ == 0:
            self.done = 0
            self._mean, self._square = np.zeros_like(gradient), np.zeros_like(gradient)
        if round_ != self.done or round_ >= self.rounds:
            raise OurFault(
                f"training was asked for round {round_} after {self.done} rounds",
                code="training-order",
                why="the optimiser's state follows from all sums before",
                hint="replay the sums of the earlier rounds in order",
            )
        a, b = DECAY
        self.done += 1
        self._mean = a * self._mean + (1 - a) * gradient
        self._square = b * self._square + (1 - b) * gradient**2
        mean = self._mean / (1 - a**self.done)
        square = self._square / (1 - b**self.done)
        rate = self.learning_rate * 0.5 * (1 + np.cos(np.pi * round_ / self.rounds))
        moved = parameters.astype(np.float64) - rate * mean / (np.sqrt(square) + self.floor)
        return np.asarray(moved, dtype=np.float32)
