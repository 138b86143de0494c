"""What a regression refuses, holds back and says; and that no sum makes it tell nonsense."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cairn_models.answers import Answer, Estimate
from cairn_models.questions.base import SumNoise
from cairn_models.questions.regression import Regression
from cairn_models.questions.regression_answer import answer as answer_of
from cairn_models.records import ENGAGEMENT, PATIENT_COLUMNS, SCORES, Records
from cairn_models.regression.family import Told
from cairn_models.regression.fitted import Fitted, spanned
from cairn_models.regression.least_squares import MomentCoding
from cairn_models.regression.margin import Difference
from cairn_models.regression.separation import separated
from cairn_protocol.errors import InputError
from cairn_protocol.study import Study

STUDY = """
cairn = 1
name = "study"
title = "Synthetic"
synthetic = true
[outcome]
instrument = "PHQ-9"
[cohort]
arms = ["waiting", "dmhi_unguided", "dmhi_guided"]
planned_patients = {patients}
largest_clinic = 1000
{public}
[variables.age_band]
levels = ["16-25", "26-45", "46+"]
[variables.sex]
levels = ["female", "male"]
[variables.age]
lowest = 16
highest = 99
[[questions]]
name = "who"
kind = "regression"
{epsilon}
"""
LOGISTIC = 'family = "logistic"\nformula = "reliable_improvement ~ arm + C(age_band)"'
HAZARD = 'family = "hazard"\nformula = "hazard ~ C(time) + arm"'
LINEAR = 'family = "linear"\nformula = "change ~ arm*sex"'
MOMENTS = 'family = "linear"\nformula = "outcome ~ baseline + arm + age"'
CUT = LOGISTIC.replace("C(age_band)", "age") + "\ncut = { age = [30, 50] }"
EVERY = [LOGISTIC, HAZARD, LINEAR, MOMENTS, CUT, HAZARD + '\nevent = "programme"']
EMPTY = np.zeros(0, dtype=np.float32)
TWINS = '\narms = ["waiting", "dmhi_guided"]'


def asked(
    more: str = LOGISTIC, *, patients: int = 3000, public: bool = False, study: str = STUDY
) -> Regression:
    text = study.format(
        patients=patients,
        public='[privacy]\ndata = "public"' if public else "",
        epsilon="" if public else "epsilon = 1",
    )
    parsed = Study.parse((text + more).encode())
    return Regression(parsed.questions[0], parsed)


def counted(question: Regression, had: list[int], lacking: list[int], sd: float = 0.0) -> Answer:
    """The answer to a table with these counts in each cell."""
    total = np.stack([lacking, had], axis=1).ravel() * question.family.scale
    return question.estimate(EMPTY, total, SumNoise(sd))


def in_full(error: InputError) -> str:
    return f"{error} {error.why} {error.hint}"


def by_name(answer: Answer) -> dict[str, Estimate]:
    return {e.name: e for e in answer.estimates}


@pytest.mark.parametrize(
    ("more", "code", "told"),
    [
        (LOGISTIC.replace("age_band", "height"), "formula-column-unknown", "age_band"),
        (LOGISTIC.replace("reliable_improvement", "happiness"), "formula-outcome", "recovery"),
        (LOGISTIC.replace("C(age_band)", "age"), "question-invalid", "cut.age"),
        (LOGISTIC.replace("arm +", "(1 | patient) +"), "formula-random-part", "mixed_model"),
        (LOGISTIC.replace("arm +", "log(age) +"), "formula-function", "C(x)"),
        (LOGISTIC.replace("C(age_band)", "C(time)"), "formula-column-unknown", "arm"),
        (LOGISTIC + "\ncut = { sex = [1] }", "question-invalid", "age"),
        (LOGISTIC + "\ncut = { age = [50, 30] }", "question-invalid", "rise"),
        (LOGISTIC + "\ncut = { age = [] }", "question-invalid", "rise"),
        (LOGISTIC + '\nstandard_errors = "robust"', "question-invalid", "linear"),
        (LOGISTIC + '\nscales = ["WSAS"]', "question-invalid", "WSAS"),
        (LOGISTIC + '\narms = ["waiting", "blended"]', "question-invalid", "blended"),
        (LOGISTIC + "\nweek = 1", "question-invalid", "baseline_window"),
        (LOGISTIC + "\ncolour = 1", "question-invalid", "colour"),
        (HAZARD + "\nends = [4, 2]", "question-invalid", "later"),
        (HAZARD.replace("hazard ~", "recovery ~"), "formula-outcome", "hazard"),
        (MOMENTS + '\nstandard_errors = "robust"', "question-invalid", "baseline"),
        (MOMENTS.replace("baseline +", "baseline:age +"), "question-invalid", "product"),
    ],
)
def test_a_question_that_cannot_be_asked_says_what_could(more: str, code: str, told: str) -> None:
    with pytest.raises(InputError) as refused:
        asked(more)
    assert refused.value.code.endswith(code)
    assert told in in_full(refused.value)


def test_more_coefficients_than_the_planned_patients_carry_are_refused_before_asking() -> None:
    rich = LOGISTIC.replace("reliable_improvement", "reliable_deterioration")
    asked(rich, patients=1000)  # 0.8 · 0.07 · 1,000 = 56 people deteriorate; 4 terms need 40
    with pytest.raises(InputError, match="too many coefficients") as refused:
        asked(rich, patients=500)
    assert "4 of them need 40 people" in in_full(refused.value)
    with pytest.raises(InputError, match="too many coefficients"):
        asked(LOGISTIC.replace("+", "*"), patients=100)
    with pytest.raises(InputError, match="too many coefficients"):
        asked(LINEAR, patients=60)
    with pytest.raises(InputError, match="too many coefficients"):
        asked(HAZARD, patients=150)
    asked(rich, patients=100, public=True)  # public data cost nothing


def test_too_many_cells_are_refused() -> None:
    levels = ", ".join(f'"{k}"' for k in range(12))
    text = STUDY.format(patients=100000, public="", epsilon="epsilon = 1")
    for old in ('["16-25", "26-45", "46+"]', '["female", "male"]'):
        text = text.replace(old, f"[{levels}]")
    more = 'family = "logistic"\nformula = "recovery ~ C(age_band) + sex + age"\n'
    more += f"cut = {{ age = [{', '.join(str(20 + 5 * k) for k in range(11))}] }}"
    study = Study.parse((text + more).encode())
    with pytest.raises(InputError) as refused:
        Regression(study.questions[0], study)
    assert "1728 cells" in in_full(refused.value)


def test_a_small_level_costs_its_own_coefficients_only() -> None:
    question = asked(public=True)
    had = [40, 50, 3, 50, 60, 2, 70, 80, 1]
    lacking = [60, 50, 1, 60, 40, 0, 60, 30, 1]  # 8 people are 46 or older, in all arms
    found = by_name(counted(question, had, lacking))
    assert found["C(age_band)[T.46+]"].value is None
    assert "too few people" in found["C(age_band)[T.46+]"].suppressed
    without = asked(
        LOGISTIC.replace("C(age_band)", "sex"), public=True
    )  # the same table without the small level
    kept = [k for k in range(9) if k % 3 != 2]
    smaller = by_name(counted(without, [had[k] for k in kept], [lacking[k] for k in kept]))
    for arm in ("dmhi_unguided", "dmhi_guided"):
        assert found[f"arm[T.{arm}]"].value == pytest.approx(smaller[f"arm[T.{arm}]"].value)
        name = f"risk_difference-{arm}-waiting"
        assert found[name].value == pytest.approx(smaller[name].value)


def test_a_small_reference_costs_what_is_compared_with_it() -> None:
    question = asked(public=True)
    had, lacking = [2, 40, 50, 1, 50, 60, 2, 70, 80], [1, 60, 50, 1, 60, 40, 1, 60, 30]
    found = by_name(counted(question, had, lacking))
    assert found["arm[T.dmhi_guided]"].value is not None
    assert found["C(age_band)[T.26-45]"].value is None
    assert found["C(age_band)[T.46+]"].value is None
    assert found["Intercept"].value is None


TWO = LOGISTIC.replace("arm + C(age_band)", "{}") + TWINS
SMALL_CELL = [60, 5, 70, 80]  # of arm × sex: five or six men wait


@pytest.mark.parametrize("noised", [False, True])
def test_a_small_reference_cell_of_an_interaction_costs_what_is_compared_with_it(
    noised: bool,
) -> None:
    """arm*sex tells each cell's share: men who wait are sex against the intercept."""
    question = asked(TWO.format("arm*sex"), public=not noised)
    found = by_name(counted(question, SMALL_CELL, [60, 1, 50, 60], sd=1.0 if noised else 0.0))
    assert found["sex[T.male]"].value is None
    assert "compared with" in found["sex[T.male]"].suppressed
    assert found["arm[T.dmhi_guided]:sex[T.male]"].value is None
    assert found["arm[T.dmhi_guided]"].value is not None
    assert found["people"].value == 380  # the six men who wait are in no number


