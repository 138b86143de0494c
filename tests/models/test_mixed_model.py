"""The mixed model against statsmodels, a dense likelihood, and the promises of a question."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import statsmodels.formula.api as smf
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal

from cairn_models.answers import Answer
from cairn_models.questions import build
from cairn_models.questions.base import Question, SumNoise, Vector
from cairn_models.records import PATIENT_COLUMNS, SCORES, Records
from cairn_models.statistics.grouped_sums import GroupedSums, patient_vector, vector_length
from cairn_models.statistics.random_intercept import (
    Method,
    NotEstimable,
    RandomIntercept,
    fit,
)
from cairn_privacy.bound import PUBLIC_SCALE
from cairn_protocol.errors import InputError
from cairn_protocol.study import Study

STUDY = """
cairn = 1
name = "simulated"
title = "Synthetic trial"
synthetic = true
[outcome]
instrument = "PHQ-9"
[cohort]
arms = ["waiting", "dmhi_unguided"]
planned_patients = 60
largest_clinic = 60
[privacy]
data = "{data}"
[variables.drug]
levels = ["No", "Yes"]
[variables.age]
lowest = 16
highest = 99
[[questions]]
name = "course"
kind = "mixed_model"
{epsilon}
formula = "{formula}"
max_visits = {most}
{more}
"""
FORMULA = "PHQ-9 ~ time*arm + drug + age + (1 | patient)"


def question(
    formula: str = FORMULA, most: int = 5, more: str = "", data: str = "public"
) -> Question[Any]:
    epsilon = "" if data == "public" else "epsilon = 1"
    text = STUDY.format(formula=formula, most=most, more=more, data=data, epsilon=epsilon)
    study = Study.parse(text.encode())
    return build(study.questions[0], study)


def synthetic_records(
    seed: int, patients: int = 60, most: int = 5, between: float = 3.0
) -> Records:
    rng = np.random.default_rng(seed)
    people, scores = [], []
    for i in range(patients):
        arm, drug = rng.choice(["waiting", "dmhi_unguided"]), rng.choice(["No", "Yes"])
        age = float(rng.integers(18, 80))
        people.append((f"s{i:03d}", arm, None, drug, age))
        level = 14 + between * rng.normal() - 1.5 * (drug == "Yes") + 0.02 * age
        for week in sorted(rng.choice(np.arange(1, 20), rng.integers(0, most + 1), replace=False)):
            slope = -0.3 if arm == "dmhi_unguided" else -0.1
            value = float(np.clip(level + slope * week + 2 * rng.normal(), 0, 27))
            scores.append((f"s{i:03d}", float(week) + float(rng.random()), "PHQ-9", value))
        scores.append((f"s{i:03d}", 0.0, "PHQ-9", 15.0))
        scores.append((f"s{i:03d}", 3.0, "GAD-7", 12.0))
    schema = {**PATIENT_COLUMNS, "drug": pl.String, "age": pl.Float64}
    return Records(
        pl.DataFrame(people, schema=schema, orient="row"),
        pl.DataFrame(scores, schema=SCORES, orient="row"),
    )


def only(records: Records, keep: Sequence[str]) -> Records:
    inside = pl.col("patient").is_in(list(keep))
    return Records(
        records.patients.filter(inside),
        records.scores.filter(inside),
        time_unit=records.time_unit,
    )


def vectors(asked: Question[Any], records: Records) -> Vector:
    blocks = list(asked.contributions(asked.prepare(records), asked.start({})))
    return np.concatenate([np.zeros((0, asked.shape.length)), *blocks])


def asked_over_clinics(asked: Question[Any], clinics: Sequence[Records]) -> Answer:
    """The answer from integer sums over clinics, rounded as at the door."""
    steps = np.zeros(asked.shape.length, dtype=np.int64)
    for clinic in clinics:
        steps += np.round(vectors(asked, clinic).sum(axis=0) * PUBLIC_SCALE).astype(np.int64)
    return asked.estimate(asked.start({}), steps / PUBLIC_SCALE, SumNoise(0.0))


def values(answer: Answer) -> dict[str, float]:
    return {e.name: e.value for e in answer.estimates if e.value is not None}


def table(records: Records) -> pd.DataFrame:
    rows = records.scores.filter(pl.col("instrument") == "PHQ-9", pl.col("time") > 0)
    frame = pd.DataFrame(rows.join(records.patients, on="patient").sort("patient").to_dicts())
    frame["arm"] = pd.Categorical(frame["arm"], categories=["waiting", "dmhi_unguided"])
    return frame


def dense_information(result: Any) -> Vector:
    """Σ XᵀV⁻¹X at statsmodels' variances: what lme4 inverts for its standard errors.

    statsmodels' own `bse` adds the variances' cross-terms and differs in the third digit.
    """
    between, within = float(result.cov_re.iloc[0, 0]), float(result.scale)
    total = np.zeros((len(result.fe_params),) * 2)
    for x in result.model.exog_li:
        v = within * np.eye(len(x)) + between * np.ones((len(x), len(x)))
        total += x.T @ np.linalg.solve(v, x)
    return total


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("method", ["ML", "REML"])
def test_equals_statsmodels(seed: int, method: Method) -> None:
    records = synthetic_records(seed)
    names = records.patients["patient"].to_list()
    answer = asked_over_clinics(
        question(more=f'method = "{method}"'), [only(records, names[k::7]) for k in range(7)]
    )
    frame = table(records)
    model = smf.mixedlm("value ~ time*arm + drug + age", frame, groups=frame["patient"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = model.fit(reml=method == "REML", method=["bfgs", "powell", "bfgs"], gtol=1e-12)
    ours = values(answer)
    covariance = np.linalg.inv(dense_information(theirs))
    errors = dict(zip(theirs.fe_params.index, np.sqrt(np.diag(covariance)), strict=True))
    ours_errors = {e.name: e.standard_error for e in answer.estimates}
    assert {e.name for e in answer.estimates[:6]} == set(theirs.fe_params.index)
    for name, value in theirs.fe_params.items():
        assert ours[name] == pytest.approx(value, rel=1e-6), name
        assert ours_errors[name] == pytest.approx(errors[name], rel=1e-6), name
    assert ours["var_resid"] == pytest.approx(theirs.scale, rel=1e-6)
    assert ours["var_subject"] == pytest.approx(float(theirs.cov_re.iloc[0, 0]), rel=2e-6)
    assert ours["log_likelihood"] == pytest.approx(theirs.llf, rel=1e-9)
    assert ours["observations"] == len(frame)
    assert ours["subjects"] == frame["patient"].nunique()


def test_equals_a_dense_likelihood_and_no_neighbour_is_better() -> None:
    rng = np.random.default_rng(11)
    groups = [
        (rng.normal(size=(n, 2)), rng.normal(size=n) + 2 * rng.normal()) for n in (1, 3, 4, 4, 2, 3)
    ]
    result = fitted(groups, "ML")

    def dense(beta: Vector, between: float, within: float) -> float:
        return sum(
            multivariate_normal.logpdf(y, x @ beta, within * np.eye(len(y)) + between)
            for x, y in groups
        )

    best = dense(result.beta, result.var_subject, result.var_resid)
    assert result.log_likelihood == pytest.approx(best, rel=1e-12)
    for _ in range(200):
        step = 1e-3 * rng.normal(size=4)
        near = dense(
            result.beta + step[:2],
            max(result.var_subject + step[2], 0.0),
            result.var_resid + step[3],
        )
        assert near <= best + 1e-12


def test_the_larger_model_is_never_less_likely() -> None:
    records = synthetic_records(3)
    formulas = ["1", "time", "time + arm", "time*arm", "time*arm + drug", "time*arm*drug + age"]
    likelihood = [
        values(asked_over_clinics(question(f"outcome ~ {f} + (1|patient)"), [records]))[
            "log_likelihood"
        ]
        for f in formulas
    ]
    assert all(a <= b + 1e-9 for a, b in pairwise(likelihood))
    nothing_between = ols_log_likelihood(table(records))
    assert likelihood[1] >= nothing_between


def ols_log_likelihood(frame: pd.DataFrame) -> float:
    return float(smf.ols("value ~ time", frame).fit().llf)


def test_without_variance_between_patients_it_is_least_squares() -> None:
    rng = np.random.default_rng(1)
    groups = []
    for _ in range(40):  # residuals that sum to zero in every patient
        y = rng.normal(size=3)
        groups.append((np.c_[np.ones(3), np.arange(3.0)], y - y.mean()))
    result = fitted(groups, "ML")
    assert result.var_subject == 0.0
    assert result.icc_low == 0.0
    x, y = (np.concatenate(part) for part in zip(*groups, strict=True))
    least_squares = np.linalg.lstsq(x, y, rcond=None)[0]
    np.testing.assert_allclose(result.beta, least_squares, atol=1e-12)


def test_the_profile_interval_of_the_icc_covers() -> None:
    rng = np.random.default_rng(7)
    hits, trials = 0, 100
    for _ in range(trials):
        groups = [
            (np.ones((4, 1)), rng.normal(size=4) + rng.normal()) for _ in range(40)
        ]  # true ICC 0.5
        result = fitted(groups, "REML")
        hits += result.icc_low <= 0.5 <= result.icc_high
    assert 0.90 <= hits / trials <= 0.99


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 12), st.sampled_from(["ML", "REML"]))
def test_never_a_traceback_or_a_nan(seed: int, patients: int, method: Method) -> None:
    """Any tiny or degenerate data give finite estimates or words."""
    rng = np.random.default_rng(seed)
    groups = []
    for _ in range(patients):
        n = int(rng.integers(0, 4))
        x = np.c_[np.ones(n), rng.integers(0, 2, n), rng.integers(0, 2, n)]
        groups.append((x.astype(float), rng.integers(0, 3, n).astype(float)))
    result = try_fit(groups, method)
    if isinstance(result, NotEstimable):
        assert result.reason
        return
    numbers = [*result.beta, *result.standard_errors, result.var_subject, result.aic, result.bic]
    numbers += [result.var_resid, result.log_likelihood, result.icc_low, result.icc_high]
    assert np.isfinite(numbers).all()
    assert 0 <= result.icc_low <= result.icc <= result.icc_high <= 1


Groups = Sequence[tuple[Vector, Vector]]


def try_fit(groups: Groups, method: Method) -> RandomIntercept | NotEstimable:
    p, most = groups[0][0].shape[1], 4
    total = sum((patient_vector(x, y, most) for x, y in groups), np.zeros(vector_length(p, most)))
    return fit(GroupedSums.unpack(total, np.ones(p), 1.0), method)


def fitted(groups: Groups, method: Method) -> RandomIntercept:
    result = try_fit(groups, method)
    assert isinstance(result, RandomIntercept), result
    return result


DEGENERATE = {
    "no patient": (synthetic_records(0).patients["patient"].to_list()[:0], FORMULA, "two patients"),
    "one patient": (["s001"], FORMULA, "two patients"),
    "few": (["s001", "s002"], FORMULA, "cannot carry"),
}


@pytest.mark.parametrize("case", DEGENERATE)
def test_too_few_data_are_words(case: str) -> None:
    keep, formula, words = DEGENERATE[case]
    answer = asked_over_clinics(question(formula), [only(synthetic_records(0), keep)])
    assert words in answer.sentences[0]
    assert all(e.value is None and e.suppressed for e in answer.estimates)
    assert answer.to_json()


def test_columns_that_repeat_each_other_are_named() -> None:
    records = synthetic_records(0)
    one_level = Records(records.patients.with_columns(drug=pl.lit("No")), records.scores)
    answer = asked_over_clinics(question(), [one_level])
    assert "drug: Yes against No" in answer.sentences[0]


def test_one_visit_each_is_words() -> None:
    result = try_fit([(np.ones((1, 1)), np.array([float(i)])) for i in range(9)], "ML")
    assert isinstance(result, NotEstimable)
    assert "two scores" in result.reason


def test_patients_that_never_vary_are_words() -> None:
    result = try_fit([(np.ones((3, 1)), np.full(3, float(i))) for i in range(9)], "REML")
    assert isinstance(result, NotEstimable)
    assert "no variation within" in result.reason


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.integers(0, 59))
def test_removing_a_patient_changes_no_other_vector(seed: int, place: int) -> None:
    records = synthetic_records(seed % 3)
    patient = records.patients["patient"][place]
    asked = question()
    all_rows, without = vectors(asked, records), vectors(asked, records.without(patient))
    np.testing.assert_array_equal(np.delete(all_rows, place, axis=0), without)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=60, max_size=60))
def test_sums_over_any_split_are_the_sum(split: list[int]) -> None:
    records = synthetic_records(2)
    asked, names = question(), records.patients["patient"].to_list()
    parts = [
        vectors(asked, only(records, [n for n, s in zip(names, split, strict=True) if s == k]))
        for k in range(5)
    ]
    together = sum(part.sum(axis=0) for part in parts)
    np.testing.assert_allclose(together, vectors(asked, records).sum(axis=0), rtol=1e-12)


def changed(records: Records, **columns: pl.Expr) -> Records:
    return Records(records.patients.with_columns(**columns), records.scores)


@pytest.mark.parametrize(
    "columns",
    [
        {"drug": pl.lit(None, dtype=pl.String)},
        {"drug": pl.lit("perhaps")},
        {"age": pl.lit(None, dtype=pl.Float64)},
        {"age": pl.lit(float("nan"))},
        {"age": pl.lit(float("inf"))},
        {"age": pl.lit(1e30)},
        {"age": pl.lit(15.0)},
        {"age": pl.lit("old")},
        {"arm": pl.lit(None, dtype=pl.String)},
        {"arm": pl.lit("self_help_book")},
    ],
)
def test_a_covariate_missing_or_undeclared_gives_zeros(columns: dict[str, pl.Expr]) -> None:
    rows = vectors(question(), changed(synthetic_records(0, patients=4), **columns))
    assert rows.shape == (4, question().shape.length)
    assert not rows.any()


def test_scores_out_of_range_or_window_do_not_enter() -> None:
    records = synthetic_records(0, patients=3)
    wrong = [(-3.0, 9.0), (0.0, 9.0), (2.0, 28.0), (2.0, -1.0), (2.0, float("nan"))]
    wrong += [(2.0, 1e300), (float("inf"), 9.0), (float("nan"), 9.0), (1025.0, 9.0)]
    extra = [("s001", time, "PHQ-9", value) for time, value in wrong]
    more = pl.concat([records.scores, pl.DataFrame(extra, schema=SCORES, orient="row")])
    asked = question(most=20)
    np.testing.assert_array_equal(
        vectors(asked, Records(records.patients, more)), vectors(asked, records)
    )


def test_the_first_scores_count_up_to_the_cap_whatever_the_order() -> None:
    people = pl.DataFrame(
        {"patient": ["p"], "arm": [None], "entry": [None]}, schema=PATIENT_COLUMNS
    )
    times = [3.0, 1.0, 9.0, 2.0, 8.0]
    scores = pl.DataFrame([("p", t, "PHQ-9", 10 - t) for t in times], schema=SCORES, orient="row")
    asked = question("outcome ~ time + (1|patient)", most=3)
    row = vectors(asked, Records(people, scores))[0].reshape(3, -1)
    assert row[2, -1] == 1
    assert row[2, -3] / asked.outcome_scale**2 == 81 + 64 + 49
    assert not row[:2].any()


def test_time_is_counted_in_the_studys_unit() -> None:
    records = synthetic_records(1)
    in_months = records.times_in("month")
    asked = question()
    np.testing.assert_allclose(vectors(asked, in_months), vectors(asked, records), rtol=1e-12)


def test_a_number_column_can_hold_levels() -> None:
    text = STUDY.replace('["No", "Yes"]', '["0", "1"]')
    study = Study.parse(
        text.format(formula=FORMULA, most=5, more="", data="public", epsilon="").encode()
    )
    asked = build(study.questions[0], study)
    records = synthetic_records(0)
    coded = changed(records, drug=(pl.col("drug") == "Yes").cast(pl.Float64))
    np.testing.assert_array_equal(vectors(asked, coded), vectors(question(), records))


def test_a_clinic_without_patients_gives_nothing_and_no_error() -> None:
    assert vectors(question(), Records()).shape == (0, question().shape.length)


def test_a_clinic_without_the_column_is_told_which() -> None:
    records = synthetic_records(0)
    with pytest.raises(InputError, match="no column 'age'") as refusal:
        vectors(question(), Records(records.patients.drop("age"), records.scores))
    assert "mapping.toml" in refusal.value.hint


def test_patients_data_are_refused() -> None:
    with pytest.raises(InputError, match="cannot be asked of patients"):
        question(data="patients")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ('method = "EM"', "method"),
        ("slope = true", "slope"),
        ("after = 5\nuntil = 5", "below until"),
    ],
)
def test_wrong_settings_are_named(more: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        question(more=more)


def test_sums_of_many_patients_fit_the_ring() -> None:
    """Sixteen times the planned patients at every extreme need 2⁶¹ of the ring's 2⁶³ steps."""
    asked = question()
    largest = np.array([c.largest for c in asked.design.columns]) * asked.scale
    worst = max((5 * largest.max()) ** 2, (5 * 27 * asked.outcome_scale) ** 2)
    assert worst * 16 * 60 * PUBLIC_SCALE <= 2**61


