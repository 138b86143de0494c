"""The describe question: what leaves, what the server makes of it, and what it refuses."""

from __future__ import annotations

import datetime as dt
import json

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint
from statsmodels.stats.weightstats import DescrStatsW

from cairn_models.questions.base import SumNoise
from cairn_models.questions.describe import Describe
from cairn_models.records import SCORES, Records
from cairn_models.synthetic import World, generate
from cairn_protocol.errors import InputError
from cairn_protocol.study import Study

ARMS = ("waiting", "dmhi_unguided", "dmhi_guided")
SEX = ("female", "male", "other")
EMPTY = np.zeros(0, dtype=np.float32)
ALL = 'parts = ["score", "funnel", "variables", "quartiles", "course"]'
STEP = 2.0**-20
PUBLIC = 'privacy = { data = "public" }'
NEAR = {"rel": 1e-6, "abs": 1e-6}


def question(more: str = "", *, extra="", arms=ARMS) -> Describe:
    study = Study.parse(
        f"""
        cairn = 1
        name = "waiting-list"
        title = "Who waits?"
        synthetic = true
        outcome = {{ instrument = "PHQ-9" }}
        cohort = {{ arms = {json.dumps(arms)}, planned_patients = 3000, largest_clinic = 400 }}
        {extra}
        variables.sex = {{ levels = {json.dumps(SEX)} }}
        variables.age = {{ lowest = 16, highest = 100 }}
        [[questions]]
        name = "who"
        kind = "describe"
        {"" if "public" in extra else "epsilon = 1.0"}
        {more}
        """.encode()
    )
    built = Describe(study.questions[0], study)
    assert isinstance(built, Describe)
    return built


def records(people) -> Records:
    """People as (arm, sex, age, baseline, week 4, week 8); None where missing."""
    names = [f"p{i:05d}" for i in range(len(people))]
    scores = [
        (name, time, "PHQ-9", float(value))
        for name, (_, _, _, *totals) in zip(names, people, strict=True)
        for time, value in zip((0.0, 4.0, 8.0), totals, strict=True)
        if value is not None
    ]
    return Records(
        pl.DataFrame(
            {
                "patient": names,
                "arm": [p[0] for p in people],
                "sex": [p[1] for p in people],
                "age": [p[2] for p in people],
            },
            schema={"patient": pl.String, "arm": pl.String, "sex": pl.String, "age": pl.Float64},
        ).with_columns(pl.lit(dt.date(2026, 1, 1)).alias("entry")),
        pl.DataFrame(scores, schema=SCORES, orient="row"),
    )


def cohort(n=900, seed=0):
    rng = np.random.default_rng(seed)
    out = []
    for i in range(n):
        arm = i % 3
        first, *later = np.clip(rng.normal([14 + arm, 11, 9], 5), 0, 27).round(1)
        kept = rng.random(3) < (0.9, 0.8, 0.6)
        sex = SEX[int(rng.choice(3, p=(0.55, 0.3 + 0.05 * arm, 0.15 - 0.05 * arm)))]
        totals = [float(x) if k else None for x, k in zip((first, *later), kept, strict=True)]
        age = float(np.clip(rng.normal(40 + 3 * arm, 14), 16, 100))
        out.append((ARMS[arm], sex if i % 11 else None, age if i % 13 else None, *totals))
    return out


def total_of(q, held):
    blocks = list(q.contributions(q.prepare(held), EMPTY))
    return sum((b.sum(axis=0) for b in blocks), np.zeros(q.shape.length))


def named(answer, name):
    return next(e for e in answer.estimates if e.name == name)


def of_arm(people, arm, column):
    return np.array([p[column] for p in people if p[0] == arm and p[column] is not None])


