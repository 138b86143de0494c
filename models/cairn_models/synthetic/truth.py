"""`true_effect`: what an arm does in a world, which only synthetic data allow one to know.

The same synthetic patients are followed twice to the same week, once all in the arm and once all
in the reference, with full follow-up; nobody is lost, and everything random but the arm is equal.
Those who do not start or who stop the programme count with what they did (intention to treat).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cairn_models.synthetic.cohort import simulate
from cairn_models.synthetic.draws import Floats
from cairn_models.synthetic.world import World

PATIENTS_A_CLINIC = 100


@dataclass(frozen=True)
class TrueEffect:
    """The synthetic world's own answer.

    Args:
        points: mean PHQ-9 under `arm` minus under `reference` at `week`; below 0 is better. Both
            start equal, so it is the difference of mean changes too.
        standard_error: of the simulation, in points.
        hedges_g: the same in pooled SDs of the scores at that week; above 0 is better.
        label: to be shown wherever the number is.
    """

    arm: str
    reference: str
    week: int
    points: float
    standard_error: float
    hedges_g: float
    label: str = "synthetic: only possible because the data are synthetic"


def true_effect(
    world: World,
    week: int,
    arm: str,
    reference: str = "waiting",
    *,
    patients: int = 20_000,
    seed: int = 0,
) -> TrueEffect:
    """The effect of `arm` against `reference` on PHQ-9 at `week`, over about `patients` patients.

    Raises:
        InputError: an arm that this world does not have.
    """
    under_arm = _scores(world, week, world.arm_index(arm), patients, seed)
    under_reference = _scores(world, week, world.arm_index(reference), patients, seed)
    difference = under_arm - under_reference
    points = float(difference.mean())
    pooled = np.sqrt((under_arm.var(ddof=1) + under_reference.var(ddof=1)) / 2)
    # clinics and patients are shared by both sides, so the paired difference is nearly independent
    error = float(difference.std(ddof=1) / np.sqrt(len(difference)))
    return TrueEffect(arm, reference, week, points, error, float(-points / pooled))


def _scores(world: World, week: int, arm: int, patients: int, seed: int) -> Floats:
    clinics = max(1, round(patients / PATIENTS_A_CLINIC))
    runs = (
        simulate(world, PATIENTS_A_CLINIC, seed=seed, clinic=number, weeks=max(week, 1), arm=arm)
        for number in range(clinics)
    )
    return np.concatenate([run.course.phq9[:, week] for run in runs])
