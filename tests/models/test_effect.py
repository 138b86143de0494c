"""The effect question: what leaves, what the server makes of it, and what it refuses."""

import datetime as dt
import json
import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from cairn_models.questions import build
from cairn_models.questions.base import SumNoise
from cairn_models.questions.effect import Effect
from cairn_models.records import SCORES, Records
from cairn_protocol.errors import InputError
from cairn_protocol.study import Study

ARMS = ("waiting", "dmhi_unguided", "dmhi_guided")
EMPTY = np.zeros(0, dtype=np.float32)


def question(more: str = "", *, arms=ARMS, instrument="PHQ-9", extra="", unit="week") -> Effect:
    listed = ", ".join(f'"{a}"' for a in arms)
    study = Study.parse(
        f"""
        cairn = 1
        name = "waiting-list"
        title = "Does a programme beat waiting?"
        synthetic = true
        outcome = {{ instrument = "{instrument}", time_unit = "{unit}" }}
        cohort = {{ arms = [{listed}], planned_patients = 900, largest_clinic = 400 }}
        {extra}
        [[questions]]
        name = "effect"
        kind = "effect"
        epsilon = 1.0
        {more}
        """.encode()
    )
    built = build(study.questions[0], study)
    assert isinstance(built, Effect)
    return built


def records(people) -> Records:
    """Records of people given as (arm, baseline, outcome), None where missing."""
    names = [f"p{i:05d}" for i in range(len(people))]
    scores = [
        (name, time, "PHQ-9", float(value))
        for name, (_, *values) in zip(names, people, strict=True)
        for time, value in zip((0.0, 8.0), values, strict=True)
        if value is not None
    ]
    return Records(
        pl.DataFrame(
            {"patient": names, "arm": [p[0] for p in people]},
            schema={"patient": pl.String, "arm": pl.String},
        ).with_columns(pl.lit(dt.date(2026, 1, 1)).alias("entry")),
        pl.DataFrame(scores, schema=SCORES, orient="row"),
    )


def cohort(n=300, seed=0, arms=ARMS):
    rng = np.random.default_rng(seed)
    out = []
    for i in range(n):
        baseline = float(np.clip(np.round(rng.normal(14, 6)), 0, 27))
        end = float(np.clip(np.round(baseline - 2 - i % len(arms) + rng.normal(0, 4.5)), 0, 27))
        out.append(
            (arms[i % len(arms)], baseline, end if rng.random() > 0.2 else None),
        )
    return out


def total_of(q: Effect, held: Records):
    blocks = list(q.contributions(q.prepare(held), EMPTY))
    return sum((b.sum(axis=0) for b in blocks), np.zeros(q.shape.length))


def named(answer, name):
    return next(e for e in answer.estimates if e.name == name)


def direct(q: Effect, people, arm):
    """Residuals of one arm by a plain loop: the oracle."""
    line = q.line
    return np.array(
        [
            max(-q.limit, min(q.limit, (o - b) - (line.intercept + line.slope * b)))
            for a, b, o in people
            if a == arm and b is not None and o is not None
        ]
    )


@pytest.mark.parametrize("clinics", [1, 5, 20])
def test_without_noise_any_split_gives_the_pooled_welch_interval(clinics):
    q, people = question(), cohort()
    step = 2.0**-20
    total = np.zeros(q.shape.length)
    for c in range(clinics):
        own = total_of(q, records(people[c::clinics]))
        total += np.round(own / step) * step  # the grid of a clinic's answer
    answer = q.estimate(EMPTY, total, SumNoise(0.0))
    for arm in ARMS[1:]:
        x, y = direct(q, people, arm), direct(q, people, "waiting")
        welch = stats.ttest_ind(x, y, equal_var=False)
        low, high = welch.confidence_interval(0.95)
        e = named(answer, f"{arm}-waiting")
        near = {"abs": 40 * clinics * step}
        assert e.value == pytest.approx(x.mean() - y.mean(), **near)
        assert (e.low, e.high) == (pytest.approx(low, **near), pytest.approx(high, **near))
        assert e.noise_share == 0.0
        own = named(answer, f"change-{arm}")
        expected = float(q.predicted(np.array(q.typical_baseline)))
        assert own.value == pytest.approx(x.mean() + expected, **near)


def test_a_clinic_without_patients_yields_nothing():
    q = question()
    assert list(q.contributions(q.prepare(Records()), EMPTY)) == []