@pytest.mark.parametrize("clinics", [1, 5, 20])
def test_without_noise_any_split_gives_the_pooled_numbers(clinics):
    q, people = question(ALL, extra=PUBLIC), cohort()
    total = np.zeros(q.shape.length)
    for c in range(clinics):
        own = total_of(q, records(people[c::clinics]))
        total += np.round(own / STEP) * STEP  # the grid of a clinic's answer
    answer = q.estimate(EMPTY, total, SumNoise(0.0))
    for arm in ARMS:
        everyone = [p for p in people if p[0] == arm]
        assert named(answer, f"entered-{arm}").value == pytest.approx(len(everyone), **NEAR)
        for stem, column in (("baseline", 3), ("age", 2)):
            pooled = DescrStatsW(of_arm(people, arm, column), ddof=1)
            told = named(answer, f"{stem}-mean-{arm}")
            assert told.value == pytest.approx(pooled.mean, **NEAR)
            ends = DescrStatsW(of_arm(people, arm, column)).tconfint_mean()
            assert (told.low, told.high) == pytest.approx(ends, **NEAR)
            assert named(answer, f"{stem}-sd-{arm}").value == pytest.approx(pooled.std, **NEAR)
        rounded = np.floor(of_arm(people, arm, 3) + 0.5)
        for name, at in (("lower-quartile", 0.25), ("median", 0.5), ("upper-quartile", 0.75)):
            found = named(answer, f"baseline-{name}-{arm}")
            assert found.value == np.quantile(rounded, at, method="inverted_cdf")
            assert found.low <= found.value <= found.high
        stage = [max([0, *(k for k in (1, 2, 3) if p[2 + k] is not None)]) for p in everyone]
        for k, name in enumerate(("entered", "baseline", "week-4", "week-8")):
            reached = sum(s >= k for s in stage)
            found = named(answer, f"funnel-{name}-{arm}")
            if found.value is None:
                assert "too few were lost" in found.suppressed
                continue
            assert found.value == pytest.approx(reached / len(stage), **NEAR)
            if k:
                ends = proportion_confint(reached, len(stage), method="wilson")
                assert (found.low, found.high) == pytest.approx(ends, **NEAR)
        for name, column in (("week-4", 4), ("week-8", 5)):
            pooled = DescrStatsW(of_arm(people, arm, column))
            told = named(answer, f"{name}-mean-{arm}")
            assert told.value == pytest.approx(pooled.mean, **NEAR)
            assert (told.low, told.high) == pytest.approx(pooled.tconfint_mean(), **NEAR)
    shown_levels(answer, people)
    for stem, column in (("baseline", 3), ("age", 2)):
        for arm in ARMS[1:]:
            one, other = of_arm(people, arm, column), of_arm(people, ARMS[0], column)
            d = (one.mean() - other.mean()) / np.sqrt((one.var(ddof=1) + other.var(ddof=1)) / 2)
            found = named(answer, f"{stem}-standardised-{arm}-waiting")
            assert found.value == pytest.approx(d, **NEAR)
    assert all(e.noise_share == 0.0 for e in answer.estimates if e.value is not None)


def shown_levels(answer, people):
    share = {}
    for arm in ARMS:
        known = [p[1] for p in people if p[0] == arm and p[1]]
        for level in SEX:
            share[arm, level] = known.count(level) / len(known)
            found = named(answer, f"sex-{level}-{arm}")
            if found.value is not None:
                assert found.value == pytest.approx(share[arm, level], **NEAR)
                ends = proportion_confint(known.count(level), len(known), method="wilson")
                assert (found.low, found.high) == pytest.approx(ends, **NEAR)
    for arm in ARMS[1:]:
        p, r = share[arm, "female"], share[ARMS[0], "female"]
        found = named(answer, f"sex-female-standardised-{arm}-waiting")
        d = (p - r) / np.sqrt((p * (1 - p) + r * (1 - r)) / 2)
        assert found.value == pytest.approx(d, **NEAR)


