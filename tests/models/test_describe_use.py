"""A description of programmes, waits, spreads of outcomes and minutes, against a plain reading."""

from __future__ import annotations

import json
import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint
from statsmodels.stats.weightstats import DescrStatsW

from cairn_models.description import use
from cairn_models.description.bars import hidden_runs
from cairn_models.description.waits import bins_of
from cairn_models.questions.base import SumNoise
from cairn_models.questions.describe import Describe
from cairn_models.records import ENGAGEMENT, SCORES, Records
from cairn_models.synthetic import World, generate
from cairn_protocol.errors import InputError
from cairn_protocol.study import Study

ARMS = ("waiting", "dmhi_unguided", "dmhi_guided")
NEW = ("outcomes", "programme", "waits", "minutes")
EMPTY = np.zeros(0, dtype=np.float32)
NEAR = {"rel": 1e-6, "abs": 1e-6}
STEP = 2.0**-20
Z = 1.959963984540054


def question(more: str = "", *, public: bool = False, parts=NEW, arms=ARMS) -> Describe:
    study = Study.parse(
        f"""
        cairn = 1
        name = "use"
        title = "Use"
        synthetic = true
        outcome = {{ instrument = "PHQ-9" }}
        cohort = {{ arms = {json.dumps(arms)}, planned_patients = 3000, largest_clinic = 900 }}
        {'privacy = { data = "public" }' if public else ""}
        [[questions]]
        name = "use"
        kind = "describe"
        {"" if public else "epsilon = 1.0"}
        parts = {json.dumps(parts)}
        {more}
        """.encode()
    )
    return Describe(study.questions[0], study)


def total_of(q, held):
    blocks = list(q.contributions(q.prepare(held), EMPTY))
    return sum((b.sum(axis=0) for b in blocks), np.zeros(q.shape.length))


def named(answer, name):
    return next(e for e in answer.estimates if e.name == name)


@pytest.fixture(scope="module")
def cohort() -> Records:
    """Seven hundred synthetic patients of one clinic."""
    (held,) = generate(World(), [700], seed=11, weeks=40)
    return held


@pytest.fixture(scope="module")
def plain(cohort: Records) -> dict[str, list[dict[str, object]]]:
    """Every patient's facts by arm, read row by row."""
    people = {
        p: {"arm": a, "rows": [], "scores": {}}
        for p, a in cohort.patients.select("patient", "arm").iter_rows()
    }
    for p, t, measure, value in cohort.engagement.iter_rows():
        people[p]["rows"].append((t, measure, value))
    for p, t, instrument, value in cohort.scores.iter_rows():
        people[p]["scores"].setdefault(instrument, {})[t] = value
    found: dict[str, list[dict[str, object]]] = {arm: [] for arm in ARMS}
    for one in people.values():
        if one["arm"] in found:
            found[one["arm"]].append(facts(one["rows"], one["scores"]))
    return found


def nearest(scores, week, window):
    near = [(abs(t - week), t) for t in scores if abs(t - week) <= window]
    return scores[min(near)[1]] if near else None


