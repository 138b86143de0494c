"""The answer to a "regression" question: coefficients, ratios, risk differences, a forest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from scipy import stats

from cairn_models.answers import SHARE_GAP, Answer, Cell, Estimate, Forest, Table
from cairn_models.formula import TIME, Column
from cairn_models.questions.base import Expected
from cairn_models.questions.regression_words import Frame, notes, sentences, title_of
from cairn_models.regression.covariates import ARM
from cairn_models.regression.family import Told
from cairn_models.regression.fitted import TOO_FEW, Fitted
from cairn_models.regression.margin import Difference

KIND: Final = "regression"
WIDEST: Final = 3.0  # standard error of a log ratio beyond which it says nothing
TOO_WIDE: Final = "the interval is too wide to say anything"


@dataclass(frozen=True)
class Numbers:
    """Everything that is estimated; `ratios` are by the coefficient's name, none if linear."""

    coefficients: dict[str, Estimate]
    ratios: dict[str, Estimate]
    risks: dict[int, Estimate]

    @property
    def shown(self) -> dict[str, Estimate]:
        """What the forest shows and the sentences tell."""
        return self.ratios or {
            name: e for name, e in self.coefficients.items() if name != "Intercept"
        }


def answer(frame: Frame, told: Told, *, noised: bool) -> Answer:
    """The answer from what the family found; never a NaN, whatever it is."""
    numbers = _numbers(frame, told, noised=noised)
    title = title_of(frame)
    hidden = any(e.value is None for e in numbers.coefficients.values())
    fit = _fit(frame, told, noised=noised)
    in_forest = tuple(
        e
        for (name, e), column in _with_columns(frame, numbers.shown)
        if e.value is not None and all(v != TIME for v, _ in column.parts)
    )
    figures = (
        Forest(
            title=title,
            x_label=f"{frame.ratio} of {frame.what}"
            if frame.ratio
            else f"{frame.instrument} points",
            estimates=in_forest,
            no_difference=1.0 if frame.ratio else 0.0,
        ),
    )
    return Answer(
        question=frame.question,
        kind=KIND,
        title=title,
        sentences=tuple(sentences(frame, numbers.shown, numbers.risks)),
        estimates=(
            *numbers.coefficients.values(),
            *numbers.ratios.values(),
            *numbers.risks.values(),
            *fit,
        ),
        tables=(_table(frame, told.fitted, numbers),),
        figures=figures if in_forest else (),
        notes=tuple(notes(frame, noised=noised, hidden=hidden)),
    )


def expected(frame: Frame, told: Told) -> tuple[Expected, ...]:
    """Each coefficient's two errors: those of the arm first, then the others, then the rest."""
    fitted = told.fitted
    sampling, noise = (np.sqrt(np.diag(part)) for part in (fitted.sampling, fitted.noise))

    def order(j: int) -> tuple[int, int]:
        parts = frame.design.columns[j].parts
        names = {name for name, _ in parts}
        return (0 if names == {ARM} else 1 if parts and TIME not in names else 2, j)

    found = [
        Expected(
            frame.names[j],
            frame.design.columns[j].label,
            frame.unit_of_outcome,
            float(sampling[j]),
            float(noise[j]),
        )
        for j in sorted(range(len(frame.names)), key=order)
    ]
    risks = [
        Expected(
            _risk_name(frame, arm),
            _risk_label(frame, arm),
            SHARE_GAP,
            float(np.sqrt(gap.sampling)),
            float(np.sqrt(gap.noise)),
        )
        for arm, gap in told.differences.items()
    ]
    return (*found, *risks)


def _numbers(frame: Frame, told: Told, *, noised: bool) -> Numbers:
    fitted = told.fitted
    coefficients, ratios = {}, {}
    for j, (name, column) in enumerate(zip(frame.names, frame.design.columns, strict=True)):
        estimate = _coefficient(frame, fitted, j, name, column, noised=noised)
        coefficients[name] = estimate
        if frame.ratio and column.parts:
            ratios[name] = _ratio(frame, estimate)
    risks = {
        arm: _of_all(frame, fitted, _risk(frame, arm, gap), noised=noised)
        for arm, gap in told.differences.items()
    }
    return Numbers(coefficients, ratios, risks)


def _coefficient(
    frame: Frame, fitted: Fitted, j: int, name: str, column: Column, *, noised: bool
) -> Estimate:
    unit = frame.unit_of_outcome
    variance = float(fitted.sampling[j, j] + fitted.noise[j, j])
    error = float(np.sqrt(max(variance, 0.0)))
    why = fitted.why[j]
    if not why and not (np.isfinite(fitted.beta[j]) and np.isfinite(error)):
        why = TOO_WIDE
    if not why and frame.ratio and error > WIDEST:
        why = TOO_WIDE
    if why:
        return Estimate(name, column.label, None, unit=unit, suppressed=why)
    reach = float(stats.t.ppf(0.975, fitted.degrees)) * error
    value = float(fitted.beta[j])
    return Estimate(
        name,
        column.label,
        value,
        value - reach,
        value + reach,
        error,
        float(fitted.noise[j, j]) / variance if variance > 0.0 else 0.0,
        unit,
        count=float(fitted.count[j]) if noised else None,
    )


