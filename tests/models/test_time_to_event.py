"""Deterioration and step-up: who is in question, what came first and when, what is said."""

import datetime as dt
import json

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cairn_models.event_endings import reliably_worse
from cairn_models.measures import INSTRUMENTS
from cairn_models.questions import build
from cairn_models.questions.base import SumNoise
from cairn_models.questions.time_to_event import TimeToEvent
from cairn_models.records import ENGAGEMENT, ENGAGEMENT_MEASURES, SCORES, Records
from cairn_models.synthetic import World, generate
from cairn_protocol.errors import InputError
from cairn_protocol.study import Study
from cairn_server.report.figures import draw

ARMS = ("waiting", "dmhi_unguided", "dmhi_guided")
EMPTY = np.zeros(0, dtype=np.float32)
STEP_UP = 'event = "step_up"'
NOISE = SumNoise(5.45)
INTERVALS, THROUGH = 5, -1


def question(more="", *, arms=ARMS, unit="week", outcome="PHQ-9", extra="", cohort=""):
    listed = ", ".join(f'"{a}"' for a in arms)
    study = Study.parse(
        f"""
        cairn = 1
        name = "worse"
        title = "Who gets worse?"
        synthetic = true
        outcome = {{ instrument = "{outcome}", time_unit = "{unit}" }}
        cohort = {{ arms = [{listed}], planned_patients = 3000, largest_clinic = 3000{cohort} }}
        {extra}
        [[questions]]
        name = "worse"
        kind = "time_to_event"
        epsilon = 1.0
        {more}
        """.encode()
    )
    built = build(study.questions[0], study)
    assert isinstance(built, TimeToEvent)
    return built


def patient(scores, events=(), *, arm="waiting", instrument="PHQ-9", unit="week"):
    """Records of one patient with (time, total) scores and (time, measure[, value]) events."""
    people = pl.DataFrame({"patient": ["p"], "arm": [arm], "entry": [dt.date(2026, 1, 1)]})
    rows = [("p", float(t), instrument, float(v)) for t, v in scores]
    made = [("p", float(t), m, float(*(v or (1.0,)))) for t, m, *v in events]
    return Records(
        people,
        pl.DataFrame(rows, schema=SCORES, orient="row"),
        pl.DataFrame(made, schema=ENGAGEMENT, orient="row"),
        time_unit=unit,
    )


def ending(q, records):
    """(time, how) of the only patient; None for somebody who is not in question."""
    ended = q.prepare(records)
    return (
        (
            ended.time[0],
            q.ways.causes[ended.how[0]] if ended.how[0] < len(q.ways.causes) else "last_seen",
        )
        if ended.told[0]
        else None
    )


@pytest.mark.parametrize(
    ("name", "before", "after", "worse"),
    [
        ("PHQ-9", 10, 16, True),  # six points on the PHQ-9, four on the GAD-7
        ("PHQ-9", 10, 15, False),
        ("PHQ-9", 10, 15.5, True),  # a pro-rated total is rounded as on a form, halves up
        ("PHQ-9", 10, 15.49, False),
        ("PHQ-9", 10.4, 16.4, True),
        ("PHQ-9", 10.5, 16.4, False),
        ("PHQ-9", 16, 10, False),
        ("PHQ-9", 21, 27, True),
        ("PHQ-9", 0, 6, True),  # whether or not either is a case
        ("GAD-7", 8, 12, True),
        ("GAD-7", 8, 11, False),
        ("GAD-7", 17, 21, True),
    ],
)
def test_worse_is_a_rise_by_the_reliable_change_or_more(name, before, after, worse):
    told = reliably_worse(np.array([before]), np.array([after]), INSTRUMENTS[name])
    assert told.tolist() == [worse]