def test_the_synthetic_clinics_are_counted_as_a_plain_reading_counts_them():
    q = question('parts = ["funnel", "score"]\nbaseline_window = [0, 0]\nwindow = 0')
    clinics = generate(World(), [120, 80], seed=3, weeks=12)
    stages, scores = np.zeros((3, 4)), {arm: [] for arm in ARMS}
    for held in clinics:
        phq = held.scores.filter(pl.col("instrument") == "PHQ-9")
        seen = {(p, t): v for p, t, _, v in phq.iter_rows()}
        for patient, arm in held.patients.select("patient", "arm").iter_rows():
            if arm in ARMS:
                told = [1 + k for k, t in enumerate((0.0, 4.0, 8.0)) if (patient, t) in seen]
                stages[ARMS.index(arm), max([0, *told])] += 1
                scores[arm] += [seen[patient, 0.0]] if (patient, 0.0) in seen else []
    total = sum(total_of(q, held) for held in clinics)
    score, funnel = q.layout.blocks
    counted = funnel.counts(q.layout.sums(total, funnel), noise_sd=0.0, fewest=1.0)
    np.testing.assert_allclose(counted.table, stages, atol=1e-9)
    means = score.means(q.layout.sums(total, score), noise_sd=0.0, fewest=1.0)
    for k, arm in enumerate(ARMS):
        assert len(scores[arm]) > 20
        assert 13.5 + 13.5 * means.mean[k] == pytest.approx(np.mean(scores[arm]))


total_score = st.one_of(st.none(), st.floats(0, 27), st.floats(), st.sampled_from([1e30, -1e30]))
PEOPLE = st.lists(
    st.tuples(
        st.sampled_from([*ARMS, "elsewhere", None]),
        st.sampled_from([*SEX, "", None]),
        st.one_of(st.none(), st.floats(), st.floats(16, 100)),
        total_score,
        total_score,
        total_score,
    ),
    max_size=8,
)


@settings(max_examples=60, deadline=None)
@given(PEOPLE, st.sampled_from(["", ALL, f"{ALL}\nshares = {{ score = 7, funnel = 0.2 }}"]))
def test_no_norm_exceeds_the_bound(people, more):
    q = question(more)
    assert q.shape.bound == 1.0
    for rows in q.contributions(q.prepare(records(people)), EMPTY):
        norms = np.linalg.norm(rows, axis=1)
        assert norms.max(initial=0.0) <= 1.0 + 1e-12


def test_whoever_is_in_every_block_at_an_end_of_each_range_reaches_the_bound():
    q = question(ALL)
    (rows,) = q.contributions(q.prepare(records([("waiting", "male", 100, 27, 0, 27)])), EMPTY)
    assert np.linalg.norm(rows) == pytest.approx(1.0)


def test_nobody_without_an_arm_is_in_any_block():
    q = question(ALL)
    held = records([(None, "male", 30, 9, 9, 9), ("elsewhere", "male", 30, 9, 9, 9)])
    (rows,) = q.contributions(q.prepare(held), EMPTY)
    assert not rows.any()


def test_a_number_beyond_its_range_is_missing_and_its_ends_are_not():
    q = question('parts = ["variables"]\nvariables = ["age"]')
    ages = (15.9, 16, 100, 100.1, 1e30)
    held = records([("waiting", "male", age, 9, 9, 9) for age in ages])
    (rows,) = q.contributions(q.prepare(held), EMPTY)
    assert rows.any(axis=1).tolist() == [False, True, True, False, False]


def test_removing_one_patient_changes_no_other_row():
    q, held = question(ALL), records(cohort(24))
    (rows,) = q.contributions(q.prepare(held), EMPTY)
    for gone, name in enumerate(held.patients["patient"]):
        (rest,) = q.contributions(q.prepare(held.without(name)), EMPTY)
        np.testing.assert_array_equal(rest, np.delete(rows, gone, axis=0))


def test_a_patient_alone_has_the_row_that_they_have_among_others():
    q, held = question(ALL), records(cohort(40))
    (rows,) = q.contributions(q.prepare(held), EMPTY)
    assert rows.any(axis=1).all()
    for place, name in enumerate(held.patients["patient"]):
        (alone,) = q.contributions(q.prepare(held.only(pl.Series([name]))), EMPTY)
        assert alone[0].tobytes() == rows[place].tobytes()


def test_the_order_of_rows_is_immaterial():
    q, held = question(ALL), records(cohort(60))
    shuffled = Records(
        held.patients.sample(fraction=1.0, shuffle=True, seed=1),
        held.scores.sample(fraction=1.0, shuffle=True, seed=2),
    )
    np.testing.assert_allclose(total_of(q, held), total_of(q, shuffled), rtol=1e-12)