def test_a_small_cell_of_variables_that_do_not_interact_costs_nothing() -> None:
    question = asked(TWO.format("arm + sex"), public=True)
    found = by_name(counted(question, SMALL_CELL, [60, 1, 50, 60]))
    assert all(e.value is not None for e in found.values())


@pytest.mark.parametrize("terms", ["arm*sex", "arm:sex", "0 + arm:sex", "sex + arm:sex"])
def test_a_small_cell_of_moments_is_held_back_however_the_interaction_is_written(
    terms: str,
) -> None:
    question = asked(LINEAR.replace("arm*sex", terms) + TWINS)
    coding, rng = question.family.coding, np.random.default_rng(0)
    cell = np.repeat(np.arange(4), [300, 7, 300, 300])
    total = coding.rows(cell, rng.uniform(-0.5, 0.5, (len(cell), 1))).sum(axis=0)
    answer = question.estimate(EMPTY, total, SumNoise(0.1))
    told = {e.name for e in answer.estimates if e.value is not None}
    x, _ = question.plan.rows()
    names = np.array(question.frame.names)
    known = [name in told for name in names]
    assert not spanned(np.eye(len(names))[:, known], x[1:2]).any()  # the small cell's mean
    assert any(known)


def test_an_interval_of_an_arm_with_few_left_in_it_costs_what_is_compared_with_it() -> None:
    """A hazard by arm in each interval: the first arm's last one, with few left, is none of it."""
    question = asked(HAZARD.replace("C(time) + arm", "C(time)*arm") + TWINS, public=True)
    ends = len(question.settings.ends)
    table = np.full((2, question.intervals.cells), 30.0)
    left = question.intervals.at_risk[ends - 1] > 0
    table[0, left] = 1.0
    found = by_name(question.estimate(EMPTY, table.ravel() * question.family.scale, SumNoise(0)))
    last, arm = f"C(time)[T.{question.intervals.labels[-1]}]", "arm[T.dmhi_guided]"
    assert found[last].value is None
    assert found[f"{last}:{arm}"].value is None
    assert found[arm].value is not None


