"""The rates question: what leaves, what the server makes of it, and what it refuses."""

from __future__ import annotations

import datetime as dt
import json

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from cairn_models.questions import build
from cairn_models.questions.base import SumNoise
from cairn_models.questions.rates import Rates
from cairn_models.records import SCORES, Records
from cairn_models.reliable_change import OUTCOMES
from cairn_models.synthetic import World, generate
from cairn_protocol.errors import InputError
from cairn_protocol.study import Study

ARMS = ("waiting", "dmhi_unguided", "dmhi_guided")
AGES = ("16-25", "26-64", "65+")
EMPTY = np.zeros(0, dtype=np.float32)
BY = 'by = "age_band"'
PAIR = ((14, 11), (5, 4))
FOUR = ("reliable_improvement", "reliable_deterioration", "recovery", "reliable_recovery")


def question(more: str = "", *, arms=ARMS, extra="", public=False) -> Rates:
    listed = ", ".join(f'"{a}"' for a in arms)
    study = Study.parse(
        f"""
        cairn = 1
        name = "waiting-list"
        title = "Who recovers?"
        synthetic = true
        outcome = {{ instrument = "PHQ-9" }}
        cohort = {{ arms = [{listed}], planned_patients = 3000, largest_clinic = 400 }}
        privacy = {{ data = "{"public" if public else "patients"}" }}
        {extra}
        variables.age_band = {{ levels = {json.dumps(AGES)} }}
        variables.sex = {{ levels = ["female", "male"] }}
        variables.age = {{ lowest = 16, highest = 100 }}
        [[questions]]
        name = "rates"
        kind = "rates"
        {"" if public else "epsilon = 1.0"}
        {more}
        """.encode()
    )
    built = build(study.questions[0], study)
    assert isinstance(built, Rates)
    return built


def records(people) -> Records:
    """Records of people given as (arm, age, (PHQ-9, GAD-7) first, last), None where missing."""
    names = [f"p{i:05d}" for i in range(len(people))]
    scores = [
        (name, time, scale, float(value))
        for name, (_, _, *totals) in zip(names, people, strict=True)
        for time, pair in zip((0.0, 8.0), totals, strict=True)
        for scale, value in zip(("PHQ-9", "GAD-7"), pair, strict=True)
        if value is not None
    ]
    return Records(
        pl.DataFrame(
            {"patient": names, "arm": [p[0] for p in people], "age_band": [p[1] for p in people]},
            schema={"patient": pl.String, "arm": pl.String, "age_band": pl.String},
        ).with_columns(pl.lit(dt.date(2026, 1, 1)).alias("entry")),
        pl.DataFrame(scores, schema=SCORES, orient="row"),
    )


def cohort(n=900, seed=0, arms=ARMS):
    rng = np.random.default_rng(seed)
    out = []
    for i in range(n):
        first = (int(np.clip(rng.normal(14, 6), 0, 27)), int(np.clip(rng.normal(11, 5), 0, 21)))
        fall = rng.normal(2 + i % len(arms), 5)
        last = tuple(
            int(np.clip(x - fall + rng.normal(0, 2), 0, top))
            for x, top in zip(first, (27, 21), strict=True)
        )
        last = last if rng.random() > 0.2 else (last[0], None)
        out.append((arms[i % len(arms)], AGES[int(rng.integers(3))], first, last))
    return out


def total_of(q: Rates, held: Records):
    blocks = list(q.contributions(q.prepare(held), EMPTY))
    return sum((b.sum(axis=0) for b in blocks), np.zeros(q.shape.length))


def named(answer, name):
    return next(e for e in answer.estimates if e.name == name)


