"""`slopes_answer`: a random-slope model in words, numbers and the tables of the usual print-out."""

from __future__ import annotations

import math
from collections.abc import Iterator

from cairn_models.answers import Answer, Cell, Estimate, Table
from cairn_models.formula import Design
from cairn_models.questions.mixed_model_words import (
    IN_WORDS,
    Z_95,
    coefficient_sentences,
    coefficients,
    forest,
    not_estimable,
    points,
)
from cairn_models.statistics.random_intercept import NotEstimable
from cairn_models.statistics.slope_fit import NOT_ARRIVED, RandomSlopes
from cairn_protocol.study import QuestionSpec, Study


def slopes_answer(
    spec: QuestionSpec,
    study: Study,
    design: Design,
    model: RandomSlopes | NotEstimable,
    rounds: int,
) -> Answer:
    """The answer, or in words why there is none and what to do."""
    title = f"Mixed model {spec.settings['formula']}"
    if isinstance(model, NotEstimable):
        hint = "Or ask for a random intercept only, (1 | patient)."
        if model.reason == NOT_ARRIVED:
            hint = f"Raise `rounds` (it was {rounds}), or ask for a random intercept only."
        return not_estimable(spec, title, design, model, hint)
    return Answer(
        question=spec.name,
        kind=spec.kind,
        title=title,
        sentences=tuple(_sentences(study, design, model)),
        estimates=tuple(_estimates(study, design, model)),
        tables=(_fixed(design, model), _random(study, model), _criteria(model)),
        figures=tuple(forest(study, design, model.beta, model.standard_errors)),
        notes=(
            "Random-slope model by exact Newton steps over sums of all clinics: the same as from "
            f"one pooled file. {rounds} rounds; of several starts the one with the largest "
            "likelihood. Intervals of coefficients are Wald intervals (normal).",
            "The test against a random intercept takes χ² with "
            f"{model.df} degree{'s' if model.df > 1 else ''} of freedom; since a variance cannot "
            "be below 0, the true p is smaller, by a factor of at most about 2.",
            f"Of a patient with more than {spec.settings['max_visits']} scores the first were "
            "used. Patients with a covariate missing were left out.",
            "Adjusted only for the terms of the formula; missing scores are taken to be missing "
            "at random given the terms and the observed scores.",
        ),
    )


def _estimates(study: Study, design: Design, model: RandomSlopes) -> Iterator[Estimate]:
    by = f" ({model.method})"
    yield from coefficients(study, design, model.beta, model.standard_errors, by=by)
    squared, time = f"{study.outcome.instrument} points²", study.outcome.time_unit
    yield Estimate(
        "var_subject", "variance between patients at time 0" + by, model.var_subject, unit=squared
    )
    yield Estimate(
        "var_slope",
        "variance of slopes between patients" + by,
        model.var_slope,
        unit=f"{squared} per {time}²",
    )
    yield Estimate(
        "cov_slope",
        "covariance of intercept and slope" + by,
        model.cov_slope,
        unit=f"{squared} per {time}",
    )
    if model.correlation is not None and model.df > 1:
        yield Estimate("corr_slope", "correlation of intercept and slope" + by, model.correlation)
    yield Estimate("var_resid", "variance within patients" + by, model.var_resid, unit=squared)
    yield Estimate("log_likelihood", "log-likelihood" + by, model.log_likelihood)
    yield Estimate("deviance", "deviance, −2 log-likelihood" + by, -2 * model.log_likelihood)
    yield Estimate("aic", "AIC" + by, model.aic)
    yield Estimate("bic", "BIC" + by, model.bic)
    yield Estimate(
        "intercept_log_likelihood",
        "log-likelihood with a random intercept only" + by,
        model.log_likelihood_intercept,
    )
    yield Estimate("lr_chi2", "likelihood ratio against a random intercept", model.chi_squared)
    yield Estimate("lr_df", "degrees of freedom of the likelihood ratio", model.df)
    yield Estimate("lr_p", "p of the likelihood ratio", model.p_value)
    yield Estimate("subjects", "patients in the model", model.subjects)
    yield Estimate("observations", "scores in the model", model.observations)


def _sentences(study: Study, design: Design, model: RandomSlopes) -> Iterator[str]:
    yield (
        f"{model.observations} scores of {model.subjects} patients entered the model, "
        f"fitted by {IN_WORDS[model.method]}."
    )
    yield from coefficient_sentences(study, design, model.beta, model.standard_errors)
    time = study.outcome.time_unit
    yield (
        f"Patients' own slopes vary around that of the terms with a standard deviation of "
        f"{math.sqrt(model.var_slope):.2f} points a {time}: for 95 % of patients the change a "
        f"{time} lies within {Z_95 * math.sqrt(model.var_slope):.2f} points of it."
    )
    finding = (
        "describe the scores better than the same slope for all"
        if model.p_value < 0.05
        else "do not describe the scores clearly better than the same slope for all"
    )
    yield (
        f"Slopes of their own {finding} (likelihood ratio {model.chi_squared:.2f}, "
        f"{model.df} degree{'s' if model.df > 1 else ''} of freedom, p {_p(model.p_value)})."
    )
    if model.at_edge:
        yield (
            "A variance between patients is 0 or the correlation ±1: these data support a simpler "
            "random part, (1 | patient)."
        )


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"= {value:.3f}"


def _fixed(design: Design, model: RandomSlopes) -> Table:
    triples = zip(design.columns, model.beta.tolist(), model.standard_errors.tolist(), strict=True)
    rows: list[tuple[Cell, ...]] = [
        (column.name, b, se, b / se, b - Z_95 * se, b + Z_95 * se) for column, b, se in triples
    ]
    return Table(
        "Fixed effects",
        ("Term", "Estimate", "Std. error", "z value", "95 % from", "95 % to"),
        tuple(rows),
        note=f"By {model.method}.",
    )


def _random(study: Study, model: RandomSlopes) -> Table:
    rows: tuple[tuple[Cell, ...], ...] = (
        ("patient (Intercept)", model.var_subject, math.sqrt(model.var_subject), None),
        ("patient time", model.var_slope, math.sqrt(model.var_slope), model.correlation),
        ("Residual", model.var_resid, math.sqrt(model.var_resid), None),
    )
    return Table(
        "Random effects",
        ("Group", "Variance", "Std. dev.", "Correlation"),
        rows,
        note=f"Slopes per {study.outcome.time_unit}; the intercept is the level at time 0. "
        f"Number of scores: {model.observations}, patients: {model.subjects}.",
    )


def _criteria(model: RandomSlopes) -> Table:
    def row(name: str, likelihood: float, parameters: int) -> tuple[Cell, ...]:
        aic = 2 * parameters - 2 * likelihood
        bic = parameters * math.log(model.observations) - 2 * likelihood
        return (name, parameters, aic, bic, likelihood, -2 * likelihood)

    fewer = model.parameters - model.df
    return Table(
        "Fit",
        ("Random part", "Parameters", "AIC", "BIC", "log-likelihood", "Deviance"),
        (
            row("intercept", model.log_likelihood_intercept, fewer),
            row("intercept and slope", model.log_likelihood, model.parameters),
        ),
        note=f"By {model.method}. Likelihood ratio {points(model.chi_squared)} on {model.df} "
        f"degree{'s' if model.df > 1 else ''} of freedom, p {_p(model.p_value)}.",
    )
