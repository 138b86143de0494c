"""`in_per_cent`: shares of 1 as a reader wants them, of 100; files keep them of 1."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from cairn_models.answers import (
    SHARE,
    SHARE_GAP,
    Answer,
    Bars,
    Course,
    Estimate,
    Figure,
    Forest,
    Funnel,
    Histogram,
)

READ: Final = {SHARE: "%", SHARE_GAP: "percentage points"}


def scale_of(unit: str) -> tuple[float, str]:
    """What a number in `unit` is multiplied by for a reader, and the unit that it then has."""
    return (100.0, READ[unit]) if unit in READ else (1.0, unit)


def in_per_cent(answer: Answer) -> Answer:
    """`answer` with its shares in per cent and their differences in percentage points."""
    return replace(
        answer,
        estimates=tuple(map(estimate_in_per_cent, answer.estimates)),
        figures=tuple(map(_figure, answer.figures)),
    )


def estimate_in_per_cent(e: Estimate) -> Estimate:
    """`e`, if it is a share or a difference of shares, of 100; else as it is."""
    if e.unit not in READ:
        return e
    value, low, high, error = (
        None if v is None else 100 * v for v in (e.value, e.low, e.high, e.standard_error)
    )
    return replace(e, value=value, low=low, high=high, standard_error=error, unit=READ[e.unit])


def _figure(figure: Figure) -> Figure:
    match figure:
        case Forest():
            shown = tuple(map(estimate_in_per_cent, figure.estimates))
            return replace(figure, estimates=shown, x_label=_axis(figure.x_label, shown))
        case Bars():
            series = _series(figure)
            label = _axis(figure.y_label, tuple(e for row in series.values() for e in row))
            return replace(figure, series=series, y_label=label)
        case Histogram() | Funnel():
            return replace(figure, series=_series(figure))
        case Course():  # its numbers have no unit but the axis's
            return figure


def _series(figure: Bars | Histogram | Funnel) -> dict[str, tuple[Estimate, ...]]:
    return {k: tuple(map(estimate_in_per_cent, row)) for k, row in figure.series.items()}


def _axis(label: str, shown: tuple[Estimate, ...]) -> str:
    """An axis's name with the unit, unless it stands there or the numbers have several."""
    units = {e.unit for e in shown}
    unit = units.pop() if len(units) == 1 else ""
    return f"{label}, {unit}" if unit in READ.values() and unit not in label else label
