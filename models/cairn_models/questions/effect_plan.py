"""`foretell`: the standard errors of an "effect" question's results as the plan would give them.

Arms are of one size, and so are strata. In units of the limit a difference of two means of n
patients has the sampling variance 2σ²/n and, over S strata with noise of variance v in every
coordinate, the noise variance 2Sv/n²: each stratum's two means are told from n/S patients, and
their differences averaged. The noise in the counts moves a mean by its distance from the public
prediction, which is planned to be nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from cairn_models.change_coding import CROSS_WEIGHT, PREDICTED_WEIGHT, ChangeCoding
from cairn_models.questions.base import Expected
from cairn_models.questions.effect_frame import EQUIVALENCE, JOINT, PLAIN, PUBLIC_SD, SDS, Frame, G

TYPICAL_G: Final = 0.35  # digital programmes against waiting, between unguided and guided ones


@dataclass(frozen=True)
class Plan:
    """What is planned: SDs of r and of change in points, and patients with both scores an arm."""

    coding: ChangeCoding
    residual_sd: float
    change_sd: float
    per_arm: float


def foretell(frame: Frame, plan: Plan, noise_sd: float) -> tuple[Expected, ...]:
    """Every contrast first, then what else is told of it."""
    n, coding = plan.per_arm, plan.coding
    pair_of_means = float(np.sqrt(2.0 / n))
    noise = frame.limit * float(np.sqrt(2.0 * coding.strata)) * noise_sd / n
    main = (pair_of_means * plan.residual_sd, noise)
    of_plain = float(np.hypot(1.0, coding.reach / PREDICTED_WEIGHT))
    plain = (pair_of_means * plan.change_sd, noise * of_plain)
    in_sds = (
        float(np.hypot(main[0] / plan.change_sd, TYPICAL_G * _sampling_of_sd(plan))),
        float(np.hypot(main[1] / plan.change_sd, TYPICAL_G * _noise_of_sd(frame, plan, noise_sd))),
    )
    points, sds = frame.points, SDS

    def rows(what: str, unit: str, of: tuple[float, float]) -> Iterator[Expected]:
        for pair in frame.pairs:
            yield Expected(frame.name(pair, what), frame.label(pair, what), unit, *of)

    told = [*rows("", points, main)]
    if frame.adjusted:
        told += rows(PLAIN, points, plain)
    told += rows(G, sds, in_sds)
    if frame.several:
        told += rows(JOINT, points, main)
    if frame.margin is not None:
        told += rows(EQUIVALENCE, points, main)
    if frame.standardise_by is not None:
        told += rows(
            PUBLIC_SD, "SD", (main[0] / frame.standardise_by, main[1] / frame.standardise_by)
        )
    return tuple(told)


def _sampling_of_sd(plan: Plan) -> float:
    """Of the pooled SD, as a share of it."""
    return float(1.0 / np.sqrt(2.0 * plan.per_arm * plan.coding.arms))


def _noise_of_sd(frame: Frame, plan: Plan, noise_sd: float) -> float:
    """The same by noise: in the squares of every cell and once in what predictions add to them."""
    coding, patients = plan.coding, plan.per_arm * plan.coding.arms
    variance = (plan.change_sd / frame.limit) ** 2
    once = coding.cross_range / CROSS_WEIGHT
    by_count = ((1.0 - variance) / coding.count_weight) ** 2
    squares = noise_sd * float(np.sqrt(coding.cells * (1.0 + by_count) + once**2)) / patients
    return 0.5 * squares / variance