@pytest.mark.parametrize("seed", range(3))
def test_rounding_at_sixty_doors_costs_less_than_a_ten_millionth(seed: int) -> None:
    records, asked = synthetic_records(seed), question()
    exact = asked.estimate(
        asked.start({}), vectors(asked, records).sum(axis=0), SumNoise(0.0)
    ).estimates
    clinics = [only(records, [name]) for name in records.patients["patient"]]
    for rounded, unrounded in zip(asked_over_clinics(asked, clinics).estimates, exact, strict=True):
        assert rounded.value == pytest.approx(unrounded.value, rel=1e-7)
        if unrounded.standard_error is not None:
            assert rounded.standard_error == pytest.approx(unrounded.standard_error, rel=1e-7)


def test_numbers_a_vector_has() -> None:
    assert (
        question("outcome ~ time + arm + drug + age + time:arm + (1|patient)", 4).shape.length
        == 228
    )


def test_the_chosen_method_comes_first_and_the_other_beside() -> None:
    records = [synthetic_records(0)]
    ml = values(asked_over_clinics(question(), records))
    reml = values(asked_over_clinics(question(more='method = "REML"'), records))
    for name in ("time", "var_subject", "var_resid", "icc", "log_likelihood", "aic", "bic"):
        assert ml[name] == reml[f"ml_{name}"]
        assert reml[name] == ml[f"reml_{name}"]
        assert ml[name] != reml[name]


def test_the_answer_is_json_without_nan() -> None:
    document = asked_over_clinics(question(), [synthetic_records(0)]).to_json()
    assert json.loads(json.dumps(document, allow_nan=False))["kind"] == "mixed_model"
    assert math.isfinite(document["estimates"][0]["value"])