def test_an_arm_without_anybody_is_not_told() -> None:
    question = asked(public=True)
    found = by_name(
        counted(question, [30, 30, 30, 0, 0, 0, 40, 40, 40], [30, 40, 50, 0, 0, 0, 9, 9, 9])
    )
    assert found["arm[T.dmhi_unguided]"].value is None
    assert found["arm[T.dmhi_guided]"].value is not None
    nobody = counted(question, [0] * 9, [0] * 9)
    assert all(e.value is None for e in nobody.estimates)
    assert "tells nothing" in nobody.sentences[0]


def test_a_level_where_everybody_had_the_outcome_is_typed_and_the_rest_is_told() -> None:
    question = asked(public=True)
    had, lacking = [40, 50, 30, 50, 60, 20, 70, 80, 40], [60, 50, 0, 60, 40, 0, 60, 30, 0]
    found = by_name(counted(question, had, lacking))
    assert "infinite" in found["C(age_band)[T.46+]"].suppressed
    assert found["arm[T.dmhi_guided]"].value is not None
    assert abs(found["arm[T.dmhi_guided]"].value) < 2


def test_complete_separation_tells_nothing() -> None:
    question = asked(LOGISTIC.replace(" + C(age_band)", ""), public=True)
    answer = counted(question, [0, 50, 50], [60, 0, 0])
    assert all(e.value is None for e in answer.estimates)
    assert "infinite" in answer.sentences[0]


