"""The retention question: who is in question, what leaves, what is shown, and what it refuses."""

import datetime as dt
import json

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cairn_models.percentages import in_per_cent
from cairn_models.questions import build
from cairn_models.questions.base import SumNoise
from cairn_models.questions.retention import Retention
from cairn_models.records import ENGAGEMENT, ENGAGEMENT_MEASURES, SCORES, Records
from cairn_models.synthetic import World, generate
from cairn_privacy.bound import bounded_sum, saturate
from cairn_privacy.noise import add_noise
from cairn_privacy.question_terms import QuestionTerms
from cairn_protocol.errors import InputError
from cairn_protocol.study import Study
from cairn_server.report.figures import draw

ARMS = ("waiting", "dmhi_unguided", "dmhi_guided")
EMPTY = np.zeros(0, dtype=np.float32)
PROGRAMME = 'event = "programme"'
NOISE = SumNoise(5.45)


def question(more="", *, arms=ARMS, unit="week", extra="", privacy="", cohort=""):
    listed = ", ".join(f'"{a}"' for a in arms)
    study = Study.parse(
        f"""
        cairn = 1
        name = "retention"
        title = "Who stays?"
        synthetic = true
        outcome = {{ instrument = "PHQ-9", time_unit = "{unit}" }}
        cohort = {{ arms = [{listed}], planned_patients = 3000, largest_clinic = 3000{cohort} }}
        {extra}
        {privacy}
        [[questions]]
        name = "stay"
        kind = "retention"
        {"" if privacy else "epsilon = 1.0"}
        {more}
        """.encode()
    )
    built = build(study.questions[0], study)
    assert isinstance(built, Retention)
    return built


def patients(names, arms):
    return pl.DataFrame(
        {"patient": names, "arm": arms}, schema={"patient": pl.String, "arm": pl.String}
    ).with_columns(pl.lit(dt.date(2026, 1, 1)).alias("entry"))


def scored(times, arm="waiting", unit="week"):
    """Records of one patient with scores at `times`."""
    rows = [("p", float(t), "PHQ-9", 12.0) for t in times]
    scores = pl.DataFrame(rows, schema=SCORES, orient="row")
    return Records(patients(["p"], [arm]), scores, time_unit=unit)


def used(*rows, arm="dmhi_guided"):
    """Records of one patient with engagement given as (time, measure) or (time, measure, value)."""
    made = [("p", float(t), m, float(*(v or (1.0,)))) for t, m, *v in rows]
    table = pl.DataFrame(made, schema=ENGAGEMENT, orient="row")
    return Records(patients(["p"], [arm]), engagement=table)


def cell(q, records):
    """(arm, cell) of the only patient; None for somebody who is not in question."""
    prepared = q.prepare(records)
    (row,) = (r for block in q.contributions(prepared, EMPTY) for r in block)
    if not prepared.told.any():
        assert not row.any()
        return None
    slots = row.reshape(len(q.arms), q.grid.cells)
    (arm,) = np.flatnonzero(slots.any(axis=1))
    (place,) = np.flatnonzero((slots[arm] == q.shaping.seen.T).all(axis=1))
    return int(arm), int(place)


@pytest.mark.parametrize(
    ("times", "place"),
    [
        ((0, 1.9), 0),
        ((0, 2), 1),  # an end belongs to the interval after it: kept at 2
        ((0, 3.999999), 1),
        ((5, 0, 1), 2),
        ((11.99,), 4),
        ((12,), 5),
        ((60, 0), 5),
        ((-4,), 0),
        ((1e300, 0), 5),
    ],
)
def test_the_last_score_decides_the_interval(times, place):
    assert cell(question("window = 0"), scored(times)) == (0, place)


def test_the_window_keeps_people_who_were_asked_a_little_earlier():
    assert cell(question(), scored([0, 6])) == (0, 4)  # two weeks by default: kept at week 8
    assert cell(question(), scored([0, 5.9])) == (0, 3)
    assert cell(question("window = 1"), scored([0, 6])) == (0, 3)


