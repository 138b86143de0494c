"""The question: only the held-out are judged, by a model that they did not train."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cairn_models.answers import Bars, Forest
from cairn_models.baselines import error_by_horizon, last_value
from cairn_models.questions.base import KeyedSplit, SumNoise
from cairn_models.records import Records
from cairn_models.synthetic import World
from cairn_models.trajectory import artefact
from cairn_models.trajectory.columns import HORIZONS
from cairn_models.trajectory.network import flat, untrained
from cairn_protocol.errors import InputError, OurFault

SILENT = SumNoise(0.0)


@pytest.fixture(scope="module")
def released() -> dict[str, np.ndarray]:
    """A model that is the shipped prior, and a 'prior' that carries the last value forward."""
    return {
        "course/parameters": artefact.read().parameters,
        "course/prior": flat(untrained()),
    }


def vectors(question, records, released) -> np.ndarray:
    public = question.start(released)
    parts = list(question.contributions(question.prepare(records), public))
    return np.concatenate([np.zeros((0, question.shape.length)), *parts])


def test_only_held_out_patients_are_judged(ask, clinic, released):
    question = ask("error", course={"held_out": 0.4})
    split = KeyedSplit(question.study.digest, 0.4)
    held = [p for p in clinic.patients["patient"] if split.is_held_out(p)]
    course = ask("course", course={"held_out": 0.4})
    trains = sum(block.patients for block in course.prepare(clinic))
    assert len(vectors(question, clinic, released)) == len(held) == len(clinic) - trains > 0


def test_removing_any_patient_changes_no_other_patients_vector(ask, clinic, released):
    question = ask("error", course={"held_out": 0.6})
    whole = vectors(question, clinic, released)
    held = question.prepare(clinic).patients
    for k in (0, len(held) // 2, len(held) - 1):
        less = vectors(question, clinic.without(held[k]), released)
        assert np.array_equal(less, np.delete(whole, k, axis=0))


def test_a_hostile_patient_stays_in_bound_and_changes_no_other_vector(
    ask, clinic, hostile, released
):
    question = ask("error", course={"held_out": 0.6})
    split = KeyedSplit(question.study.digest, 0.6)
    calm, rows = vectors(question, clinic, released), vectors(question, hostile, released)
    assert np.isfinite(rows).all()
    assert (np.linalg.norm(rows, axis=1) <= question.shape.bound).all()
    assert len(rows) == len(calm) + split.is_held_out("zz-hostile")
    assert np.array_equal(rows[: len(calm)], calm)


def test_a_prediction_outside_the_range_is_its_end(ask, clinic):
    """No score lies below 0: how far below it a network would go is not its error."""
    question = ask("error", course={"held_out": 0.6})
    rows = []
    for depth in (-5.0, -5.5):  # both below 0, wherever the last score was
        network = untrained()
        with torch.no_grad():
            network.recurrent.head_bias.fill_(depth)
        model = {"course/parameters": flat(network), "course/prior": flat(untrained())}
        rows.append(vectors(question, clinic, model))
    assert rows[0].any()
    assert np.array_equal(rows[0], rows[1])


def test_a_clinic_without_patients_says_nothing(ask, released):
    assert len(vectors(ask("error"), Records(), released)) == 0


def test_without_noise_the_comparisons_are_those_of_the_records(ask, pooled, released):
    """Each patient counts once and the extreme count for less, so the two agree roughly."""
    records = pooled(World(), [30] * 30, 11)
    question = ask("error", course={"held_out": 0.6})
    answer = question.estimate(
        question.start(released), vectors(question, records, released).sum(axis=0), SILENT
    )
    found = {e.name: e for e in answer.estimates}
    weeks = question.prepare(records)
    plain = error_by_horizon(last_value(weeks), weeks, question.instrument)
    for h in HORIZONS:
        assert found[f"mae_last_week{h}"].value == pytest.approx(plain[h], rel=0.12)
        assert found[f"mae_prior_week{h}"].value == pytest.approx(found[f"mae_last_week{h}"].value)
    assert found["minus_last_all"].value < 0
    assert found["minus_last_all"].high < 0
    assert "less than the last value" in " ".join(answer.sentences)


def test_the_answer_shows_all_predictors_and_which_way_is_better(ask, clinic, released):
    question = ask("error", course={"held_out": 0.6}, error={"horizons": [4, 8]})
    total = vectors(question, clinic, released).sum(axis=0)
    answer = question.estimate(question.start(released), total, SumNoise(0.01))
    bars, forest = answer.figures
    assert isinstance(bars, Bars)
    assert isinstance(forest, Forest)
    assert bars.groups == ("4", "8")
    assert len(bars.series) == 3
    assert forest.better == "left"
    assert "lower is better" in bars.y_label
    assert len(answer.tables[0].rows) == 3  # two horizons and their mean
    for estimate in answer.estimates:
        assert estimate.low < estimate.value < estimate.high
        assert 0 < estimate.noise_share < 1


def test_too_few_patients_are_suppressed_with_a_reason(ask, clinic, released):
    question = ask("error")
    total = np.zeros(question.shape.length)
    answer = question.estimate(question.start(released), total, SumNoise(1.0))
    assert all(e.value is None and "too few" in e.suppressed for e in answer.estimates)
    assert "Too few" in answer.sentences[0]
    assert answer.to_json()


def test_the_share_held_out_is_the_models_own(ask):
    assert ask("error", course={"held_out": 0.2}).split.share == 0.2
    assert ask("error", course={"held_out": 0.2}, error={"held_out": 0.2}).split.share == 0.2
    for course, error in (({"held_out": 0.2}, {"held_out": 0.3}), ({"held_out": 0}, {})):
        with pytest.raises(InputError, match="hold out different patients"):
            ask("error", course=course, error=error)


def test_a_model_that_the_study_does_not_train_is_refused(ask):
    for model in ("other", "error"):
        with pytest.raises(InputError, match="does not train"):
            ask("error", error={"model": model})


def test_asked_before_its_model_it_is_a_fault_of_ours(ask, released):
    bad = released["course/prior"].copy()
    bad[0] = np.nan
    for wrong in ({}, {**released, "course/prior": bad}, {"course/prior": bad[:5]}):
        with pytest.raises(OurFault, match="before 'course' released"):
            ask("error").start(wrong)