def counts(people, outcome, arm=None, age=None):
    """(people with the outcome, people counted) by a plain reading of the manual."""
    having = counted = 0
    for of, band, (p0, g0), (p1, g1) in people:
        if None in (p0, g0, p1, g1) or arm not in (None, of) or age not in (None, band):
            continue
        better, worse = p0 - p1 >= 6 or g0 - g1 >= 4, p1 - p0 >= 6 or g1 - g0 >= 4
        case, well = p0 >= 10 or g0 >= 8, p1 < 10 and g1 < 8
        told = {
            "reliable_improvement": better and not worse,
            "reliable_deterioration": worse and not better,
            "recovery": well,
            "reliable_recovery": well and better and not worse,
        }[outcome]
        if case or not outcome.endswith("recovery"):
            having, counted = having + told, counted + 1
    return having, counted


@pytest.mark.parametrize("clinics", [1, 5, 20])
@pytest.mark.parametrize("outcome", FOUR)
def test_without_noise_any_split_gives_the_pooled_intervals(clinics, outcome):
    q, people = question(BY), cohort()
    step = 2.0**-20
    total = np.zeros(q.shape.length)
    for c in range(clinics):
        own = total_of(q, records(people[c::clinics]))
        total += np.round(own / step) * step  # the grid of a clinic's answer
    answer = q.estimate(EMPTY, total, SumNoise(0.0))
    near = {"rel": 1e-6, "abs": 1e-9}
    for at in (None, *AGES):
        suffix = "" if at is None else f"-{at}"
        y, m = counts(people, outcome, "waiting", at)
        for arm in ARMS[1:]:
            x, n = counts(people, outcome, arm, at)
            rate = named(answer, f"{outcome}-rate-{arm}{suffix}")
            assert (rate.value, rate.count) == (pytest.approx(x / n, **near), pytest.approx(n))
            assert (rate.low, rate.high) == pytest.approx(
                proportion_confint(x, n, method="wilson"), **near
            )
            gap = named(answer, f"{outcome}-difference-{arm}-waiting{suffix}")
            assert gap.value == pytest.approx(x / n - y / m, **near)
            ends = confint_proportions_2indep(x, n, y, m, method="newcomb", compare="diff")
            assert (gap.low, gap.high) == pytest.approx(ends, **near)
            assert gap.noise_share == 0.0
            times = named(answer, f"{outcome}-ratio-{arm}-waiting{suffix}")
            if min(x, y) >= 5:
                ends = confint_proportions_2indep(x, n, y, m, method="log", compare="ratio")
                assert times.value == pytest.approx(x / n / (y / m), **near)
                assert (times.low, times.high) == pytest.approx(ends, **near)
            else:
                assert "too few" in times.suppressed
    x, n = counts(people, outcome, age="65+")
    y, m = counts(people, outcome, age="16-25")
    gap = named(answer, f"{outcome}-gap-65+-16-25")
    ends = confint_proportions_2indep(x, n, y, m, method="newcomb", compare="diff")
    assert (gap.value, gap.low, gap.high) == pytest.approx((x / n - y / m, *ends), **near)


def test_the_synthetic_clinics_are_counted_as_a_plain_reading_counts_them():
    q = question("baseline_window = [0, 0]\nwindow = 0")
    clinics = generate(World(), [120, 80], seed=3, weeks=12)
    people = []
    for held in clinics:
        told = held.scores.filter(pl.col("time").is_in([0.0, 8.0]))
        scores = {row[:3]: row[3] for row in told.select(*SCORES).iter_rows()}
        for patient, arm in held.patients.select("patient", "arm").iter_rows():
            first, last = (
                tuple(scores.get((patient, t, s)) for s in ("PHQ-9", "GAD-7")) for t in (0.0, 8.0)
            )
            people.append((arm, None, first, last))
    total = sum(total_of(q, held) for held in clinics)
    for outcome in OUTCOMES.values():
        for place, arm in enumerate(ARMS):
            found = q.table.proportion(total, outcome, noise_sd=0.0, fewest=1, arm=place)
            x, n = counts(people, outcome.name, arm)
            assert (float(found.having), float(found.count)) == pytest.approx((x, n), rel=1e-9)
            assert n > 5


