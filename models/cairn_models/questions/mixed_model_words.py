"""Coefficients of a longitudinal model in words, numbers and a forest, alike in all its kinds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cairn_models.answers import Answer, Estimate, Forest
from cairn_models.formula import TIME, Column, Design
from cairn_models.statistics.random_intercept import Method, NotEstimable
from cairn_protocol.study import QuestionSpec, Study

Array = NDArray[np.float64]
Z_95: Final = 1.959963984540054
IN_WORDS: Final[dict[Method, str]] = {
    "ML": "maximum likelihood",
    "REML": "restricted maximum likelihood",
}


def coefficients(
    study: Study, design: Design, beta: Array, errors: Array, *, prefix: str = "", by: str = ""
) -> Iterator[Estimate]:
    """Each coefficient with its standard error and 95 % Wald interval.

    Args:
        beta, errors: (p,) coefficients and standard errors.
        prefix: before each name.
        by: after each label, e.g. ' (ML)'.
    """
    for column, value, error in zip(design.columns, beta.tolist(), errors.tolist(), strict=True):
        yield Estimate(
            prefix + column.name,
            column.label + by,
            value,
            value - Z_95 * error,
            value + Z_95 * error,
            error,
            0.0,
            unit=unit(study, column),
        )


def coefficient_sentences(
    study: Study, design: Design, beta: Array, errors: Array
) -> Iterator[str]:
    """What each coefficient but the intercept says, a sentence each."""
    for column, value, error in zip(design.columns, beta.tolist(), errors.tolist(), strict=True):
        if column.parts:
            low, high = value - Z_95 * error, value + Z_95 * error
            yield (
                f"{_finding(study, design, column, value)} "
                f"(95 % interval {points(low)} to {points(high)})."
            )


def forest(study: Study, design: Design, beta: Array, errors: Array) -> Iterator[Forest]:
    """The coefficients but the intercept around 0; nothing where there is only an intercept."""
    shown = tuple(
        estimate
        for column, estimate in zip(
            design.columns, coefficients(study, design, beta, errors), strict=True
        )
        if column.parts
    )
    if shown:
        yield Forest("Coefficients", f"{study.outcome.instrument} points per unit", shown)


def not_estimable(
    spec: QuestionSpec, title: str, design: Design, why: NotEstimable, hint: str = ""
) -> Answer:
    """An answer without numbers: why the data do not determine the model, and what to change."""
    at_fault = ", ".join(design.columns[j].label for j in why.columns)
    reason = f"{why.reason}: {at_fault}" if at_fault else why.reason
    if at_fault:
        hint = "Leave these terms out of the formula, or merge levels."
    return Answer(
        question=spec.name,
        kind=spec.kind,
        title=title,
        sentences=(f"The model could not be estimated: {reason}. {hint}".strip(),),
        estimates=tuple(
            Estimate(column.name, column.label, None, suppressed=reason)
            for column in design.columns
        ),
    )


def unit(study: Study, column: Column) -> str:
    """'PHQ-9 points per week' and the like."""
    numbers = [name for name, level in column.parts if level is None]
    return " per ".join(
        [
            f"{study.outcome.instrument} points",
            *(study.outcome.time_unit if n == TIME else n for n in numbers),
        ]
    )


def points(value: float) -> str:
    """Two decimals, with a minus sign."""
    return f"{round(value, 2) + 0.0:.2f}".replace("-", "−")


def place(study: Study, design: Design, column: Column) -> tuple[str, str]:
    """Under which conditions a coefficient of one variable holds, and for what it stands."""
    ((name, level),) = column.parts
    if name == TIME:
        what = f"per further {study.outcome.time_unit}"
    elif level is None:
        what = f"per unit of {name}"
    else:
        what = f"for {column.label.replace(': ', ' ')}"
    others = (
        "Where the terms that it interacts with are 0 or at their first level"
        if _interacts(design, column)
        else "The other terms held fixed"
    )
    return others, what


def _finding(study: Study, design: Design, column: Column, value: float) -> str:
    """What one coefficient says; of an interaction its name and value only."""
    if len(column.parts) > 1:
        what = column.label.replace(": ", " ")
        per = unit(study, column).removeprefix(f"{study.outcome.instrument} ")
        return f"The coefficient of {what} was {points(value)} {per}"
    others, what = place(study, design, column)
    direction = "higher" if value > 0 else "lower"
    return f"{others}, {study.outcome.instrument} was {abs(value):.2f} points {direction} {what}"


def _interacts(design: Design, column: Column) -> bool:
    """Whether the coefficient holds at one value of another term only."""
    names = {name for name, _ in column.parts}
    return any(len(c.parts) > 1 and names & {name for name, _ in c.parts} for c in design.columns)