def facts(rows, scores):
    def first(name):
        return min((t for t, m, v in rows if m == name and v == 1), default=math.inf)

    started, completed = first("started"), first("completed")
    stopped = max((t for t, m, v in rows if m == "stopped"), default=None)
    wait = ("therapy_started", "stepped_up")
    last = max((t for t, m, _ in rows if m not in wait), default=None)
    stage = None
    if started < math.inf:
        end = stopped if stopped is not None else last
        stage = 1 + sum(completed < math.inf or end - started >= w for w in (2, 4))
        stage += completed < math.inf
    elif first("offered") < math.inf:
        stage = 0
    signs = ("started", "logins", "modules", "completed", "stopped")
    active = {int(t - started) for t, m, v in rows if m in signs and v > 0 and started < math.inf}
    therapy, stepped = first("therapy_started"), first("stepped_up")
    phq, gad = scores.get("PHQ-9", {}), scores.get("GAD-7", {})
    before = [s.get(0.0) for s in (phq, gad)]
    after = [nearest(s, 8, 2) for s in (phq, gad)]
    recovered = False
    if None not in (*before, *after):
        case = before[0] >= 10 or before[1] >= 8
        well = after[0] < 10 and after[1] < 8
        fell = before[0] - after[0] >= 6 or before[1] - after[1] >= 4
        rose = after[0] - before[0] >= 6 or after[1] - before[1] >= 4
        recovered = case and well and fell and not rose
    return {
        "stage": stage,
        "assessed": nearest(phq, 8, 2) is not None,
        "active": len({w for w in active if 0 <= w < 12}) if started < math.inf else None,
        "wait": therapy if therapy <= min(24, stepped) else math.inf,
        "stepped": stepped <= 24 and stepped < therapy,
        "minutes": min(sum(v for t, m, v in rows if m == "minutes" and t <= 10), 120.0),
        "recovered": recovered,
        "week-8": nearest(phq, 8, 2),
        "week-4": nearest(phq, 4, 2),
    }


@pytest.mark.parametrize("clinics", [1, 5, 20])
def test_without_noise_any_split_gives_the_pooled_numbers(cohort, plain, clinics):
    q = question("most_minutes = 120", public=True)
    names = cohort.patients["patient"].to_list()
    total = np.zeros(q.shape.length)
    for c in range(clinics):
        own = total_of(q, cohort.only(pl.Series(names[c::clinics])))
        total += np.round(own / STEP) * STEP  # the grid of a clinic's answer
    answer = q.estimate(EMPTY, total, SumNoise(0.0))
    for arm, people in plain.items():
        assert len(people) > 100
        says_how_they_used_it(answer, arm, people)
        says_how_long_they_waited(answer, arm, people)
        says_what_staff_spent(answer, arm, people)
        for week in ("week-4", "week-8"):
            scores = [p[week] for p in people if p[week] is not None]
            for name, at in (("lower-quartile", 0.25), ("median", 0.5), ("upper-quartile", 0.75)):
                found = named(answer, f"{week}-{name}-{arm}")
                assert found.value == np.quantile(scores, at, method="inverted_cdf")
            bar = named(answer, f"{week}-9-to-11-{arm}")
            share = np.mean([9 <= s <= 11 for s in scores])
            assert bar.value == pytest.approx(share, **NEAR)
    assert all(e.noise_share == 0.0 for e in answer.estimates if e.value is not None)


def says_how_they_used_it(answer, arm, people):
    if arm == "waiting":
        assert not [
            e
            for e in answer.estimates
            if e.name.startswith(("programme", "active")) and e.name.endswith(arm)
        ]
        return
    offered = [p for p in people if p["stage"] is not None]
    assert named(answer, f"offered-{arm}").value == pytest.approx(len(offered), **NEAR)
    for name, at_least in (("started", 1), ("week-2", 2), ("week-4", 3), ("completed", 4)):
        reached = sum(p["stage"] >= at_least for p in offered)
        found = named(answer, f"programme-{name}-{arm}")
        assert found.value == pytest.approx(reached / len(offered), **NEAR)
        ends = proportion_confint(reached, len(offered), method="wilson")
        assert (found.low, found.high) == pytest.approx(ends, **NEAR)
    assessed = np.mean([p["assessed"] for p in offered])
    assert named(answer, f"programme-assessed-{arm}").value == pytest.approx(assessed, **NEAR)
    both = np.mean([p["assessed"] and p["stage"] == 4 for p in offered])
    found = named(answer, f"programme-completed-assessed-{arm}")
    assert found.value == pytest.approx(both, **NEAR)
    pooled = DescrStatsW([p["active"] for p in people if p["active"] is not None])
    weeks = named(answer, f"active-weeks-mean-{arm}")
    assert weeks.value == pytest.approx(pooled.mean, **NEAR)
    assert (weeks.low, weeks.high) == pytest.approx(pooled.tconfint_mean(), **NEAR)