def test_a_study_in_months_counts_months_and_its_window_is_two_weeks():
    q = question("ends = [1, 2, 3]\nat = 2", unit="month")
    assert cell(q, scored([0, 1.6], unit="month")) == (0, 2)
    assert cell(q, scored([0, 1.5], unit="month")) == (0, 1)
    assert cell(q, scored([0, 8], unit="week")) == (0, 2)


@pytest.mark.parametrize(
    ("rows", "place"),
    [
        ([(1, "started"), (4, "stopped")], 3),  # left in [2, 4), three weeks after first use
        ([(1, "started"), (5, "stopped")], 6),
        ([(1, "started"), (5, "completed")], 7),
        ([(1, "started"), (5, "logins", 3)], 8),
        ([(1, "started"), (4, "stopped"), (5, "completed")], 7),  # who completes has not left
        ([(1, "started"), (3, "stopped"), (5, "stopped")], 6),
        ([(1, "started"), (30, "stopped")], 15),
        ([(1, "started")], 2),
        ([(3, "started"), (1, "stopped")], 0),
        ([(1, "started"), (4, "stopped", 0), (5, "logins", 2)], 8),
        ([(1, "started"), (5, "stopped", float("nan"))], 8),
        ([(1, "started"), (5, "stopped", 1e30)], 8),
        ([(1, "started"), (5, "logins", 2), (20, "therapy_started")], 8),  # use ends with use
    ],
)
def test_how_use_ended_decides_the_cell(rows, place):
    assert cell(question(PROGRAMME), used(*rows)) == (2, place)


@pytest.mark.parametrize(
    "records",
    [
        scored([]),
        scored([0, 3], arm="elsewhere"),
        scored([0, 3], arm=None),
    ],
)
def test_people_without_score_or_arm_are_not_in_question(records):
    assert cell(question(), records) is None


def test_people_who_never_started_are_not_in_the_programme():
    rows = [(1, "offered"), (3, "logins", 2), (4, "stopped"), (5, "started", 0)]
    assert cell(question(PROGRAMME), used(*rows)) is None


value = st.one_of(st.just(1.0), st.floats(), st.none())
time = st.one_of(st.none(), st.floats(-5, 40), st.floats())
measure = st.sampled_from([*ENGAGEMENT_MEASURES, "", "steps"])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("abc"), time, measure, value), max_size=12),
    st.lists(st.tuples(st.sampled_from("abc"), time, st.just("PHQ-9"), value), max_size=12),
    st.sampled_from(["", PROGRAMME]),
)
def test_whatever_the_records_hold_no_row_is_longer_than_one(used_, scores, more):
    q = question(more)
    records = Records(
        patients(["a", "b", "c"], ["waiting", "dmhi_guided", None]),
        pl.DataFrame(scores, schema=SCORES, orient="row"),
        pl.DataFrame(used_, schema=ENGAGEMENT, orient="row"),
    )
    (rows,) = q.contributions(q.prepare(records), EMPTY)
    assert rows.shape == (3, q.shape.length)
    assert (np.linalg.norm(rows, axis=1) <= q.shape.bound).all()
    alone = [
        next(iter(q.contributions(q.prepare(records.only(pl.Series([name]))), EMPTY)))[0]
        for name in "abc"
    ]
    np.testing.assert_array_equal(rows, alone)


def test_a_clinic_without_patients_yields_nothing():
    q = question()
    assert list(q.contributions(q.prepare(Records()), EMPTY)) == []


def total_of(q, tables):
    """The exact sum of patients given as counts by cell, one row an arm."""
    return (np.asarray(tables, dtype=float) @ q.shaping.seen.T).ravel()


def named(answer, name):
    return next(e for e in answer.estimates if e.name == name)


FULL = ((8, 12, 15, 10, 25, 330), (12, 20, 25, 20, 43, 280), (10, 16, 20, 18, 36, 300))


def test_shaping_takes_nothing_from_the_answer():
    q, plain = question(), question(privacy='privacy = { data = "public" }')
    shaped = q.estimate(EMPTY, total_of(q, FULL), SumNoise(0.0))
    exact = plain.estimate(EMPTY, np.ravel(FULL).astype(float), SumNoise(0.0))
    for one, other in zip(shaped.estimates, exact.estimates, strict=True):
        for key in ("value", "low", "high", "standard_error", "count"):
            assert getattr(one, key) == pytest.approx(getattr(other, key), rel=1e-9)


