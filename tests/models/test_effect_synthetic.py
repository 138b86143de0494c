"""The effect question asked of synthetic clinics, whose truth is known."""

import numpy as np
import pytest

from cairn_models.questions import build
from cairn_models.questions.base import SumNoise
from cairn_models.synthetic import World, generate, true_effect
from cairn_protocol.study import Study

ARMS = ("waiting", "dmhi_unguided", "dmhi_guided")
EMPTY = np.zeros(0, dtype=np.float32)
STUDIES = 24


@pytest.fixture(scope="module")
def question():
    study = Study.parse(
        b"""
        cairn = 1
        name = "synthetic"
        title = "Synthetic"
        synthetic = true
        outcome = { instrument = "PHQ-9" }
        [cohort]
        arms = ["waiting", "dmhi_unguided", "dmhi_guided"]
        planned_patients = 860
        largest_clinic = 500
        [[questions]]
        name = "effect"
        kind = "effect"
        epsilon = 1.0
        """
    )
    return build(study.questions[0], study)


def total(question, clinics):
    return sum(
        (
            rows.sum(axis=0)
            for held in clinics
            for rows in question.contributions(question.prepare(held), EMPTY)
        ),
        np.zeros(question.shape.length),
    )


@pytest.fixture(scope="module")
def answers(question):
    """Answers of some synthetic studies of 860 patients in five clinics, with noise."""
    sd = 4.2 * question.shape.bound * np.sqrt(5 / 4)
    rng = np.random.default_rng(6)
    found = []
    for seed in range(STUDIES):
        clinics = generate(World(), [300, 250, 150, 100, 60], seed=seed, weeks=12)
        noise = rng.standard_normal(question.shape.length) * sd
        found.append(question.estimate(EMPTY, total(question, clinics) + noise, SumNoise(sd)))
    return found


def covered(answers, name, truth):
    estimates = [next(e for e in a.estimates if e.name == name) for a in answers]
    return sum(e.low <= truth <= e.high for e in estimates), np.mean([e.value for e in estimates])


@pytest.mark.parametrize("arm", ARMS[1:])
def test_the_interval_covers_its_estimand_in_a_large_synthetic_cohort(question, answers, arm):
    large = total(question, generate(World(), [100] * 200, seed=99, weeks=12))
    means = question.means(large, SumNoise(0.0))
    truth = float(means.mean[ARMS.index(arm)] - means.mean[0]) * question.limit
    hits, mean = covered(answers, f"{arm}-waiting", truth)
    assert hits >= STUDIES - 4  # P(5 misses or more of 24 at 5 %) is under 1 %
    assert mean == pytest.approx(truth, abs=0.35)


@pytest.mark.parametrize("arm", ARMS[1:])
def test_without_winsorising_it_covers_the_effect_under_full_follow_up(answers, arm):
    truth = true_effect(World(), 8, arm).points
    hits, mean = covered(answers, f"unwinsorised-{arm}-waiting", truth)
    assert hits >= STUDIES - 4
    # Completers flatter an arm a little, and 24 studies have a standard error of 0.1 points.
    assert mean == pytest.approx(truth, abs=0.6)
