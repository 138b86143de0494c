"""Random slopes over any split of the patients: published results, dense oracles, bad data."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal

from cairn_models.answers import Answer
from cairn_models.questions import build
from cairn_models.questions.base import Question, SumNoise
from cairn_models.records import PATIENT_COLUMNS, SCORES, Records
from cairn_models.statistics.random_intercept import NotEstimable
from cairn_models.statistics.random_slopes import PatientProducts, SlopeSums
from cairn_models.statistics.single_pairs import join, split
from cairn_models.statistics.slope_fit import NOT_ARRIVED, RandomSlopes, fit_slopes
from cairn_models.statistics.slope_profile import profile
from cairn_models.statistics.slope_search import (
    NESTED,
    START,
    WALKS,
    SlopeSearch,
    SlopeState,
)
from cairn_privacy.bound import PUBLIC_SCALE, exact_sum
from cairn_protocol.errors import InputError
from cairn_protocol.study import Study

ROOT = Path(__file__).parents[2]
JOB_LOSS = ROOT / "tests" / "data" / "alda" / "depression_unemployment.csv"
SHARED = ROOT.parent / "shared" / "data"
PUBLISHED = SHARED / "published_checks.json"
needs_btheb = pytest.mark.skipif(
    not (SHARED / "btheb" / "BtheB.csv").exists() or not PUBLISHED.exists(),
    reason="BtheB.csv (R package HSAUR3, not shipped) is not in ../shared/data/btheb",
)
STUDY = """
cairn = 1
name = "longitudinal"
title = "Published longitudinal data"
[outcome]
instrument = "{outcome}"
time_unit = "month"
[cohort]
planned_patients = 254
largest_clinic = 254
[privacy]
data = "{data}"
[variables.treatment]
levels = ["TAU", "BtheB"]
[variables.drug]
levels = ["No", "Yes"]
[variables.length]
levels = ["<6m", ">6m"]
[variables.bdi_pre]
lowest = 0
highest = 63
[[instruments]]
name = "unemployed"
lowest = 0
highest = 1
[[questions]]
name = "course"
kind = "mixed_model"
formula = "{formula}"
max_visits = {most}
{more}
"""
# Singer & Willett 2003, 'Applied Longitudinal Data Analysis', Table 5.7, full maximum likelihood.
TABLE_5_7 = {
    "time + (1 + time | patient)": {
        "beta": ("17.6694", "-0.4220"),
        "se": ("0.7756", "0.0830"),
        "variances": ("68.85", "86.85", "0.36"),
        "deviance": "5133.1",
    },
    "time + unemployed + (1 + time | patient)": {
        "beta": ("12.6656", "-0.2020", "5.1113"),
        "se": ("1.2421", "0.0933", "0.9888"),
        "variances": ("62.39", "93.52", "0.46"),
        "deviance": "5107.6",
    },
    "time * unemployed + (1 + time | patient)": {
        "beta": ("9.6167", "0.1620", "8.5291", "-0.4652"),
        "se": ("1.8893", "0.1937", "1.8779", "0.2172"),
        "variances": ("62.03", "93.71", "0.45"),
        "deviance": "5103.0",
    },
}
PARENTHESES = "outcome ~ "


def question(
    formula: str, *, outcome: str = "CES-D", most: int = 4, more: str = "", data: str = "public"
) -> Question[Any]:
    text = STUDY.format(outcome=outcome, formula=formula, most=most, more=more, data=data)
    study = Study.parse(text.encode())
    return build(study.questions[0], study)


@cache
def job_loss() -> Records:
    frame = pd.read_csv(JOB_LOSS)
    scores = [
        (f"{row.id:04d}", float(row.months), instrument, float(value))
        for row in frame.itertuples()
        for instrument, value in (("CES-D", row.depression), ("unemployed", row.unemployed))
    ]
    return records([(name,) for name in sorted({s[0] for s in scores})], scores, ())


def records(people: Sequence[Any], scores: Sequence[Any], more: tuple[str, ...]) -> Records:
    schema = {"patient": pl.String, **dict.fromkeys(more, pl.String), "bdi_pre": pl.Float64}
    rows = [(*person, None)[: len(schema)] for person in people]
    patients = pl.DataFrame(rows, schema=schema, orient="row")
    missing = {n: pl.lit(None, t) for n, t in PATIENT_COLUMNS.items() if n != "patient"}
    return Records(
        patients.with_columns(**missing),
        pl.DataFrame(list(scores), schema=SCORES, orient="row"),
        time_unit="month",
    )


def beat_the_blues() -> Records:
    frame = pd.read_csv(SHARED / "btheb" / "BtheB.csv")
    months = {"bdi.2m": 2, "bdi.3m": 3, "bdi.5m": 5, "bdi.8m": 8}
    people = [
        (f"{r.rownames:03d}", r.treatment, r.drug, r.length, float(r["bdi.pre"]))
        for _, r in frame.iterrows()
    ]
    scores = [
        (f"{r.rownames:03d}", float(month), "BDI-II", float(r[name]))
        for _, r in frame.iterrows()
        for name, month in months.items()
        if not np.isnan(r[name])
    ]
    return records(people, scores, ("treatment", "drug", "length"))


def clinics_of(whole: Records, clinics: int) -> list[Records]:
    order = np.random.default_rng(clinics).permutation(len(whole))
    return [whole.only(whole.patients["patient"][order[k::clinics]]) for k in range(clinics)]


def asked(question: Question[Any], clinics: Sequence[Records]) -> Answer:
    """The answer from the exact sums of the door, round after round, as the server takes them."""
    public, total = question.start({}), np.zeros(question.shape.length)
    prepared = [question.prepare(clinic) for clinic in clinics]
    for round_ in range(question.shape.rounds):
        steps = sum(
            exact_sum(question.contributions(p, public), question.shape.length) for p in prepared
        )
        total = np.asarray(steps, dtype=np.float64) / PUBLIC_SCALE
        public = question.advance(public, total, round_)
        assert public.dtype == np.float32
        assert public.size == question.state_length
    return question.estimate(public, total, SumNoise(0.0))


def numbers(answer: Answer) -> dict[str, float]:
    return {e.name: e.value for e in answer.estimates if e.value is not None}


def printed(ours: float, digits: str) -> None:
    """Equal to the printed digits: half a unit of the last."""
    half = 0.5000001 * 10.0 ** -len(digits.partition(".")[2])
    assert ours == pytest.approx(float(digits), abs=half)


@pytest.mark.parametrize("clinics", [1, 5, 20])
@pytest.mark.parametrize("fixed", TABLE_5_7)
def test_equals_the_published_table_over_any_split(fixed: str, clinics: int) -> None:
    answer = asked(question(f"CES-D ~ {fixed}"), clinics_of(job_loss(), clinics))
    published, found = TABLE_5_7[fixed], numbers(answer)
    coefficients = answer.estimates[: len(published["beta"])]
    for estimate, beta, error in zip(coefficients, published["beta"], published["se"], strict=True):
        printed(estimate.value, beta)
        printed(estimate.standard_error, error)
    names = ("var_resid", "var_subject", "var_slope")
    for name, digits in zip(names, published["variances"], strict=True):
        printed(found[name], digits)
    printed(found["deviance"], published["deviance"])
    assert (found["subjects"], found["observations"]) == (254, 674)


@cache
def oracle(fixed: str, reml: bool) -> dict[str, Any]:
    """The pooled model by dense Fisher scoring in (σ₀², σ₀₁, σ₁², σ²), nothing shared with ours."""
    frame = pd.read_csv(JOB_LOSS)
    columns = {
        "time": [np.ones(len(frame)), frame.months],
        "time + unemployed": [np.ones(len(frame)), frame.months, frame.unemployed],
        "time * unemployed": [
            np.ones(len(frame)),
            frame.months,
            frame.unemployed,
            frame.months * frame.unemployed,
        ],
    }[fixed]
    design = np.column_stack(columns)
    groups = [g.to_numpy() for _, g in pd.Series(range(len(frame))).groupby(frame.id)]
    return fisher(
        [design[g] for g in groups],
        [frame.depression.to_numpy(float)[g] for g in groups],
        [frame.months.to_numpy()[g] for g in groups],
        reml,
    )


def fisher(x: list[Any], y: list[Any], times: list[Any], reml: bool) -> dict[str, Any]:
    units = [np.array(u, float) for u in ([[1, 0], [0, 0]], [[0, 1], [1, 0]], [[0, 0], [0, 1]])]
    shapes = [np.column_stack([np.ones(len(t)), t]) for t in times]
    variances = np.array([80.0, -1.0, 0.5, 70.0])
    for _ in range(200):
        inverses, parts = [], []
        for z in shapes:
            d = sum(v * u for v, u in zip(variances, units, strict=False))
            inverses.append(np.linalg.inv(z @ d @ z.T + variances[3] * np.eye(len(z))))
            parts.append([*(z @ u @ z.T for u in units), np.eye(len(z))])
        a = sum(xi.T @ vi @ xi for xi, vi in zip(x, inverses, strict=True))
        b = sum(xi.T @ vi @ yi for xi, vi, yi in zip(x, inverses, y, strict=True))
        beta, covariance = np.linalg.solve(a, b), np.linalg.inv(a)
        score, information = np.zeros(4), np.zeros((4, 4))
        log_det = 0.0
        for xi, yi, vi, pi in zip(x, y, inverses, parts, strict=True):
            weighted = vi @ (yi - xi @ beta)
            projected = vi - vi @ xi @ covariance @ xi.T @ vi if reml else vi
            log_det -= np.linalg.slogdet(vi)[1]
            for k in range(4):
                score[k] += (weighted @ pi[k] @ weighted - np.trace(projected @ pi[k])) / 2
                for j in range(4):
                    information[k, j] += np.trace(vi @ pi[k] @ vi @ pi[j]) / 2
        step = np.linalg.solve(information, score)
        variances = variances + step
        if np.abs(step / variances).max() < 1e-13:
            break
    else:
        raise AssertionError("the oracle did not converge")
    n, p = sum(map(len, y)), x[0].shape[1]
    quadratic = sum(
        (yi - xi @ beta) @ vi @ (yi - xi @ beta) for xi, yi, vi in zip(x, y, inverses, strict=True)
    )
    deviance = (n - p if reml else n) * np.log(2 * np.pi) + log_det + quadratic
    deviance += np.linalg.slogdet(a)[1] if reml else 0.0
    return {
        "beta": beta,
        "errors": np.sqrt(np.diag(covariance)),
        "variances": dict(
            zip(("var_subject", "cov_slope", "var_slope", "var_resid"), variances, strict=True)
        ),
        "deviance": deviance,
    }


@pytest.mark.parametrize("method", ["ML", "REML"])
@pytest.mark.parametrize("fixed", ["time", "time + unemployed", "time * unemployed"])
def test_equals_direct_optimisation_on_pooled_data(fixed: str, method: str) -> None:
    theirs = oracle(fixed, method == "REML")
    answer = asked(
        question(f"CES-D ~ {fixed} + (time | patient)", more=f'method = "{method}"'),
        clinics_of(job_loss(), 5),
    )
    found = numbers(answer)
    for place, (beta, error) in enumerate(zip(theirs["beta"], theirs["errors"], strict=True)):
        assert answer.estimates[place].value == pytest.approx(beta, rel=1e-6)
        assert answer.estimates[place].standard_error == pytest.approx(error, rel=1e-6)
    for name, value in theirs["variances"].items():
        assert found[name] == pytest.approx(value, rel=1e-6), name
    assert found["deviance"] == pytest.approx(theirs["deviance"], rel=1e-10)


@needs_btheb
@pytest.mark.parametrize("clinics", [1, 5, 20])
def test_the_published_likelihood_ratio_of_beat_the_blues(clinics: int) -> None:
    published = json.loads(PUBLISHED.read_text())["btheb_random_slope_lrt"]
    formula = "BDI-II ~ bdi_pre + time + treatment + drug + length + (1 + time | patient)"
    found = numbers(
        asked(question(formula, outcome="BDI-II"), clinics_of(beat_the_blues(), clinics))
    )
    printed(found["log_likelihood"], str(published["logLik"]))
    printed(found["lr_chi2"], str(published["chisq"]))
    printed(found["lr_p"], str(published["p"]))
    assert found["lr_df"] == published["df"]
    printed(found["intercept_log_likelihood"], "-935.75")
    assert (found["subjects"], found["observations"]) == (97, 280)


def test_nested_models_are_ordered_and_the_intercept_model_is_that_of_one_round() -> None:
    clinics = clinics_of(job_loss(), 3)
    parts = ("(1 | patient)", "(time || patient)", "(time | patient)")
    found = [numbers(asked(question(f"CES-D ~ time + {part}"), clinics)) for part in parts]
    likelihoods = [f["log_likelihood"] for f in found]
    assert all(a < b for a, b in pairwise(likelihoods))
    for larger, df in ((found[1], 1), (found[2], 2)):
        assert larger["intercept_log_likelihood"] == pytest.approx(likelihoods[0], rel=1e-11)
        assert larger["lr_df"] == df
    assert found[1]["cov_slope"] == 0


def test_a_walk_that_begins_at_a_saddle_is_kicked_off_it_and_otherwise_never_wins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """c = 0 is stationary whatever the data."""
    groups = job_loss_groups()
    search = "cairn_models.statistics.slope_search"
    monkeypatch.setattr(f"{search}.STARTS", np.array([[1.0, 0.0, 0.0]] * NESTED))
    assert -2 * fitted_well(groups).log_likelihood == pytest.approx(5133.13743, abs=1e-5)
    monkeypatch.setattr(f"{search}._KICK", 0.0)
    stuck = fitted(groups)
    assert isinstance(stuck, NotEstimable)
    assert stuck.reason == NOT_ARRIVED


def job_loss_groups() -> Groups:
    frame = pd.read_csv(JOB_LOSS)
    return [
        (
            np.column_stack([np.ones(len(g)), g.months]),
            g.depression.to_numpy(float),
            g.months.to_numpy(),
        )
        for _, g in frame.groupby("id")
    ]


Groups = list[tuple[Any, Any, Any]]


def synthetic_groups(seed: int, patients: int = 40, slope: float = 0.5) -> Groups:
    rng = np.random.default_rng(seed)
    groups = []
    for _ in range(patients):
        n = int(rng.integers(1, 6))
        times = np.sort(rng.uniform(0, 12, n))
        x = np.column_stack([np.ones(n), times])
        level, own = 3 * rng.normal(), slope * rng.normal()
        groups.append((x, x @ [15, -0.4] + level + own * times + 2 * rng.normal(size=n), times))
    return groups


def fitted(
    groups: Groups, rounds: int = 16, method: Any = "ML", correlated: bool = True
) -> RandomSlopes | NotEstimable:
    x, y, times = (list(part) for part in zip(*groups, strict=True))
    products = PatientProducts.of(x, y, [t / 16 for t in times])
    search, public = SlopeSearch(method, correlated), START.write()
    for round_ in range(rounds):
        state = SlopeState.read(public)
        total = products.vectors(state.trial, 64.0).sum(axis=0)
        sums = SlopeSums.unpack(total, np.ones(x[0].shape[1]), 1.0, 64.0, 16.0)
        public = search.advance(state, sums, round_).write()
    return fit_slopes(search, SlopeState.read(public), sums)


def fitted_well(groups: Groups, **how: Any) -> RandomSlopes:
    model = fitted(groups, **how)
    assert isinstance(model, RandomSlopes), model
    return model


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 10_000),
    st.tuples(*[st.floats(-2.5, 2.5)] * 3),
    st.sampled_from(["ML", "REML"]),
)
def test_gradient_and_hessian_are_the_differences_of_a_dense_likelihood(
    seed: int, theta: tuple[float, float, float], method: Any
) -> None:
    groups = synthetic_groups(seed, patients=8)
    x, y, times = (list(part) for part in zip(*groups, strict=True))
    if sum(map(len, y)) < 8:
        return
    products = PatientProducts.of(x, y, times)

    def at(t: Any) -> Any:
        total = products.vectors(np.array([t]), 1.0).sum(axis=0)
        found = profile(SlopeSums.unpack(total, np.ones(2), 1.0, 1.0, 1.0), 0, method)
        assert found is not None
        return found

    here = at(theta)
    assert here.deviance == pytest.approx(dense(groups, np.array(theta), method), rel=1e-8)
    step = 1e-5
    for k in range(3):
        one = np.zeros(3)
        one[k] = step
        up, down = at(theta + one), at(theta - one)
        slope = (up.deviance - down.deviance) / (2 * step)
        assert here.gradient[k] == pytest.approx(slope, rel=1e-4, abs=1e-4)
        curvature = (up.gradient - down.gradient) / (2 * step)
        np.testing.assert_allclose(here.hessian[k], curvature, rtol=1e-4, atol=1e-3)


def dense(groups: Groups, theta: Any, method: Any) -> float:
    a, b, c = theta
    root = np.array([[a, 0], [b, c]])
    full, p = [], 2
    for x, y, times in groups:
        z = np.column_stack([np.ones(len(y)), times]) @ root
        full.append((x, y, np.eye(len(y)) + z @ z.T))
    gram = sum(x.T @ np.linalg.solve(v, x) for x, _, v in full)
    beta = np.linalg.solve(gram, sum(x.T @ np.linalg.solve(v, y) for x, y, v in full))
    residual = sum((y - x @ beta) @ np.linalg.solve(v, y - x @ beta) for x, y, v in full)
    n = sum(len(y) for _, y, _ in full)
    m = n - p if method == "REML" else n
    variance = residual / m
    if method == "ML":
        return -2 * sum(multivariate_normal.logpdf(y, x @ beta, variance * v) for x, y, v in full)
    log_det = sum(np.linalg.slogdet(v)[1] for _, _, v in full)
    return float(m * (1 + np.log(2 * np.pi * variance)) + log_det + np.linalg.slogdet(gram)[1])


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 100_000), st.sampled_from([0.0, 0.1, 0.5]), st.booleans())
def test_no_neighbour_is_more_likely_or_the_answer_says_why(
    seed: int, slope: float, correlated: bool
) -> None:
    groups = synthetic_groups(seed, slope=slope)
    model = fitted(groups, correlated=correlated)
    if isinstance(model, NotEstimable):
        assert model.reason
        return
    assert model.log_likelihood >= model.log_likelihood_intercept - 1e-6
    rng = np.random.default_rng(seed)
    d = np.array([[model.var_subject, model.cov_slope], [model.cov_slope, model.var_slope]])
    root = np.linalg.cholesky(d / model.var_resid + 1e-14 * np.eye(2))
    theta = np.array([root[0, 0], root[1, 0], root[1, 1]])
    for _ in range(30):
        near = theta + 0.02 * rng.normal(size=3) * [1.0, float(correlated), 1.0]
        assert dense(groups, near, "ML") >= -2 * model.log_likelihood - 1e-6


def test_the_fit_of_any_start_is_found_in_most_synthetic_studies() -> None:
    models = [fitted(synthetic_groups(seed), rounds=12) for seed in range(60)]
    assert sum(isinstance(model, RandomSlopes) for model in models) >= 57


def test_too_few_rounds_are_words_with_the_remedy() -> None:
    answer = asked(question("CES-D ~ time + (1 + time | patient)", more="rounds = 4"), [job_loss()])
    assert NOT_ARRIVED in answer.sentences[0]
    assert "Raise `rounds` (it was 4)" in answer.sentences[0]
    assert all(e.value is None and e.suppressed for e in answer.estimates)
    json.dumps(answer.to_json(), allow_nan=False)


def without(change: Callable[[Records], Records]) -> Records:
    return change(job_loss())


def first_visits(whole: Records) -> Records:
    return Records(
        whole.patients,
        whole.scores.group_by("patient", "instrument", maintain_order=True).head(1),
        time_unit="month",
    )


def at_time_zero(whole: Records) -> Records:
    return Records(whole.patients, whole.scores.with_columns(time=pl.lit(0.0)), time_unit="month")


def employed(whole: Records) -> Records:
    working = pl.when(pl.col("instrument") == "unemployed").then(0.0).otherwise(pl.col("value"))
    return Records(whole.patients, whole.scores.with_columns(value=working), time_unit="month")


def exact_lines(whole: Records) -> Records:
    line = pl.when(pl.col("instrument") == "CES-D").then(20 - pl.col("time"))
    line = line.otherwise(pl.col("value"))
    return Records(whole.patients, whole.scores.with_columns(value=line), time_unit="month")


BAD = {
    "no patient": (lambda w: w.only(w.patients["patient"][:0]), "two patients"),
    "one patient": (lambda w: w.only(w.patients["patient"][:1]), "two patients"),
    "one visit each": (first_visits, "cannot carry an intercept and a slope"),
    "no time": (at_time_zero, "at time 0"),
    "singular": (employed, "combinations of earlier ones: unemployed"),
    "no variation": (exact_lines, "no variation within"),
}


@pytest.mark.parametrize("case", BAD)
def test_data_that_cannot_answer_are_words(case: str) -> None:
    change, words = BAD[case]
    formula = "CES-D ~ time + unemployed + (1 + time | patient)"
    answer = asked(question(formula, more="after = -1"), [without(change)])
    assert words in answer.sentences[0]
    assert all(e.value is None and e.suppressed for e in answer.estimates)
    json.dumps(answer.to_json(), allow_nan=False)


def test_a_visit_without_the_changing_covariate_is_left_out_alone() -> None:
    whole = job_loss()
    first = whole.patients["patient"][0]
    hidden = whole.scores.with_row_index().filter(
        pl.col("patient") == first, pl.col("instrument") == "unemployed"
    )["index"][0]
    kept = whole.scores.with_row_index().filter(pl.col("index") != hidden).drop("index")
    fewer = Records(whole.patients, kept, time_unit="month")
    reader = question("CES-D ~ time + unemployed + (1 | patient)")
    all_rows, rows = reader.prepare(whole), reader.prepare(fewer)
    lengths = [len(y) for y in all_rows.y], [len(y) for y in rows.y]
    assert lengths[1][0] == lengths[0][0] - 1
    assert lengths[1][1:] == lengths[0][1:]


def test_the_answer_in_words() -> None:
    answer = asked(question("CES-D ~ time + (1 + time | patient)"), clinics_of(job_loss(), 5))
    text = " ".join(answer.sentences)
    assert "standard deviation of 0.60 points a month" in text
    assert "likelihood ratio 5.44, 2 degrees of freedom, p = 0.066" in text
    assert [t.title for t in answer.tables] == ["Fixed effects", "Random effects", "Fit"]
    assert [e.name for e in answer.figures[0].estimates] == ["time"]
    json.dumps(answer.to_json(), allow_nan=False)


@pytest.mark.parametrize(
    ("formula", "more", "words"),
    [
        ("CES-D ~ time + (1 | patient)", "rounds = 9", "needs one round"),
        ("CES-D ~ time + (1 + time | patient)", "rounds = 2", "rounds"),
        ("CES-D ~ time + (0 + time | patient)", "", "(1 + time | patient)"),
        ("CES-D ~ time*drug*length*treatment*bdi_pre + (time | patient)", "", "32 coefficients"),
    ],
)
def test_refused_by_name(formula: str, more: str, words: str) -> None:
    with pytest.raises(InputError) as refusal:
        question(formula, more=more)
    assert words in str(refusal.value) + refusal.value.hint


def test_a_row_alone_is_the_row_among_others() -> None:
    asking = question("CES-D ~ time * unemployed + (1 + time | patient)")
    public = SlopeState(
        np.random.default_rng(0).normal(size=(WALKS, 3)), START.best, START.deviance
    ).write()
    whole = job_loss()
    (together,) = asking.contributions(asking.prepare(whole), public)
    for place, patient in enumerate(whole.patients["patient"][:60]):
        one = whole.only(pl.Series([patient]))
        (alone,) = asking.contributions(asking.prepare(one), public)
        assert alone[0].tobytes() == together[place].tobytes()


@given(st.lists(st.floats(-1e25, 1e25), min_size=1, max_size=9))
def test_pairs_of_singles_keep_48_bits(values: list[float]) -> None:
    exact = np.array([v if abs(v) > 1e-25 else 0.0 for v in values])
    np.testing.assert_allclose(join(split(exact)), exact, rtol=2.0**-47)


@pytest.mark.parametrize("hostile", [np.nan, np.inf, -np.inf, 3e38])
def test_a_hostile_state_gives_finite_vectors(hostile: float) -> None:
    asking = question("CES-D ~ time + (1 + time | patient)")
    public = np.full(asking.state_length, hostile, dtype=np.float32)
    for block in asking.contributions(asking.prepare(job_loss()), public):
        assert np.isfinite(block).all()
