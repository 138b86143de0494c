"""Vectors that go to a door directly: a canary's, and those that try to break a bound."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from cairn_models.answers import Answer
from cairn_models.questions.base import Public, Question, Shape, SumNoise, Vector
from cairn_models.records import Records
from cairn_privacy.bound import LARGEST_GRID
from cairn_privacy.noise import NoisePlan
from cairn_protocol.errors import OurFault


class LinearCanary(Question[tuple[Vector, ...]]):
    """A question whose gradient is its input: each patient's vector is looked up by name."""

    def __init__(self, of: Question[Any], bound: float, inputs: Mapping[str, Vector]) -> None:
        self.spec, self.study, self.name = of.spec, of.study, of.name
        self._bound, self._inputs = bound, inputs

    @property
    def shape(self) -> Shape:
        """The inputs' length and the question's bound."""
        return Shape(next(iter(self._inputs.values())).size, self._bound)

    def prepare(self, records: Records) -> tuple[Vector, ...]:
        """The inputs of those who are there."""
        return tuple(self._inputs[p] for p in records.patients["patient"])

    def contributions(self, prepared: tuple[Vector, ...], public: Public) -> Iterator[Vector]:
        """One block (patients, length)."""
        if prepared:
            yield np.stack(prepared)

    def estimate(self, public: Public, total: Vector, noise: SumNoise) -> Answer:
        """Never asked for.

        Raises:
            OurFault: always.
        """
        raise OurFault("a canary has no estimate", code="canary-estimate")


def hostile_rows(length: int) -> Iterator[tuple[str, Vector]]:
    """Vectors (length,) that try to move a sum by more than any bound."""
    wave = np.where(np.arange(length) % 2 == 0, 1.0, -1.0)
    first = np.eye(1, length)[0]
    yield "huge", 1e30 * wave
    yield "beyond squaring", np.full(length, 1e300)
    yield "not a number", np.where(np.arange(length) == length // 2, np.nan, first)
    yield "infinite", np.where(first > 0, -np.inf, 1.0)
    yield "both infinities", np.inf * wave
    yield "empty", 0.0 * first
    yield "smallest", np.full(length, 5e-324)
    yield "one coordinate", 1e30 * first
    yield "every coordinate", wave


def stretched(noise: NoisePlan, mu: float) -> NoisePlan:
    """A plan of one release worth about `mu`, with `noise`'s own deviation in steps."""
    grid = min(max(1, round(noise.grid * noise.sigma * mu)), LARGEST_GRID)
    # The margin keeps a share of exactly 4 steps from falling below them by a rounding.
    return replace(noise, sigma=noise.sigma * noise.grid / grid * (1 + 1e-12), grid=grid, rounds=1)