@pytest.mark.parametrize(
    ("scores", "ended"),
    [
        ([(0, 10), (2, 15), (4, 16), (6, 27)], (4, "deteriorated")),  # the first such score
        ([(0, 10), (2, 16), (4, 10)], (2, "deteriorated")),  # also of who is better later
        ([(0, 10), (2, 15), (4, 12)], (4, "last_seen")),
        ([(-3, 2), (-1, 10), (0.5, 15), (3, 9)], (3, "last_seen")),  # baseline: last until entry
        ([(-3, 2), (-1, 10), (0.5, 16)], (0.5, "deteriorated")),
        ([(0.5, 10), (0.9, 16)], (0.9, "deteriorated")),  # else the earliest after it
        ([(-8, 2), (0, 10), (3, 12)], (3, "last_seen")),  # too early to be a baseline
        ([(0, 10), (0, 14), (3, 18)], (3, "deteriorated")),  # two at one time are averaged: 12
        ([(0, 10), (3, 99), (5, 12)], (5, "last_seen")),  # no PHQ-9
        ([(0, 10)], None),
        ([(0.5, 10)], None),  # a baseline is not compared with itself
        ([(-2, 10), (-1, 20)], None),
        ([(1.5, 10), (3, 20)], None),
        ([], None),
    ],
)
def test_the_first_reliably_worse_score_is_the_event(scores, ended):
    assert ending(question(), patient(scores)) == ended


def test_the_baseline_window_is_a_setting_in_the_study_s_time_unit():
    q = question("baseline_window = [0, 1.5]")
    assert ending(q, patient([(1.5, 10), (3, 20)])) == (3, "deteriorated")
    assert ending(q, patient([(-1, 10), (3, 20)])) is None
    months = question("ends = [1, 2]\nat = 2", unit="month")
    assert ending(months, patient([(0.22, 10), (2, 16)], unit="month")) == (2, "deteriorated")
    assert ending(months, patient([(0.25, 10), (2, 16)], unit="month")) is None  # 1.09 weeks


@pytest.mark.parametrize(
    ("scores", "events", "ended"),
    [
        ([(0, 10), (6, 9)], [(3, "stepped_up")], (3, "stepped_up")),
        ([(0, 10), (6, 9)], [(3, "therapy_started")], (3, "therapy_started")),
        ([(0, 10), (6, 9)], [(3, "therapy_started"), (2, "stepped_up")], (2, "stepped_up")),
        ([(0, 10), (6, 9)], [(2, "therapy_started"), (3, "stepped_up")], (2, "therapy_started")),
        ([(0, 10), (6, 9)], [(3, "therapy_started"), (3, "stepped_up")], (3, "stepped_up")),
        ([(0, 10), (6, 9)], [(5, "stepped_up"), (3, "stepped_up")], (3, "stepped_up")),
        ([(0, 10), (1, 9)], [(3, "stepped_up")], (3, "stepped_up")),  # within the window
        ([(0, 10), (1, 9)], [(3.5, "stepped_up")], (3.000001, "lost")),
        ([(0, 10)], [], (2.000001, "lost")),
        ([(0, 10), (20, 9)], [], (22.000001, "lost")),
        ([(0, 10)], [(0, "stepped_up")], (0, "stepped_up")),  # on the day of entry
        ([(0, 10), (20, 9)], [(-1, "stepped_up")], (22.000001, "lost")),  # before it: none
        ([(0, 10), (20, 9)], [(3, "stepped_up", 0)], (22.000001, "lost")),
        ([(0, 10), (20, 9)], [(3, "stepped_up", np.nan)], (22.000001, "lost")),
        ([(0, 10), (20, 9)], [(np.inf, "stepped_up")], (22.000001, "lost")),
        ([(0, 10), (20, 9)], [(3, "stopped")], (22.000001, "lost")),
        ([], [(3, "stepped_up")], None),
    ],
)
def test_what_came_first_ends_the_wait(scores, events, ended):
    assert ending(question(STEP_UP), patient(scores, events)) == ended


