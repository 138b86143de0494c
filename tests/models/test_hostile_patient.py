"""No patient's values stop a clinic from answering: a refusal would show that the patient is there.

A hostile patient is put among others, every value of every table the worst that the schema allows.
"""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import polars as pl
import pytest

from cairn_models.questions import build
from cairn_models.questions.base import Question
from cairn_models.records import ENGAGEMENT, SCORES, WEARABLES, Records
from cairn_models.synthetic import World, generate
from cairn_protocol.study import Study

STUDY = """
cairn = 1
name = "hostile"
title = "A hostile patient"
[outcome]
instrument = "PHQ-9"
[cohort]
arms = ["waiting", "dmhi_unguided", "dmhi_guided"]
planned_patients = 40
largest_clinic = 40
[variables.sex]
levels = ["female", "male", "999", ""]
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
WHO = "zz-hostile"
NUMBERS = (
    *(float("nan"), float("inf"), -float("inf"), 1e300, -1e300, 5e-324, 9.3e18),
    *(None, 0.0, -0.0, 0.5, -0.5, 26.5, 3.0),
)
WEEKS = (None, 0, -1, 26, 27, 2**62, -(2**62))
WORDS = (None, "", "dmhi_guided", "waiting", "999", "-5", "²³", "٣٤", "१८-२५", "NaN", "0" * 400)
DATES = (None, datetime.date(1, 1, 1), datetime.date(9999, 12, 31))
NAMES = {
    "instrument": ("PHQ-9", "GAD-7", "", None),
    "measure": (
        "logins",
        "minutes",
        "modules",
        "offered",
        "started",
        "stopped",
        "completed",
        "credibility",
        "therapy_started",
        "stepped_up",
        "steps",
        "sleep_hours",
        "stepped_up",
        "therapy_started",
        None,
    ),
}
ASKED: dict[str, Question[Any]] = {
    spec.name: build(spec, study)
    for study in [Study.parse(STUDY.encode())]
    for spec in study.questions
}


def test_digits_of_another_script_in_an_age_are_no_age(others: Records) -> None:
    patients = hostile_rows(np.random.default_rng(0), others.patients.schema, 1)
    patients = patients.with_columns(age_band=pl.lit("٣٤-٤٠"))
    both = Records(pl.concat([others.patients, patients]), others.scores)
    assert len(ASKED["trajectory"].prepare(both)) == 1


@pytest.mark.parametrize("name", ASKED)
@pytest.mark.parametrize("seed", range(40))
def test_a_hostile_patient_is_answered_and_disturbs_nobody(
    name: str, seed: int, others: Records
) -> None:
    rng, question = np.random.default_rng(seed), ASKED[name]
    before, after = (
        counted(question, records) for records in (others, with_hostile(rng, others, rows=30))
    )
    assert all(after.get(row, 0) >= n for row, n in before.items())
    assert sum(after.values()) - sum(before.values()) <= 1


@pytest.fixture(scope="module")
def others() -> Records:
    return generate(World(), [6], seed=5)[0]


def with_hostile(rng: np.random.Generator, others: Records, rows: int) -> Records:
    tables = (others.patients, others.scores, others.engagement, others.wearables)
    schemas = (others.patients.schema, SCORES, ENGAGEMENT, WEARABLES)
    made = [
        pl.concat([table, hostile_rows(rng, schema, 1 if table is others.patients else rows)])
        for table, schema in zip(tables, schemas, strict=True)
    ]
    return Records(*made)


def hostile_rows(rng: np.random.Generator, schema: Any, rows: int) -> pl.DataFrame:
    kinds: dict[Any, tuple[Any, ...]] = {
        pl.String: WORDS,
        pl.Float64: NUMBERS,
        pl.Int64: WEEKS,
        pl.Date: DATES,
    }
    cells: dict[str, list[Any]] = {}
    for name, kind in schema.items():
        choices = NAMES.get(name, kinds[kind])
        cells[name] = [choices[int(rng.integers(len(choices)))] for _ in range(rows)]
    return pl.DataFrame(cells | {"patient": [WHO] * rows}, schema=schema)


def counted(question: Question[Any], records: Records) -> dict[bytes, int]:
    """Rows that are not zero, counted."""
    rng = np.random.default_rng(0)
    size = ASKED["trajectory"].state_length
    released = {
        f"{earlier}/{part}": rng.normal(0, 0.1, size).astype(np.float32)
        for earlier in question.builds_on
        for part in ("parameters", "prior")
    }
    found: dict[bytes, int] = {}
    for block in question.contributions(question.prepare(records), question.start(released)):
        for row in block[block.any(axis=1)]:
            found[row.tobytes()] = found.get(row.tobytes(), 0) + 1
    return found