def test_a_patient_is_seen_in_the_own_group_and_nowhere_else():
    q = question(BY)
    held = records(
        [
            ("dmhi_guided", "65+", (20, 10), (5, 3)),
            ("dmhi_guided", "old", (20, 10), (5, 3)),
            ("elsewhere", "65+", (20, 10), (5, 3)),
            (None, "65+", (20, 10), (5, 3)),
            ("waiting", None, (20, 10), (5, 3)),
            ("waiting", "65+", (20, None), (5, 3)),
        ]
    )
    (rows,) = q.contributions(q.prepare(held), EMPTY)
    assert not rows[1:].any()
    table = rows[0].reshape(3, 3, 9)
    assert {(arm, age) for arm, age, _ in np.argwhere(table)} == {(2, 2)}
    counts = q.table.shaping.table(table)
    still_well = counts[2, 2, q.table.place[8]]  # at caseness, then well, reliably better
    assert (counts.sum(), still_well) == pytest.approx((1.0, 1.0))


def test_public_data_are_counted_in_whole_numbers():
    q = question(public=True)
    held = records(cohort(60))
    (rows,) = q.contributions(q.prepare(held), EMPTY)
    assert set(np.unique(rows)) == {0.0, 1.0}
    assert rows.sum() > 30


def test_a_clinic_without_patients_yields_nothing():
    q = question()
    assert list(q.contributions(q.prepare(Records()), EMPTY)) == []


@pytest.mark.parametrize("people", [[], [("waiting", "65+", (20, 9), (5, 3))]])
def test_a_clinic_without_the_column_is_refused_whether_or_not_anybody_is_there(people):
    held = records(people)
    without = Records(held.patients.drop("age_band"), held.scores)
    with pytest.raises(InputError, match="no column 'age_band'") as caught:
        question(BY).prepare(without)
    assert caught.value.code == "input.column-missing"


def test_a_level_may_be_a_number():
    q = question('by = "grade"', extra='variables.grade = { levels = ["1", "2.5"] }')
    held = records([("waiting", "x", (20, 9), (5, 3))] * 4)
    grades = pl.Series("grade", [1.0, 2.5, 3.0, None])
    numbered = Records(held.patients.with_columns(grades), held.scores)
    told = q.prepare(numbered)
    assert (told >= 0).tolist() == [True, True, False, False]


total = st.one_of(st.none(), st.floats(0, 27), st.floats(), st.sampled_from([1e30, -1e30]))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([*ARMS, "elsewhere", None]),
            st.sampled_from([*AGES, "", None]),
            st.tuples(total, total),
            st.tuples(total, total),
        ),
        max_size=8,
    ),
    st.sampled_from(["", BY, 'outcomes = ["recovery"]', 'scales = ["GAD-7"]']),
)
def test_no_row_exceeds_the_bound(people, more):
    q = question(more)
    assert q.shape.bound == 1.0
    for rows in q.contributions(q.prepare(records(people)), EMPTY):
        assert np.isfinite(rows).all()
        assert np.linalg.norm(rows, axis=1).max(initial=0.0) <= 1.0


def test_removing_one_patient_changes_no_other_row():
    q, people = question(BY), [*cohort(24), ("waiting", None, (27, 21), (0, 0))]
    held = records(people)
    (rows,) = q.contributions(q.prepare(held), EMPTY)
    for gone, name in enumerate(held.patients["patient"]):
        (rest,) = q.contributions(q.prepare(held.without(name)), EMPTY)
        np.testing.assert_array_equal(rest, np.delete(rows, gone, axis=0))


def test_a_patient_alone_has_the_row_that_they_have_among_others():
    """Also in months, where times are scaled: two scores are nearly as far from week 8."""
    q, people = question(BY), cohort(30)
    held = records(people)
    days = held.scores.with_columns(pl.col("time") * (61 / 7 / 8))
    earlier = days.filter(pl.col("time") > 0).with_columns(
        (pl.col("time") - 10 / 7), pl.lit(0.0).alias("value")
    )
    for unit, factor in (("week", 1.0), ("month", 12 * 7 / 365.25)):
        scores = pl.concat([days, earlier]).with_columns(pl.col("time") * factor)
        told = Records(held.patients, scores, time_unit=unit)
        (rows,) = q.contributions(q.prepare(told), EMPTY)
        assert rows.sum() >= 20
        for place, name in enumerate(held.patients["patient"]):
            (alone,) = q.contributions(q.prepare(told.only(pl.Series([name]))), EMPTY)
            assert alone[0].tobytes() == rows[place].tobytes()


