"""Estimating equations over any split of the patients: published results, statsmodels, bad data."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import statsmodels.api as sm

from cairn_models.questions import build
from cairn_models.questions.base import Question
from cairn_models.records import Records
from cairn_models.statistics.gee_fit import NOT_ARRIVED, GeeState
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
    records_of,
)

BTHEB = "BDI-II ~ bdi_pre + treatment + length + drug"
ALDA = "CES-D ~ time * unemployed"
LOGIT = 'family = "logit"\nat_least = 16'  # CES-D 16: the usual cut-off


def question(formula: str = ALDA, more: str = "") -> Question[Any]:
    return longitudinal_question("gee", formula, more=more)


def nearly(ours: float | None, published: float, digits: int) -> None:
    """Equal to the printed digits: half a unit of the last."""
    assert ours == pytest.approx(published, abs=0.5000001 * 10.0**-digits)


@needs_btheb
@pytest.mark.parametrize("clinics", [1, 5, 20])
@pytest.mark.parametrize("correlation", ["independence", "exchangeable"])
def test_equals_the_published_equations_over_any_split(correlation: str, clinics: int) -> None:
    published = json.loads(PUBLISHED.read_text())[f"btheb_gee_{correlation}"]
    more = f'correlation = "{correlation}"'
    answer = asked(question(BTHEB, more), clinics_of(beat_the_blues(), clinics))
    found = {e.name: e for e in answer.estimates}
    names = ("Intercept", "bdi_pre", "treatment[T.BtheB]", "length[T.>6m]", "drug[T.Yes]")
    assert len(published["order"]) == len(names)
    for place, name in enumerate(names):
        nearly(found[name].value, published["beta"][place], 3)
        nearly(found[name].standard_error, published["robust_se"][place], 4)
        nearly(found[f"naive_{name}"].standard_error, published["naive_se"][place], 4)
    nearly(found["scale"].value, published["scale"], 1)
    if correlation == "exchangeable":
        nearly(found["alpha"].value, published["alpha"], 3)
    assert (found["subjects"].value, found["observations"].value) == (97, 280)


@cache
def theirs(correlation: str, logit: bool) -> Any:
    frame = pd.read_csv(JOB_LOSS).sort_values("id", kind="stable")
    design = np.column_stack(
        [np.ones(len(frame)), frame.months, frame.unemployed, frame.months * frame.unemployed]
    )
    structure = (
        sm.cov_struct.Independence()
        if correlation == "independence"
        else sm.cov_struct.Exchangeable()
    )
    outcome = (frame.depression >= 16).astype(float) if logit else frame.depression.astype(float)
    family = sm.families.Binomial() if logit else sm.families.Gaussian()
    model = sm.GEE(outcome, design, groups=frame.id, cov_struct=structure, family=family)
    # The binomial family's scale is fixed at 1 unless it is asked for; R's gee estimates it.
    return model.fit(maxiter=200, ctol=1e-10, scale="X2" if logit else None)


@pytest.mark.parametrize("clinics", [1, 5, 20])
@pytest.mark.parametrize("logit", [False, True])
@pytest.mark.parametrize("correlation", ["independence", "exchangeable"])
def test_equals_statsmodels_over_any_split(correlation: str, logit: bool, clinics: int) -> None:
    more = f'correlation = "{correlation}"\n' + (LOGIT if logit else "")
    answer = asked(question(ALDA, more), clinics_of(job_loss(), clinics))
    found, fit = {e.name: e for e in answer.estimates}, theirs(correlation, logit)
    names = ("Intercept", "time", "unemployed", "time:unemployed")
    naive = np.sqrt(np.diag(fit.cov_naive))
    for place, name in enumerate(names):
        assert found[name].value == pytest.approx(fit.params.iloc[place], rel=1e-6)
        assert found[name].standard_error == pytest.approx(fit.bse.iloc[place], rel=1e-6)
        assert found[f"naive_{name}"].standard_error == pytest.approx(naive[place], rel=1e-6)
    assert found["scale"].value == pytest.approx(fit.scale, rel=1e-6)
    if correlation == "exchangeable":
        assert found["alpha"].value == pytest.approx(fit.cov_struct.dep_params, rel=1e-6)
    else:
        assert "alpha" not in found


def test_independence_takes_two_rounds_and_is_least_squares() -> None:
    asking = question(ALDA, 'correlation = "independence"')
    assert asking.shape.rounds == 2
    rows = asking.prepare(job_loss())
    x, y = np.concatenate(rows.x) / asking.scale, np.concatenate(rows.y)
    beta = np.linalg.lstsq(x, y, rcond=None)[0]
    found = asked(asking, [job_loss()]).estimates
    np.testing.assert_allclose([e.value for e in found[:4]], beta, rtol=1e-9)


@pytest.mark.parametrize(
    ("more", "rounds"),
    [("rounds = 3", 3), ('rounds = 3\ncorrelation = "independence"\n' + LOGIT, 3)],
)
def test_too_few_rounds_are_words_with_the_remedy(more: str, rounds: int) -> None:
    answer = asked(question(ALDA, more), [job_loss()])
    assert NOT_ARRIVED in answer.sentences[0]
    assert f"Raise `rounds` (it was {rounds})" in answer.sentences[0]
    assert all(e.value is None and e.suppressed for e in answer.estimates)


def separated() -> Records:
    """Whoever is unemployed is above the cut-off, whoever is not is below."""
    whole = job_loss()
    work = whole.scores.filter(pl.col("instrument") == "unemployed")
    scores = work.with_columns(instrument=pl.lit("CES-D"), value=10 + 20 * pl.col("value"))
    return records_of(whole.patients.select("patient"), pl.concat([work, scores]).rows())


CASES: dict[str, tuple[Callable[[], Records], str, str]] = {
    "no patient": (lambda: job_loss().only(pl.Series(["nobody"])), "", "two patients"),
    "few": (lambda: job_loss().only(job_loss().patients["patient"][:3]), "", "cannot carry"),
    "one visit each": (first_visits, "", "too few patients have two scores"),
    "singular": (
        lambda: job_loss_with(
            value=pl.when(pl.col("instrument") == "CES-D").then(pl.col("value")).otherwise(0.0)
        ),
        "",
        "combinations of earlier ones: unemployed",
    ),
    "constant": (
        lambda: job_loss_with(
            value=pl.when(pl.col("instrument") == "CES-D").then(7.0).otherwise(pl.col("value"))
        ),
        'correlation = "independence"',
        "no variation",
    ),
    "separated": (separated, 'correlation = "independence"\n' + LOGIT, "could not be estimated"),
    "separated, exchangeable": (separated, LOGIT, "could not be estimated"),
}


@pytest.mark.parametrize("case", CASES)
def test_data_that_cannot_answer_are_words(case: str) -> None:
    data, more, words = CASES[case]
    answer = asked(question(ALDA, more), [data()])
    assert words in answer.sentences[0]
    assert all(e.value is None and e.suppressed for e in answer.estimates)
    json.dumps(answer.to_json(), allow_nan=False)


def test_one_visit_each_is_enough_with_independence() -> None:
    answer = asked(question("CES-D ~ time", 'correlation = "independence"'), [first_visits()])
    assert answer.estimates[0].value is not None


@pytest.mark.parametrize(
    ("formula", "more", "words"),
    [
        ("CES-D ~ time + (1 | patient)", "", "leave (… | patient) out"),
        ("CES-D ~ weather", "", "does not declare"),
        (ALDA, 'family = "logit"', "at_least"),
        (ALDA, "at_least = 16", "at_least"),
        (ALDA, 'family = "logit"\nat_least = 0', "splits no scores"),
        (ALDA, 'correlation = "ar1"', "correlation"),
        (ALDA, "rounds = 1", "rounds"),
    ],
)
def test_refused_by_name(formula: str, more: str, words: str) -> None:
    with pytest.raises(InputError) as refusal:
        question(formula, more)
    assert words in str(refusal.value) + refusal.value.hint


def test_another_outcome_than_the_studys_is_refused() -> None:
    study = question().study
    spec = study.questions[0].model_copy(update={"formula": "PHQ-9 ~ time"})
    with pytest.raises(InputError, match="no outcome"):
        build(spec, study)


def test_it_is_refused_for_patients_data() -> None:
    spec = question().spec.model_copy(update={"epsilon": 1.0})
    study = question().study
    patients = study.model_copy(
        update={"privacy": study.privacy.model_copy(update={"data": "patients"})}
    )
    with pytest.raises(InputError, match="cannot be asked of patients"):
        build(spec, patients)


def test_the_answer_in_words() -> None:
    points = asked(question(ALDA), clinics_of(job_loss(), 5))
    odds = asked(question("CES-D ~ unemployed", LOGIT), clinics_of(job_loss(), 5))
    assert "674 scores of 254 patients" in points.sentences[0]
    assert "points higher per unit of unemployed" in " ".join(points.sentences)
    assert "the odds of CES-D of 16 or more were multiplied by" in odds.sentences[1]
    assert odds.figures[0].no_difference == 1.0
    assert [t.title for t in odds.tables] == ["Coefficients", "Working correlation"]
    for answer in (points, odds):
        json.dumps(answer.to_json(), allow_nan=False)


def test_few_patients_are_warned_of() -> None:
    some = job_loss().only(job_loss().patients["patient"][:20])
    answer = asked(question("CES-D ~ time", 'correlation = "independence"'), [some])
    assert "robust standard errors are too small" in answer.sentences[-1]


@pytest.mark.parametrize("more", ["", LOGIT])
def test_a_row_alone_is_the_row_among_others(more: str) -> None:
    asking = question(ALDA, more)
    public = GeeState(np.array([0.1, -0.02, 0.3, 0.01]), 0.4).write()
    whole = job_loss()
    (together,) = asking.contributions(asking.prepare(whole), public)
    for place, patient in enumerate(whole.patients["patient"][:60]):
        one = whole.only(pl.Series([patient]))
        (alone,) = asking.contributions(asking.prepare(one), public)
        assert alone[0].tobytes() == together[place].tobytes()


@pytest.mark.parametrize("more", ["", LOGIT])
@pytest.mark.parametrize("hostile", [np.nan, np.inf, -np.inf, 3e38])
def test_a_hostile_state_gives_finite_vectors(hostile: float, more: str) -> None:
    asking = question(ALDA, more)
    public = np.full(asking.state_length, hostile, dtype=np.float32)
    for block in asking.contributions(asking.prepare(job_loss()), public):
        assert np.isfinite(block).all()
