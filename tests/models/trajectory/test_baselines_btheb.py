"""'Beat the Blues', public: the whole training without noise against the last value, n = 100.

Five clinics of 20, each left out in turn; who is left out is foretold at each visit from the visits
before. The network counts 26 weeks and foretells 1, 2, 4, 8 and 12 weeks ahead; between them its
medians are joined by straight lines, beyond twelve the last holds. Months are counted as four weeks
here, so that all visits but the last are within the weeks and a horizon apart: see the page.
"""

from __future__ import annotations

import csv
import itertools
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from cairn_models.measures import INSTRUMENTS
from cairn_models.questions import build
from cairn_models.records import PATIENT_COLUMNS, SCORES, Records
from cairn_models.trajectory.columns import HORIZONS
from cairn_models.trajectory.features import weekly
from cairn_models.trajectory.network import predict
from cairn_protocol.study import Study

ROOT = Path(__file__).parents[3]
SOURCE = ROOT.parent / "shared" / "data" / "btheb" / "BtheB.csv"
BDI = INSTRUMENTS["BDI-II"]
CLINICS, WEEKS_A_MONTH = 5, 4
VISITS = {"bdi.pre": 0, "bdi.2m": 2, "bdi.3m": 3, "bdi.5m": 5, "bdi.8m": 8}
ARMS = {"TAU": "treatment_as_usual", "BtheB": "dmhi_guided"}
STUDY = """
cairn = 1
name = "btheb"
title = "Beat the Blues"
[outcome]
instrument = "BDI-II"
[privacy]
data = "public"
[cohort]
planned_patients = 80
largest_clinic = 20
[[questions]]
name = "course"
kind = "trajectory"
held_out = 0.0
"""
pytestmark = pytest.mark.skipif(
    not SOURCE.exists(),
    reason="BtheB.csv (R package HSAUR3, not shipped) is not in ../shared/data/btheb",
)


def clinic(number: int) -> list[dict[str, str]]:
    """Every fifth row, as examples/btheb deals them."""
    with SOURCE.open() as file:
        return list(csv.DictReader(file))[number::CLINICS]


def score(row: dict[str, str], visit: str) -> float:
    return float(row[visit]) if row[visit] not in ("", "NA") else float("nan")


def records(rows: list[dict[str, str]]) -> Records:
    people = [
        (f"{int(r['rownames']):03d}", ARMS[r["treatment"]], None, r["drug"].lower()) for r in rows
    ]
    scores = [
        (f"{int(r['rownames']):03d}", float(WEEKS_A_MONTH * month), BDI.name, score(r, visit))
        for r in rows
        for visit, month in VISITS.items()
        if np.isfinite(score(r, visit))
    ]
    return Records(
        pl.DataFrame(people, schema={**PATIENT_COLUMNS, "medication": pl.String}, orient="row"),
        pl.DataFrame(scores, schema=SCORES, orient="row"),
    )


def trained(clinics: list[Records]) -> np.ndarray:
    """The question's own rounds over public clinics: clipped to C, summed, no noise."""
    study = Study.parse(STUDY.encode())
    question = build(study.questions[0], study)
    public, bound = question.start({}), float(question.shape.bound)
    prepared = [question.prepare(one) for one in clinics]
    for round_ in range(question.shape.rounds):
        total = np.zeros(question.shape.length)
        for patients in prepared:
            for rows in question.contributions(patients, public):
                norm = np.linalg.norm(rows, axis=1, keepdims=True)
                total += (rows * np.minimum(1, bound / np.maximum(norm, 1e-12))).sum(axis=0)
        public = question.advance(public, total, round_)
    return question.space.parameters(np.asarray(public, dtype=np.float32))


def errors(parameters: np.ndarray, rows: list[dict[str, str]]) -> np.ndarray:
    """(pairs, 4): the visit's number, the model's error and the last value's in points, who."""
    rows = sorted(rows, key=lambda r: int(r["rownames"]))
    medians = predict(parameters, weekly(records(rows), BDI).features).quantile(0.5)
    found = []
    names = list(VISITS)
    for k, (before, after) in enumerate(itertools.pairwise(names)):
        anchor = WEEKS_A_MONTH * VISITS[before]
        ahead = WEEKS_A_MONTH * VISITS[after] - anchor
        for person, row in enumerate(rows):
            last, true = score(row, before), score(row, after)
            if np.isfinite(last) and np.isfinite(true):
                points = (last, *(BDI.highest * medians[person, anchor]))
                guess = np.interp(ahead, (0, *HORIZONS), points)
                who = int(row["rownames"])
                found.append((k, abs(guess - true), abs(last - true), who))
    return np.array(found)


@pytest.mark.parametrize(
    "apart", [False, pytest.param(True, marks=pytest.mark.soak)], ids=["in one sum", "by clinic"]
)
def test_leaving_each_clinic_out_it_beats_the_last_value_carried_forward(apart: bool) -> None:
    """In one sum over all patients who train, or in one a clinic: the same but for rounding."""
    folds = []
    for left in range(CLINICS):
        others = [clinic(k) for k in range(CLINICS) if k != left]
        if not apart:
            others = [list(itertools.chain(*others))]
        folds.append(errors(trained([records(rows) for rows in others]), clinic(left)))
    found = np.concatenate(folds)
    gain = found[:, 2] - found[:, 1]
    off = [(gain - gain.mean())[found[:, 3] == who].sum() for who in np.unique(found[:, 3])]
    error = np.sqrt(np.sum(np.square(off))) / len(gain)  # patients, not pairs, are independent
    by_visit = [found[found[:, 0] == k, 1:3].mean(axis=0).round(2).tolist() for k in range(4)]
    by_clinic = [fold[:, 1:3].mean(axis=0).round(2).tolist() for fold in folds]
    print(f"model, last: {found[:, 1:3].mean(axis=0)}, gain {gain.mean():.2f} ± {error:.2f}")
    print(f"by visit {by_visit}, by clinic {by_clinic}")
    assert len(found) == 280
    assert gain.mean() > 0