def test_public_sums_are_whole_numbers_of_people():
    q = question(privacy='privacy = { data = "public" }')
    np.testing.assert_array_equal(q.shaping.seen, np.eye(q.grid.cells))


@pytest.mark.parametrize("sd", [0.0, 5.45])
def test_a_curve_stops_where_too_few_are_left(sd):
    q = question("ends = [2, 4, 8]", arms=ARMS[:2])
    answer = q.estimate(EMPTY, total_of(q, [(10, 40, 240, 9), (10, 20, 30, 240)]), SumNoise(sd))
    for name in ("kept-waiting-8", "hazard-waiting-8", "mean-waiting", "difference-" + _pair(q)):
        e = named(answer, name)
        assert (e.value, e.low, e.high, e.count) == (None,) * 4
        assert e.suppressed
    assert named(answer, "kept-waiting-4").value == pytest.approx(249 / 299)
    assert named(answer, "kept-dmhi_unguided-8").value == pytest.approx(0.8)
    assert named(answer, "hazard_ratio-" + _pair(q)).value is not None  # from two intervals
    row = next(r for r in answer.tables[0].rows if r[:2] == ("waiting", 8.0))
    assert row[2:6] == (None,) * 4
    assert any("stops before" in n for n in answer.notes)


def _pair(q):
    return f"{q.arms[1]}-{q.arms[0]}"


def test_ten_people_left_are_shown_without_noise_and_not_with_it():
    q = question("ends = [2, 4, 8]", arms=ARMS[:2])
    total = total_of(q, [(10, 40, 240, 10), (10, 20, 30, 240)])
    assert named(q.estimate(EMPTY, total, SumNoise(0.0)), "kept-waiting-8").value is not None
    assert named(q.estimate(EMPTY, total, NOISE), "kept-waiting-8").value is None
    more = question("ends = [2, 4, 8]", arms=ARMS[:2], extra="disclosure = { patients = 11 }")
    assert named(more.estimate(EMPTY, total, SumNoise(0.0)), "kept-waiting-8").value is None


@pytest.mark.filterwarnings("error")
@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.floats(-1e5, 1e5), min_size=26, max_size=26),
    st.sampled_from([0.0, 1e-6, 5.0, 1e3]),
    st.sampled_from([1, 10]),
    st.sampled_from(["", PROGRAMME]),
)
def test_any_noised_sum_gives_a_finite_answer(total, sd, fewest, more):
    more += "\nends = [2, 4, 6, 8]"
    q = question(more, arms=ARMS[:2], extra=f"disclosure = {{ patients = {fewest} }}")
    total = total[: q.shape.length]
    answer = q.estimate(EMPTY, np.array(total), SumNoise(sd))
    for e in answer.estimates:
        assert (e.value is None) == bool(e.suppressed)
        if e.value is not None:
            assert np.isfinite([e.value, e.low, e.high, e.standard_error]).all()
            assert e.low <= e.value <= e.high
            assert 0.0 <= e.noise_share <= 1.0
            assert e.count >= fewest
    json.dumps([t.rows for t in answer.tables], allow_nan=False)


@pytest.mark.parametrize("more", ["", PROGRAMME])
@pytest.mark.parametrize("sd", [0.0, 5.45])
def test_nothing_to_tell_is_an_answer_in_words_that_can_be_drawn(more, sd):
    q = question(more)
    total = sd * np.random.default_rng(3).standard_normal(q.shape.length)
    answer = q.estimate(EMPTY, total, SumNoise(sd))
    assert all(e.value is None for e in answer.estimates)
    assert all(s.startswith("Nothing can be said about") for s in answer.sentences)
    for figure in answer.figures:
        assert draw(figure, key="k").png


