"""By how much noise widens an interval: over repeated studies, beside what the plan foretells."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.studies_pool import Pool
from cairn_models.answers import Estimate
from cairn_models.questions.base import SumNoise

RATIO = "hazard_ratio"  # told on the log scale


@dataclass(frozen=True)
class Widened:
    """One number over repeated studies; inflations are shares of the standard error.

    `without` is its standard deviation over studies without noise, `noise` that of what the noise
    adds; `measured` and `local` are the inflations found with the policy's noise and with local
    noise; `planned` what the plan says, None where it says nothing; `shown` the share of the noised
    studies that show the number.
    """

    name: str
    shown: float
    without: float
    noise: float
    measured: float
    local: float
    planned: float | None


def widened(
    pool: Pool, names: Sequence[str], *, patients: int, studies: int, seed: int
) -> list[Widened]:
    """Each number of `names` over `studies` studies of `patients` people."""
    local = pool.local
    values: dict[str, list[list[float]]] = {name: [] for name in names}
    for exact, noise, more in zip(
        pool.sums(patients, studies, np.random.default_rng(seed)),
        pool.noises(studies),
        local.noises(studies),
        strict=True,
    ):
        read = (
            pool.read(exact, 0.0),
            pool.read(exact + noise, pool.sd),
            local.read(exact + more, local.sd),
        )
        for name in names:
            values[name].append([_number(answer, name) for answer in read])
    planned = {e.name: e.inflation for e in pool.question.expected(SumNoise(pool.sd))}
    return [_summed(name, np.array(values[name]), planned.get(name)) for name in names]


def _summed(name: str, values: np.ndarray, planned: float | None) -> Widened:
    told = ~np.isnan(values)
    without = float(np.std(values[told[:, 0], 0]))

    def inflation(column: int) -> float:
        """From studies that show the number with noise, beside themselves without."""
        both = told[:, 0] & told[:, column]
        return float(np.std(values[both, column]) / np.std(values[both, 0])) - 1.0

    both = told[:, 0] & told[:, 1]
    return Widened(
        name=name,
        shown=float(told[:, 1].mean()),
        without=without,
        noise=float(np.std(values[both, 1] - values[both, 0])),
        measured=inflation(1),
        local=inflation(2),
        planned=planned,
    )


def _number(answer: Mapping[str, Estimate], name: str) -> float:
    estimate = answer.get(name)
    if estimate is None or estimate.value is None:
        return math.nan
    return math.log(estimate.value) if name.startswith(RATIO) else estimate.value
