"""`gee_answer`: estimating equations in words, numbers and the tables of the usual print-out."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

from cairn_models.answers import Answer, Cell, Estimate, Forest, Table
from cairn_models.formula import Column, Design
from cairn_models.questions.mixed_model_words import (
    Z_95,
    coefficient_sentences,
    coefficients,
    forest,
    not_estimable,
    place,
    points,
)
from cairn_models.statistics.gee_fit import NOT_ARRIVED, Gee
from cairn_models.statistics.random_intercept import NotEstimable
from cairn_protocol.study import QuestionSpec, Study

FEW_PATIENTS: Final = 40  # below it robust standard errors are noticeably too small
_LARGEST_LOG: Final = 700.0  # of an odds ratio that a double can hold
Triple = tuple[float, float, float]


def gee_answer(
    spec: QuestionSpec, study: Study, design: Design, fitted: Gee | NotEstimable, rounds: int
) -> Answer:
    """The answer, or in words why there is none and what to do."""
    title = f"Estimating equations {spec.settings['formula']}"
    if isinstance(fitted, NotEstimable):
        hint = 'Ask with correlation = "independence", or with fewer terms.'
        if fitted.reason == NOT_ARRIVED:
            hint = f"Raise `rounds` (it was {rounds}), or ask with fewer terms."
        return not_estimable(spec, title, design, fitted, hint)
    logit = spec.settings.get("family") == "logit"
    exchangeable = spec.settings.get("correlation", "exchangeable") == "exchangeable"
    return Answer(
        question=spec.name,
        kind=spec.kind,
        title=title,
        sentences=tuple(_sentences(spec, study, design, fitted)),
        estimates=tuple(_estimates(study, design, fitted, logit, exchangeable)),
        tables=(_table(design, fitted), _working(fitted, exchangeable)),
        figures=(
            tuple(_odds_forest(spec, study, design, fitted))
            if logit
            else tuple(forest(study, design, fitted.beta, fitted.robust_errors))
        ),
        notes=tuple(_notes(spec, fitted, rounds)),
    )


def _estimates(
    study: Study, design: Design, fitted: Gee, logit: bool, exchangeable: bool
) -> Iterator[Estimate]:
    for prefix, errors, by in (
        ("", fitted.robust_errors, ""),
        ("naive_", fitted.naive_errors, " (naive standard error)"),
    ):
        for estimate in coefficients(study, design, fitted.beta, errors, prefix=prefix, by=by):
            yield _log_odds(estimate) if logit else estimate
    if logit:
        yield from _ratio_estimates(design, fitted)
    yield Estimate("scale", "scale (variance of the standardised residuals)", fitted.scale)
    if exchangeable:
        yield Estimate("alpha", "working correlation of a patient's scores", fitted.alpha)
    yield Estimate("subjects", "patients in the model", fitted.subjects)
    yield Estimate("observations", "scores in the model", fitted.observations)


def _log_odds(estimate: Estimate) -> Estimate:
    return Estimate(
        estimate.name,
        estimate.label,
        estimate.value,
        estimate.low,
        estimate.high,
        estimate.standard_error,
        estimate.noise_share,
        unit="log odds",
    )


def _odds_ratios(design: Design, fitted: Gee) -> Iterator[tuple[Column, Triple]]:
    """Each term but the intercept, with its odds ratio and the ends of its 95 % interval."""
    errors = fitted.robust_errors.tolist()
    for column, beta, error in zip(design.columns, fitted.beta.tolist(), errors, strict=True):
        if column.parts:
            yield column, (_exp(beta), _exp(beta - Z_95 * error), _exp(beta + Z_95 * error))


def _exp(value: float) -> float:
    return math.exp(max(-_LARGEST_LOG, min(_LARGEST_LOG, value)))


def _ratio_estimates(design: Design, fitted: Gee) -> Iterator[Estimate]:
    for column, (ratio, low, high) in _odds_ratios(design, fitted):
        yield Estimate(f"or_{column.name}", column.label, ratio, low, high, unit="odds ratio")


def _odds_forest(spec: QuestionSpec, study: Study, design: Design, fitted: Gee) -> Iterator[Forest]:
    shown = tuple(_ratio_estimates(design, fitted))
    if shown:
        of = f"odds ratio of {study.outcome.instrument} ≥ {spec.settings['at_least']:g}"
        yield Forest("Odds ratios", of, shown, no_difference=1.0)


def _sentences(spec: QuestionSpec, study: Study, design: Design, fitted: Gee) -> Iterator[str]:
    yield (
        f"{fitted.observations} scores of {fitted.subjects} patients entered the estimating "
        "equations; differences are between groups of patients, on average."
    )
    if spec.settings.get("family") == "logit":
        yield from _odds_sentences(spec, study, design, fitted)
    else:
        yield from coefficient_sentences(study, design, fitted.beta, fitted.robust_errors)
    if fitted.subjects < FEW_PATIENTS:
        yield (
            f"With {fitted.subjects} patients robust standard errors are too small: read the "
            "intervals as narrower than they should be."
        )


def _odds_sentences(spec: QuestionSpec, study: Study, design: Design, fitted: Gee) -> Iterator[str]:
    outcome = f"{study.outcome.instrument} of {spec.settings['at_least']:g} or more"
    for column, (ratio, low, high) in _odds_ratios(design, fitted):
        yield (
            f"{_odds(study, design, column)} the odds of {outcome} were multiplied by "
            f"{points(ratio)} (95 % interval {points(low)} to {points(high)})."
        )


def _odds(study: Study, design: Design, column: Column) -> str:
    if len(column.parts) > 1:
        return f"By the interaction {column.label.replace(': ', ' ')}"
    others, what = place(study, design, column)
    return f"{others}, {what}"


def _table(design: Design, fitted: Gee) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (column.name, b, naive, b / naive, robust, b / robust, b - Z_95 * robust, b + Z_95 * robust)
        for column, b, naive, robust in zip(
            design.columns,
            fitted.beta.tolist(),
            fitted.naive_errors.tolist(),
            fitted.robust_errors.tolist(),
            strict=True,
        )
    ]
    return Table(
        "Coefficients",
        (
            "Term",
            "Estimate",
            "Naive s.e.",
            "Naive z",
            "Robust s.e.",
            "Robust z",
            "95 % from",
            "95 % to",
        ),
        tuple(rows),
        note="Intervals with the robust standard error.",
    )


def _working(fitted: Gee, exchangeable: bool) -> Table:
    structure = "exchangeable" if exchangeable else "independence"
    return Table(
        "Working correlation",
        ("Structure", "Correlation", "Scale"),
        ((structure, fitted.alpha if exchangeable else 0.0, fitted.scale),),
        note=f"Number of scores: {fitted.observations}, patients: {fitted.subjects}. Moments with "
        "the number of coefficients taken off, as in R's gee.",
    )


def _notes(spec: QuestionSpec, fitted: Gee, rounds: int) -> Iterator[str]:
    yield (
        "Generalised estimating equations from sums over clinics: the same as from one pooled "
        f"file. {rounds} rounds. Main standard errors are robust (sandwich), without small-sample "
        "correction; naive ones hold only if the working correlation is right."
    )
    yield (
        f"Of a patient with more than {spec.settings['max_visits']} scores the first were used. "
        "Patients with a covariate missing were left out."
    )
    yield (
        "Adjusted only for the terms of the formula; scores must be missing completely at random "
        "given the terms, which is more than a mixed model asks."
    )