def says_how_long_they_waited(answer, arm, people):
    waits = np.array([p["wait"] for p in people])
    for name, q in (("lower-quartile", 0.25), ("median", 0.5), ("upper-quartile", 0.75)):
        true = np.quantile(waits, q, method="inverted_cdf")
        found = named(answer, f"wait-{name}-{arm}")
        if math.isinf(true):
            assert "not reached" in found.suppressed
        else:
            assert found.value == true
            assert found.low <= true <= found.high
    shown = 0
    for week in range(4, 25, 4):
        found = named(answer, f"wait-begun-by-{week}-{arm}")
        if found.value is not None:
            shown += 1
            assert found.value == pytest.approx(np.mean(waits <= week), **NEAR)
    assert shown >= 3
    still = np.mean([math.isinf(p["wait"]) and not p["stepped"] for p in people])
    assert named(answer, f"wait-still-{arm}").value == pytest.approx(still, **NEAR)
    stepped = named(answer, f"wait-stepped-up-{arm}")
    if stepped.value is not None:
        assert stepped.value == pytest.approx(np.mean([p["stepped"] for p in people]), **NEAR)


def says_what_staff_spent(answer, arm, people):
    m = np.array([p["minutes"] for p in people])
    r = np.array([p["recovered"] for p in people], dtype=float)
    mean = named(answer, f"minutes-mean-{arm}")
    assert mean.value == pytest.approx(m.mean(), **NEAR)
    if m.any():
        ends = DescrStatsW(m).tconfint_mean()
        assert (mean.low, mean.high) == pytest.approx(ends, **NEAR)
    each = named(answer, f"minutes-per-recovery-{arm}")
    if each.value is None:
        assert r.sum() < 17
        return
    assert each.value == pytest.approx(m.sum() / r.sum(), **NEAR)
    if m.any():  # Fieller's ends: where the test of Σ(m − θr) = 0 is just not refused
        for theta in (each.low, each.high):
            gap = m - theta * r
            assert gap.sum() ** 2 == pytest.approx(Z**2 * (gap**2).sum(), rel=1e-4)


def engaged(*rows) -> Records:
    """People of the arm "dmhi_guided", p0, p1, …, with rows of (place, time, measure[, value])."""
    people = sorted({row[0] for row in rows})
    return Records(
        pl.DataFrame({"patient": [f"p{k}" for k in people], "arm": ["dmhi_guided"] * len(people)}),
        pl.DataFrame(schema=SCORES),
        pl.DataFrame(
            [(f"p{k}", float(t), m, float(more[0]) if more else 1.0) for k, t, m, *more in rows],
            schema=ENGAGEMENT,
            orient="row",
        ),
    )


def test_the_stages_of_a_programme_by_hand():
    held = engaged(
        (0, 0, "offered"),
        (1, 1, "started"),  # nobody wrote down the offer
        *((2, t, m) for t, m in ((0, "offered"), (1, "started"), (3, "stopped"))),
        *((3, t, m) for t, m in ((0, "offered"), (1, "started"), (2.9, "stopped"))),
        *((4, t, m) for t, m in ((0, "started"), (1, "completed"))),  # before week 2
        *((5, t, m) for t, m in ((0, "started"), (4, "logins"))),  # still using it
        (6, 0, "credibility"),
        (7, 9, "completed"),  # never started
        *((8, t, m) for t, m in ((0, "started"), (30, "therapy_started"))),  # not a use
    )
    places = use.programme_places(held, (2, 4), np.zeros(9, dtype=bool))
    np.testing.assert_array_equal(places, [0, 2, 4, 2, 8, 6, np.nan, np.nan, 2])
    odd = use.programme_places(held, (2, 4), np.ones(9, dtype=bool))
    np.testing.assert_array_equal(odd - places, [1, 1, 1, 1, 1, 1, np.nan, np.nan, 1])


