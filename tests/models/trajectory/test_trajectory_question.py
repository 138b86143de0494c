"""The question: who trains, what is planned, what the server may be asked and in which order."""

from __future__ import annotations

import numpy as np
import pytest

from cairn_models.answers import Course
from cairn_models.measures import INSTRUMENTS
from cairn_models.questions.base import KeyedSplit, SumNoise
from cairn_models.questions.trajectory import SAMPLING, WIDTH
from cairn_models.records import Records
from cairn_models.trajectory import artefact
from cairn_models.trajectory.columns import LAST
from cairn_models.trajectory.features import weekly
from cairn_models.trajectory.network import parameter_count, predict
from cairn_models.trajectory.targets import main_targets
from cairn_protocol.errors import InputError, OurFault

SILENT = SumNoise(0.0)


def sums(question, prepared, public) -> np.ndarray:
    """The door's part, without noise: clip each row to C, and sum."""
    total, bound = np.zeros(question.shape.length), question.shape.bound
    for rows in question.contributions(prepared, public):
        norm = np.linalg.norm(rows, axis=1, keepdims=True)
        total += (rows * np.minimum(1, bound / np.maximum(norm, 1e-12))).sum(axis=0)
    return total


def trained(question, records) -> tuple[np.ndarray, list[np.ndarray]]:
    """(state of the last round, every round's sum)."""
    public, prepared, totals = question.start({}), question.prepare(records), []
    for round_ in range(question.shape.rounds):
        totals.append(sums(question, prepared, public))
        if round_ + 1 < question.shape.rounds:
            public = question.advance(public, totals[-1], round_)
    return public, totals


def test_shape_and_start_are_public(ask):
    question = ask("course", course={"rounds": 7, "bound": 0.8})
    assert (question.shape.rounds, question.shape.bound) == (7, 0.8)
    start = question.start({})
    assert start.dtype == np.float32
    assert start.shape == (question.shape.length,)
    assert not start.any()  # the prior is the origin
    assert np.array_equal(question.space.parameters(start), artefact.read().parameters)


def test_every_parameter_trains_where_the_study_says_so(ask):
    for course in ({"space": "all"}, {"prior": "none"}):
        assert ask("course", course=course).shape.length == parameter_count()
    assert ask("course", course={"directions": 12}).shape.length == 12


def test_the_pull_to_the_prior_follows_the_noise_of_the_study(ask):
    """Four times the noise, sixteen times what is unseen; the few patients' share stays."""
    question = ask("course")
    curvature = question.space.curvature.astype(float)
    quieter = type(question)(
        question.spec.model_copy(update={"epsilon": 4 * question.spec.epsilon}), question.study
    )
    few = SAMPLING / question.planned_training / WIDTH**2
    loud, quiet = question._pull(curvature) - few, quieter._pull(curvature) - few
    assert (quiet > 0).all()
    assert loud == pytest.approx(16 * quiet, rel=1e-6)
    assert loud * curvature == pytest.approx(np.full(len(curvature), loud[0] * curvature[0]))
    assert np.array_equal(question._descent.pull, question._pull(curvature))


def test_held_out_patients_never_train(ask, clinic):
    question = ask("course", course={"held_out": 0.4})
    split = KeyedSplit(question.study.digest, 0.4)
    trains = [p for p in clinic.patients["patient"] if not split.is_held_out(p)]
    assert 0 < len(trains) < len(clinic)
    rows = np.concatenate(
        list(question.contributions(question.prepare(clinic), question.start({})))
    )
    assert len(rows) == len(trains)
    only = clinic
    for patient in set(clinic.patients["patient"]) - set(trains):
        only = only.without(patient)
    assert np.array_equal(
        rows,
        np.concatenate(list(question.contributions(question.prepare(only), question.start({})))),
    )


def test_a_clinic_without_patients_says_nothing(ask):
    question = ask("course")
    assert list(question.contributions(question.prepare(Records()), question.start({}))) == []


def test_removing_any_patient_changes_no_other_patients_vector(ask, clinic):
    question = ask("course", course={"held_out": 0})
    start = question.start({})
    whole = np.concatenate(list(question.contributions(question.prepare(clinic), start)))
    for k in (0, 29, 59):
        less = clinic.without(clinic.patients["patient"][k])
        rows = np.concatenate(list(question.contributions(question.prepare(less), start)))
        assert np.array_equal(rows, np.delete(whole, k, axis=0))