def test_separation_by_no_single_column_is_found() -> None:
    """x1 ≥ x2 decides: no column alone separates, their difference does."""
    x = np.array([[1.0, a, b] for a in (0, 1) for b in (0, 1)])
    events, others = np.array([4.0, 0, 9, 3]), np.array([5.0, 7, 0, 2])
    assert separated(x, events, others).tolist() == [False, True, True, False]
    assert not separated(x, events + 1, others + 1).any()


def test_too_few_with_the_outcome_to_tell_through_the_noise() -> None:
    question = asked()
    had, lacking = [40, 50, 4, 50, 60, 3, 70, 80, 5], [60, 50, 90, 60, 40, 90, 60, 30, 90]
    found = by_name(counted(question, had, lacking, sd=3.0))
    assert "too few people with the outcome" in found["C(age_band)[T.46+]"].suppressed
    assert found["arm[T.dmhi_guided]"].value is not None
    assert 0 < found["arm[T.dmhi_guided]"].noise_share < 1


def test_covariates_that_noise_cannot_tell_apart_are_not_told() -> None:
    """All who wait are female, nearly all others male: only six people tell arm from sex."""
    question = asked(LOGISTIC.replace("C(age_band)", "sex") + TWINS)
    answer = counted(question, [150, 2, 1, 200], [150, 1, 2, 100], sd=5.0)
    assert all(e.value is None for e in answer.estimates)
    assert "noise hides" in answer.sentences[0]
    apart = counted(question, [150, 90, 80, 200], [150, 70, 90, 100], sd=5.0)
    assert by_name(apart)["arm[T.dmhi_guided]"].value is not None


def test_moments_that_noise_cannot_tell_apart_are_not_told() -> None:
    question = asked('family = "linear"\nformula = "change ~ arm + sex"' + TWINS)
    coding, rng = question.family.coding, np.random.default_rng(0)
    for others, told in ((3, False), (150, True)):
        cell = np.repeat(np.arange(4), [300, others, others, 300])
        total = coding.rows(cell, rng.uniform(-0.5, 0.5, (len(cell), 1))).sum(axis=0)
        answer = question.estimate(EMPTY, total, SumNoise(5.0))
        assert (by_name(answer)["arm[T.dmhi_guided]"].value is not None) == told


def test_an_interval_that_says_nothing_is_not_shown() -> None:
    question = asked()
    p = len(question.frame.names)
    fitted = Fitted(
        beta=np.full(p, 2.0),
        sampling=np.eye(p) * 0.1,
        noise=np.diag([0.0, 0.0, 16.0, 0.1, 0.1]),
        why=("",) * p,
        count=np.full(p, 50.0),
        people=100.0,
    )
    found = by_name(answer_of(question.frame, Told(fitted, {}), noised=True))
    assert "too wide" in found["arm[T.dmhi_guided]"].suppressed
    assert found["odds_ratio-arm[T.dmhi_guided]"].value is None
    assert found["odds_ratio-arm[T.dmhi_unguided]"].value == pytest.approx(np.exp(2.0))


def test_what_a_whole_model_says_has_the_count_of_its_people() -> None:
    question = asked(LINEAR)
    p = len(question.frame.names)
    fitted = Fitted(
        beta=np.ones(p),
        sampling=np.eye(p) * 0.1,
        noise=np.eye(p) * 0.1,
        why=("",) * p,
        count=np.full(p, 50.0),
        people=100.0,
        scale=20.0,
    )
    told = Told(fitted, {1: Difference(0.1, 0.01, 0.01)})
    whole = ("people", "residual_sd", "risk_difference-dmhi_unguided-waiting")
    found = by_name(answer_of(question.frame, told, noised=True))
    assert [found[name].count for name in whole] == [100.0] * 3
    found = by_name(answer_of(question.frame, told, noised=False))
    assert [found[name].count for name in whole] == [None] * 3
    few = replace(told, fitted=replace(fitted, people=9.0))
    found = by_name(answer_of(question.frame, few, noised=True))
    assert [found[name].value for name in whole] == [None] * 3
    assert all("too few people" in found[name].suppressed for name in whole)


