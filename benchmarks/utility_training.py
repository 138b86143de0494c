"""`train`: the shipped question's default training, clipped and noised in floating point.

It measures worth, not protection: the same clip, sum, noise variance and server steps as clinics
and server take, without the integer grid, masks and ledger.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.utility_clinics import PHQ9, pool
from cairn_models.baselines import PrivateRidge, Ridge
from cairn_models.questions.trajectory import Trajectory
from cairn_models.records import Records
from cairn_models.trajectory.dp_gradient import Block
from cairn_models.trajectory.features import weekly
from cairn_models.trajectory.placing import Floats
from cairn_privacy.accounting import sigma_for
from cairn_protocol.policy import Policy
from cairn_protocol.study import Study
from cairn_server.safe_policy import safe_policy

DELTA = 1e-6
STUDY = """
cairn = 1
name = "bench"
title = "Synthetic"
synthetic = true
[outcome]
instrument = "PHQ-9"
[cohort]
planned_patients = {patients}
largest_clinic = {patients}
{data}
[[questions]]
name = "course"
kind = "trajectory"
held_out = 0.0
"""
PUBLIC = '[privacy]\ndata = "public"'


@dataclass(frozen=True)
class Noise:
    """ε of the whole training, and by how much all clinics' noise exceeds what is counted on.

    `excess` is √(n/h): n clinics add σ²C²/h each. A clinic alone, whose noise is all its own, has
    1; local noise, of which no other clinic's counts, √n.
    """

    epsilon: float
    excess: float = 1.0

    @classmethod
    def of(cls, epsilon: float, clinics: int) -> Noise:
        """Of the policy for so many clinics that `cairn study new` writes."""
        return cls(epsilon, math.sqrt(clinics / safe_policy(clinics).honest))

    @classmethod
    def local(cls, epsilon: float, clinics: int) -> Noise:
        """h = 1."""
        return cls(epsilon, math.sqrt(clinics))

    def sd(self, bound: float, rounds: int = 1) -> float:
        """Standard deviation of every number of a round's sum."""
        return sigma_for(self.epsilon, DELTA, rounds) * bound * self.excess

    def epsilon_of(self, policy: Policy) -> float:
        """ε at which a study with `policy` has as much noise: what its question reckons with."""
        return self.epsilon * math.sqrt(policy.clinics / policy.honest) / self.excess


@dataclass(frozen=True)
class Trainees:
    """Patients in blocks, as clinics hold them, and how many they are.

    Sums over clinics are sums over patients, so several clinics' patients may share blocks.
    """

    blocks: tuple[Block, ...]
    patients: int

    @classmethod
    def of(cls, clinics: Sequence[Records]) -> Trainees:
        """The patients of `clinics`; all of them train."""
        together = pool(clinics)
        return cls(_question(len(together)).prepare(together), len(together))


def train(who: Trainees, noise: Noise | None, seed: int) -> Floats:
    """(d,) parameters after all rounds of the question's default settings."""
    question, rng = _question(who.patients, noise), np.random.default_rng(seed)
    shape = question.shape
    bound = float(shape.bound or 0)
    sd = noise.sd(bound, shape.rounds) if noise else 0.0
    public = question.start({})
    for round_ in range(shape.rounds):
        total = rng.normal(0.0, sd, shape.length)
        for rows in question.contributions(who.blocks, public):
            total += _clipped(rows, bound).sum(axis=0)
        public = question.advance(public, total, round_)
    return question.space.parameters(np.asarray(public, dtype=np.float32))


def ridge(clinics: Sequence[Records], noise: Noise, seed: int) -> Ridge:
    """The regression from noised sums."""
    sd = noise.sd(PrivateRidge.bound)
    total = np.random.default_rng(seed).normal(0.0, sd, PrivateRidge.length)
    return PrivateRidge.solve(
        total + PrivateRidge.vectors(weekly(pool(clinics), PHQ9)).sum(axis=0), sd
    )


def _question(patients: int, noise: Noise | None = None) -> Trajectory:
    """The shipped question, which reckons with the noise that there is."""
    data = "" if noise else PUBLIC
    text = STUDY.format(patients=patients, data=data)
    if noise:
        text += f"epsilon = {noise.epsilon_of(Policy())}\n"
    study = Study.parse(text.encode())
    return Trajectory(study.questions[0], study)


def _clipped(rows: NDArray[np.float64], bound: float) -> NDArray[np.float64]:
    norm = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows * np.minimum(1.0, bound / np.maximum(norm, 1e-12)))
