"""A public group of clinics is held out: nobody there trains, and nobody else judges."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from cairn_models.questions import build
from cairn_models.questions.base import SumNoise
from cairn_models.questions.held_out import Split
from cairn_models.records import Records
from cairn_models.synthetic import World, generate
from cairn_models.trajectory import artefact
from cairn_models.trajectory.network import flat, untrained
from cairn_protocol.errors import InputError
from cairn_protocol.study import Study

NAMES = ("ash", "elm", "oak", "sloe", "yew", "fir")
NORTH = frozenset(("ash", "elm", "oak"))
STUDY = """
cairn = 1
name = "synthetic-study"
title = "Synthetic"
synthetic = true
[outcome]
instrument = "PHQ-9"
[cohort]
arms = ["waiting", "dmhi_guided"]
planned_patients = 2000
largest_clinic = 400
[policy]
clinics = 6
survivors = 6
threshold = 6
[groups.north]
clinics = ["ash", "elm", "oak"]
planned_patients = 600
[[questions]]
name = "course"
kind = "trajectory"
epsilon = 2.0
held_out = "north"
[[questions]]
name = "error"
kind = "error"
epsilon = 1.0
model = "course"
[[questions]]
name = "bands"
kind = "calibration"
epsilon = 1.0
model = "course"
held_out = "north"
[[questions]]
name = "improves"
kind = "discrimination"
epsilon = 1.0
model = "course"
outcome = "reliable_improvement"
"""
JUDGING = ("error", "bands", "improves")


def question(name: str, text: str = STUDY):  # type: ignore[no-untyped-def]
    study = Study.parse(text.encode())
    return build(next(spec for spec in study.questions if spec.name == name), study)


@pytest.fixture(scope="module")
def clinics() -> dict[str, Records]:
    return dict(zip(NAMES, generate(World(), [14] * 6, seed=4), strict=True))


@pytest.fixture(scope="module")
def released() -> dict[str, np.ndarray]:
    return {
        "course/parameters": artefact.read().parameters,
        "course/prior": flat(untrained()),
    }


def vectors(q, records, released) -> np.ndarray:  # type: ignore[no-untyped-def]
    parts = list(q.contributions(q.prepare(records), q.start(released)))
    return np.concatenate([np.zeros((0, q.shape.length)), *parts])


def test_the_group_alone_judges_and_the_others_alone_train() -> None:
    course = question("course")
    assert {name for name in NAMES if course.counts_at(name)} == set(NAMES) - NORTH
    for name in JUDGING:
        assert {clinic for clinic in NAMES if question(name).counts_at(clinic)} == NORTH


def test_all_patients_of_a_clinic_train_or_judge(clinics, released) -> None:  # type: ignore[no-untyped-def]
    course = question("course")
    assert sum(block.patients for block in course.prepare(clinics["yew"])) == 14
    assert len(question("error").prepare(clinics["ash"])) == 14
    assert len(question("bands").prepare(clinics["ash"])) == 14


def test_the_public_plan_stands_in_for_both_numbers() -> None:
    assert question("course").planned_training == 1400
    assert question("bands").planned == 600
    small = STUDY.replace("planned_patients = 600", "planned_patients = 200")
    for name in JUDGING:
        told, fewer = (question(name, t).expected(SumNoise(3.0))[0] for t in (STUDY, small))
        assert fewer.sampling == pytest.approx(told.sampling * np.sqrt(3), rel=0.02)
        assert fewer.noise > 2.5 * told.noise


def test_removing_a_patient_changes_no_other_patients_vector(clinics, released) -> None:  # type: ignore[no-untyped-def]
    for name in JUDGING:
        q, records = question(name), clinics["elm"]
        whole = vectors(q, records, released)
        for k in (0, 7, 13):
            patient = records.patients["patient"][k]
            less = vectors(q, records.without(patient), released)
            assert np.array_equal(less, np.delete(whole, k, axis=0))


def test_the_sum_is_that_of_the_groups_patients_pooled(clinics, released) -> None:  # type: ignore[no-untyped-def]
    tables = ("patients", "scores", "engagement", "wearables")
    pooled = Records(*(pl.concat([getattr(clinics[c], t) for c in sorted(NORTH)]) for t in tables))
    for name in JUDGING:
        q = question(name)
        total = np.sum(
            [vectors(q, r, released).sum(axis=0) for c, r in clinics.items() if q.counts_at(c)],
            axis=0,
        )
        np.testing.assert_allclose(total, vectors(q, pooled, released).sum(axis=0), atol=1e-9)


def test_the_answer_says_who_was_held_out(clinics, released) -> None:  # type: ignore[no-untyped-def]
    for name in JUDGING:
        q = question(name)
        answer = q.estimate(q.start(released), np.zeros(q.shape.length), SumNoise(1.0))
        notes = " ".join(answer.notes)
        assert "all patients of the 3 clinics of the public group 'north'" in notes
        assert "keyed hash" not in notes
        assert "'north'" in q.contribution.who
    assert "'north'" in question("course").contribution.who


def test_a_group_that_the_study_does_not_have_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        question("course", STUDY.replace('held_out = "north"', 'held_out = "south"'))
    assert caught.value.code == "input.group-unknown"
    assert "north" in caught.value.why


def test_judging_others_than_those_who_were_held_out_is_refused() -> None:
    one = 'model = "course"\nheld_out = "north"'
    with pytest.raises(InputError) as caught:
        question("bands", STUDY.replace(one, 'model = "course"\nheld_out = 0.3'))
    assert caught.value.code == "input.judged-held-out"


def test_a_share_holds_out_the_same_patients_as_ever() -> None:
    """By the keyed hash of the patient alone, at every clinic."""
    split = Split.of(Study.parse(STUDY.encode()), 0.3)
    people = [f"p{i}" for i in range(400)]
    judging, training = split.judging(people), split.training(people)
    assert sorted([*judging, *training]) == list(range(400))
    assert 90 < len(judging) < 150
    assert [people[i] for i in judging] == [people[i] for i in range(400) if i in set(judging)]
    assert split.trains_at("ash")
    assert split.judges_at("ash")
