"""The effect question with a clinic's real clipping, grid and noise, and nothing simulated."""

import datetime as dt

import numpy as np
import polars as pl
import pytest

from cairn_models.questions import build
from cairn_models.questions.base import SumNoise
from cairn_models.records import SCORES, Records
from cairn_privacy.bound import bounded_sum, saturate
from cairn_privacy.noise import add_noise
from cairn_privacy.question_terms import QuestionTerms
from cairn_protocol.study import Study

CLINICS, PATIENTS, TRIALS = 5, 600, 250
EMPTY = np.zeros(0, dtype=np.float32)
STUDY = b"""
cairn = 1
name = "noise"
title = "Noise"
outcome = { instrument = "PHQ-9" }
policy = { clinics = 5, survivors = 5, threshold = 5, colluding = 1 }
[cohort]
arms = ["waiting", "dmhi_guided"]
planned_patients = 600
largest_clinic = 300
[[questions]]
name = "effect"
kind = "effect"
epsilon = 1.0
"""


def clinic(number: int) -> Records:
    rng = np.random.default_rng(number)
    count = PATIENTS // CLINICS
    names = [f"synthetic-{number}-{i}" for i in range(count)]
    arms = ["waiting" if i % 2 else "dmhi_guided" for i in range(count)]
    first = np.clip(rng.normal(15, 5, count), 0, 27)
    last = np.clip(first - 3 - 2 * (np.arange(count) % 2 == 0) + rng.normal(0, 4, count), 0, 27)
    scores = {
        "patient": names * 2,
        "time": [0.0] * count + [8.0] * count,
        "instrument": ["PHQ-9"] * (2 * count),
        "value": np.concatenate([first, last]),
    }
    patients = pl.DataFrame({"patient": names, "arm": arms})
    return Records(
        patients.with_columns(pl.lit(dt.date(2026, 1, 1)).alias("entry")),
        pl.DataFrame(scores, schema=SCORES),
    )


@pytest.fixture(scope="module")
def asked():
    study = Study.parse(STUDY)
    question = build(study.questions[0], study)
    terms = QuestionTerms.of(study, question.spec, question.shape, CLINICS)
    rows = [
        list(question.contributions(question.prepare(clinic(k)), EMPTY)) for k in range(CLINICS)
    ]
    return question, terms, rows


def contrast(question, total, sd):
    answer = question.estimate(EMPTY, total, SumNoise(sd))
    return next(e for e in answer.estimates if e.name == "dmhi_guided-waiting")


def test_the_grid_costs_nothing_and_the_noise_scatters_as_the_interval_says(asked):
    question, terms, rows = asked
    shape, noise, scale = question.shape, terms.noise, terms.scale
    steps = [bounded_sum(blocks, shape.length, scale.bound, noise.grid) for blocks in rows]
    exact = sum((b.sum(axis=0) for blocks in rows for b in blocks), np.zeros(shape.length))
    clean = contrast(question, exact, 0.0)
    gridded = contrast(question, sum(steps) * scale.step, 0.0)
    assert gridded.value == pytest.approx(clean.value, abs=1e-3)

    scores = []
    for _ in range(TRIALS):
        total = sum(add_noise(saturate(s, scale.clamp), noise) for s in steps) * scale.step
        seen = contrast(question, total, terms.sum_sd)
        scores.append(
            (seen.value - clean.value) / (seen.standard_error * np.sqrt(seen.noise_share))
        )
    # variance of 250 standard normals: 1 ± 0.09 (one standard error)
    assert abs(np.mean(scores)) < 4 / np.sqrt(TRIALS)
    assert 0.64 < np.var(scores) < 1.4


def test_the_planned_error_is_near_the_one_that_is_found(asked, monkeypatch):
    monkeypatch.setattr("cairn_models.questions.effect.ASSESSED", 1.0)  # as everybody is here
    question, terms, rows = asked
    exact = sum((b.sum(axis=0) for blocks in rows for b in blocks), np.zeros(question.shape.length))
    found = contrast(question, exact, terms.sum_sd)
    planned = question.expected(SumNoise(terms.sum_sd))[0]
    assert planned.name == found.name
    assert planned.standard_error == pytest.approx(found.standard_error, rel=0.25)
    assert 0.05 < planned.inflation < 0.4
