"""The purity rule over every kind of question: a patient's vector depends on that patient alone.

For each kind, removing any one patient changes no other patient's row and takes away at most one;
no row is longer than the bound; a patient full of impossible values disturbs nobody. A kind that
is not listed here fails the first test.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from cairn_models.questions import KINDS, build
from cairn_models.questions.base import Question
from cairn_models.records import SCORES, Records
from cairn_models.synthetic import World, generate
from cairn_protocol.study import Study

PATIENTS = """
cairn = 1
name = "purity"
title = "Purity"
[outcome]
instrument = "PHQ-9"
[cohort]
arms = ["waiting", "dmhi_unguided", "dmhi_guided"]
planned_patients = 40
largest_clinic = 40
[variables.sex]
levels = ["female", "male"]
[variables.deprivation]
lowest = -3
highest = 3
[[questions]]
name = "effect"
kind = "effect"
epsilon = 1
[[questions]]
name = "rates"
kind = "rates"
epsilon = 1
by = "sex"
[[questions]]
name = "retention"
kind = "retention"
epsilon = 1
[[questions]]
name = "programme"
kind = "retention"
event = "programme"
epsilon = 1
[[questions]]
name = "worse"
kind = "time_to_event"
epsilon = 1
[[questions]]
name = "stepped_up"
kind = "time_to_event"
event = "step_up"
epsilon = 1
[[questions]]
name = "logistic"
kind = "regression"
epsilon = 1
family = "logistic"
formula = "reliable_improvement ~ arm"
events_per_variable = 5
[[questions]]
name = "cut"
kind = "regression"
epsilon = 1
family = "logistic"
formula = "started ~ deprivation"
cut = { deprivation = [0] }
[[questions]]
name = "linear"
kind = "regression"
epsilon = 1
family = "linear"
formula = "outcome ~ baseline + arm"
[[questions]]
name = "hazard"
kind = "regression"
epsilon = 1
family = "hazard"
formula = "hazard ~ arm"
events_per_variable = 5
[[questions]]
name = "leaving"
kind = "regression"
epsilon = 1
family = "hazard"
event = "programme"
formula = "hazard ~ sex"
events_per_variable = 5
typical = 0.4
[[questions]]
name = "describe"
kind = "describe"
epsilon = 1
parts = [
    "score", "funnel", "variables", "quartiles", "course",
    "outcomes", "programme", "waits", "minutes",
]
[[questions]]
name = "trajectory"
kind = "trajectory"
epsilon = 2
rounds = 2
held_out = 0.4
[[questions]]
name = "error"
kind = "error"
epsilon = 1
model = "trajectory"
[[questions]]
name = "foretold"
kind = "effect"
epsilon = 1
adjust = "trajectory"
[[questions]]
name = "strata"
kind = "effect"
epsilon = 1
strata = "sex"
randomised = true
contrasts = "all"
"""
PUBLIC = """
cairn = 1
name = "purity-public"
title = "Purity"
[outcome]
instrument = "PHQ-9"
[cohort]
planned_patients = 40
largest_clinic = 40
[privacy]
data = "public"
[variables.sex]
levels = ["female", "male"]
[variables.deprivation]
lowest = -3
highest = 3
[[questions]]
name = "newton"
kind = "regression"
family = "hazard"
formula = "hazard ~ time + deprivation"
[[questions]]
name = "mixed"
kind = "mixed_model"
formula = "outcome ~ time + sex + (1 | patient)"
max_visits = 6
[[questions]]
name = "slopes"
kind = "mixed_model"
formula = "outcome ~ time + sex + (1 + time | patient)"
max_visits = 6
[[questions]]
name = "equations"
kind = "gee"
formula = "outcome ~ time + sex"
max_visits = 6
"""


def questions() -> dict[str, Question[Any]]:
    studies = [Study.parse(text.encode()) for text in (PATIENTS, PUBLIC)]
    return {spec.name: build(spec, study) for study in studies for spec in study.questions}


ASKED = questions()


def test_every_kind_is_here() -> None:
    assert {question.kind for question in ASKED.values()} == set(KINDS)


@pytest.fixture(scope="module")
def records() -> Records:
    return generate(World(), [10], seed=5)[0]


def public_state(question: Question[Any]) -> np.ndarray:
    if not question.builds_on:
        return question.start({})
    rng = np.random.default_rng(0)
    size = ASKED["trajectory"].state_length
    released = {
        f"{earlier}/{part}": rng.normal(0, 0.1, size).astype(np.float32)
        for earlier in question.builds_on
        for part in ("parameters", "prior")
    }
    return question.start(released)


def rows(question: Question[Any], records: Records) -> np.ndarray:
    blocks = list(question.contributions(question.prepare(records), public_state(question)))
    return np.concatenate([np.zeros((0, question.shape.length)), *blocks])


def as_set(values: np.ndarray) -> dict[bytes, int]:
    """Rows that are not zero, counted; their order is immaterial."""
    counted: dict[bytes, int] = {}
    for row in values:
        if row.any():
            counted[row.tobytes()] = counted.get(row.tobytes(), 0) + 1
    return counted


@pytest.mark.parametrize("name", sorted(ASKED))
def test_removing_a_patient_changes_no_other_row(name: str, records: Records) -> None:
    question = ASKED[name]
    everyone = as_set(rows(question, records))
    assert everyone, "the test has power only if somebody contributes"
    removed = 0
    for patient in records.patients["patient"]:
        rest = as_set(rows(question, records.without(patient)))
        gone = {row: n - rest.get(row, 0) for row, n in everyone.items() if n != rest.get(row, 0)}
        assert set(rest) <= set(everyone), f"{name}: another patient's row changed"
        assert sum(gone.values()) <= 1
        removed += sum(gone.values())
    assert removed == sum(everyone.values()), "each row is one patient's"


@pytest.mark.parametrize("name", sorted(ASKED))
def test_the_state_has_the_length_that_clinics_check(name: str) -> None:
    assert public_state(ASKED[name]).size == ASKED[name].state_length


@pytest.mark.parametrize("name", sorted(k for k in ASKED if ASKED[k].study.noised))
def test_rows_keep_the_bound_or_the_door_will_clip_them(name: str, records: Records) -> None:
    """Statistics keep their bound themselves; gradients are the door's to clip."""
    question = ASKED[name]
    norms = np.linalg.norm(rows(question, records), axis=1)
    assert np.isfinite(norms).all()
    if question.category != "train":
        assert question.shape.bound is not None
        assert norms.max() <= question.shape.bound * (1 + 1e-12)


HORRORS = (float("nan"), -float("inf"), 1e300)


@pytest.mark.parametrize("name", sorted(k for k in ASKED if ASKED[k].study.noised))
@pytest.mark.parametrize("horror", HORRORS)
def test_an_impossible_patient_disturbs_nobody(name: str, horror: float, records: Records) -> None:
    question = ASKED[name]
    before = as_set(rows(question, records))
    monster = records.patients.head(1).with_columns(patient=pl.lit("zz-monster"))
    scores = pl.DataFrame(
        {
            "patient": ["zz-monster"] * 6,
            "time": [0.0, 1.0, 4.0, 8.0, horror, 8.0],
            "instrument": ["PHQ-9"] * 6,
            "value": [horror, 3.0, horror, horror, 5.0, -horror],
        },
        schema=SCORES,
    )
    with_monster = Records(
        pl.concat([records.patients, monster]),
        pl.concat([records.scores, scores]),
        records.engagement,
        records.wearables,
    )
    after = as_set(rows(question, with_monster))
    assert before.items() <= after.items() or all(after.get(r, 0) >= n for r, n in before.items())
    assert sum(after.values()) - sum(before.values()) <= 1