def test_the_order_of_rows_is_immaterial():
    q, held = question(BY), records(cohort(60))
    shuffled = Records(
        held.patients.sample(fraction=1.0, shuffle=True, seed=1),
        held.scores.sample(fraction=1.0, shuffle=True, seed=2),
    )
    np.testing.assert_array_equal(total_of(q, held), total_of(q, shuffled))


def finite(document) -> None:
    json.dumps(document, allow_nan=False)


def group(arm, age, n, last=(5, 3)):
    return [(arm, age, (20, 10), last)] * n


def everywhere(n, but=()):
    """n people in every arm and level, and other numbers in the cells that `but` names."""
    return [
        person
        for arm in ARMS
        for age in AGES
        for person in group(arm, age, dict(but).get((arm, age), n))
    ]


def shown(answer, outcome="reliable_improvement"):
    return {
        (arm, age): named(answer, f"{outcome}-rate-{arm}-{age}").value is not None
        for arm in ARMS
        for age in AGES
    }


def none_follows(hidden):
    """Shown totals less shown cells leave two unknowns at least in every line, or none."""
    lines = [[cell for cell in hidden if name in cell] for name in (*ARMS, *AGES)]
    return all(len(line) != 1 for line in lines)


def test_a_small_cell_is_held_back_with_whatever_would_give_it_away():
    q = question(BY)
    people = everywhere(40, {("waiting", "65+"): 9})
    answer = q.estimate(EMPTY, total_of(q, records(people)), SumNoise(0.0))
    hidden = {cell for cell, seen in shown(answer).items() if not seen}
    assert ("waiting", "65+") in hidden
    assert none_follows(hidden)
    reasons = {named(answer, f"recovery-rate-{a}-{b}").suppressed for a, b in hidden}
    assert any("too few" in r for r in reasons)
    assert any("worked out" in r for r in reasons)
    assert named(answer, "recovery-difference-dmhi_guided-waiting-65+").value is None
    assert named(answer, "recovery-ratio-dmhi_guided-waiting-65+").value is None
    assert named(answer, "recovery-difference-dmhi_guided-waiting").value is not None
    assert named(answer, "recovery-gap-65+-16-25").value is not None
    row = next(r for r in answer.tables[0].rows if r[0] == "waiting, age band 65+")
    assert row[1:3] == (None, None)  # not even the count
    finite(answer.to_json())


def test_cells_that_are_held_back_do_not_follow_together_as_a_small_group():
    """Two levels of four and four people in an arm: their sum is a group of eight."""
    sizes = {"16-25": 40, "26-64": 4, "65+": 4}
    people = [(arm, age, *PAIR) for arm in ARMS[:2] for age, n in sizes.items() for _ in range(n)]
    people += [(ARMS[2], age, *PAIR) for age in AGES for _ in range(30)]
    q = question(BY)
    answer = q.estimate(EMPTY, total_of(q, records(people)), SumNoise(0.0))
    for outcome in ("reliable_improvement", "recovery"):
        rates = {g: named(answer, f"{outcome}-rate-{g}").count for g in (*ARMS, "all-arms-16-25")}
        for arm in ARMS[:2]:
            cells = [named(answer, f"{outcome}-rate-{arm}-{age}").count for age in AGES]
            hidden = rates[arm] - sum(n for n in cells if n is not None)
            assert None not in cells or hidden >= 10