def test_only_the_patients_own_arm_has_a_contribution():
    q = question()
    held = records([("dmhi_guided", 20, 12), ("elsewhere", 20, 12), ("waiting", None, 9)])
    (rows,) = q.contributions(q.prepare(held), EMPTY)
    predicted = float(q.predicted(np.array(20.0)))
    u = ((12 - 20) - predicted) / q.limit
    t = ((12 - 20) - q.middle) / q.limit  # change as it was
    own, once = 0.2 * (predicted - q.middle) / q.reach, 0.2 * (t**2 - u**2) / q.coding.cross_range
    slots = [0, 0, 0, 0, 0, 0, 0.5, u, 1 - u**2]
    np.testing.assert_allclose(rows[0], [*slots, 0, 0, own, once], atol=1e-12)
    assert not rows[1:].any()


@pytest.mark.parametrize(("outcome", "u"), [(16, 1.0), (15.999, 0.9998750), (24, 1.0), (0, -1.0)])
def test_winsorising_cuts_exactly_at_the_limit(outcome, u):
    q = question("baseline_model = { intercept = 0.0, slope = 0.0 }")
    (rows,) = q.contributions(q.prepare(records([("waiting", 8, outcome)])), EMPTY)
    assert rows[0, 1] == pytest.approx(u, abs=1e-7)


score = st.one_of(st.none(), st.floats(0, 27), st.floats(), st.sampled_from([1e30, -1e30]))


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from([*ARMS, "elsewhere", None]), score, score), max_size=8),
    st.sampled_from([0.1, 0.5, 1.0, 2.0]),
    st.floats(-1e6, 1e6),
)
def test_no_patient_exceeds_the_bound_and_every_row_is_finite(people, weight, intercept):
    line = f"baseline_model = {{ intercept = {intercept!r}, slope = -3.0 }}"
    q = question(f"count_weight = {weight}\n{line}")
    for rows in q.contributions(q.prepare(records(people)), EMPTY):
        assert np.isfinite(rows).all()
        assert np.linalg.norm(rows, axis=1).max(initial=0.0) <= q.shape.bound * (1 + 1e-12)


@given(st.floats(0.1, 2.0))
def test_the_bound_is_reached_so_it_cannot_be_lower(weight):
    q = question(f"count_weight = {weight}")
    ends = q.coding.rows(np.array([1, 2]), np.array([1.0, -1.0]), np.array([1.0, -1.0]))
    np.testing.assert_allclose(np.linalg.norm(ends, axis=1), q.shape.bound)
    inside = q.coding.rows(np.array([0, 1]), np.array([0.0, 1.0]), np.array([1.0, -1.0]))
    assert (np.linalg.norm(inside, axis=1) < q.shape.bound).all()


def test_the_bound_does_not_grow_with_the_number_of_arms():
    assert question(arms=ARMS[:2]).shape.bound == question().shape.bound == math.sqrt(1.33)
    assert question('adjust = "none"').shape.bound == math.sqrt(1.25)


def test_removing_one_patient_changes_no_other_row():
    q, people = question(), [*cohort(24), ("waiting", 27, 0), (None, 3, 3)]
    held = records(people)
    (rows,) = q.contributions(q.prepare(held), EMPTY)
    for gone, name in enumerate(held.patients["patient"]):
        (rest,) = q.contributions(q.prepare(held.without(name)), EMPTY)
        np.testing.assert_array_equal(rest, np.delete(rows, gone, axis=0))


def test_a_study_in_months_asks_for_the_same_weeks():
    q = question(unit="month")
    scores = [("p", 0.0, "PHQ-9", 15.0), ("p", 2.0, "PHQ-9", 9.0)]
    held = Records(
        records([("waiting", 1, 1)]).patients.with_columns(pl.lit("p").alias("patient")),
        pl.DataFrame(scores, schema=SCORES, orient="row"),
        time_unit="month",
    )
    assert q.prepare(held).complete.all()


def finite(document) -> None:
    json.dumps(document, allow_nan=False)


