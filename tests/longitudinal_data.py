"""Published longitudinal data as clinics' records, and a question asked of them in rounds."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from cairn_models.answers import Answer
from cairn_models.questions import build
from cairn_models.questions.base import Question, SumNoise
from cairn_models.records import PATIENT_COLUMNS, SCORES, Records
from cairn_privacy.bound import PUBLIC_SCALE, exact_sum
from cairn_protocol.study import Study

ROOT = Path(__file__).parents[1]
JOB_LOSS = ROOT / "tests" / "data" / "alda" / "depression_unemployment.csv"
SHARED = ROOT.parent / "shared" / "data"
BTHEB = SHARED / "btheb" / "BtheB.csv"
PUBLISHED = SHARED / "published_checks.json"
needs_btheb = pytest.mark.skipif(
    not (BTHEB.exists() and PUBLISHED.exists()),
    reason="BtheB.csv (R package HSAUR3, not shipped) is not in ../shared/data/btheb",
)
STUDY = """
cairn = 1
name = "longitudinal"
title = "Published longitudinal data"
[outcome]
instrument = "{outcome}"
time_unit = "month"
[cohort]
planned_patients = 254
largest_clinic = 254
[privacy]
data = "{data}"
[variables.treatment]
levels = ["TAU", "BtheB"]
[variables.drug]
levels = ["No", "Yes"]
[variables.length]
levels = ["<6m", ">6m"]
[variables.bdi_pre]
lowest = 0
highest = 63
[[instruments]]
name = "unemployed"
lowest = 0
highest = 1
[[questions]]
name = "asked"
kind = "{kind}"
formula = "{formula}"
max_visits = 4
{more}
"""


def longitudinal_question(
    kind: str, formula: str, *, more: str = "", data: str = "public"
) -> Question[Any]:
    """A question on either data set; the formula's left side names the outcome."""
    outcome = formula.partition("~")[0].strip()
    text = STUDY.format(outcome=outcome, kind=kind, formula=formula, more=more, data=data)
    study = Study.parse(text.encode())
    return build(study.questions[0], study)


@cache
def job_loss() -> Records:
    """CES-D and being unemployed of 254 people at up to three interviews."""
    frame = pd.read_csv(JOB_LOSS)
    scores = [
        (f"{row.id:04d}", float(row.months), instrument, float(value))
        for row in frame.itertuples()
        for instrument, value in (("CES-D", row.depression), ("unemployed", row.unemployed))
    ]
    return records_of(pl.DataFrame({"patient": sorted({s[0] for s in scores})}), scores)


@cache
def beat_the_blues() -> Records:
    """BDI-II of 100 patients of a trial at up to four visits."""
    frame = pl.read_csv(BTHEB, infer_schema_length=None)
    patients = frame.select(
        pl.col("rownames").cast(pl.String).str.zfill(3).alias("patient"),
        "treatment",
        "drug",
        "length",
        pl.col("bdi.pre").cast(pl.Float64).alias("bdi_pre"),
    )
    months = {"bdi.2m": 2.0, "bdi.3m": 3.0, "bdi.5m": 5.0, "bdi.8m": 8.0}
    scores = [
        (f"{row['rownames']:03d}", month, "BDI-II", float(row[name]))
        for row in frame.to_dicts()
        for name, month in months.items()
        if row[name] is not None
    ]
    return records_of(patients, scores)


def records_of(patients: pl.DataFrame, scores: Sequence[Any]) -> Records:
    missing = {n: pl.lit(None, t) for n, t in PATIENT_COLUMNS.items() if n != "patient"}
    table = pl.DataFrame(list(scores), schema=SCORES, orient="row")
    return Records(patients.with_columns(**missing), table, time_unit="month")


def job_loss_with(**columns: Any) -> Records:
    """The job-loss records with other columns of `scores`."""
    whole = job_loss()
    return Records(whole.patients, whole.scores.with_columns(**columns), time_unit="month")


def first_visits() -> Records:
    """The job-loss records with one visit a patient."""
    whole = job_loss()
    first = whole.scores.group_by("patient", "instrument", maintain_order=True).head(1)
    return Records(whole.patients, first, time_unit="month")


def clinics_of(whole: Records, clinics: int) -> list[Records]:
    """The patients dealt out to clinics at random."""
    order = np.random.default_rng(clinics).permutation(len(whole))
    return [whole.only(whole.patients["patient"][order[k::clinics]]) for k in range(clinics)]


def asked(question: Question[Any], clinics: Sequence[Records]) -> Answer:
    """The answer from the exact sums of the door, round after round, as the server takes them."""
    public, total = question.start({}), np.zeros(question.shape.length)
    prepared = [question.prepare(clinic) for clinic in clinics]
    for round_ in range(question.shape.rounds):
        steps = sum(
            exact_sum(question.contributions(p, public), question.shape.length) for p in prepared
        )
        total = np.asarray(steps, dtype=np.float64) / PUBLIC_SCALE
        public = question.advance(public, total, round_)
        assert public.dtype == np.float32
        assert public.size == question.state_length
    return question.estimate(public, total, SumNoise(0.0))


def numbers(answer: Answer) -> dict[str, float]:
    return {e.name: e.value for e in answer.estimates if e.value is not None}


def printed(ours: float | None, digits: str) -> None:
    """Equal to the printed digits: half a unit of the last."""
    half = 0.5000001 * 10.0 ** -len(digits.partition(".")[2])
    assert ours == pytest.approx(float(digits), abs=half)