@pytest.mark.parametrize(("time", "interval"), [(2, 0), (2.000001, 1), (4, 1), (12, 4), (12.1, 5)])
def test_an_event_at_an_end_has_happened_by_it(time, interval):
    for more, causes in (("", 2), (STEP_UP, 3)):
        q = question(more)
        cell = q.grid.cell_of(np.array([time]), np.array([0]))
        assert cell[0] == min(interval * causes, q.grid.cells - 1)


def test_a_week_after_the_last_score_and_its_window_people_are_still_there():
    """With a window of two weeks, a score at week 6 keeps a person at week 8, as in retention."""
    q = question(STEP_UP)
    ended = q.prepare(patient([(0, 10), (6, 9)]))
    assert q.grid.cell_of(ended.time, ended.how)[0] == 4 * 3 + 2  # lost after 8, by 12


@pytest.mark.parametrize("arm", ["elsewhere", None])
@pytest.mark.parametrize("more", ["", STEP_UP])
def test_people_of_no_arm_are_not_in_question(arm, more):
    assert ending(question(more), patient([(0, 10), (3, 20)], arm=arm)) is None


number = st.one_of(st.just(1.0), st.floats(), st.none(), st.floats(0, 27))
time_ = st.one_of(st.none(), st.floats(-5, 40), st.floats())


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from("abc"), time_, st.sampled_from([*ENGAGEMENT_MEASURES, ""]), number
        ),
        max_size=12,
    ),
    st.lists(st.tuples(st.sampled_from("abc"), time_, st.just("PHQ-9"), number), max_size=12),
    st.sampled_from(["", STEP_UP]),
)
def test_whatever_the_records_hold_no_row_is_longer_than_one(events, scores, more):
    q = question(more)
    people = pl.DataFrame(
        {"patient": ["a", "b", "c"], "arm": ["waiting", "dmhi_guided", None]},
        schema={"patient": pl.String, "arm": pl.String},
    ).with_columns(entry=pl.lit(dt.date(2026, 1, 1)))
    records = Records(
        people,
        pl.DataFrame(scores, schema=SCORES, orient="row"),
        pl.DataFrame(events, schema=ENGAGEMENT, orient="row"),
    )
    (rows,) = q.contributions(q.prepare(records), EMPTY)
    assert rows.shape == (3, q.shape.length)
    assert (np.linalg.norm(rows, axis=1) <= q.shape.bound).all()
    for i, name in enumerate("abc"):
        one = records.only(pl.Series([name]))
        (alone,) = q.contributions(q.prepare(one), EMPTY)
        np.testing.assert_array_equal(alone[0], rows[i])


def total_of(q, tables):
    return (np.asarray(tables, dtype=float) @ q.shaping.seen.T).ravel()


def named(answer, name):
    return next(e for e in answer.estimates if e.name == name)


WAITING = (4, 10, 5, 9, 6, 12, 7, 14, 8, 30, 395)  # (deteriorated, last seen) by interval, through
GUIDED = (2, 12, 3, 11, 3, 15, 4, 16, 4, 40, 390)
STEPPED = (3, 0, 20, 4, 5, 25, 4, 15, 20, 3, 30, 20, 6, 60, 40, 245)


def test_an_answer_says_who_deteriorated_and_compares_arms():
    q = question(arms=ARMS[::2])
    answer = q.estimate(EMPTY, total_of(q, [WAITING, GUIDED]), SumNoise(0.0))
    free = np.prod([1 - d / n for d, n in ((4, 500), (5, 486), (6, 472), (7, 454))])
    assert named(answer, "deteriorated-waiting-8").value == pytest.approx(1 - free)
    gap, standing, hazard = answer.sentences
    assert "fewer had deteriorated than of people waiting" in gap
    assert standing.startswith("By week 8, 5 % of people waiting had reliably deteriorated. By")
    assert "the hazard of deteriorating of people offered a guided programme was 0." in hazard
    assert "immortal time" in " ".join(answer.notes)
    course, gaps, ratios = answer.figures
    assert course.steps
    assert course.series["waiting"]["middle"][0] == 0.0
    assert course.at_risk["waiting"] == (500, 486, 472, 454, 433, 395)
    assert gaps.better == ratios.better == "left"
    names = [e.name for e in answer.estimates]
    assert not any(n.startswith(("untouched", "lost")) for n in names)  # 1 − deteriorated says it
    assert draw(course, key="k").png