def test_an_arm_below_the_threshold_is_suppressed_with_its_contrasts():
    q = question(extra="disclosure = { patients = 12 }")
    people = [("waiting", 14, 12)] * 40 + [("dmhi_guided", 14, 9)] * 40
    people += [("dmhi_unguided", 14, 10)] * 11
    answer = q.estimate(EMPTY, total_of(q, records(people)), SumNoise(0.0))
    for name in ("change-dmhi_unguided", "dmhi_unguided-waiting"):
        e = named(answer, name)
        assert (e.value, e.low, e.high) == (None, None, None)
        assert "dmhi_unguided" in e.suppressed
    assert named(answer, "dmhi_guided-waiting").value == pytest.approx(-3.0)
    row = next(r for r in answer.tables[0].rows if r[0] == "dmhi_unguided")
    assert row[1:6] == (None,) * 5  # not even the count
    finite(answer.to_json())


def test_one_patient_more_is_shown():
    q = question(extra="disclosure = { patients = 11 }")
    people = [("waiting", 14, 12)] * 40 + [("dmhi_unguided", 14, 10)] * 11
    answer = q.estimate(EMPTY, total_of(q, records(people)), SumNoise(0.0))
    assert named(answer, "dmhi_unguided-waiting").value == pytest.approx(-2.0)


def test_a_count_that_is_mostly_noise_is_not_shown_though_above_the_threshold():
    q, sd = question(), 5.0  # the count's noise has sd 10
    people = [("waiting", 14, 12)] * 29 + [("dmhi_guided", 14, 9)] * 31
    answer = q.estimate(EMPTY, total_of(q, records(people)), SumNoise(sd))
    assert named(answer, "change-dmhi_guided").value is not None
    assert named(answer, "change-waiting").value is None
    assert any("three standard deviations" in n for n in answer.notes)


def test_a_suppressed_reference_suppresses_every_contrast():
    q = question()
    people = [("dmhi_guided", 14, 9)] * 40 + [("dmhi_unguided", 14, 9)] * 40
    answer = q.estimate(EMPTY, total_of(q, records(people)), SumNoise(0.0))
    assert [e.value for e in answer.estimates if e.name.endswith("-waiting")][:2] == [None, None]
    assert named(answer, "change-dmhi_guided").value is not None


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("sd", [0.0, 5.0, 500.0])
@pytest.mark.parametrize("held", [(), (("waiting", 10, None),) * 50, (("waiting", 9, 9),) * 50])
def test_nothing_to_tell_is_an_answer_in_words_without_a_nan(held, sd):
    q = question()
    rng = np.random.default_rng(3)
    total = total_of(q, records(held)) + sd * rng.standard_normal(q.shape.length)
    answer = q.estimate(EMPTY, total, SumNoise(sd))
    finite(answer.to_json())
    assert all(s.startswith("Nothing can be said about") for s in answer.sentences)


SEX = 'variables.sex = { levels = ["female", "male"] }'
ASKED = (
    question("margin = 2.0"),
    question('margin = 2.0\ncontrasts = "all"\nstandardise_by = 6'),
    question('adjust = "none"'),
    question('strata = "sex"\nrandomised = true\nmargin = 1', extra=SEX),
    question("baseline_model = { intercept = 0.0, slope = -9.0 }", extra="disclosure.patients = 1"),
)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("q", ASKED, ids=range(len(ASKED)))
@settings(max_examples=60, deadline=None)
@given(st.data(), st.sampled_from([0.0, 1e-6, 5.0, 1e3]))
def test_any_noised_sum_gives_a_finite_answer(q, data, sd):
    length, number = q.shape.length, st.floats(-1e5, 1e5)
    total = data.draw(st.lists(number, min_size=length, max_size=length))
    answer = q.estimate(EMPTY, np.array(total), SumNoise(sd))
    finite(answer.to_json())
    for e in answer.estimates:
        assert (e.value is None) == bool(e.suppressed)
        if e.value is not None:
            assert e.low <= e.value <= e.high
            assert 0.0 <= e.noise_share <= 1.0


def test_a_clinic_without_the_strata_column_is_told_what_to_map():
    with pytest.raises(InputError) as caught:
        ASKED[3].prepare(records([("waiting", 14, 12)]))
    assert caught.value.code == "input.column-missing"
    assert "sex" in caught.value.hint


def test_an_arm_that_is_missing_in_one_clinic_is_compared_all_the_same():
    q = question()
    first = [p for p in cohort(300) if p[0] != "dmhi_guided"]
    second = [p for p in cohort(300, seed=1) if p[0] != "waiting"]
    apart = total_of(q, records(first)) + total_of(q, records(second))
    whole = total_of(q, records([*first, *second]))
    found, pooled = (
        named(q.estimate(EMPTY, t, SumNoise(0.0)), "g-dmhi_guided-waiting") for t in (apart, whole)
    )
    assert found.value == pytest.approx(pooled.value)


