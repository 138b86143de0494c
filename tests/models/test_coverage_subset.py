"""A few hundred of the benchmark's studies: noised intervals hold the truth, naive ones do not."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.bench_coverage import PAIR, QUESTIONS
from benchmarks.effects_precision import widened
from benchmarks.studies_coverage import coverage
from benchmarks.studies_pool import CLINICS, Pool, population, study_of

from cairn_models.questions.base import SumNoise

PEOPLE, STUDIES = 6_000, 250
BAND = (0.89, 0.99)  # 95 % ± four standard errors of so many studies


@pytest.fixture(scope="module")
def records():
    return population(PEOPLE)


@pytest.mark.parametrize("asked", QUESTIONS)
def test_intervals_hold_the_truth_of_the_population(records, asked):
    pool = Pool.of(study_of(1000, asked, epsilon=1.0), records)
    names = tuple(QUESTIONS[asked])
    for name, found in coverage(pool, names, patients=1000, studies=STUDIES, seed=4).items():
        assert found.aware.shown == STUDIES, name
        assert BAND[0] <= found.aware.share <= BAND[1], (name, found.aware.share)
        assert found.naive.share < found.aware.share, name


def test_an_interval_that_forgets_the_noise_holds_it_in_two_of_three_studies_at_small_epsilon(
    records,
):
    pool = Pool.of(study_of(1000, 'kind = "effect"', epsilon=0.3), records)
    found = coverage(pool, (PAIR,), patients=1000, studies=STUDIES, seed=5)[PAIR]
    assert BAND[0] <= found.aware.share <= BAND[1]
    assert found.naive.share < 0.75


@pytest.mark.parametrize("asked", QUESTIONS)
def test_people_are_sent_within_the_bound_and_noised_as_the_terms_say(records, asked):
    pool = Pool.of(study_of(1000, asked, epsilon=1.0), records)
    assert (np.square(pool.rows).sum(axis=1) <= pool.noise.grid**2).all()
    assert np.std(pool.noises(400)) == pytest.approx(pool.sd, rel=0.05)
    assert np.std(pool.local.noises(400)) == pytest.approx(pool.local.sd, rel=0.05)
    assert pool.local.sd == pytest.approx(pool.sd * pool.noise.honest**0.5)
    assert pool.terms.noise_sd(CLINICS) == pool.sd


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ('kind = "effect"', PAIR),
        ('kind = "rates"', f"reliable_improvement-difference-{PAIR}"),
        ('kind = "rates"', f"reliable_deterioration-difference-{PAIR}"),
        ('kind = "retention"', f"difference-{PAIR}"),
    ],
)
def test_the_plan_foretells_the_noise_that_studies_find(records, asked, name):
    """Noise alone: what the plan takes for sampling depends on rates that nobody knows before."""
    pool = Pool.of(study_of(3000, asked, epsilon=1.0), records)
    (found,) = widened(pool, [name], patients=3000, studies=120, seed=6)
    (told,) = (e for e in pool.question.expected(SumNoise(pool.sd)) if e.name == name)
    assert found.planned == told.inflation
    assert 0.8 <= found.noise / told.noise <= 1.3
    assert found.measured < found.local