def test_an_answer_on_stepping_up_shows_every_cause_and_they_add_up():
    q = question(STEP_UP, arms=ARMS[::2])
    answer = q.estimate(EMPTY, total_of(q, [STEPPED, STEPPED]), SumNoise(0.0))
    for end in q.grid.ends:
        shares = [
            named(answer, f"{key}-waiting-{end:g}").value
            for key in ("stepped_up", "therapy_started", "lost", "untouched")
        ]
        assert sum(shares) == pytest.approx(1)
    at_8 = np.array(STEPPED[:12]).reshape(4, 3).sum(axis=0) / 500
    assert [named(answer, f"{k}-waiting-8").value for k in q.ways.causes] == pytest.approx(at_8)
    assert answer.sentences[1].startswith(
        "By week 8, 3 % of people waiting had been moved to more intensive care or referred "
        "urgently; 10 % had started therapy before, and 17 % were no longer measured."
    )
    titles = [f.title for f in answer.figures[:3]]
    assert titles == [
        "People moved to more intensive care",
        "People who had started therapy",
        "People lost to measurement",
    ]
    lost = answer.figures[2]
    assert lost.series["waiting"]["middle"][4] == pytest.approx(100 * at_8[2])
    assert lost.y_range == (0.0, 40.0)  # 29 % by week 12, and its interval
    assert named(answer, "difference_therapy_started-dmhi_guided-waiting").value == 0.0
    curve = [1.0] + [named(answer, f"untouched-waiting-{e:g}").value for e in q.grid.ends]
    area = np.trapezoid(curve, [0, *q.grid.ends])
    assert named(answer, "mean-waiting").value == pytest.approx(area)
    assert draw(answer.figures[1], key="k").png


@pytest.mark.parametrize("more", ["", STEP_UP])
@pytest.mark.parametrize("sd", [0.0, 5.45])
def test_nothing_to_tell_is_an_answer_in_words_that_can_be_drawn(more, sd):
    q = question(more)
    total = sd * np.random.default_rng(3).standard_normal(q.shape.length)
    answer = q.estimate(EMPTY, total, SumNoise(sd))
    assert all(e.value is None for e in answer.estimates)
    assert all(s.startswith("Nothing can be said about") for s in answer.sentences)
    for figure in answer.figures:
        assert draw(figure, key="k").png


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("more", ["", STEP_UP])
def test_an_arm_without_any_event_has_a_curve_and_no_ratio(more):
    """Separation: nobody of one arm had it."""
    q = question(more, arms=ARMS[::2])
    cells = np.array([WAITING, GUIDED] if not more else [STEPPED, STEPPED], dtype=float)
    cells[1, 0 : -1 : q.ways.columns] = 0
    for sd in (0.0, 5.45):
        answer = q.estimate(EMPTY, total_of(q, cells), SumNoise(sd))
        ratio = named(answer, "hazard_ratio-dmhi_guided-waiting")
        assert ratio.value is None
        assert "too few people" in ratio.suppressed
        share = named(answer, f"{q.ways.causes[0]}-dmhi_guided-8")
        assert share.value == pytest.approx(0, abs=1e-9)
        assert 0 < share.high < 10
        json.dumps(answer.to_json(), allow_nan=False, default=str)


def test_four_people_with_the_event_are_too_few_for_a_ratio():
    q = question(arms=ARMS[::2])
    for events, told in ((4, False), (5, True)):
        cells = np.array([WAITING, GUIDED], dtype=float)
        cells[1, 0:-1:2] = (events, 0, 0, 0, 0)
        answer = q.estimate(EMPTY, total_of(q, cells), SumNoise(0.0))
        ratio = named(answer, "hazard_ratio-dmhi_guided-waiting")
        assert (ratio.value is not None) == told


