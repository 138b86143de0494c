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

from cairn_models.questions import KINDS
from cairn_models.questions.base import Question
from cairn_models.records import SCORES, Records
from cairn_models.synthetic import World, generate
from every_kind import PATIENTS, PUBLIC, built, first_state

ASKED = built(PATIENTS, PUBLIC)


def test_every_kind_is_here() -> None:
    assert {question.kind for question in ASKED.values()} == set(KINDS)


@pytest.fixture(scope="module")
def records() -> Records:
    return generate(World(), [10], seed=5)[0]


def rows(question: Question[Any], records: Records) -> np.ndarray:
    blocks = list(question.contributions(question.prepare(records), first_state(question, ASKED)))
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
    assert first_state(ASKED[name], ASKED).size == ASKED[name].state_length


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
