"""`Newton`, `Adam`: the server's steps, one a round, from noised sums alone.

Post-processing of what the rounds released, so it costs no privacy. What a descent remembers is not
part of what clinics are sent; it is a function of the sums, so replaying the sums of the earlier
rounds rebuilds it (round 0 starts afresh).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cairn_protocol.errors import OurFault

Vector = NDArray[np.float64]
DECAY = (0.9, 0.999)


@dataclass
class Descent(ABC):
    """Steps whose rate falls as a cosine over `rounds`.

    Args:
        rounds: steps in all.
        learning_rate: of the first step; the last one is near 0.
    """

    rounds: int
    learning_rate: float
    done: int = field(default=0, init=False)

    def step(
        self, parameters: NDArray[np.float32], gradient: Vector, round_: int
    ) -> NDArray[np.float32]:
        """(d,) parameters after round `round_` (from 0).

        Raises:
            OurFault: rounds out of order; replay them from the first.
        """
        if round_ == 0:
            self.done = 0
        if round_ != self.done or round_ >= self.rounds:
            raise OurFault(
                f"training was asked for round {round_} after {self.done} rounds",
                code="training-order",
                why="the optimiser's state follows from all sums before",
                hint="replay the sums of the earlier rounds in order",
            )
        self.done += 1
        rate = self.learning_rate * 0.5 * (1 + np.cos(np.pi * round_ / self.rounds))
        place = parameters.astype(np.float64)
        return np.asarray(place - rate * self._direction(place, gradient), dtype=np.float32)

    @abstractmethod
    def _direction(self, place: Vector, gradient: Vector) -> Vector:
        """(d,) what one whole step would subtract."""


@dataclass
class Newton(Descent):
    """Newton's steps where the loss's curvature along each direction is known from public data.

    They lead to the least of loss + ½ Σ pull · place²: a direction along which the loss hardly
    bends would otherwise be followed wherever the noise leads.

    Args:
        curvature: (d,) second derivatives of the mean loss, none negative.
        pull: (d,) of the origin, in the same units, each above zero.
    """

    curvature: Vector
    pull: Vector

    def _direction(self, place: Vector, gradient: Vector) -> Vector:
        return (gradient + self.pull * place) / (self.curvature + self.pull)


@dataclass
class Adam(Descent):
    """Adam (Kingma & Ba 2015).

    Args:
        floor: what is added to a coordinate's root mean square, in units of the mean gradient.
            Near the noise of a mean gradient it keeps coordinates that carry next to nothing from
            taking full steps; with Adam's usual 1e-8 training *without* noise forgot the prior.
    """

    floor: float
    _mean: Vector = field(default_factory=lambda: np.zeros(0), init=False, repr=False)
    _square: Vector = field(default_factory=lambda: np.zeros(0), init=False, repr=False)

    def _direction(self, place: Vector, gradient: Vector) -> Vector:
        if self.done == 1:
            self._mean, self._square = np.zeros_like(gradient), np.zeros_like(gradient)
        a, b = DECAY
        self._mean = a * self._mean + (1 - a) * gradient
        self._square = b * self._square + (1 - b) * gradient**2
        mean = self._mean / (1 - a**self.done)
        square = self._square / (1 - b**self.done)
        return np.asarray(mean / (np.sqrt(square) + self.floor))