def test_the_server_divides_by_the_planned_number_not_by_who_came(ask, clinic):
    question = ask("course", course={"held_out": 0.25})
    assert question.planned_training == 75
    few = clinic.without(clinic.patients["patient"][0])
    assert ask("course", course={"held_out": 0.25}).planned_training == 75
    assert len(few) < len(clinic)


def test_training_from_scratch_beats_the_last_value(ask, clinic):
    question = ask(
        "course",
        course={"rounds": 20, "prior": "none", "held_out": 0, "learning_rate": 0.01},
    )
    public, totals = trained(question, clinic)
    answer = question.estimate(public, totals[-1], SILENT)
    weeks = weekly(clinic, INSTRUMENTS["PHQ-9"])
    target, known = main_targets(weeks)
    model = predict(answer.released["parameters"], weeks.features).quantile(0.5)
    last = weeks.features[:, :, LAST[0], None]
    assert np.abs(model - target)[known].mean() < 0.97 * np.abs(last - target)[known].mean()


def test_a_restarted_server_that_replays_the_sums_ends_at_the_same_model(ask, clinic):
    settings = {"rounds": 4}
    question = ask("course", course=settings)
    public, totals = trained(question, clinic)
    whole = question.estimate(public, totals[-1], SILENT)

    again = ask("course", course=settings)
    state = again.start({})
    for round_, total in enumerate(totals):
        state = again.advance(state, total, round_)
    assert np.array_equal(again.space.parameters(state), whole.released["parameters"])
    # A caller that has advanced past the last round gets the same answer, not one step more.
    assert again.estimate(state, totals[-1], SILENT).to_json() == whole.to_json()


def test_rounds_out_of_order_are_refused(ask):
    question = ask("course", course={"rounds": 3})
    start, total = question.start({}), np.zeros(question.shape.length)
    with pytest.raises(OurFault, match="round 1 after 0"):
        question.advance(start, total, 1)
    question.advance(start, total, 0)
    with pytest.raises(OurFault, match="round 2 after 1"):
        question.estimate(start, total, SILENT)
    question.advance(start, total, 0)  # the first round starts afresh


def test_the_answer_shows_the_course_beside_the_priors(ask, clinic):
    question = ask("course", course={"rounds": 1})
    answer = question.estimate(question.start({}), np.zeros(question.shape.length), SILENT)
    (figure,) = answer.figures
    assert isinstance(figure, Course)
    assert figure.times == (0, 1, 2, 4, 8, 12)
    assert set(figure.series) == {"waiting", "dmhi_guided"}
    for line in figure.series.values():
        assert line["middle"][0] == 14
        assert all(
            a <= b <= c for a, b, c in zip(line["low"], line["middle"], line["high"], strict=True)
        )
    assert "prior's median" in answer.tables[0].columns
    words = " ".join((*answer.sentences, *answer.notes))
    assert "research only" in words
    assert "synthetic" in words
    # A sum of zeros moves nothing, and the answer says so.
    assert "by 0.00 PHQ-9 points" in words
    assert np.array_equal(answer.released["parameters"], answer.released["prior"])


def test_arms_that_the_network_cannot_see_are_named(ask):
    head = '[outcome]\ninstrument = "K10"\n[[instruments]]\nname = "K10"\nlowest = 10\nhighest = 50'
    question = ask("course", course={"rounds": 1}, head=head)
    object.__setattr__(
        question,
        "study",
        question.study.model_copy(
            update={"cohort": question.study.cohort.model_copy(update={"arms": ("TAU", "waiting")})}
        ),
    )
    answer = question.estimate(question.start({}), np.zeros(question.shape.length), SILENT)
    assert any(note.endswith("alike: TAU") for note in answer.notes)
    assert answer.figures[0].y_range == (10, 50)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"horizons": [1, 3]}, "predicts 1, 2, 4, 8, 12 weeks"),
        ({"round": 5}, "round"),
        ({"held_out": 0.9}, "held_out"),
        ({"rounds": 0}, "rounds"),
    ],
)
def test_settings_that_cannot_be_are_refused_by_name(ask, settings, words):
    with pytest.raises(InputError) as refusal:
        ask("course", course=settings)
    assert words in refusal.value.why


def test_an_unknown_prior_is_refused(ask):
    with pytest.raises(InputError, match="no prior called"):
        ask("course", course={"prior": "mine"}).start({})