def test_where_nobody_differs_there_is_no_g_but_a_reason():
    q = question("baseline_model = { intercept = 0.0, slope = 0.0 }")
    people = [("waiting", 14, 12)] * 40 + [("dmhi_guided", 14, 12)] * 40
    answer = q.estimate(EMPTY, total_of(q, records(people)), SumNoise(0.0))
    assert "nobody's change differs" in named(answer, "g-dmhi_guided-waiting").suppressed
    assert named(answer, "dmhi_guided-waiting").value == 0.0
    finite(answer.to_json())


def test_an_sd_that_is_lost_in_noise_is_not_divided_by():
    q = question(extra="disclosure.patients = 1")
    people = [("waiting", 14, 12)] * 60 + [("dmhi_guided", 14, 12)] * 60
    low = np.zeros(q.shape.length)
    low[-1] = -40.0
    total = total_of(q, records(people)) + low
    answer = q.estimate(EMPTY, total, SumNoise(5.25))
    g = named(answer, "g-dmhi_guided-waiting")
    assert g.suppressed == "the SD of change cannot be told through the noise"
    assert named(answer, "unadjusted-dmhi_guided-waiting").value is not None
    finite(answer.to_json())


def test_a_spread_lost_in_noise_comes_from_the_public_value_and_is_said():
    q = question()
    people = [("waiting", 14, 12), ("waiting", 14, 8)] * 20 + [("dmhi_guided", 14, 9)] * 40
    clean = total_of(q, records(people))
    answer = q.estimate(EMPTY, clean + np.array([0, 0, 45.0] * 3 + [0.0] * 4), SumNoise(5.25 * 1.0))
    assert any("rests mostly on a public value" in n for n in answer.notes)
    e = named(answer, "dmhi_guided-waiting")
    assert e.high - e.low > 2 * 1.96 * q.residual_sd * math.sqrt(1 / 40) * 0.9


def test_sentences_say_what_a_clinician_and_a_statistician_need():
    q = question()
    people = cohort(900)
    answer = q.estimate(EMPTY, total_of(q, records(people)), SumNoise(5.25))
    text = " ".join(answer.sentences)
    assert "At week 8 people offered a guided programme had improved by" in text
    assert "more than people waiting (95 % interval" in text
    assert "% of its variance privacy noise), unadjusted for confounding." in text
    leads = answer.sentences[: len(q.frame.pairs)]
    assert all(said.startswith("At week 8 people offered") for said in leads)
    assert not any(said.startswith("At week 8") for said in answer.sentences[len(leads) :])
    assert any("immortal time" in n for n in answer.notes)
    assert any(n.startswith("Synthetic data") for n in answer.notes)
    assert any(n.startswith("Estimand:") and "winsorised at ±8 points" in n for n in answer.notes)
    assert [figure.better for figure in answer.figures] == ["left", "left"]
    assert "a Hedges' g of" in text
    assert "without the adjustment for their baseline" in text
    assert "unadjusted" in answer.title


def test_a_randomised_study_is_not_labelled_unadjusted():
    q = question("randomised = true")
    answer = q.estimate(EMPTY, total_of(q, records(cohort(600))), SumNoise(5.25))
    written = json.dumps(answer.to_json()).lower()
    assert "unadjusted for confounding" not in written
    assert "immortal" not in written


def test_worse_is_said_as_less_improvement_with_its_interval_turned():
    q = question('reference = "dmhi_guided"')
    answer = q.estimate(EMPTY, total_of(q, records(cohort(900))), SumNoise(0.0))
    e = named(answer, "waiting-dmhi_guided")
    assert f"improved by {e.value:.1f} PHQ-9 points less" in answer.sentences[0]
    assert f"interval {e.low:.1f} to {e.high:.1f}" in answer.sentences[0]