def test_a_level_that_is_not_told_does_not_follow_from_arms_and_other_levels():
    sizes = {"16-25": 40, "26-64": 50, "65+": 2}
    people = [(arm, age, *PAIR) for arm in ARMS for age, n in sizes.items() for _ in range(n)]
    q = question(BY)
    answer = q.estimate(EMPTY, total_of(q, records(people)), SumNoise(0.0))
    arms = [named(answer, f"recovery-rate-{arm}").count for arm in ARMS]
    levels = [named(answer, f"recovery-rate-all-arms-{age}").count for age in AGES]
    assert None not in arms
    hidden = sum(arms) - sum(n for n in levels if n is not None)
    assert hidden >= 10


def test_a_cell_that_is_lost_in_noise_takes_another_with_it():
    q = question(BY)
    people = everywhere(80, {("waiting", "65+"): 40})
    sd = 45 / (3 * q.table.noise_in(q.outcomes[0]).whole ** 0.5)  # three of its counts' are 45
    answer = q.estimate(EMPTY, total_of(q, records(people)), SumNoise(sd))
    hidden = {cell for cell, seen in shown(answer).items() if not seen}
    assert ("waiting", "65+") in hidden
    assert none_follows(hidden)


def test_one_patient_more_is_shown():
    q = question(BY)
    people = everywhere(40, {("waiting", "65+"): 10})
    answer = q.estimate(EMPTY, total_of(q, records(people)), SumNoise(0.0))
    assert all(shown(answer).values())


def test_recoveries_are_judged_by_the_people_at_caseness():
    q = question(arms=ARMS[:2])
    people = group("waiting", "65+", 40) + group("dmhi_unguided", "65+", 9)
    people += [("dmhi_unguided", "65+", (9, 7), (3, 3))] * 40
    answer = q.estimate(EMPTY, total_of(q, records(people)), SumNoise(0.0))
    improved = named(answer, "reliable_improvement-rate-dmhi_unguided")
    assert improved.count == pytest.approx(49)
    assert named(answer, "recovery-rate-dmhi_unguided").value is None
    assert named(answer, "recovery-difference-dmhi_unguided-waiting").value is None


def test_every_number_that_is_shown_has_its_noised_count():
    q = question(BY)
    rng = np.random.default_rng(4)
    noised = total_of(q, records(cohort(3000))) + 3.0 * rng.standard_normal(q.shape.length)
    answer = q.estimate(EMPTY, noised, SumNoise(3.0))
    assert len({e.name for e in answer.estimates}) == len(answer.estimates)
    for e in answer.estimates:
        assert (e.value is None) == bool(e.suppressed)
        if e.value is not None:
            assert e.count >= 10
            assert 0.0 < e.noise_share < 1.0
    assert {type(f).__name__ for f in answer.figures} == {"Forest", "Bars"}
    drawn = {e.name for f in answer.figures if hasattr(f, "estimates") for e in f.estimates}
    assert "reliable_improvement-difference-dmhi_guided-waiting" in drawn
    assert "recovery-gap-65+-16-25" in drawn


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("sd", [0.0, 5.0, 500.0])
@pytest.mark.parametrize("people", [(), (("waiting", "65+", (10, 10), (None, 3)),) * 50])
def test_nothing_to_tell_is_an_answer_in_words_without_a_nan(people, sd):
    q = question(BY)
    rng = np.random.default_rng(3)
    noised = total_of(q, records(people)) + sd * rng.standard_normal(q.shape.length)
    answer = q.estimate(EMPTY, noised, SumNoise(sd))
    finite(answer.to_json())
    assert all(s.startswith("Nothing can be said about") for s in answer.sentences)


@pytest.mark.filterwarnings("error")
@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1.0, 50.0, 1e4]), st.sampled_from([0.0, 5.0]))
def test_any_noised_sum_gives_a_finite_answer(seed, scale, sd):
    q = question(BY)
    noised = np.random.default_rng(seed).standard_normal(q.shape.length) * scale
    answer = q.estimate(EMPTY, noised, SumNoise(sd))
    finite(answer.to_json())
    for e in answer.estimates:
        if e.value is not None:
            assert e.low <= e.value <= e.high


