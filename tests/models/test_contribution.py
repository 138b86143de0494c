"""What a clinic is told that one patient adds is what one patient adds."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import polars as pl
import pytest

from cairn_models.contribution import Slot, moments, table
from cairn_models.questions.base import Question
from cairn_models.records import ENGAGEMENT, PATIENT_COLUMNS, SCORES, Records
from cairn_models.shaping import Shaping
from every_kind import PATIENTS, PUBLIC, built

EVERY = built(PATIENTS, PUBLIC)
UNLISTED = {"trajectory", "newton", "mixed", "slopes", "equations"}


def patient(arm: str = "waiting", **scores: tuple[float, float]) -> Records:
    """One woman in `arm` with PHQ-9 and GAD-7 at the named weeks: w0 = (17, 12)."""
    people = pl.DataFrame(
        {"patient": ["p"], "arm": [arm], "entry": [dt.date(2026, 1, 5)]}, schema=PATIENT_COLUMNS
    ).with_columns(sex=pl.lit("female"), deprivation=pl.lit(1.0))
    rows = [
        ("p", float(week[1:]), scale, points)
        for week, pair in scores.items()
        for scale, points in zip(("PHQ-9", "GAD-7"), pair, strict=True)
    ]
    return Records(
        people,
        pl.DataFrame(rows, schema=SCORES, orient="row"),
        pl.DataFrame(schema=ENGAGEMENT),
    )


def added(question: Question[Any], records: Records) -> np.ndarray:
    (row,) = np.concatenate(
        list(question.contributions(question.prepare(records), question.start({})))
    )
    return np.asarray(row)


def cells(name: str, records: Records) -> dict[str, float]:
    """The cells in which the patient counts, and for how many."""
    question = EVERY[name]
    told = question.contribution.cells(added(question, records))
    return {cell: round(people, 5) for cell, people in told if abs(people) > 1e-4}


@pytest.mark.parametrize("name", sorted(EVERY))
def test_every_number_has_a_name_and_every_question_its_words(name: str) -> None:
    question = EVERY[name]
    told = question.contribution
    assert len(told.coordinates) == (0 if name in UNLISTED else question.shape.length)
    assert len(set(told.coordinates)) == len(told.coordinates), "no two are called alike"
    assert all(text[:1].isupper() and text.endswith(".") for text in (told.asked, told.who))
    assert told.how.endswith(".")
    assert not any("  " in text for text in (told.asked, told.who, told.how))


BETTER = patient("dmhi_guided", w0=(17, 12), w8=(6, 4))


def test_a_course_is_counted_under_its_own_name() -> None:
    assert cells("rates", BETTER) == {
        "dmhi_guided, female: recovered, reliably better: people": 1.0
    }
    worse = patient("waiting", w0=(12, 12), w8=(20, 12))
    assert cells("rates", worse) == {
        "waiting, female: at caseness and still so, reliably worse: people": 1.0
    }


def test_an_ending_is_counted_in_its_own_interval() -> None:
    left = patient("waiting", w0=(17, 12), w3=(17, 12))  # kept for two weeks more
    assert cells("retention", left) == {"waiting: left, week 4 to 6: people": 1.0}
    worse = patient("waiting", w0=(10, 8), w5=(19, 8))
    assert cells("worse", worse) == {"waiting: got reliably worse, week 4 to 6: people": 1.0}
    assert cells("hazard", left) == {"arm waiting: left, week 4-6: people": 1.0}


def test_a_cell_of_covariates_has_the_outcome_or_not() -> None:
    question = EVERY["logistic"]
    row = added(question, BETTER)
    names = np.array(question.contribution.coordinates)
    assert names[row != 0].tolist() == ["arm dmhi_guided: with reliable improvement (people)"]


def test_change_stands_in_the_place_of_the_own_group() -> None:
    question = EVERY["effect"]
    found = dict(zip(question.contribution.coordinates, added(question, BETTER), strict=True))
    says = {name: value for name, value in found.items() if value}
    assert says.pop("dmhi_guided: people, each counts 0.5") == 0.5
    assert {name.partition(":")[0] for name in says} == {"dmhi_guided", "all groups"}
    (u,) = (value for name, value in says.items() if "PHQ-9 change beyond" in name)
    assert says["dmhi_guided: 1 − its square"] == pytest.approx(1 - u * u)


def test_a_description_names_score_and_stage() -> None:
    found = cells("describe", BETTER)
    assert found["PHQ-9 at the start, point by point, dmhi_guided: score 17: people"] == 1.0
    assert found["PHQ-9 at week 8, point by point, dmhi_guided: score 6: people"] == 1.0
    reached = "how far measurement came, dmhi_guided: came as far as: assessed at week 8: people"
    assert found[reached] == 1.0
    question = EVERY["describe"]
    row = added(question, BETTER)
    says = [n for n, v in zip(question.contribution.coordinates, row, strict=True) if v]
    assert any(name.startswith("sex, dmhi_guided: female (people") for name in says)
    assert not any(", waiting: " in name for name in says)


SEQUENTIAL = PATIENTS.replace("planned_patients = 40", "planned_patients = 400").replace(
    "[variables.sex]",
    """[target_trial]
design = "sequential"
starts = ["dmhi_unguided", "dmhi_guided"]
trials = [0, 4]
grace = 2
[variables.sex]""",
)


def test_of_several_trials_the_first_round_counts_people() -> None:
    question = built(SEQUENTIAL)["effect"]
    row = added(question, patient("waiting", w0=(17, 12), w4=(15, 12), w8=(12, 9), w12=(10, 8)))
    names = np.array(question.contribution.coordinates)
    assert len(names) == question.shape.length == len(set(names))
    says = [name.partition(":")[0] for name in names[row != 0]]
    assert says == ["trial of week 0, waiting", "trial of week 4, waiting"]
    counts = [float(name.rsplit(" ", 1)[1]) for name in names[row != 0]]
    assert row[row != 0] == pytest.approx(counts, rel=1e-2)
    one = built(SEQUENTIAL.replace('"sequential"', '"landmark"').replace("trials = [0, 4]", ""))
    told = one["effect"].contribution
    assert "target trial" in told.asked
    assert told.slots == EVERY["effect"].contribution.slots


def test_cells_are_read_back_through_the_matrix_and_the_weight() -> None:
    mix = np.array([[0.9, 0.2], [0.1, 0.8]])
    slot = table("waiting", ("left", "stayed"), Shaping(mix), weight=0.5)
    assert slot.cells(0.5 * mix @ [3.0, 4.0]) == (
        ("waiting: left: people", pytest.approx(3.0)),
        ("waiting: stayed: people", pytest.approx(4.0)),
    )
    assert slot.coordinates[0] == "waiting: mixture 1 of 2, most of all of: left"
    plain = table("", ("left",), Shaping.plain(1))
    assert plain.coordinates == ("left (people)",)
    assert plain.cells(np.ones(1)) == ()
    assert len(moments("a", "u", 0.5).coordinates) == 3
    assert Slot(("x",)).coordinates == ("x",)
