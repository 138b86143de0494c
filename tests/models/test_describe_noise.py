"""The describe question with a clinic's real clipping, grid and noise, and nothing simulated."""

from __future__ import annotations

import numpy as np
import pytest

from cairn_models.questions import build
from cairn_models.questions.base import SumNoise
from cairn_models.questions.describe import Describe
from cairn_models.synthetic import World, generate
from cairn_privacy.bound import bounded_sum, saturate
from cairn_privacy.noise import add_noise
from cairn_privacy.question_terms import QuestionTerms
from cairn_protocol.study import Study

CLINICS, TRIALS = 5, 250
EMPTY = np.zeros(0, dtype=np.float32)
STUDY = b"""
cairn = 1
name = "noise"
title = "Noise"
synthetic = true
outcome = { instrument = "PHQ-9" }
policy = { clinics = 5, survivors = 5, threshold = 5, colluding = 1 }
variables.sex = { levels = ["female", "male"] }
[cohort]
arms = ["waiting", "dmhi_guided"]
planned_patients = 1000
largest_clinic = 300
[[questions]]
name = "who"
kind = "describe"
epsilon = 1.0
"""
NAMES = ("baseline-mean-waiting", "funnel-week-8-waiting", "entered-waiting", "sex-female-waiting")


def numbers(question, total, sd):
    answer = question.estimate(EMPTY, total, SumNoise(sd))
    return [next(e for e in answer.estimates if e.name == name) for name in NAMES]


def scored(seen, truth):
    if seen.suppressed:
        return np.nan
    return (seen.value - truth) / (seen.standard_error * np.sqrt(seen.noise_share))


@pytest.fixture(scope="module")
def asked():
    study = Study.parse(STUDY)
    question = build(study.questions[0], study)
    assert isinstance(question, Describe)
    terms = QuestionTerms.of(study, question.spec, question.shape, CLINICS)
    held = generate(World(), [200] * CLINICS, seed=6, weeks=12)
    rows = [list(question.contributions(question.prepare(r), EMPTY)) for r in held]
    return question, terms, rows


def test_the_grid_costs_little_and_the_noise_scatters_as_the_interval_says(asked):
    question, terms, rows = asked
    shape, noise, scale = question.shape, terms.noise, terms.scale
    steps = [bounded_sum(blocks, shape.length, scale.bound, noise.grid) for blocks in rows]
    exact = sum((b.sum(axis=0) for blocks in rows for b in blocks), np.zeros(shape.length))
    clean = numbers(question, exact, 0.0)
    on_grid = numbers(question, sum(steps) * scale.step, 0.0)
    for one, other in zip(clean, on_grid, strict=True):
        assert one.value == pytest.approx(other.value, rel=2e-4)
    scores = []
    for _ in range(TRIALS):
        total = sum(add_noise(saturate(s, scale.clamp), noise) for s in steps) * scale.step
        scores.append(
            [
                scored(seen, true.value)
                for seen, true in zip(numbers(question, total, terms.sum_sd), clean, strict=True)
            ]
        )
    # a level beside one that the noise brought below ten patients is withheld, once in 3,000 draws
    assert np.isnan(scores).sum() <= 3
    # variance of 250 standard normals: 1 ± 0.09 (one standard error)
    assert (np.abs(np.nanmean(scores, axis=0)) < 4 / np.sqrt(TRIALS)).all()
    assert (np.nanvar(scores, axis=0) > 0.64).all()
    assert (np.nanvar(scores, axis=0) < 1.4).all()
