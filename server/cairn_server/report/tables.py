"""Tables for the page: every figure's numbers, estimates, and a question's own tables."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from cairn_models.answers import (
    Answer,
    Bars,
    Cell,
    Course,
    Estimate,
    Figure,
    Forest,
    Funnel,
    Histogram,
    Table,
)
from cairn_server.points import estimates_in
from cairn_server.report import words

NOISE_SHARE: Final = "Noise share: the part of an estimate's variance that the privacy noise adds."
ENDS: Final = ("low", "high")


@dataclass(frozen=True)
class ShownCell:
    """One cell as text; numbers stand to the right, quiet ones in the muted colour."""

    text: str
    number: bool = False
    quiet: bool = False


@dataclass(frozen=True)
class ShownTable:
    """A table as text; the first cell of a row is its header."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[ShownCell, ...], ...]
    note: str = ""


def of_figure(figure: Figure) -> ShownTable:
    """The numbers behind a figure."""
    match figure:
        case Forest():
            return of_estimates(figure.title, figure.estimates)
        case Course():
            return _of_course(figure)
        case Bars():
            return _of_rows(figure, figure.x_label, figure.groups)
        case Histogram():
            return _of_rows(figure, figure.x_label, figure.bins)
        case Funnel():
            return _of_rows(figure, "stage", figure.stages)


def of_estimates(title: str, estimates: Sequence[Estimate]) -> ShownTable:
    """One row an estimate: number, interval, standard error, share of noise."""
    unit, marks = _shared_unit(estimates), _marks(estimates)
    rows = tuple((ShownCell(e.label or e.name), *_cells(e, unit, marks)) for e in estimates)
    return ShownTable(title, ("", *_columns(unit)), rows, _note(estimates))


def _shared_unit(estimates: Sequence[Estimate]) -> str:
    """The unit of all estimates, said once in the header; '' where they differ."""
    units = {e.unit for e in estimates}
    return units.pop() if len(units) == 1 else ""


def _columns(unit: str) -> tuple[str, ...]:
    value = f"estimate, {unit}" if unit else "estimate"
    return (value, "95 % interval", "standard error", "noise share")


def _cells(e: Estimate, unit: str, marks: Mapping[str, str]) -> tuple[ShownCell, ...]:
    if e.suppressed:
        texts = (f"{words.SUPPRESSED}{marks[e.suppressed]}", "–", "–", "–")
        return tuple(ShownCell(text, number=True, quiet=True) for text in texts)
    digits = words.decimals(e)
    texts = (
        words.number(e.value, digits) if unit else words.estimate(e),
        words.interval(e.low, e.high, digits),
        "–" if e.standard_error is None else words.number(e.standard_error, digits),
        words.percent(e.noise_share),
    )
    return tuple(ShownCell(text, number=True) for text in texts)


def _marks(estimates: Sequence[Estimate]) -> dict[str, str]:
    """A mark for each reason why a number is not shown; none where all have the same."""
    reasons = list(dict.fromkeys(e.suppressed for e in estimates if e.suppressed))
    if len(reasons) == 1:
        return {reasons[0]: ""}
    return {reason: f" ({at})" for at, reason in enumerate(reasons, 1)}


def _note(estimates: Sequence[Estimate]) -> str:
    said = [f"Suppressed{mark}: {reason}." for reason, mark in _marks(estimates).items()]
    if any(e.noise_share is not None for e in estimates):
        said.append(NOISE_SHARE)
    return " ".join(said)


def _of_course(figure: Course) -> ShownTable:
    columns = (figure.x_label, *figure.series, *(f"at risk, {g}" for g in figure.at_risk))
    rows = []
    for i, time in enumerate(figure.times):
        header = ShownCell(f"{time:g}".replace("-", "−"), number=True)
        cells = (
            _course_cell(lines["middle"][i], *(_at(lines.get(k), i) for k in ENDS))
            for lines in figure.series.values()
        )
        counts = (_count(numbers[i]) for numbers in figure.at_risk.values())
        rows.append((header, *cells, *counts))
    return ShownTable(figure.title, columns, tuple(rows), figure.band)


def _count(value: float | None) -> ShownCell:
    if value is None or not math.isfinite(value):
        return ShownCell(words.SUPPRESSED, number=True, quiet=True)
    return ShownCell(words.number(value, 0), number=True)


def _at(values: Sequence[float] | None, place: int) -> float | None:
    return None if values is None else values[place]


def _course_cell(middle: float, low: float | None, high: float | None) -> ShownCell:
    if middle is None or not math.isfinite(middle):
        return ShownCell(words.SUPPRESSED, number=True, quiet=True)
    around = words.interval(low, high)
    text = words.number(middle) if around == "–" else f"{words.number(middle)} ({around})"
    return ShownCell(text, number=True)


def _of_rows(figure: Bars | Histogram | Funnel, first: str, places: tuple[str, ...]) -> ShownTable:
    """One row a place and series; no column of series where the only one has no name."""
    every = [e for row in figure.series.values() for e in row]
    unit, marks = _shared_unit(every), _marks(every)
    named = any(figure.series)
    rows = tuple(
        (ShownCell(place), *((ShownCell(name),) if named else ()), *_cells(row[i], unit, marks))
        for i, place in enumerate(places)
        for name, row in figure.series.items()
    )
    columns = (first, *(("series",) if named else ()), *_columns(unit))
    return ShownTable(figure.title, columns, rows, _note(every))


def of_table(table: Table) -> ShownTable:
    """A question's own table; columns that are empty in every row are left out."""
    kept = [
        i
        for i in range(len(table.columns))
        if i == 0 or not table.rows or any(row[i] not in ("", None) for row in table.rows)
    ]
    digits = {i: _digits([row[i] for row in table.rows]) for i in kept}
    rows = tuple(
        tuple(
            ShownCell(
                words.cell(row[i], digits[i]),
                number=words.is_number(row[i]),
                quiet=row[i] is None,
            )
            for i in kept
        )
        for row in table.rows
    )
    return ShownTable(table.title, tuple(table.columns[i] for i in kept), rows, table.note)


def _digits(column: Sequence[Cell]) -> int | None:
    """The decimals that a question rounded a column to; None where it did not."""
    values = [v for v in column if isinstance(v, float) and math.isfinite(v)]
    return next((d for d in (1, 2) if all(round(v, d) == v for v in values)), None)


def beneath(answer: Answer, figure: Figure) -> ShownTable:
    """The table beneath a figure: its numbers, or for a course the answer's table of that title."""
    own = _own_table(answer, figure)
    return of_figure(figure) if own is None else of_table(own)


def _own_table(answer: Answer, figure: Figure) -> Table | None:
    if not isinstance(figure, Course):
        return None  # its estimates carry noise shares, which no other table shows
    return next((t for t in answer.tables if t.title == figure.title), None)


def others(answer: Answer) -> Iterator[ShownTable]:
    """What no figure shows: the remaining estimates, then the remaining tables."""
    drawn = {e.name for figure in answer.figures for e in estimates_in(figure)}
    rest = [e for e in answer.estimates if e.name not in drawn]
    if rest:
        yield of_estimates("Further estimates" if drawn else "Estimates", rest)
    used = [_own_table(answer, figure) for figure in answer.figures]
    for table in answer.tables:
        if table not in used:
            yield of_table(table)