def test_active_weeks_by_hand():
    held = engaged(
        (0, 2, "started"),
        (0, 2.5, "logins", 3),
        (0, 3.0, "modules", 2),
        (0, 3.9, "logins", 1),
        (0, 5.0, "logins", 0),  # none is no use
        (0, 14.0, "logins", 1),  # the thirteenth week
        (0, 4.5, "minutes", 30),  # staff's, not theirs
        (0, 0.5, "logins", 1),  # before they began
        (1, 0, "offered"),
    )
    np.testing.assert_array_equal(use.active_weeks(held, 12), [2, np.nan])
    np.testing.assert_array_equal(use.active_weeks(held, 13), [3, np.nan])


def test_the_ends_of_a_wait_by_hand():
    held = engaged(
        *((k, t, "therapy_started") for k, t in enumerate((-3, 0, 0.1, 1, 1.01, 24, 24.1))),
        (7, 4, "stepped_up"),
        (8, 4, "stepped_up"),
        (8, 4, "therapy_started"),  # at a tie it had begun
        (9, 4, "stepped_up"),
        (9, 5, "therapy_started"),
        (10, 25, "stepped_up"),
        (11, 0, "offered"),
        (12, 3, "therapy_started", 0),  # not marked
    )
    places = use.wait_places(held, bins_of(24))
    by_name = dict(zip(held.patients["patient"], places, strict=True))
    expected = [0, 0, 1, 1, 2, 24, 26, 25, 4, 25, 26, 26, 26]
    assert [by_name[f"p{k}"] for k in range(13)] == expected


@pytest.mark.parametrize(("longest", "step", "number"), [(4, 1, 5), (24, 1, 25), (48, 2, 25)])
def test_the_bins_of_a_wait_end_at_the_longest(longest, step, number):
    bins = bins_of(longest)
    assert (bins.step, bins.number) == (step, number)
    assert bins.value(np.array([number - 1]))[0] == longest


def test_minutes_are_cut_at_the_public_number_and_at_the_week():
    held = engaged(
        *((0, t, "minutes", v) for t, v in ((1, 30), (2, 20), (11, 500))),
        *((1, t, "minutes", 1e300) for t in range(3)),
        (2, 0, "offered"),
        (3, 1, "minutes", -40),
        (3, 2, "minutes", float("nan")),
        (3, 3, "minutes", 15),
    )
    np.testing.assert_array_equal(use.staff_minutes(held, 10.0, 120.0), [50, 120, 0, 15])


def test_people_who_only_wait_are_in_no_programme():
    q = question(parts=("programme",), arms=("waiting", "dmhi_guided"))
    held = engaged((0, 0, "started"))
    waiting = Records(
        held.patients.with_columns(arm=pl.lit("waiting")), held.scores, held.engagement
    )
    assert total_of(q, held).any()
    assert not total_of(q, waiting).any()
    named_ = question('programme_arms = ["waiting"]', parts=("programme",))
    assert total_of(named_, waiting).any()


@settings(max_examples=300)
@given(st.lists(st.integers(-5, 60), min_size=2, max_size=9))
def test_no_hidden_bar_follows_from_the_bars_and_sums_that_are_shown(cells):
    counts = np.array(cells, dtype=float)
    hidden = hidden_runs(counts, 10.0)
    assert hidden[counts < 10].all()
    if not (counts < 10).any():
        assert not hidden.any()
    if hidden.all():
        return
    place = np.arange(len(cells))
    inside = hidden & np.append(hidden[1:], False)
    known = [*np.eye(len(cells))[~hidden], *(place <= place[~inside, None]).astype(float)]
    known = np.array([*known, np.ones(len(cells))])
    rank = np.linalg.matrix_rank(known)
    for k in np.flatnonzero(hidden):
        assert np.linalg.matrix_rank(np.vstack([known, np.eye(len(cells))[k]])) > rank
    for run in np.split(place, np.flatnonzero(np.diff(hidden)) + 1):
        if hidden[run[0]]:
            assert len(run) > 1
            assert counts[run].sum() >= 10


