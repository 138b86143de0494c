"""The effect less what a released model foretells: what it is told, and what is refused."""

import datetime as dt

import numpy as np
import polars as pl
import pytest

from cairn_models.questions import build
from cairn_models.questions.base import SumNoise
from cairn_models.questions.effect import Effect
from cairn_models.records import ENGAGEMENT, SCORES, Records
from cairn_models.synthetic import World, generate
from cairn_models.trajectory import artefact
from cairn_models.trajectory.columns import COLUMNS
from cairn_models.trajectory.foretold import at_baseline, foretold
from cairn_protocol.errors import InputError, OurFault
from cairn_protocol.study import Study


def study(more="", adjust="course", week=8):
    return Study.parse(
        f"""
        cairn = 1
        name = "foretold"
        title = "Less what a model foretells"
        synthetic = true
        outcome = {{ instrument = "PHQ-9" }}
        [cohort]
        arms = ["waiting", "dmhi_guided"]
        planned_patients = 900
        largest_clinic = 900
        [[questions]]
        name = "course"
        kind = "trajectory"
        epsilon = 1.0
        [[questions]]
        name = "effect"
        kind = "effect"
        epsilon = 1.0
        adjust = "{adjust}"
        week = {week}
        {more}
        """.encode()
    )


def question(**more) -> Effect:
    asked = study(**more)
    built = build(asked.questions[1], asked)
    assert isinstance(built, Effect)
    return built


@pytest.fixture(scope="module")
def parameters():
    return artefact.read().parameters


@pytest.fixture(scope="module")
def clinics():
    return generate(World(), [300, 200, 100], seed=3, weeks=12)


def total_of(q, clinics, public):
    blocks = (
        rows.sum(axis=0) for held in clinics for rows in q.contributions(q.prepare(held), public)
    )
    return sum(blocks, np.zeros(q.shape.length))


def test_it_builds_on_the_released_model_and_on_nothing_else(parameters):
    q = question()
    assert q.builds_on == ("course",)
    assert q.state_length == len(parameters)
    start = q.start({"course/parameters": parameters, "course/prior": parameters * 0})
    np.testing.assert_array_equal(start, parameters)
    assert question(adjust="baseline").builds_on == ()
    assert question(adjust="baseline").start({}).size == 0


@pytest.mark.parametrize("released", [{}, {"course/parameters": np.full(3, 1.0)}])
def test_without_a_released_model_it_does_not_start(released):
    with pytest.raises(OurFault, match="released a model"):
        question().start(released)


def test_a_model_that_is_not_finite_does_not_start(parameters):
    bad = parameters.copy()
    bad[5] = np.nan
    with pytest.raises(OurFault):
        question().start({"course/parameters": bad})


@pytest.mark.parametrize(
    ("more", "said"),
    [({"adjust": "effect"}, "no trajectory question"), ({"week": 14}, "no further than week 12")],
)
def test_a_model_that_cannot_serve_is_refused(more, said):
    with pytest.raises(InputError) as caught:
        question(**more)
    assert said in caught.value.why
    assert caught.value.hint


def people(scores, arm="waiting", extra=()):
    patients = pl.DataFrame({"patient": ["synthetic-1"], "arm": [arm], "sex": ["female"]})
    return Records(
        patients.with_columns(pl.lit(dt.date(2026, 1, 1)).alias("entry")),
        pl.DataFrame([("synthetic-1", *row) for row in scores], schema=SCORES, orient="row"),
        pl.DataFrame([("synthetic-1", *row) for row in extra], schema=ENGAGEMENT, orient="row"),
    )


def test_it_is_told_nothing_that_follows_from_the_arm():
    q, at_entry = question(), [(-2.0, "PHQ-9", 15.0), (0.5, "GAD-7", 11.0)]
    plain = q.prepare(people(at_entry)).told
    later = [*at_entry, (3.0, "PHQ-9", 2.0), (8.0, "PHQ-9", 1.0)]
    used = [(0.0, "started", 1.0), (0.0, "logins", 9.0)]
    other = q.prepare(people(later, arm="dmhi_guided", extra=used)).told
    np.testing.assert_array_equal(plain, other)
    row = dict(zip(COLUMNS, plain[0, 0], strict=True))
    assert row["last_score"] == pytest.approx(15 / 27)
    assert row["companion"] == pytest.approx(11 / 21)
    assert (row["arm_waiting"], row["arm_dmhi_guided"], row["female"]) == (1, 0, 1)


def test_between_its_weeks_medians_are_joined_by_straight_lines(parameters, clinics):
    window = (-4.0, 1.0)
    told = at_baseline(clinics[2], question().instrument, window=window, arm="waiting")
    two, three, four = (foretold(parameters, told, w) for w in (2, 3, 4))
    np.testing.assert_allclose(three, (two + four) / 2)
    assert np.all((four >= 0) & (four <= 1))


@pytest.mark.parametrize("horror", [np.inf, np.nan, 1e38])
def test_hostile_parameters_cannot_break_the_bound(horror, clinics, parameters):
    q = question()
    public = np.where(np.arange(len(parameters)) % 7 == 0, horror, parameters).astype(np.float32)
    for rows in q.contributions(q.prepare(clinics[2]), public):
        assert np.isfinite(rows).all()
        assert np.linalg.norm(rows, axis=1).max() <= q.shape.bound * (1 + 1e-12)


def test_a_row_alone_is_the_row_among_others(clinics, parameters):
    q, held = question(), clinics[2]
    (together,) = q.contributions(q.prepare(held), parameters)
    for place in range(0, len(held), 17):
        name = held.patients["patient"][place]
        (alone,) = q.contributions(q.prepare(held.only(pl.Series([name]))), parameters)
        assert alone[0].tobytes() == together[place].tobytes()


def test_a_clinic_without_patients_yields_nothing(parameters):
    q = question()
    assert list(q.contributions(q.prepare(Records()), parameters)) == []


def test_it_finds_the_effect_that_the_line_finds_and_the_same_change_as_it_was(clinics, parameters):
    """Neither prediction knows an arm, so both leave the effect where it is."""
    line, model = question(adjust="baseline"), question()
    found = {}
    for q, public in ((line, np.zeros(0, np.float32)), (model, parameters)):
        answer = q.estimate(public, total_of(q, clinics, public), SumNoise(0.0))
        found[q.model] = {e.name: e for e in answer.estimates}
    name = "dmhi_guided-waiting"
    by_line, by_model = found[""][name], found["course"][name]
    assert by_model.value == pytest.approx(by_line.value, abs=by_line.standard_error)
    plain = [found[k][f"unadjusted-{name}"].value for k in ("", "course")]
    assert plain[0] == pytest.approx(plain[1], abs=0.25)
    assert any("foretells from each person" in note for note in answer.notes)
    assert "beyond what was foretold" in found["course"]["change-waiting"].label
