"""What DP training is worth, on synthetic patients: error by horizon of model, prior and baselines.

Five clinics of 20 to 400 patients, ε = 2, δ = 1e-6, sums of which 4 of 5 clinics' noise counts.
Judged on further patients of the same clinics, which no study has, so sampling error is small.
Gradients are clipped and noised in floating point: this measures worth, not protection.
"""

from __future__ import annotations

import math
from time import process_time

import numpy as np
import polars as pl
import torch

from benchmarks.outcome import Outcome, Target
from cairn_models.baselines import error_by_horizon, last_value, ridge_oracle
from cairn_models.measures import INSTRUMENTS
from cairn_models.questions.trajectory import Trajectory
from cairn_models.records import Records
from cairn_models.synthetic import World, generate
from cairn_models.trajectory import artefact
from cairn_models.trajectory.features import Floats, Weekly, weekly
from cairn_models.trajectory.network import predict
from cairn_privacy.accounting import mu_for
from cairn_protocol.study import Study

SIZES = (20, 60, 140, 240, 400)
FURTHER = 4  # unseen patients of the same clinics for each one who trains
SEEDS = (10, 11, 12)
EPSILON, DELTA, HONEST_SHARE = 2.0, 1e-6, 4 / 5
PHQ9 = INSTRUMENTS["PHQ-9"]
TABLES = ("patients", "scores", "engagement", "wearables")
STUDY = f"""
cairn = 1
name = "bench"
title = "Synthetic"
synthetic = true
[outcome]
instrument = "PHQ-9"
[cohort]
planned_patients = {sum(SIZES)}
largest_clinic = 400
[[questions]]
name = "course"
kind = "trajectory"
epsilon = {EPSILON}
"""


def main() -> Outcome:
    """MAE in PHQ-9 points, the mean over 1, 2, 4 and 8 weeks, for each world and seed."""
    torch.set_num_threads(1)
    outcome = Outcome("trajectory")
    prior = artefact.read().parameters
    study = Study.parse(STUDY.encode())
    for name, world in (("default", World()), ("shifted", World.shifted())):
        gains, slowest = [], 0.0
        for seed in SEEDS:
            clinics, further = _clinics(world, seed)
            judged = weekly(further, PHQ9)
            start = process_time()
            private = _train(study, clinics, EPSILON, seed)
            slowest = max(slowest, process_time() - start)
            row = {
                "last value": _mae(last_value(judged), judged),
                "ridge, pooled, no privacy": float(
                    np.mean(list(ridge_oracle(_pool(clinics), further, study).values()))
                ),
                "prior": _mae(predict(prior, judged.features)[..., 1], judged),
                "epsilon 2": _mae(predict(private, judged.features)[..., 1], judged),
                "no noise": _mae(
                    predict(_train(study, clinics, None, seed), judged.features)[..., 1], judged
                ),
            }
            gains.append(row["prior"] - row["epsilon 2"])
            outcome.rows.append(
                {"world": name, "seed": seed} | {k: round(v, 3) for k, v in row.items()}
            )
        outcome.targets += [
            Target(f"{name}: mean gain over the prior, points", float(np.mean(gains)), ">=", 0.0),
            Target(f"{name}: CPU seconds of training", slowest, "<=", 20.0),
        ]
    return outcome


def _train(study: Study, clinics: list[Records], epsilon: float | None, seed: int) -> Floats:
    """(d,) parameters after all rounds of the question's default settings."""
    question = Trajectory(study.questions[0], study)
    shape, rng = question.shape, np.random.default_rng(seed)
    bound = float(shape.bound or 0)
    sd = 0.0
    if epsilon is not None:
        sd = math.sqrt(shape.rounds / HONEST_SHARE) / mu_for(epsilon, DELTA) * bound
    public, prepared = question.start({}), [question.prepare(clinic) for clinic in clinics]
    for round_ in range(shape.rounds):
        total = rng.normal(0, sd, shape.length) if sd else np.zeros(shape.length)
        for blocks in prepared:
            for rows in question.contributions(blocks, public):
                norm = np.linalg.norm(rows, axis=1, keepdims=True)
                total += (rows * np.minimum(1, bound / np.maximum(norm, 1e-12))).sum(axis=0)
        public = question.advance(public, total, round_)
    return public


def _clinics(world: World, seed: int) -> tuple[list[Records], Records]:
    """(the study's clinics, further patients of the same clinics)."""
    first, further = [], []
    for records, size in zip(
        generate(world, [(1 + FURTHER) * size for size in SIZES], seed=seed), SIZES, strict=True
    ):
        ids = records.patients.get_column("patient").to_list()
        first.append(_only(records, ids[:size]))
        further.append(_only(records, ids[size:]))
    return first, _pool(further)


def _only(records: Records, ids: list[str]) -> Records:
    keep = pl.col("patient").is_in(ids)
    return Records(*(getattr(records, table).filter(keep) for table in TABLES))


def _pool(clinics: list[Records]) -> Records:
    return Records(*(pl.concat([getattr(c, table) for c in clinics]) for table in TABLES))


def _mae(predicted: Floats, judged: Weekly) -> float:
    return float(np.mean(list(error_by_horizon(predicted, judged, PHQ9).values())))
