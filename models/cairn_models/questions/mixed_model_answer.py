"""`answer`: a mixed model's estimates in words, numbers and the tables of the usual print-out."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

from cairn_models.answers import Answer, Cell, Estimate, Table
from cairn_models.formula import TIME, Column, Design
from cairn_models.statistics.grouped_sums import GroupedSums
from cairn_models.statistics.random_intercept import Method, NotEstimable, RandomIntercept, fit
from cairn_protocol.study import QuestionSpec, Study

Z_95: Final = 1.959963984540054
OTHER: Final[dict[Method, Method]] = {"ML": "REML", "REML": "ML"}
IN_WORDS: Final[dict[Method, str]] = {
    "ML": "maximum likelihood",
    "REML": "restricted maximum likelihood",
}


def answer(
    spec: QuestionSpec, study: Study, design: Design, sums: GroupedSums, method: Method
) -> Answer:
    """The answer by `method` with the other beside it, or in words why there is none."""
    main, other = fit(sums, method), fit(sums, OTHER[method])
    title = f"Mixed model {spec.settings['formula']}"
    if isinstance(main, NotEstimable):
        return _without(spec, title, design, main)
    if isinstance(other, NotEstimable):
        return _without(spec, title, design, other)
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
        notes=(
            "Random-intercept model from cross-products summed over clinics: exact, the same as "
            "from one pooled file. Intervals of coefficients are Wald intervals (normal).",
            f"Of a patient with more than {spec.settings['max_visits']} scores the first "
            "were used. Patients with a covariate missing were left out.",
            "Adjusted only for the terms of the formula; missing scores are taken to be "
            "missing at random given the terms and the observed scores.",
        ),
    )


def _without(spec: QuestionSpec, title: str, design: Design, why: NotEstimable) -> Answer:
    at_fault = ", ".join(design.columns[j].label for j in why.columns)
    reason = f"{why.reason}: {at_fault}" if at_fault else why.reason
    hint = " Leave these terms out of the formula, or merge levels." if at_fault else ""
    return Answer(
        question=spec.name,
        kind=spec.kind,
        title=title,
        sentences=(f"The model could not be estimated: {reason}.{hint}",),
        estimates=tuple(
            Estimate(column.name, column.label, None, suppressed=reason)
            for column in design.columns
        ),
    )


def _estimates(
    study: Study, design: Design, model: RandomIntercept, prefix: str
) -> Iterator[Estimate]:
    by = f" ({model.method})"
    errors = model.standard_errors
    for column, value, error in zip(design.columns, model.beta, errors, strict=True):
        yield Estimate(
            prefix + column.name,
            column.label + by,
            float(value),
            float(value - Z_95 * error),
            float(value + Z_95 * error),
            float(error),
            0.0,
            unit=_unit(study, column),
        )
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


def _unit(study: Study, column: Column) -> str:
    points = f"{study.outcome.instrument} points"
    numbers = [name for name, level in column.parts if level is None]
    return " per ".join([points, *(study.outcome.time_unit if n == TIME else n for n in numbers)])


def _sentences(study: Study, design: Design, model: RandomIntercept) -> Iterator[str]:
    yield (
        f"{model.observations} scores of {model.subjects} patients entered the model, "
        f"fitted by {IN_WORDS[model.method]}."
    )
    for column, value, error in zip(design.columns, model.beta, model.standard_errors, strict=True):
        if column.parts:
            low, high = value - Z_95 * error, value + Z_95 * error
            yield (
                f"{_finding(study, design, column, float(value))} "
                f"(95 % interval {_points(low)} to {_points(high)})."
            )
    yield (
        f"Of the variance that the terms leave, {100 * model.icc:.0f} % lies between patients "
        f"(95 % interval {100 * model.icc_low:.0f} to {100 * model.icc_high:.0f} %)."
    )


def _finding(study: Study, design: Design, column: Column, value: float) -> str:
    """What one coefficient says; of an interaction its name and value only."""
    what = column.label.replace(": ", " ")
    if len(column.parts) > 1:
        unit = _unit(study, column).removeprefix(f"{study.outcome.instrument} ")
        return f"The coefficient of {what} was {_points(value)} {unit}"
    ((name, level),) = column.parts
    if name == TIME:
        what = f"per further {study.outcome.time_unit}"
    elif level is None:
        what = f"per unit of {name}"
    else:
        what = f"for {what}"
    others = (
        "Where the terms that it interacts with are 0 or at their first level"
        if _interacts(design, column)
        else "The other terms held fixed"
    )
    direction = "higher" if value > 0 else "lower"
    return f"{others}, {study.outcome.instrument} was {abs(value):.2f} points {direction} {what}"


def _points(value: float) -> str:
    return f"{round(value, 2) + 0.0:.2f}".replace("-", "−")


def _interacts(design: Design, column: Column) -> bool:
    """Whether the coefficient holds at one value of another term only."""
    names = {name for name, _ in column.parts}
    return any(len(c.parts) > 1 and names & {name for name, _ in c.parts} for c in design.columns)


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