def test_no_patient_is_longer_than_the_bound_whatever_the_limit() -> None:
    records = people([("p", "waiting", None, "16-25", "male", 20.0)])  # PHQ-9 falls by 14
    for more in (LINEAR, MOMENTS):
        question = asked(more + "\nlimit = 2")
        (rows,) = question.contributions(question.prepare(records), EMPTY)
        assert 0 < np.linalg.norm(rows) <= question.shape.bound * (1 + 1e-12)


@given(
    more=st.sampled_from(EVERY),
    seed=st.integers(0, 2**32 - 1),
    size=st.sampled_from([0.0, 1.0, 30.0, 1e3, 1e9]),
    middle=st.sampled_from([-50.0, 0.0, 20.0, 400.0]),
    sd=st.sampled_from([0.0, 1e-3, 5.0, 300.0]),
)
@settings(max_examples=150, deadline=None)
def test_no_sum_makes_it_tell_nonsense(
    more: str, seed: int, size: float, middle: float, sd: float
) -> None:
    question = asked(more)
    rng = np.random.default_rng(seed)
    total = middle + size * rng.normal(size=question.shape.length)
    answer = question.estimate(EMPTY, total, SumNoise(sd))
    for e in answer.estimates:
        if e.value is None:
            assert e.suppressed
            continue
        numbers = [e.value, e.low, e.high, e.standard_error, e.noise_share]
        assert np.isfinite([n for n in numbers if n is not None]).all()
        if e.low is not None:
            assert e.low <= e.value <= e.high
        if e.unit.startswith("log"):
            assert abs(e.value) < 40
    assert answer.sentences
    assert answer.to_json()


@given(
    d=st.integers(1, 4),
    data=st.data(),
)
def test_no_patient_s_moments_are_longer_than_the_bound(d: int, data: Any) -> None:
    t = np.array([[data.draw(st.floats(-1, 1)) for _ in range(d)]])
    coding = MomentCoding(3, d, 0.5)
    row = coding.rows(np.array([1]), t)
    assert np.linalg.norm(row) <= coding.bound * (1 + 1e-12)
    moments = np.einsum("w,wij->ij", row.reshape(3, -1)[1], coding.slopes)
    whole = np.append(1.0, t[0])
    np.testing.assert_allclose(moments, np.outer(whole, whole), atol=1e-12)


def test_a_corner_reaches_the_bound() -> None:
    """The charge is no larger than it need be."""
    for d in (1, 2, 3):
        coding = MomentCoding(1, d, 0.5)
        row = coding.rows(np.zeros(1, dtype=np.int64), np.ones((1, d)))
        assert np.linalg.norm(row) == pytest.approx(coding.bound)


def people(rows: list[tuple[Any, ...]]) -> Records:
    schema = {**PATIENT_COLUMNS, "age_band": pl.String, "sex": pl.String, "age": pl.Float64}
    scores = [
        (who, time, name, value)
        for who, *_ in rows
        for time, name, value in (
            (0.0, "PHQ-9", 20.0),
            (8.0, "PHQ-9", 6.0),
            (0.0, "GAD-7", 12.0),
            (8.0, "GAD-7", 5.0),
        )
    ]
    return Records(
        pl.DataFrame(rows, schema=schema, orient="row"),
        pl.DataFrame(scores, schema=SCORES, orient="row"),
        pl.DataFrame(schema=ENGAGEMENT),
    )