def test_sentences_say_what_a_clinician_and_a_statistician_need():
    q = question(BY)
    answer = q.estimate(EMPTY, total_of(q, records(cohort(3000))), SumNoise(3.0))
    text = " ".join(answer.sentences)
    assert "of people offered a guided programme had reliably improved and" in text
    assert "percentage points more (95 % interval" in text
    assert "% of its variance privacy noise), or" in text
    assert "unadjusted for confounding." in text
    assert "At week 8, of those at caseness first, " in text
    assert "Equity gap in reliable improvement, age band 65+ against 16-25" in text
    assert "unadjusted" in answer.title
    assert answer.notes[0].startswith("Synthetic data")
    assert any("at least 6 on PHQ-9 and 4 on GAD-7" in n for n in answer.notes)
    assert any("immortal time" in n for n in answer.notes)
    assert {f.better for f in answer.figures if hasattr(f, "better")} == {"left", "right"}


def test_a_randomised_study_is_not_labelled_unadjusted():
    q = question("randomised = true")
    answer = q.estimate(EMPTY, total_of(q, records(cohort(900))), SumNoise(3.0))
    written = json.dumps(answer.to_json()).lower()
    assert "unadjusted" not in written
    assert "immortal" not in written


def test_the_plan_foretells_the_error_that_is_found(monkeypatch):
    monkeypatch.setattr("cairn_models.questions.rates.ASSESSED", 1.0)
    q = question(BY)
    rng = np.random.default_rng(8)
    share = np.array([0.01, 0.08, 0.06, 0.055, 0.27, 0.167, 0.005, 0.05, 0.303])
    told = rng.multinomial(3000, share / share.sum()) / 9
    seen = q.table.shaping.seen[:, q.table.place] @ told
    answer = q.estimate(EMPTY, np.tile(seen, 9), SumNoise(5.4))
    planned = {e.name: e for e in q.expected(SumNoise(5.4))}
    assert next(iter(planned)) == "reliable_improvement-difference-dmhi_unguided-waiting"
    assert len(planned) == 2 * 4 * (2 + 2 + 6)  # alone and together
    for name, told in planned.items():
        found = named(answer, name)
        if found.value is not None and "deterioration" not in name:
            assert told.standard_error == pytest.approx(found.standard_error, rel=0.2)
            if "simultaneous" not in name:
                bare = found.label.replace("age band ", "").replace(", all arms", "")
                assert told.label == bare
    shares = [p.inflation for p in planned.values()]
    assert 0.05 < shares[0] < 0.4
    assert max(shares) > 0.5  # a subgroup is told to be noise before anybody spends


@pytest.mark.parametrize(
    ("settings_", "named_"),
    [
        ("weeks = 8", "weeks"),
        ("week = nan", "week"),
        ("window = -1", "window"),
        ("baseline_window = [1, -4]", "baseline_window"),
        ("baseline_window = [-4, 7]", "baseline_window"),
        ('outcomes = ["remission"]', "outcomes"),
        ('outcomes = ["recovery", "recovery"]', "outcomes"),
        ('scales = ["PHQ-9", "WSAS"]', "'WSAS'"),
        ('arms = ["waiting"]', "2 arms"),
        ('arms = ["waiting", "waiting"]', "arms"),
        ('arms = ["waiting", "placebo"]', "'placebo'"),
        ('reference = "placebo"', "reference: 'placebo'"),
        ('by = "ward"', "'ward'"),
        ('by = "age"', "'age'"),
    ],
)
def test_a_wrong_setting_is_refused_by_name_with_a_remedy(settings_, named_):
    with pytest.raises(InputError) as caught:
        question(settings_)
    assert caught.value.code == "input.question-invalid"
    assert named_ in caught.value.why
    assert caught.value.hint


def test_an_unknown_scale_is_refused_with_those_that_are_known():
    with pytest.raises(InputError, match="unknown instrument, 'PHQ9'"):
        question('scales = ["PHQ9"]')