def test_shares_are_kept_of_one_and_read_of_a_hundred():
    q = question()
    answer = q.estimate(EMPTY, total_of(q, FULL), NOISE)
    units = {"kept": "share", "hazard": "share", "difference": "difference in share"}
    shares = [e for e in answer.estimates if e.name.split("-")[0] in units]
    for e in shares:
        assert e.unit == units[e.name.split("-")[0]]
        assert -1.0 <= e.value <= 1.0
    assert {e.unit for e in answer.estimates if e not in shares} == {"", "weeks"}
    shown = named(in_per_cent(answer), "kept-waiting-2")
    assert (shown.value, shown.unit) == (100 * named(answer, "kept-waiting-2").value, "%")
    assert answer.figures[0].series["waiting"]["middle"][:2] == (100.0, shown.value)
    assert answer.tables[0].rows[1][3:6] == (shown.value, shown.low, shown.high)
    gap = named(answer, f"difference-{ARMS[1]}-waiting").value
    assert f"{-100 * gap:.1f} percentage points fewer were kept" in answer.sentences[0]


def test_words_figures_and_numbers_at_risk():
    q = question()
    answer = q.estimate(EMPTY, total_of(q, FULL), NOISE)
    said = " ".join(answer.sentences)
    assert "At week 8, 89 % of people waiting still gave PHQ-9 scores." in said
    assert "of people offered an unguided programme 8.0 percentage points fewer were kept" in said
    assert "percentage points fewer were kept than of people waiting" in answer.sentences[0]
    assert "of its variance privacy noise), unadjusted for confounding." in said
    assert "times that of people waiting" in said
    assert any("immortal time" in n for n in answer.notes)
    assert any(n.startswith("Synthetic data") for n in answer.notes)
    assert [type(f).__name__ for f in answer.figures] == ["Course", "Forest", "Forest"]
    course, table = answer.figures[0], answer.tables[0]
    assert course.times == (0.0, *q.grid.ends)
    assert set(course.series) == set(ARMS)
    assert [r[2] for r in table.rows if r[0] == "waiting"] == [400, 392, 380, 365, 355, 330]
    assert answer.figures[2].no_difference == 1.0
    assert answer.figures[1].estimates[0].label == "dmhi_unguided against waiting"
    assert draw(course, key="k").png


def test_a_randomised_study_is_not_labelled_unadjusted():
    q = question("randomised = true")
    answer = q.estimate(EMPTY, total_of(q, FULL), NOISE)
    written = json.dumps(answer.to_json()).lower()
    assert "unadjusted" not in written
    assert "immortal" not in written


def test_an_answer_about_the_programme_says_how_use_ended():
    q = question(PROGRAMME + "\nends = [4, 8]", arms=("dmhi_guided",))
    answer = q.estimate(EMPTY, total_of(q, [(40, 0, 0, 36, 72, 0, 252)]), SumNoise(0.0))
    assert answer.sentences == (
        "By week 8 from first use, 19 % of people offered a guided programme who started had left "
        "the programme and 18 % had completed it.",
    )
    assert [f.title for f in answer.figures] == [
        "People who had not given up the programme",
        "People who had left the programme",
        "People who had completed the programme",
    ]
    assert answer.figures[2].series["dmhi_guided"]["middle"] == pytest.approx((0, 0, 18))


def test_an_open_window_of_entry_is_said_to_look_like_loss():
    closed = question(cohort=", entry_until = 2025-01-01")
    for q, times in ((question(), 1), (closed, 0)):
        notes = q.estimate(EMPTY, total_of(q, FULL), NOISE).notes
        assert sum("no entry_until" in n for n in notes) == times


def test_one_arm_has_a_curve_and_no_contrast():
    q = question(arms=("dmhi_guided",))
    answer = q.estimate(EMPTY, total_of(q, FULL[:1]), NOISE)
    assert not any(e.name.startswith(("difference", "hazard_ratio")) for e in answer.estimates)
    assert len(answer.figures) == 1


