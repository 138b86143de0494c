"""`one_seed`: every predictor's error on one synthetic cohort."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np
import torch

from benchmarks.utility_clinics import BANDS, CLINICS, FURTHER, PHQ9, SMALL, Cohort, Error, pool
from benchmarks.utility_clinics import first as first_of
from benchmarks.utility_training import Noise, Trainees, ridge, train
from cairn_models.baselines import ArmMean, MixedModel, Ridge, last_value
from cairn_models.records import Records
from cairn_models.synthetic import World
from cairn_models.trajectory import artefact, pretrain
from cairn_models.trajectory.features import weekly
from cairn_models.trajectory.network import predict
from cairn_models.trajectory.placing import Floats

EPSILONS = (0.5, 1.0, 2.0, 4.0)
EPSILON = 2.0
WORLDS = {"default": World, "far": World.far}
EPOCHS, LEARNING_RATE = 10, 0.002  # of training without privacy

LAST, ARM_MEAN, MIXED = "last value", "mean change of the arm", "mixed model, pooled, no privacy"
RIDGE, PRIVATE_RIDGE = "ridge, pooled, no privacy", "ridge, ε = 2"
PRIOR = "prior, no patient"
ALONE_OWN = "each clinic alone, ε = 2, of its own patients"
ALONE_BEST = "one clinic alone, ε = 2, the best of ten"
LOCAL = "local noise, ε = 2"
ALONG, EVERYTHING = "no privacy, along directions", "no privacy, all parameters"
FIVE, TWENTY = "ε = 2, 5 clinics × 300", "ε = 2, 20 clinics × 300"
SMALL_ONES = f"ε = 2, 10 clinics × {SMALL}"


def private(epsilon: float) -> str:
    """The name of the shipped training at ε."""
    return f"ε = {epsilon:g}"


@dataclass
class Found:
    """One cohort's errors by predictor, and each band's coverage by predictor.

    `worst_gain` is the least, over the ten clinics, by which the model of all at ε = 2 errs less
    among a clinic's own further patients than that clinic's model alone.
    """

    world: str
    seed: int
    errors: dict[str, Error] = field(default_factory=dict)
    bands: dict[str, tuple[float, ...]] = field(default_factory=dict)
    worst_gain: float = float("nan")


def one_seed(world: str, seed: int) -> Found:
    """All predictors, fitted to the same patients and judged by the same others."""
    torch.set_num_threads(1)
    cohort, found, began = Cohort.of(WORLDS[world](), seed), Found(world, seed), perf_counter()
    ten = cohort.clinics[:CLINICS]
    fitted = weekly(pool(ten), PHQ9)

    def note(name: str, error: Error) -> None:
        found.errors[name] = error
        print(
            f"{world:8} {seed} {perf_counter() - began:6.0f} s  {name:44} {error.pair:.3f}"
            f"  {error.patient:.3f}",
            file=sys.stderr,
            flush=True,
        )

    def network(name: str, parameters: Floats) -> Floats:
        foretold = predict(parameters, cohort.judges.features)
        found.bands[name] = tuple(
            cohort.inside(foretold.quantile(0.5 - band / 2), foretold.quantile(0.5 + band / 2))
            for band in BANDS
        )
        median = np.asarray(foretold.quantile(0.5), dtype=np.float32)
        note(name, cohort.error(median))
        return median

    note(LAST, cohort.error(last_value(cohort.judges)))
    note(ARM_MEAN, cohort.error(ArmMean.fit(fitted).predict(cohort.judges)))
    note(MIXED, cohort.error(MixedModel.fit(fitted).predict(cohort.judges)))
    note(RIDGE, cohort.error(Ridge.fit(fitted).predict(cohort.judges)))
    distributed = Noise.of(EPSILON, CLINICS)
    note(PRIVATE_RIDGE, cohort.error(ridge(ten, distributed, seed).predict(cohort.judges)))

    prior = artefact.read().parameters
    network(PRIOR, prior)
    everything = pretrain.fit(
        list(ten), PHQ9, epochs=EPOCHS, seed=seed, start=prior, learning_rate=LEARNING_RATE
    )
    network(EVERYTHING, everything)
    together = Trainees.of(ten)
    network(ALONG, train(together, None, seed))
    medians = {
        epsilon: network(private(epsilon), train(together, Noise.of(epsilon, CLINICS), seed))
        for epsilon in EPSILONS
    }
    network(LOCAL, train(together, Noise.local(EPSILON, CLINICS), seed))
    _alone(found, cohort, ten, medians[EPSILON], note)
    for name, clinics in (
        (FIVE, ten[:5]),
        (TWENTY, cohort.clinics),
        (SMALL_ONES, tuple(first_of(clinic, SMALL) for clinic in ten)),
    ):
        network(name, train(Trainees.of(clinics), Noise.of(EPSILON, len(clinics)), seed))
    return found


def _alone(
    found: Found,
    cohort: Cohort,
    clinics: Sequence[Records],
    together: Floats,
    note: Callable[[str, Error], None],
) -> None:
    """Each clinic's own training at the same ε, of its own further patients and of everybody's."""
    own, everybody, gains = np.empty_like(together), [], []
    for k, clinic in enumerate(clinics):
        parameters = train(Trainees.of([clinic]), Noise(EPSILON), found.seed * 100 + k)
        median = predict(parameters, cohort.judges.features).quantile(0.5)
        rows = slice(k * FURTHER, (k + 1) * FURTHER)
        own[rows] = median[rows]
        everybody.append(cohort.error(median))
        gains.append(cohort.error(median, k).pair - cohort.error(together, k).pair)
    note(ALONE_OWN, cohort.error(own))
    note(ALONE_BEST, min(everybody, key=lambda error: error.pair))
    found.worst_gain = min(gains)