@pytest.mark.filterwarnings("error")
@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(-1e5, 1e5), min_size=32, max_size=32),
    st.sampled_from([0.0, 1e-6, 5.0, 1e3]),
    st.sampled_from(["", STEP_UP]),
)
def test_any_noised_sum_gives_a_finite_answer(total, sd, more):
    q = question(more, arms=ARMS[:2], extra="disclosure = { patients = 1 }")
    answer = q.estimate(EMPTY, np.array(total[: q.shape.length]), SumNoise(sd))
    for e in answer.estimates:
        assert (e.value is None) == bool(e.suppressed)
        if e.value is not None:
            assert np.isfinite([e.value, e.low, e.high, e.standard_error]).all()
            assert e.low <= e.value <= e.high
    json.dumps([t.rows for t in answer.tables], allow_nan=False)


@pytest.mark.parametrize("more", ["", STEP_UP])
def test_the_plan_foretells_every_result_of_the_answer(more):
    q = question(more, arms=ARMS[:2])
    rng = np.random.default_rng(1)
    cells = rng.integers(5, 20, (2, q.grid.cells)).astype(float)
    cells[:, THROUGH] = 800
    answer = q.estimate(EMPTY, total_of(q, cells), NOISE)
    planned = q.expected(NOISE)
    assert [e.name for e in planned] == [e.name for e in answer.estimates]
    assert planned[0].name == "difference-dmhi_unguided-waiting"
    assert all(e.sampling > 0 and e.noise > 0 for e in planned)


def test_synthetic_clinics_tell_what_their_records_hold():
    """All events of a synthetic federation, counted by hand and by the question."""
    clinics = generate(World(), [300] * 4, seed=3)
    q = question(STEP_UP, extra="")
    total = sum(
        block.sum(axis=0) for c in clinics for block in q.contributions(q.prepare(c), EMPTY)
    )
    answer = q.estimate(EMPTY, total, SumNoise(0.0))
    rows = pl.concat([c.engagement for c in clinics]).filter(pl.col("measure") == "stepped_up")
    people = pl.concat([c.patients for c in clinics]).filter(pl.col("arm") == "waiting")
    had = rows.filter(pl.col("time") <= 8).join(people, on="patient", how="semi").height
    share = named(answer, "stepped_up-waiting-8")
    lost = named(answer, "lost-waiting-8").value
    assert 0.5 * had / people.height < share.value <= had / people.height
    assert 0.05 < lost < 0.6


@pytest.mark.parametrize(
    ("settings_", "named_"),
    [
        ('event = "death"', "event"),
        ("window = 2", "window: it is for step_up"),
        (f"baseline_window = [-1, 1]\n{STEP_UP}", "baseline_window: it is for deterioration"),
        ("baseline_window = [1, -1]", "its start must not be after its end"),
        ("baseline_window = [-1, 2]", "it must end before the first of ends"),
        ("baseline_window = [-1, nan]", "baseline_window"),
        ("typical = 0", "typical"),
        ("typical = 1", "typical"),
        ("at = 7", "at: it must be one of ends"),
        ("average = true", "average"),
        ('reference = "placebo"', "reference: 'placebo'"),
    ],
)
def test_a_wrong_setting_is_refused_by_name_with_a_remedy(settings_, named_):
    with pytest.raises(InputError) as caught:
        question(settings_)
    assert caught.value.code == "input.question-invalid"
    assert named_ in caught.value.why
    assert caught.value.hint


def test_deterioration_is_refused_where_no_reliable_change_is_known():
    with pytest.raises(InputError) as caught:
        question(outcome="WSAS")
    assert "no reliable change is known for WSAS" in caught.value.why
    assert "PHQ-9" in caught.value.hint
    assert question(STEP_UP, outcome="WSAS").ways.causes[0] == "stepped_up"