def test_few_recoveries_are_not_divided_by():
    held = engaged(*((k, 1, "minutes", 30) for k in range(200)))
    q = question(parts=("minutes",))
    answer = q.estimate(EMPTY, total_of(q, held), SumNoise(0.0))
    assert named(answer, "minutes-mean-dmhi_guided").value == pytest.approx(30)
    assert "reliable recoveries" in named(answer, "minutes-per-recovery-dmhi_guided").suppressed
    assert "too few people" in named(answer, "minutes-mean-waiting").suppressed


def test_sentences_and_pictures_say_what_a_reader_needs(cohort):
    q = question("most_minutes = 120", public=True)
    answer = q.estimate(EMPTY, total_of(q, cohort), SumNoise(0.0))
    text = " ".join(answer.sentences)
    assert "of people offered a guided programme, " in text.lower()
    assert "who started used it in" in text
    assert "of people waiting, half had begun therapy by week" in text.lower()
    assert "minutes on each of the people offered a guided programme" in text
    kinds = [type(figure).__name__ for figure in answer.figures]
    assert kinds == ["Histogram", "Histogram", "Funnel", "Histogram"]
    assert answer.title == "PHQ-9 later on, use of a programme, waits, staff minutes"
    assert "at week 8, people waiting who have a phq-9 score have a median of" in text.lower()
    wait = answer.figures[3]
    assert wait.beyond == "still waiting"
    assert set(answer.figures[2].series) == set(ARMS[1:])
    assert any("still waiting, so that waits look longer" in note for note in answer.notes)
    json.dumps(answer.to_json(), allow_nan=False)


@pytest.mark.filterwarnings("error")
@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1.0, 50.0, 1e4]), st.sampled_from([0.0, 5.0]))
def test_any_noised_sum_gives_a_finite_answer(seed, scale, sd):
    q = QUESTION
    noised = np.random.default_rng(seed).standard_normal(q.shape.length) * scale
    answer = q.estimate(EMPTY, noised, SumNoise(sd))
    json.dumps(answer.to_json(), allow_nan=False)
    assert len({e.name for e in answer.estimates}) == len(answer.estimates)
    for e in answer.estimates:
        if e.value is not None:
            assert e.low <= e.value <= e.high
            assert e.count is not None
            assert e.count >= 10
        else:
            assert e.suppressed


QUESTION = question()


def test_the_plan_names_estimates_of_the_answer_and_all_blocks_fare_alike():
    q = QUESTION
    answer = q.estimate(EMPTY, np.zeros(q.shape.length), SumNoise(2.0))
    planned = q.expected(SumNoise(2.0))
    assert {e.name for e in planned} <= {e.name for e in answer.estimates}
    worst = [
        max(e.inflation for e in planned if e.name.startswith(stems))
        for stems in ("week-4", "week-8", "programme", "active", "wait", "minutes")
    ]
    assert worst == pytest.approx([worst[0]] * len(worst))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("programme_weeks = [4, 2]", "programme_weeks"),
        ("programme_weeks = [0]", "programme_weeks"),
        ('programme_arms = ["placebo"]', "programme_arms: 'placebo'"),
        ("active_weeks = 1", "active_weeks"),
        ("longest_wait = 3", "longest_wait"),
        ("longest_wait = 2.5", "longest_wait"),
        ("most_minutes = 0", "most_minutes"),
        ("most_minutes = inf", "most_minutes"),
        ('scales = ["ISI"]', "scales: 'ISI'"),
        ('arms = ["waiting"]', "has a programme"),
    ],
)
def test_a_wrong_setting_is_refused_by_name_with_a_remedy(more, said):
    with pytest.raises(InputError) as caught:
        question(more)
    assert caught.value.code == "input.question-invalid"
    assert said in caught.value.why
    assert caught.value.hint
