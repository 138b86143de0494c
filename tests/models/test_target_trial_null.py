"""Immortal time makes an effect out of nothing; a target trial does not. And how well it covers."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from cairn_models.answers import Estimate
from cairn_models.questions.base import SumNoise
from cairn_models.records import Records
from cairn_models.trial_weights import Comparison, TrialWeights
from trial_cohorts import EFFECT, LANDMARK, RETENTION, SEQUENTIAL, answered, asked, null_cohort

DIFFERENCE = {EFFECT: "dmhi-waiting", RETENTION: "difference-dmhi-waiting"}
DESIGNS = {"landmark": LANDMARK, "sequential": SEQUENTIAL}
NOISE = 4.2 * np.sqrt(10 / 6)  # of each number: ε = 1, six of ten clinics honest, bound 1


@cache
def cohort() -> Records:
    return null_cohort(8000, seed=1)


def difference(kind: str, trial: str) -> Estimate:
    answer, _, _ = answered(asked(kind, trial), [cohort()])
    return next(e for e in answer.estimates if e.name == DIFFERENCE[kind])


def z(found: Estimate) -> float:
    assert found.value is not None
    assert found.standard_error is not None
    return found.value / found.standard_error


@pytest.mark.parametrize("kind", DIFFERENCE)
def test_as_recorded_a_programme_that_does_nothing_seems_to_do_much(kind: str) -> None:
    assert abs(z(difference(kind, ""))) > 10


@pytest.mark.parametrize("kind", DIFFERENCE)
@pytest.mark.parametrize("design", DESIGNS)
def test_in_a_target_trial_it_does_nothing(kind: str, design: str) -> None:
    assert abs(z(difference(kind, DESIGNS[design]))) < 2.5


def test_without_weights_sequential_trials_compare_different_times_of_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Person-trials summed as they are: who begins early is compared with who waited long."""

    def as_they_are(counts: Any, compared: Comparison) -> TrialWeights:
        each = np.ones_like(counts)
        each[:, compared.reference] = 1 / len(counts)
        return TrialWeights(each, np.sqrt(2.0))

    monkeypatch.setattr(TrialWeights, "of", staticmethod(as_they_are))
    assert abs(z(difference(EFFECT, SEQUENTIAL))) > 3


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize(("kind", "noise"), [(EFFECT, 0.0), (EFFECT, NOISE), (RETENTION, NOISE)])
def test_intervals_cover_and_err_to_the_wide_side(kind: str, noise: float, design: str) -> None:
    """Studies of 1,000 people drawn from a population, whose own difference is the truth.

    Reported standard errors take a person's trials for people of their own: never too small.
    """
    question = asked(kind, DESIGNS[design], data="patients")
    name, rng = DIFFERENCE[kind], np.random.default_rng(7)
    noise *= question.shape.bound * np.sqrt(question.shape.rounds)  # two rounds share the budget
    pool = question.prepare(cohort())
    truth = study(question, pool, 0.0, rng)[name].value
    size, told = len(cohort()), []
    for _ in range(250):
        drawn = tuple(taken(part, rng.integers(0, size, 1000)) for part in pool)
        found = study(question, drawn, noise, rng)[name]
        if found.value is not None:
            told.append((found.low <= truth <= found.high, found.value, found.standard_error))
    covered, values, errors = map(np.asarray, zip(*told, strict=True))
    assert len(told) > 225
    assert covered.mean() >= 0.93
    assert 0.93 < np.sqrt(np.mean(errors**2)) / values.std() < 1.4


def study(question: Any, prepared: Any, noise: float, rng: np.random.Generator) -> dict[str, Any]:
    state, total = question.start({}), np.zeros(question.shape.length)
    for round_ in range(question.shape.rounds):
        total = noise * rng.standard_normal(question.shape.length)
        for block in question.contributions(prepared, state):
            total = total + block.sum(axis=0)
        state = question.advance(state, total, round_)
    return {e.name: e for e in question.estimate(state, total, SumNoise(noise)).estimates}


def taken(thing: Any, rows: np.ndarray) -> Any:
    """The same prepared patients, those at `rows` only."""
    if isinstance(thing, np.ndarray):
        return thing[rows]
    if is_dataclass(thing):
        return replace(
            thing, **{f.name: taken(getattr(thing, f.name), rows) for f in fields(thing)}
        )
    return thing
