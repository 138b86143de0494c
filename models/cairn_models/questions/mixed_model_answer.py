"""`answer`: a mixed model's estimates in words, numbers and the tables of the usual print-out."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

from cairn_models.answers import Answer, Cell, Estimate, Table
from cairn_models.formula import Design
from cairn_models.questions.mixed_model_words import (
    IN_WORDS,
    coefficient_sentences,
    coefficients,
    forest,
    not_estimable,
)
from cairn_models.statistics.grouped_sums import GroupedSums
from cairn_models.statistics.random_intercept import Method, NotEstimable, RandomIntercept, fit
from cairn_protocol.study import QuestionSpec, Study

OTHER: Final[dict[Method, Method]] = {"ML": "REML", "REML": "ML"}


def answer(
    spec: QuestionSpec, study: Study, design: Design, sums: GroupedSums, method: Method
) -> Answer:
    """The answer by `method` with the other beside it, or in words why there is none."""
    main, other = fit(sums, method), fit(sums, OTHER[method])
    title = f"Mixed model {spec.settings['formula']}"
    if isinstance(main, NotEstimable):
        return not_estimable(spec, title, design, main)
    if isinstance(other, NotEstimable):
        return not_estimable(spec, title, design, other)
    return Answer(
        question=spec.name,
        kind=spec.kind,
        title=title,
        sentences=tuple(_sentences(study, design, main)),
        estimates=(
            *_estimates(study, design, main, ""),
            *_estimates(study, design, other, f"{other.method.lower()}_"),
        ),
        tables=(_fixed(design, main, other), _random(main, other), _criteria(main, other)),
        figures=tuple(forest(study, design, main.beta, main.standard_errors)),
        notes=(
            "Random-intercept model from cross-products summed over clinics: exact, the same as "
            "from one pooled file. Intervals of coefficients are Wald intervals (normal).",
            f"Of a patient with more than {spec.settings['max_visits']} scores the first "
            "were used. Patients with a covariate missing were left out.",
            "Adjusted only for the terms of the formula; missing scores are taken to be "
            "missing at random given the terms and the observed scores.",
        ),
    )


def _estimates(
    study: Study, design: Design, model: RandomIntercept, prefix: str
) -> Iterator[Estimate]:
    by = f" ({model.method})"
    yield from coefficients(study, design, model.beta, model.standard_errors, prefix=prefix, by=by)
    points = f"{study.outcome.instrument} points²"
    yield Estimate(
        prefix + "var_subject", "variance between patients" + by, model.var_subject, unit=points
    )
    yield Estimate(
        prefix + "var_resid", "variance within patients" + by, model.var_resid, unit=points
    )
    yield Estimate(
        prefix + "icc",
        "share of variance between patients" + by,
        model.icc,
        model.icc_low,
        model.icc_high,
        noise_share=0.0,
    )
    yield Estimate(prefix + "log_likelihood", "log-likelihood" + by, model.log_likelihood)
    yield Estimate(prefix + "aic", "AIC" + by, model.aic)
    yield Estimate(prefix + "bic", "BIC" + by, model.bic)
    if not prefix:
        yield Estimate("subjects", "patients in the model", model.subjects)
        yield Estimate("observations", "scores in the model", model.observations)


def _sentences(study: Study, design: Design, model: RandomIntercept) -> Iterator[str]:
    yield (
        f"{model.observations} scores of {model.subjects} patients entered the model, "
        f"fitted by {IN_WORDS[model.method]}."
    )
    yield from coefficient_sentences(study, design, model.beta, model.standard_errors)
    yield (
        f"Of the variance that the terms leave, {100 * model.icc:.0f} % lies between patients "
        f"(95 % interval {100 * model.icc_low:.0f} to {100 * model.icc_high:.0f} %)."
    )


def _fixed(design: Design, main: RandomIntercept, other: RandomIntercept) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (column.name, b, se, b / se, b_other, se_other)
        for column, b, se, b_other, se_other in zip(
            design.columns,
            main.beta.tolist(),
            main.standard_errors.tolist(),
            other.beta.tolist(),
            other.standard_errors.tolist(),
            strict=True,
        )
    ]
    return Table(
        "Fixed effects",
        ("Term", "Estimate", "Std. error", "z value", f"{other.method}", f"{other.method} s.e."),
        tuple(rows),
        note=f"Estimate, Std. error and z value by {main.method}.",
    )


def _random(main: RandomIntercept, other: RandomIntercept) -> Table:
    def row(name: str, value: float, beside: float) -> tuple[Cell, ...]:
        return (name, value, math.sqrt(value), beside, math.sqrt(beside))

    return Table(
        "Random effects",
        ("Group", "Variance", "Std. dev.", f"{other.method} variance", f"{other.method} s.d."),
        (
            row("patient (Intercept)", main.var_subject, other.var_subject),
            row("Residual", main.var_resid, other.var_resid),
        ),
        note=f"Number of scores: {main.observations}, patients: {main.subjects}.",
    )


def _criteria(main: RandomIntercept, other: RandomIntercept) -> Table:
    def row(model: RandomIntercept) -> tuple[Cell, ...]:
        likelihood = model.log_likelihood
        return (
            model.method,
            model.aic,
            model.bic,
            likelihood,
            -2 * likelihood,
            model.parameters,
        )

    return Table(
        "Fit",
        ("Method", "AIC", "BIC", "log-likelihood", "Deviance", "Parameters"),
        (row(main), row(other)),
        note="Compare models with different fixed terms by ML only.",
    )