def _ratio(frame: Frame, of: Estimate) -> Estimate:
    name = f"{frame.ratio.replace(' ', '_')}-{of.name}"
    label = f"{frame.ratio}, {of.label}"
    if of.value is None or of.low is None or of.high is None or of.standard_error is None:
        return Estimate(name, label, None, unit="ratio", suppressed=of.suppressed)
    value = float(np.exp(of.value))
    return Estimate(
        name,
        label,
        value,
        float(np.exp(of.low)),
        float(np.exp(of.high)),
        value * of.standard_error,
        of.noise_share,
        "ratio",
        count=of.count,
    )


def _risk_name(frame: Frame, arm: int) -> str:
    return f"risk_difference-{frame.arms[arm]}-{frame.arms[0]}"


def _risk_label(frame: Frame, arm: int) -> str:
    return f"average marginal risk difference, {frame.arms[arm]} against {frame.arms[0]}"


def _risk(frame: Frame, arm: int, gap: Difference) -> Estimate:
    variance = gap.sampling + gap.noise
    error = float(np.sqrt(variance))
    reach = float(stats.norm.ppf(0.975)) * error
    return Estimate(
        _risk_name(frame, arm),
        _risk_label(frame, arm),
        gap.value,
        max(gap.value - reach, -1.0),
        min(gap.value + reach, 1.0),
        error,
        gap.noise / variance if variance > 0.0 else 0.0,
        SHARE_GAP,
    )


def _of_all(frame: Frame, fitted: Fitted, e: Estimate, *, noised: bool) -> Estimate:
    """`e`, which is told of everybody in the model, with their count; held back below the limit."""
    if not noised:
        return e
    if fitted.people < frame.fewest:
        return Estimate(e.name, e.label, None, unit=e.unit, suppressed=TOO_FEW)
    return replace(e, count=fitted.people)


def _fit(frame: Frame, told: Told, *, noised: bool) -> Iterator[Estimate]:
    fitted = told.fitted
    if not fitted.told.any():
        return
    people = Estimate("people", "people in the model", max(fitted.people, 0.0), unit="people")
    yield _of_all(frame, fitted, people, noised=noised)
    if told.deviance is not None:
        yield Estimate("deviance", "deviance, −2 log-likelihood", told.deviance)
    if fitted.scale is not None:
        spread = Estimate(
            "residual_sd",
            "SD of what the terms leave",
            float(np.sqrt(max(fitted.scale, 0.0))),
            unit=f"{frame.instrument} points",
        )
        yield _of_all(frame, fitted, spread, noised=noised)


def _with_columns(
    frame: Frame, shown: dict[str, Estimate]
) -> Iterator[tuple[tuple[str, Estimate], Column]]:
    for name, column in zip(frame.names, frame.design.columns, strict=True):
        if name in shown:
            yield (name, shown[name]), column


def _table(frame: Frame, fitted: Fitted, numbers: Numbers) -> Table:
    test = "t" if frame.family == "linear" else "z"
    ratio = (frame.ratio, "ratio from", "ratio to") if frame.ratio else ()
    return Table(
        title=f"Coefficients of {frame.formula}",
        columns=(
            *("term", "coefficient", "from", "to", "standard error", test, "p", *ratio),
            *("people (noised)", "why not shown"),
        ),
        rows=tuple(
            _row(frame, fitted, e, numbers.ratios.get(name))
            for name, e in numbers.coefficients.items()
        ),
        note=f"Coefficients in units of {frame.unit_of_outcome}; 95 % intervals; p of no "
        "difference, noise counted. People: those for whom the term is not 0.",
    )


def _row(frame: Frame, fitted: Fitted, e: Estimate, ratio: Estimate | None) -> tuple[Cell, ...]:
    wide = (ratio.value, ratio.low, ratio.high) if ratio is not None else (None,) * 3
    extra = wide if frame.ratio else ()
    if e.value is None:
        return (e.name, *(None,) * 6, *extra, None, e.suppressed)
    error = e.standard_error or 0.0
    score = e.value / error if error > 0.0 else None
    p = None if score is None else float(2.0 * stats.t.sf(abs(score), fitted.degrees))
    count = None if e.count is None else round(e.count)
    return (e.name, e.value, e.low, e.high, error, score, p, *extra, count, "")