def test_a_clinic_without_patients_yields_nothing_to_add():
    q = question('parts = ["score", "funnel"]')
    assert not total_of(q, Records()).any()


@pytest.mark.parametrize("column", ["sex", "age"])
@pytest.mark.parametrize("people", [[], [("waiting", "male", 30, 9, 9, 9)]])
def test_a_clinic_without_the_column_is_refused_whether_or_not_anybody_is_there(people, column):
    held = records(people)
    without = Records(held.patients.drop(column), held.scores)
    with pytest.raises(InputError, match=f"no column '{column}'") as caught:
        question().prepare(without)
    assert caught.value.code == "input.column-missing"


def test_a_part_with_a_larger_share_is_told_more_precisely():
    four = "shares = {{ score = {}, funnel = 1, variables = 1, quartiles = 1 }}"
    even = {e.name: e for e in question(four.format(1)).expected(SumNoise(5.0))}
    more = {e.name: e for e in question(four.format(9)).expected(SumNoise(5.0))}
    alone = {e.name: e for e in question('parts = ["score"]').expected(SumNoise(5.0))}
    name = "baseline-mean-waiting"
    assert even[name].noise == pytest.approx(2 * alone[name].noise)
    assert more[name].noise == pytest.approx(alone[name].noise * np.sqrt(12 / 9))
    assert next(iter(even)) == name


def test_the_plan_names_estimates_of_the_answer_and_foretells_their_error():
    q = question(ALL)
    answer = q.estimate(EMPTY, total_of(q, records(cohort(3000))), SumNoise(2.0))
    planned = q.expected(SumNoise(2.0))
    found = {e.name: e for e in answer.estimates}
    assert {e.name for e in planned} <= set(found)
    for told in planned:
        own = found[told.name]
        if own.value is not None and "mean" in told.name and "age" not in told.name:
            assert told.standard_error == pytest.approx(own.standard_error, rel=0.25)
        if own.value is not None and told.name.startswith("sex-female"):
            assert told.standard_error == pytest.approx(own.standard_error, rel=0.25)


def test_a_small_level_is_held_back_and_the_one_from_which_it_would_follow():
    q = question('parts = ["variables"]\nvariables = ["sex"]')
    people = [("waiting", "female", 30, 9, 9, 9)] * 60 + [("waiting", "male", 30, 9, 9, 9)] * 30
    people += [("waiting", "other", 30, 9, 9, 9)] * 4
    for arm in ARMS[1:]:
        people += [(arm, sex, 30, 9, 9, 9) for sex in SEX for _ in range(20)]
    answer = q.estimate(EMPTY, total_of(q, records(people)), SumNoise(0.0))
    assert named(answer, "sex-female-waiting").value == pytest.approx(60 / 94)
    assert "too few" in named(answer, "sex-other-waiting").suppressed
    assert "worked out" in named(answer, "sex-male-waiting").suppressed
    assert named(answer, "sex-male-dmhi_guided").value == pytest.approx(1 / 3)
    assert named(answer, "sex-male-standardised-dmhi_guided-waiting").value is None
    assert any("held back" in note for note in answer.notes)


def test_levels_that_are_held_back_are_together_no_small_group():
    q = question('parts = ["variables"]\nvariables = ["sex"]', arms=ARMS[:1])
    people = [("waiting", "female", 30, 9, 9, 9)] * 60 + [("waiting", "male", 30, 9, 9, 9)] * 3
    people += [("waiting", "other", 30, 9, 9, 9)] * 4
    answer = q.estimate(EMPTY, total_of(q, records(people)), SumNoise(0.0))
    assert all(named(answer, f"sex-{level}-waiting").value is None for level in SEX)