@pytest.mark.parametrize(
    ("gap", "margin", "said"),
    [
        (0.0, 2.0, "is equivalent within ±2"),
        (1.8, 2.0, "is not shown"),
        (-1.8, 2.0, "is not shown"),
    ],
)
def test_equivalence_is_two_one_sided_tests(gap, margin, said):
    q = question(f"margin = {margin}", arms=("waiting", "dmhi_guided"))
    rng = np.random.default_rng(5)
    r = np.round(rng.normal(-3, 4, 400) * 8) / 8
    people = [("waiting", 16, float(np.clip(16 + x, 0, 27))) for x in r]
    people += [("dmhi_guided", 16, float(np.clip(16 + x + gap, 0, 27))) for x in r]
    answer = q.estimate(EMPTY, total_of(q, records(people)), SumNoise(0.0))
    assert said in " ".join(answer.sentences)
    assert ("includes no difference" in " ".join(answer.sentences)) == (gap == 0.0)


def test_standardised_differences_use_the_public_sd():
    q = question("standardise_by = 5.0")
    answer = q.estimate(EMPTY, total_of(q, records(cohort())), SumNoise(0.0))
    plain = named(answer, "dmhi_guided-waiting")
    scaled = named(answer, "standardised-dmhi_guided-waiting")
    assert scaled.value == pytest.approx(plain.value / 5)
    assert scaled.unit == "SD"


def test_defaults_scale_to_another_instrument_and_turn_with_its_direction():
    q = question(instrument="GAD-7")
    assert q.limit == pytest.approx(8 * 21 / 27)
    assert q.typical_baseline == pytest.approx(14.2 * 21 / 27)
    own = question(
        instrument="mine", extra='instruments = [{ name = "mine", lowest = 1, highest = 5 }]'
    )
    assert own.limit == pytest.approx(8 * 4 / 27)
    assert 1 < own.typical_baseline < 5


def test_the_public_line_is_the_one_derived_from_published_numbers():
    q = question()
    within, between, slope = 3.44, 4.6, 0.43  # calibration.json, monthly phq9
    regression = -(within**2) / (within**2 + between**2)
    assert q.line.slope == pytest.approx(regression, abs=0.005)
    residual = 2 * within**2 + (2 * slope) ** 2 - within**4 / (within**2 + between**2)
    assert q.residual_sd == pytest.approx(math.sqrt(residual), abs=0.05)
    at_mean = float(q.predicted(np.array(14.2)))
    assert -0.589 * 8 < at_mean < -0.254 * 8


@pytest.mark.parametrize(
    ("settings_", "named_"),
    [
        ("weeks = 8", "weeks"),
        ("week = -1", "week"),
        ("week = nan", "week"),
        ("window = -1", "window"),
        ("winsorise = 0", "winsorise"),
        ("margin = -2", "margin"),
        ("count_weight = 0", "count_weight"),
        ('reference = "placebo"', "reference: 'placebo'"),
        ('arms = ["waiting", "placebo"]', "'placebo'"),
        ('arms = ["waiting"]', "at least 2 arms"),
        ('contrasts = "every"', "contrasts: give"),
        ("contrasts = []", "contrasts: give"),
        ('contrasts = [["waiting"]]', "contrasts: give"),
        ('contrasts = [["waiting", "placebo"]]', "'placebo'"),
        ('contrasts = [["waiting", "waiting"]]', "itself"),
        ('contrasts = [["waiting", "dmhi_guided"], ["dmhi_guided", "waiting"]]', "twice"),
        ('adjust = "course"', "no trajectory question 'course'"),
        ('adjust = "none"\nbaseline_model = { intercept = 0, slope = 0 }', "baseline_model"),
        ('strata = "sex"', "randomised = true"),
        ('strata = "sex"\nrandomised = true', "no variable 'sex'"),
        ("baseline_model = { intercept = 0, slope = 1e300 }", "baseline_model.slope"),
        ('arms = ["waiting", "waiting"]', "twice"),
        ("baseline_window = [1, -4]", "baseline_window"),
        ("baseline_window = [-4, 7]", "baseline_window"),
        ("baseline_model = { intercept = 1.0 }", "baseline_model.slope"),
        ("baseline_model = { intercept = inf, slope = 0 }", "baseline_model.intercept"),
        ("typical_baseline = 99", "typical_baseline"),
        ("residual_sd = 0", "residual_sd"),
        ("standardise_by = -1", "standardise_by"),
    ],
)
def test_a_wrong_setting_is_refused_by_name_with_a_remedy(settings_, named_):
    with pytest.raises(InputError) as caught:
        question(settings_)
    assert caught.value.code == "input.question-invalid"
    assert named_ in caught.value.why
    assert caught.value.hint


def test_a_study_without_arms_is_told_to_name_them():
    with pytest.raises(InputError, match="cannot be asked"):
        question(arms=())
