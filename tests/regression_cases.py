"""A synthetic cohort, its pooled rows, and regressions asked of it over clinics, for tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from cairn_models.answers import Answer
from cairn_models.questions.base import SumNoise
from cairn_models.questions.regression import Regression
from cairn_models.records import ENGAGEMENT, PATIENT_COLUMNS, SCORES, Records
from cairn_privacy.bound import PUBLIC_SCALE, exact_sum
from cairn_protocol.study import Study

ARMS = ("waiting", "dmhi_unguided", "dmhi_guided")
AGES = ("16-25", "26-45", "46+")
CLINICS = (1, 5, 20)
SCALES = ("PHQ-9", "GAD-7")
STUDY = """
cairn = 1
name = "simulated"
title = "Synthetic"
synthetic = true
[outcome]
instrument = "PHQ-9"
[cohort]
arms = ["waiting", "dmhi_unguided", "dmhi_guided"]
planned_patients = 400
largest_clinic = 400
[privacy]
data = "public"
[variables.age_band]
levels = ["16-25", "26-45", "46+"]
[variables.sex]
levels = ["female", "male"]
[variables.age]
lowest = 16
highest = 99
[[questions]]
name = "who"
kind = "regression"
"""


def regression(more: str, study: str = STUDY) -> Regression:
    parsed = Study.parse((study + more).encode())
    return Regression(parsed.questions[0], parsed)


def simulated(patients: int = 400, seed: int = 3) -> Records:
    rng = np.random.default_rng(seed)
    people, scores, used = [], [], []
    for i in range(patients):
        who = f"s{i:04d}"
        arm = str(rng.choice(ARMS))
        age, sex = str(rng.choice(AGES)), str(rng.choice(["female", "male"]))
        years = float(rng.integers(16, 99))
        people.append((who, arm if i % 17 else None, None, age if i % 23 else "?", sex, years))
        gain = {"waiting": 1.0, "dmhi_unguided": 3.0, "dmhi_guided": 5.0}[arm] + (age == "46+")
        for name, top, start in (("PHQ-9", 27, 15), ("GAD-7", 21, 12)):
            first = float(np.clip(start + 5 * rng.normal(), 0, top))
            last = float(np.clip(first - gain + 4.5 * rng.normal(), 0, top))
            scores.append((who, 0.0, name, first))
            if i % 11:
                scores.append((who, 8.0 + float(rng.uniform(-1, 1)), name, last))
        if rng.random() < 0.8:
            used.append((who, 0.0, "started", 1.0))
            end = float(rng.exponential(8.0 + 3 * (arm == "dmhi_guided"))) + 0.05
            how = str(rng.choice(["stopped", "completed", "logins"], p=[0.6, 0.3, 0.1]))
            used.append((who, end, how, 1.0))
    schema = {**PATIENT_COLUMNS, "age_band": pl.String, "sex": pl.String, "age": pl.Float64}
    return Records(
        pl.DataFrame(people, schema=schema, orient="row"),
        pl.DataFrame(scores, schema=SCORES, orient="row"),
        pl.DataFrame(used, schema=ENGAGEMENT, orient="row"),
    )


def split(records: Records, clinics: int) -> list[Records]:
    names = records.patients["patient"]
    return [records.only(names.gather_every(clinics, k)) for k in range(clinics)]


def over(asked: Regression, clinics: Sequence[Records]) -> Answer:
    """The answer from the integer sums of every round, as the engine adds them."""
    public = asked.start({})
    for round_ in range(asked.shape.rounds):
        steps = np.zeros(asked.shape.length, dtype=np.int64)
        for clinic in clinics:
            blocks = list(asked.contributions(asked.prepare(clinic), public))
            steps += exact_sum(blocks, asked.shape.length)
        total = steps / PUBLIC_SCALE
        if round_ + 1 < asked.shape.rounds:
            public = asked.advance(public, total, round_)
    return asked.estimate(public, total, SumNoise(0.0))


def pooled(records: Records) -> pd.DataFrame:
    """One row a patient with what statsmodels needs, by pandas alone."""
    scores = pd.DataFrame(records.scores.to_dicts())
    wide = {
        (name, late): part.groupby("patient")["value"].first()
        for name in SCALES
        for late in (False, True)
        for part in [scores[(scores["instrument"] == name) & ((scores["time"] > 1) == late)]]
    }
    frame = pd.DataFrame(records.patients.drop("entry").to_dicts()).set_index("patient")
    frame["baseline"], frame["outcome"] = wide["PHQ-9", False], wide["PHQ-9", True]
    frame["change"] = frame["outcome"] - frame["baseline"]
    first = np.floor(
        np.stack([wide[n, False].reindex(frame.index) for n in ("PHQ-9", "GAD-7")], 1) + 0.5
    )
    last = np.floor(
        np.stack([wide[n, True].reindex(frame.index) for n in ("PHQ-9", "GAD-7")], 1) + 0.5
    )
    fell, rose = first - last >= [6, 4], last - first >= [6, 4]
    better = fell.any(1) & ~rose.any(1)
    case = (first >= [10, 8]).any(1)
    well = (last < [10, 8]).all(1)
    known = np.isfinite(last).all(1)
    frame["reliable_improvement"] = np.where(known, better, np.nan)
    frame["reliable_recovery"] = np.where(known & case, better & well, np.nan)
    frame["arm"] = pd.Categorical(frame["arm"], categories=ARMS)
    frame["age_band"] = pd.Categorical(frame["age_band"].replace("?", None), categories=AGES)
    frame["sex"] = pd.Categorical(frame["sex"], categories=["female", "male"])
    return frame


def agrees(answer: Answer, fitted: Any, names: Sequence[str] | None = None) -> None:
    found = {e.name: e for e in answer.estimates}
    interval = fitted.conf_int()
    for name in names or fitted.params.index:
        e = found[name]
        assert e.value == pytest.approx(fitted.params[name], rel=1e-6, abs=1e-9)
        assert e.standard_error == pytest.approx(fitted.bse[name], rel=1e-6)
        assert e.low == pytest.approx(interval.loc[name, 0], rel=1e-6, abs=1e-6)
        assert e.high == pytest.approx(interval.loc[name, 1], rel=1e-6, abs=1e-6)