def test_cut_points_belong_to_the_upper_level_and_the_range_ends_belong_to_it() -> None:
    ages = [15.9, 16.0, 29.99, 30.0, 49.9, 50.0, 99.0, 99.1, float("nan")]
    records = people(
        [(f"p{k}", "waiting", None, "16-25", "male", age) for k, age in enumerate(ages)]
    )
    question = asked(CUT)
    assert question.plan.covariates["age"].levels == (
        "under 30",
        "30 to under 50",
        "50 or more",
    )
    (rows,) = question.contributions(question.prepare(records), EMPTY)
    place = [int(row.argmax()) // 2 if row.any() else None for row in rows]
    assert place == [None, 0, 0, 1, 1, 2, 2, None, None]


def test_whether_baseline_is_the_score_is_said_by_the_study_not_by_a_clinics_columns() -> None:
    records = people([("p", "waiting", None, "16-25", "male", 20.0)])  # PHQ-9 of 20 at baseline
    other = replace(records, patients=records.patients.with_columns(baseline=pl.lit(3.0)))
    question = asked(LINEAR.replace("arm*sex", "baseline"))
    expected = question.prepare(records).t
    np.testing.assert_array_equal(question.prepare(other).t, expected)
    assert question.plan.values(other)["baseline"].tolist() == [20.0]
    declared = STUDY.replace(
        "[variables.age]\nlowest = 16\nhighest = 99",
        "[variables.baseline]\nlowest = 0\nhighest = 9",
    )
    own = asked(LINEAR.replace("arm*sex", "baseline") + "\nlimit = 9", study=declared)
    assert own.plan.values(other)["baseline"].tolist() == [3.0]
    assert own.family.slopes.tolist() == [0.0]  # the public line is that of the score
    with pytest.raises(InputError, match="no column 'baseline'"):
        own.prepare(records)


def test_an_empty_clinic_answers() -> None:
    for more in EVERY:
        question = asked(more)
        assert not list(question.contributions(question.prepare(people([])), question.start({})))


def test_a_clinic_without_the_column_is_told_so() -> None:
    records = people([("p", "waiting", None, "16-25", "male", 20.0)])
    bare = Records(records.patients.drop("age_band"), records.scores)
    with pytest.raises(InputError, match="no column 'age_band'"):
        asked().prepare(bare)
    bare = Records(records.patients.drop("age"), records.scores)
    with pytest.raises(InputError, match="no column 'age'"):
        asked(CUT).prepare(bare)


@pytest.mark.parametrize("more", EVERY)
def test_everything_that_is_foretold_is_in_the_answer_arms_first(more: str) -> None:
    question = asked(more)
    told = question.expected(SumNoise(5.0))
    assert told[0].name == "arm[T.dmhi_unguided]"
    assert all(e.sampling > 0 and e.noise > 0 for e in told)
    zero = question.expected(SumNoise(0.0))
    assert all(e.noise == 0 for e in zero)
    answer = question.estimate(EMPTY, np.zeros(question.shape.length), SumNoise(1.0))
    coefficients = {e.name for e in told if not e.name.startswith("risk_")}
    assert coefficients <= set(by_name(answer))
    if "logistic" in more:
        assert {e.name for e in told} - coefficients == {
            "risk_difference-dmhi_unguided-waiting",
            "risk_difference-dmhi_guided-waiting",
        }


def test_words_say_association_unless_randomised_and_synthetic_where_it_is() -> None:
    had, lacking = [40, 50, 30, 50, 60, 40, 90, 80, 95], [60, 50, 40, 60, 40, 40, 60, 30, 30]
    answer = counted(asked(), had, lacking, sd=2.0)
    said = " ".join((*answer.sentences, *answer.notes))
    assert "association" in answer.title
    assert "unadjusted for confounding" in said
    assert "Synthetic data" in said
    assert "for people offered a guided programme as for people waiting" in said
    assert "privacy noise" in said
    calm = counted(asked(LOGISTIC + "\nrandomised = true"), had, lacking, sd=2.0)
    assert "unadjusted" not in " ".join((*calm.sentences, *calm.notes, calm.title))
    forest = answer.figures[0]
    assert forest.estimates[0].name == "odds_ratio-arm[T.dmhi_unguided]"
    assert forest.no_difference == 1.0


def test_names_are_those_of_statsmodels() -> None:
    question = asked(LOGISTIC.replace("C(age_band)", "C(age_band):sex"))
    assert question.frame.names[:3] == ("Intercept", "arm[T.dmhi_unguided]", "arm[T.dmhi_guided]")
    assert "C(age_band)[T.46+]:sex[male]" in question.frame.names
