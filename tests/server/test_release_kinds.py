"""Real answers of every kind at the gate: what is shown has enough people behind it, by a count."""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from cairn_models.questions.base import Question, SumNoise
from cairn_models.records import Records
from cairn_models.synthetic import World, generate
from cairn_server.points import estimates_in
from cairn_server.receipt import _check_disclosure
from every_kind import PATIENTS, built, first_state

ASKED = built(
    PATIENTS.replace("planned_patients = 40", "planned_patients = 4000").replace(
        "largest_clinic = 40", "largest_clinic = 4000"
    )
)
MANY = 800
UNTOLD = ("trajectory", "cut")  # which tells of no group, and whose groups are not in the cohort


@cache
def cohort(patients: int) -> Records:
    return next(iter(generate(World(), [patients], seed=3)))


def answered(question: Question[Any], patients: int, noise: float) -> Any:
    """The answer to the sums of so many patients, noised on every number."""
    rng, public = np.random.default_rng(0), first_state(question, ASKED)
    prepared = question.prepare(cohort(patients))
    for round_ in range(question.shape.rounds):
        blocks = question.contributions(prepared, public)
        total = sum((b.sum(axis=0) for b in blocks), np.zeros(question.shape.length))
        total += rng.normal(0.0, noise, total.size)
        if round_ + 1 < question.shape.rounds:
            public = question.advance(public, total, round_)
    return question.estimate(public, total, SumNoise(noise))


@pytest.mark.parametrize("patients", [60, MANY])
@pytest.mark.parametrize("name", sorted(ASKED))
def test_what_a_question_shows_passes_the_gate(name: str, patients: int) -> None:
    question = ASKED[name]
    answer = answered(question, patients, noise=2.0 * float(question.shape.bound or 1.0))
    sums = [SimpleNamespace(name=name, fewest=5)]
    _check_disclosure(SimpleNamespace(study=question.study, sums=sums), answer)
    drawn = [e for figure in answer.figures for e in estimates_in(figure)]
    if patients == MANY and name not in UNTOLD:
        assert any(e.value is not None for e in (*answer.estimates, *drawn))
