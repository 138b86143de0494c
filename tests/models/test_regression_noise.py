"""Intervals of regressions with noise: coverage over simulated studies, and the door's own noise.

Studies are simulated at the level of the sum: counts are drawn, noise is added, as at ε = 1 with
six of ten clinics honest (5.45 bounds). Every cell's model is known, so is the truth.
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit

from cairn_models.questions.base import SumNoise
from cairn_models.questions.regression import Regression
from cairn_models.regression.fitted import Fitted
from cairn_models.synthetic import World, generate
from cairn_privacy.bound import bounded_sum, saturate
from cairn_privacy.noise import add_noise
from cairn_privacy.question_terms import QuestionTerms
from cairn_protocol.study import Study

PEOPLE, STUDIES, SIGMA = 3000, 250, 5.45
EMPTY = np.zeros(0, dtype=np.float32)
STUDY = """
cairn = 1
name = "noise"
title = "Noise"
synthetic = true
outcome = { instrument = "PHQ-9" }
policy = { clinics = 5, survivors = 5, threshold = 5, colluding = 1 }
[cohort]
arms = ["waiting", "dmhi_guided"]
planned_patients = 3000
largest_clinic = 3000
[variables.age_band]
levels = ["16-25", "26-45", "46+"]
[variables.sex]
levels = ["female", "male"]
[[questions]]
name = "who"
kind = "regression"
epsilon = 1.0
"""
Array = NDArray[np.float64]


def asked(more: str) -> Regression:
    study = Study.parse((STUDY + more).encode())
    return Regression(study.questions[0], study)


def covered(fits: list[Fitted], truth: Array) -> Array:
    """In how many studies each interval held the truth."""
    assert all(fit.told.all() for fit in fits)
    within = [np.abs(f.beta - truth) < 1.96 * f.standard_errors for f in fits]
    return np.asarray(np.mean(within, axis=0))


def test_logistic_intervals_cover_with_noise() -> None:
    question = asked('family = "logistic"\nformula = "reliable_improvement ~ arm + age_band"')
    family, plan = question.family, question.plan
    x, _ = plan.rows()
    truth = np.array([-0.8, 0.7, 0.3, -0.4])
    mix = np.array([1.0, 1.5, 0.6, 0.8, 1.2, 0.7]) / 5.8
    risks = [mix @ expit(plan.with_arm(arm) @ truth) for arm in (0, 1)]
    rng = np.random.default_rng(11)
    fits, gaps = [], []
    for _ in range(STUDIES):
        n = rng.multinomial(PEOPLE, mix)
        had = rng.binomial(n, expit(x @ truth))
        total = np.stack([n - had, had], axis=1).ravel() + rng.normal(
            0, SIGMA, question.shape.length
        )
        told = family.told(EMPTY, total, SIGMA)
        fits.append(told.fitted)
        gap = told.differences[1]
        reach = 1.96 * np.sqrt(gap.sampling + gap.noise)
        gaps.append(abs(gap.value - (risks[1] - risks[0])) < reach)
    assert 0.93 < covered(fits, truth).mean() < 0.97
    assert 0.915 < np.mean(gaps) < 0.98  # ± 2 standard errors of 250 studies around 0.95


@pytest.mark.parametrize("link", ["logit", "cloglog"])
def test_hazard_intervals_cover_with_noise(link: str) -> None:
    question = asked(
        'family = "hazard"\nevent = "programme"\nends = [2, 4, 6, 8]\n'
        f'formula = "hazard ~ 0 + time + arm"\nlink = "{link}"'
    )
    family, intervals = question.family, question.intervals
    x, _ = question.plan.rows(4)
    truth = np.array([-1.8, -2.2, -2.4, -2.0, -0.5])
    eta = (x @ truth).reshape(2, 4)
    hazard = expit(eta) if link == "logit" else -np.expm1(-np.exp(eta))
    rng = np.random.default_rng(12)
    fits = []
    for _ in range(STUDIES):
        tables = np.zeros((2, intervals.cells))
        for c in range(2):
            left = PEOPLE // 2
            for k in range(4):
                with_event = rng.binomial(left, hazard[c, k])
                otherwise = rng.binomial(left - with_event, 0.05)
                tables[c, 2 * k : 2 * k + 2] = with_event, otherwise
                left -= with_event + otherwise
            tables[c, -1] = left
        total = (tables @ family.shaping.seen.T).ravel()
        total = total + rng.normal(0, SIGMA, total.shape)
        fits.append(family.told(EMPTY, total, SIGMA).fitted)
    assert 0.93 < covered(fits, truth).mean() < 0.97


def test_linear_intervals_cover_with_noise() -> None:
    question = asked('family = "linear"\nformula = "change ~ arm + baseline"\nlimit = 15')
    family = question.family
    sd = SIGMA * question.shape.bound
    truth = np.array([1.0, -2.0, -0.3])
    rng = np.random.default_rng(13)
    fits = []
    for _ in range(STUDIES):
        arm = rng.integers(0, 2, PEOPLE)
        baseline = rng.uniform(5, 25, PEOPLE)
        y = truth[0] + truth[1] * arm + truth[2] * baseline + rng.uniform(-5, 5, PEOPLE)
        residual = y - family.slopes[0] * baseline
        t = (np.stack([baseline, residual], axis=1) - family.middle) / family.half
        assert np.abs(t).max() <= 1
        total = family.coding.rows(arm, t).sum(axis=0) + rng.normal(0, sd, question.shape.length)
        fits.append(family.told(EMPTY, total, sd).fitted)
    assert 0.93 < covered(fits, truth).mean() < 0.97


@pytest.mark.parametrize(
    ("more", "sd"),
    [
        ('family = "logistic"\nformula = "reliable_improvement ~ arm*age_band"', 6.0),
        (
            'family = "hazard"\nlink = "cloglog"\nends = [4, 8]\nformula = "hazard ~ time + arm"',
            9.0,
        ),
        ('family = "linear"\nformula = "outcome ~ arm + baseline"', 7.0),
    ],
)
def test_the_bias_that_noise_makes_is_taken_off(more: str, sd: float) -> None:
    """Each noise with its mirror image: what is left of the error is of second order.

    Without the correction the worst coefficient is 6 and more standard errors off.
    """
    question = asked(more)
    family = question.family
    rng = np.random.default_rng(14)
    if question.settings.family == "linear":
        t = rng.uniform(-0.8, 0.8, (1200, 2))
        t[:, 1] = 0.5 * t[:, 0] + 0.5 * t[:, 1]
        clean = family.coding.rows(rng.integers(0, 2, 1200), t).sum(axis=0)
    elif question.settings.family == "logistic":
        clean = np.stack([rng.uniform(150, 250, 6), rng.uniform(40, 150, 6)], axis=1).ravel()
    else:
        table = np.array([[120.0, 60.0, 320.0], [60.0, 60.0, 380.0]])
        clean = (table @ family.shaping.seen.T).ravel()
    truth = family.told(EMPTY, clean, 0.0).fitted.beta
    pairs = []
    for _ in range(160):
        noise = rng.normal(0, sd, clean.shape)
        both = [family.told(EMPTY, clean + e, sd).fitted for e in (noise, -noise)]
        if all(f.told.all() for f in both):
            pairs.append((both[0].beta + both[1].beta) / 2 - truth)
    assert len(pairs) > 150
    off = np.mean(pairs, axis=0) / (np.std(pairs, axis=0) / np.sqrt(len(pairs)))
    assert np.abs(off).max() < 3.5


def test_the_standard_error_of_the_plan_is_that_of_a_study_like_it() -> None:
    """`foretold` and `told` agree where the sums are those that the plan expects."""
    for more in (
        'family = "logistic"\nformula = "reliable_improvement ~ arm + sex"',
        'family = "hazard"\nformula = "hazard ~ time + arm"',
        'family = "linear"\nformula = "outcome ~ arm + sex"',
        'family = "linear"\nformula = "outcome ~ arm + baseline"',
        'family = "linear"\nformula = "change ~ arm + baseline"\nlimit = 10',
    ):
        question = asked(more)
        sd = SIGMA * question.shape.bound
        plan = {e.name: e for e in question.expected(SumNoise(sd))}
        rng = np.random.default_rng(15)
        records = generate(World(), [600] * 2, seed=8, weeks=14)
        total = sum(
            (
                block.sum(axis=0)
                for r in records
                for block in question.contributions(question.prepare(r), EMPTY)
            ),
            np.zeros(question.shape.length),
        ) * (3000 / 1200) + rng.normal(0, sd, question.shape.length)
        answer = question.estimate(EMPTY, total, SumNoise(sd))
        for e in answer.estimates:
            if e.name in plan and e.value is not None and e.name.startswith(("arm", "sex")):
                ratio = e.standard_error / plan[e.name].standard_error
                assert 0.6 < ratio < 1.6, (more, e.name)


def test_the_grid_costs_nothing_and_the_noise_scatters_as_the_interval_says() -> None:
    """With a clinic's real clipping, grid and noise."""
    question = asked('family = "logistic"\nformula = "reliable_improvement ~ arm + sex"')
    terms = QuestionTerms.of(question.study, question.spec, question.shape, 5)
    scale, noise = terms.scale, terms.noise
    records = generate(World(), [300] * 5, seed=6, weeks=12)
    rows = [list(question.contributions(question.prepare(r), EMPTY)) for r in records]
    steps = [bounded_sum(b, question.shape.length, scale.bound, noise.grid) for b in rows]
    exact = sum((b.sum(axis=0) for blocks in rows for b in blocks), np.zeros(question.shape.length))
    np.testing.assert_array_equal(sum(steps) * scale.step, exact)
    clean = question.family.told(EMPTY, exact, 0.0).fitted.beta
    scores = []
    for _ in range(120):
        total = sum(add_noise(saturate(s, scale.clamp), noise) for s in steps) * scale.step
        fit = question.family.told(EMPTY, total, terms.sum_sd).fitted
        if fit.told.all():
            scores.append((fit.beta - clean) / np.sqrt(np.diag(fit.noise)))
    assert len(scores) > 100
    # variance of 120 standard normals: 1 ± 0.13 (one standard error)
    assert (np.abs(np.mean(scores, axis=0)) < 4 / np.sqrt(len(scores))).all()
    assert (np.var(scores, axis=0) > 0.5).all()
    assert (np.var(scores, axis=0) < 1.6).all()
