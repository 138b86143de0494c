"""Random slopes over any split of the patients: published results, a pooled oracle, bad data."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from cairn_models.questions.base import Question
from cairn_models.records import Records
from cairn_models.statistics.slope_fit import NOT_ARRIVED
from cairn_models.statistics.slope_search import START, WALKS, SlopeState
from cairn_protocol.errors import InputError
from longitudinal_data import (
    JOB_LOSS,
    PUBLISHED,
    asked,
    beat_the_blues,
    clinics_of,
    first_visits,
    job_loss,
    job_loss_with,
    longitudinal_question,
    needs_btheb,
    numbers,
    printed,
)

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


def slopes(formula: str, more: str = "") -> Question[Any]:
    return longitudinal_question("mixed_model", formula, more=more)


@pytest.mark.parametrize("clinics", [1, 5, 20])
@pytest.mark.parametrize("fixed", TABLE_5_7)
def test_equals_the_published_table_over_any_split(fixed: str, clinics: int) -> None:
    answer = asked(slopes(f"CES-D ~ {fixed}"), clinics_of(job_loss(), clinics))
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
        slopes(f"CES-D ~ {fixed} + (time | patient)", more=f'method = "{method}"'),
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
    found = numbers(asked(slopes(formula), clinics_of(beat_the_blues(), clinics)))
    printed(found["log_likelihood"], str(published["logLik"]))
    printed(found["lr_chi2"], str(published["chisq"]))
    printed(found["lr_p"], str(published["p"]))
    assert found["lr_df"] == published["df"]
    printed(found["intercept_log_likelihood"], "-935.75")
    assert (found["subjects"], found["observations"]) == (97, 280)


def test_nested_models_are_ordered_and_the_intercept_model_is_that_of_one_round() -> None:
    clinics = clinics_of(job_loss(), 3)
    parts = ("(1 | patient)", "(time || patient)", "(time | patient)")
    found = [numbers(asked(slopes(f"CES-D ~ time + {part}"), clinics)) for part in parts]
    likelihoods = [f["log_likelihood"] for f in found]
    assert all(a < b for a, b in pairwise(likelihoods))
    for larger, df in ((found[1], 1), (found[2], 2)):
        assert larger["intercept_log_likelihood"] == pytest.approx(likelihoods[0], rel=1e-11)
        assert larger["lr_df"] == df
    assert found[1]["cov_slope"] == 0


def test_too_few_rounds_are_words_with_the_remedy() -> None:
    answer = asked(slopes("CES-D ~ time + (1 + time | patient)", more="rounds = 4"), [job_loss()])
    assert NOT_ARRIVED in answer.sentences[0]
    assert "Raise `rounds` (it was 4)" in answer.sentences[0]
    assert all(e.value is None and e.suppressed for e in answer.estimates)
    json.dumps(answer.to_json(), allow_nan=False)


def score(expression: Any) -> Any:
    """The outcome's values replaced, the other instrument's kept."""
    return pl.when(pl.col("instrument") == "CES-D").then(expression).otherwise(pl.col("value"))


WORKING = pl.when(pl.col("instrument") == "unemployed").then(0.0).otherwise(pl.col("value"))
BAD: dict[str, tuple[Callable[[], Records], str]] = {
    "no patient": (lambda: job_loss().only(pl.Series(["nobody"])), "two patients"),
    "one patient": (lambda: job_loss().only(job_loss().patients["patient"][:1]), "two patients"),
    "one visit each": (first_visits, "cannot carry an intercept and a slope"),
    "no time": (lambda: job_loss_with(time=pl.lit(0.0)), "at time 0"),
    "singular": (lambda: job_loss_with(value=WORKING), "combinations of earlier ones: unemployed"),
    "no variation": (lambda: job_loss_with(value=score(20 - pl.col("time"))), "no variation"),
    "nothing but zero": (lambda: job_loss_with(value=score(0.0)), "every score is 0"),
}


@pytest.mark.parametrize("case", BAD)
def test_data_that_cannot_answer_are_words(case: str) -> None:
    data, words = BAD[case]
    formula = "CES-D ~ time + unemployed + (1 + time | patient)"
    answer = asked(slopes(formula, more="after = -1"), [data()])
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
    reader = slopes("CES-D ~ time + unemployed + (1 | patient)")
    all_rows, rows = reader.prepare(whole), reader.prepare(fewer)
    lengths = [len(y) for y in all_rows.y], [len(y) for y in rows.y]
    assert lengths[1][0] == lengths[0][0] - 1
    assert lengths[1][1:] == lengths[0][1:]


def test_a_covariate_measured_twice_at_once_makes_no_second_row() -> None:
    whole = job_loss()
    twice = pl.concat([whole.scores, whole.scores.filter(pl.col("instrument") == "unemployed")])
    reader = slopes("CES-D ~ time + unemployed + (1 | patient)")
    once, again = (
        reader.prepare(Records(whole.patients, scores, time_unit="month"))
        for scores in (whole.scores, twice)
    )
    assert [len(y) for y in again.y] == [len(y) for y in once.y]


def test_the_answer_in_words() -> None:
    answer = asked(slopes("CES-D ~ time + (1 + time | patient)"), clinics_of(job_loss(), 5))
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
        slopes(formula, more=more)
    assert words in str(refusal.value) + refusal.value.hint


def test_a_row_alone_is_the_row_among_others() -> None:
    asking = slopes("CES-D ~ time * unemployed + (1 + time | patient)")
    public = SlopeState(
        np.random.default_rng(0).normal(size=(WALKS, 3)), START.best, START.deviance
    ).write()
    whole = job_loss()
    (together,) = asking.contributions(asking.prepare(whole), public)
    for place, patient in enumerate(whole.patients["patient"][:60]):
        one = whole.only(pl.Series([patient]))
        (alone,) = asking.contributions(asking.prepare(one), public)
        assert alone[0].tobytes() == together[place].tobytes()


@pytest.mark.parametrize("hostile", [np.nan, np.inf, -np.inf, 3e38])
def test_a_hostile_state_gives_finite_vectors(hostile: float) -> None:
    asking = slopes("CES-D ~ time + (1 + time | patient)")
    public = np.full(asking.state_length, hostile, dtype=np.float32)
    for block in asking.contributions(asking.prepare(job_loss()), public):
        assert np.isfinite(block).all()