def test_a_stage_that_few_were_lost_before_is_held_back():
    q = question('parts = ["funnel"]')
    people = [("waiting", "male", 30, 9, 9, 9)] * 40 + [("waiting", "male", 30, 9, None, None)] * 20
    people += [("waiting", "male", 30, None, None, None)] * 3
    people += [("dmhi_guided", "male", 30, 9, 9, 9)] * 4
    answer = q.estimate(EMPTY, total_of(q, records(people)), SumNoise(0.0))
    assert named(answer, "funnel-entered-waiting").value == 1.0
    assert "too few were lost" in named(answer, "funnel-baseline-waiting").suppressed
    assert named(answer, "funnel-week-4-waiting").value == pytest.approx(40 / 63)
    assert "too few were lost" in named(answer, "funnel-week-8-waiting").suppressed
    for arm in ("dmhi_guided", "dmhi_unguided"):
        assert "too few people" in named(answer, f"entered-{arm}").suppressed
        assert all(named(answer, f"funnel-{s}-{arm}").value is None for s in ("entered", "week-8"))


@pytest.mark.filterwarnings("error")
@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1.0, 50.0, 1e4]), st.sampled_from([0.0, 5.0]))
def test_any_noised_sum_gives_a_finite_answer(seed, scale, sd):
    q = question(ALL)
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


def test_an_outcome_that_nobody_has_is_answered_without_numbers():
    q = question(ALL)
    people = [(arm, "male", 30, None, None, None) for arm in ARMS for _ in range(30)]
    answer = q.estimate(EMPTY, total_of(q, records(people)), SumNoise(0.0))
    assert named(answer, "entered-waiting").value == pytest.approx(30)
    for name in ("baseline-mean", "baseline-median", "week-8-mean", "funnel-week-8"):
        assert named(answer, f"{name}-waiting").value is None
    assert "nobody differs" in named(answer, "age-standardised-dmhi_guided-waiting").suppressed


def test_sentences_and_tables_say_what_a_reader_needs():
    q = question(ALL)
    answer = q.estimate(EMPTY, total_of(q, records(cohort(3000))), SumNoise(3.0))
    text = " ".join(answer.sentences)
    assert "people offered a guided programme entered; their mean PHQ-9 was" in text
    assert "% of them were assessed at week 8" in text
    assert "Standardised differences between arms beyond 0.1, noise included: " in text
    assert [t.title for t in answer.tables][:2] == ["At baseline, by arm", "How far people came"]
    assert [row[0] for row in answer.tables[0].rows] == [
        "people who entered (noised)",
        "PHQ-9, mean (SD)",
        "PHQ-9, lower quartile",
        "PHQ-9, median",
        "PHQ-9, upper quartile",
        "sex female",
        "sex male",
        "sex other",
        "age, mean (SD)",
    ]
    assert len(answer.figures) == 4
    assert answer.notes[0].startswith("Synthetic data")


@pytest.mark.parametrize(
    ("settings_", "named_"),
    [
        ('part = ["score"]', "part"),
        ('parts = ["minimum"]', "parts"),
        ('parts = ["score", "score"]', "parts"),
        ("weeks = []", "weeks"),
        ("weeks = [8, 4]", "weeks"),
        ("weeks = [nan]", "weeks"),
        ("window = -1", "window"),
        ("baseline_window = [-4, 2]", "baseline_window"),
        ("baseline_window = [1, -4]", "baseline_window"),
        ("shares = { score = 0 }", "shares"),
        ("shares = { course = 1 }", "shares: 'course'"),
        ('variables = ["clinic"]', "'clinic'"),
        ('variables = ["sex", "sex"]', "variables"),
        ('arms = ["placebo"]', "'placebo'"),
        ('reference = "placebo"', "reference: 'placebo'"),
    ],
)
def test_a_wrong_setting_is_refused_by_name_with_a_remedy(settings_, named_):
    with pytest.raises(InputError) as caught:
        question(settings_)
    assert caught.value.code == "input.question-invalid"
    assert named_ in caught.value.why
    assert caught.value.hint


@pytest.mark.parametrize("extra", ["variables.funnel = { levels = ['a', 'b'] }"])
def test_a_variable_may_not_share_a_name_with_a_part(extra):
    with pytest.raises(InputError) as caught:
        question(extra=extra)
    assert "'funnel'" in caught.value.why
