"""No patient's values stop a clinic from answering: a refusal would show that the patient is there.

A hostile patient is put among others, every value of every table the worst that the schema allows.
"""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import polars as pl
import pytest

from cairn_models.questions.base import Question
from cairn_models.records import ENGAGEMENT, SCORES, WEARABLES, Records
from cairn_models.synthetic import World, generate
from every_kind import PATIENTS, built, first_state

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
ODD_LEVELS = PATIENTS.replace('["female", "male"]', '["female", "male", "999", ""]')
ASKED = built(ODD_LEVELS)


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
    found: dict[bytes, int] = {}
    for block in question.contributions(question.prepare(records), first_state(question, ASKED)):
        for row in block[block.any(axis=1)]:
            found[row.tobytes()] = found.get(row.tobytes(), 0) + 1
    return found