def test_the_grid_costs_nothing_and_noise_scatters_as_the_interval_says():
    """The clinic's real clipping, grid and noise over five synthetic clinics."""
    policy = "policy = { clinics = 5, survivors = 5, threshold = 5, colluding = 1 }"
    q = question(PROGRAMME, arms=ARMS[1:], extra=policy)
    clinics = generate(World(), [400] * 5, seed=4, weeks=16)
    spec, study = q.spec, q.study
    terms = QuestionTerms.of(study, spec, q.shape, len(clinics))
    noise, scale, length = terms.noise, terms.scale, q.shape.length
    rows = [list(q.contributions(q.prepare(c), EMPTY)) for c in clinics]
    steps = [bounded_sum(blocks, length, scale.bound, noise.grid) for blocks in rows]
    exact = q.estimate(EMPTY, sum(b.sum(axis=0) for r in rows for b in r), SumNoise(0.0))
    gridded = q.estimate(EMPTY, sum(steps) * scale.step, SumNoise(0.0))
    names = (
        "kept-dmhi_guided-8",
        "completed-dmhi_guided-8",
        "difference-dmhi_guided-dmhi_unguided",
    )
    for name in names:
        assert named(gridded, name).value == pytest.approx(named(exact, name).value, abs=0.01)
    scores = []
    for _ in range(60):
        total = sum(add_noise(saturate(s, scale.clamp), noise) for s in steps) * scale.step
        seen = q.estimate(EMPTY, total, SumNoise(terms.sum_sd))
        for name in names:
            e = named(seen, name)
            off = e.value - named(exact, name).value
            scores.append(off / (e.standard_error * np.sqrt(e.noise_share)))
    assert abs(np.mean(scores)) < 4 / np.sqrt(60)
    assert 0.6 < np.var(scores) < 1.5


def test_the_plan_is_near_what_is_found_and_names_what_the_answer_names():
    q = question(arms=ARMS[:2])
    n, typical = 1500, (85, 80, 74, 136, 100, 1025)
    answer = q.estimate(EMPTY, total_of(q, [typical, typical]), NOISE)
    planned = q.expected(NOISE)
    assert sum(typical) == n
    names = {e.name for e in answer.estimates}
    assert {e.name for e in planned} <= names
    assert planned[0].name == "difference-dmhi_unguided-waiting"
    for e in planned:
        if e.name.startswith(("difference", "kept")):
            found = named(answer, e.name)
            assert e.standard_error == pytest.approx(found.standard_error, rel=0.15), e.name
    assert planned[0].inflation < 0.15
    assert max(e.inflation for e in planned) < 0.35


@pytest.mark.parametrize("planned", [1, 40, 10**7])
def test_any_plan_is_finite(planned):
    q = question(PROGRAMME)
    cohort = q.study.cohort.model_copy(update={"planned_patients": planned})
    other = build(q.spec, q.study.model_copy(update={"cohort": cohort}))
    assert all(np.isfinite(e.inflation) for e in other.expected(NOISE))


@pytest.mark.parametrize(
    ("settings_", "named_"),
    [
        ("weeks = 8", "weeks"),
        ('event = "death"', "event"),
        ("ends = []", "ends"),
        ("ends = [1, 2, 3, 4, 5, 6, 7, 8, 9]", "ends"),
        ("ends = [8, 4]", "ends"),
        ("ends = [0, 8]", "ends"),
        ("ends = [8, 8.0001]", "ends"),
        ("ends = [8, inf]", "ends"),
        ("at = 7", "at: it must be one of ends"),
        ("ends = [2, 4]", "at: it must be one of ends"),
        ("window = -1", "window"),
        ("window = nan", "window"),
        (f"window = 1\n{PROGRAMME}", "window"),
        ("typical = 1", "typical"),
        ('reference = "placebo"', "reference: 'placebo'"),
        ('arms = ["waiting", "placebo"]', "'placebo'"),
        ('arms = ["waiting", "waiting"]', "twice"),
    ],
)
def test_a_wrong_setting_is_refused_by_name_with_a_remedy(settings_, named_):
    with pytest.raises(InputError) as caught:
        question(settings_)
    assert caught.value.code == "input.question-invalid"
    assert named_ in caught.value.why
    assert caught.value.hint


def test_a_study_without_arms_is_told_to_name_them():
    with pytest.raises(InputError, match="no arm is named"):
        question(arms=())
