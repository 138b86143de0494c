"""`charts_of`: pooled figures with the clinic's own in them, never with any other clinic's.

A course is drawn group by group: the pooled line in its band, this clinic's dashed. Everything else
becomes rows of two marks with their 95 % intervals.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from cairn_client.returned.own import Beside
from cairn_client.returned.svg import (
    INK,
    OWN,
    POOLED,
    SOFT,
    Axis,
    Drawn,
    area,
    diamond,
    dot,
    framed,
    number,
    path,
    rule,
    text,
)
from cairn_models.answers import Answer, Course, Estimate, Figure, Forest

WIDTH, ROW, LABELS = 680.0, 34.0, 270.0
COLUMNS = ("", "all clinics", "95 % interval", "this clinic", "95 % interval")
Series = Mapping[str, tuple[float, ...]]


def charts_of(beside: Beside) -> tuple[Drawn, ...]:
    """The drawings of an answer, one a figure or, where it has groups, one a group."""
    same = {figure.title: figure for figure in beside.own.figures} if beside.own else {}
    own = _by_name(beside.own)
    return tuple(
        drawn
        for figure in beside.pooled.figures
        for drawn in _figure(figure, same.get(figure.title), own)
    )


def _by_name(answer: Answer | None) -> dict[str, Estimate]:
    """Every estimate of an answer, also those in its figures alone."""
    if answer is None:
        return {}
    found: dict[str, Estimate] = {}
    for figure in answer.figures:
        if isinstance(figure, Forest):
            found |= {e.name: e for e in figure.estimates}
        elif not isinstance(figure, Course):
            found |= {e.name: e for row in figure.series.values() for e in row}
    return found | {e.name: e for e in answer.estimates}


def rows_of(beside: Beside) -> tuple[tuple[str, ...], ...]:
    """Every estimate of an answer in a row of `COLUMNS`."""
    own = {e.name: e for e in beside.own.estimates} if beside.own else {}
    return tuple((e.label, *_cells(e), *_cells(own.get(e.name))) for e in beside.pooled.estimates)


def _figure(pooled: Figure, same: Figure | None, own: Mapping[str, Estimate]) -> Iterator[Drawn]:
    """`same` is the clinic's own figure with that title, `own` all its estimates by name."""
    if isinstance(pooled, Course):
        mine = same.series if isinstance(same, Course) and same.times == pooled.times else {}
        for group, lines in pooled.series.items():
            yield _course(pooled, group, lines, mine.get(group))
    elif isinstance(pooled, Forest):
        yield _rows(pooled.title, pooled.estimates, own, zero=pooled.no_difference)
    else:
        for group, estimates in pooled.series.items():
            yield _rows(f"{pooled.title}: {group}" if group else pooled.title, estimates, own)


def _rows(
    title: str,
    pooled: Sequence[Estimate],
    own: Mapping[str, Estimate],
    zero: float | None = None,
) -> Drawn:
    """One row an estimate: a round mark for all clinics, one with corners for this one."""
    mine = {e.name: own[e.name] for e in pooled if e.name in own}
    both = (*pooled, *mine.values())
    shown = [n for e in both for n in (e.value, e.low, e.high) if n is not None]
    ends = [n for n in (*shown, zero) if n is not None and math.isfinite(n)] or [0.0, 1.0]
    room = 0.05 * ((max(ends) - min(ends)) or 1.0)
    axis = Axis(min(ends) - room, max(ends) + room, LABELS, WIDTH - 20)
    foot = 40 + ROW * len(pooled)
    parts = [*_legend(), *_scale(axis, 34, foot)]
    if zero is not None:
        parts.append(rule((axis.at(zero), 34), (axis.at(zero), foot), SOFT))
    rows = []
    for index, estimate in enumerate(pooled):
        y, ours = 40 + ROW * (index + 0.5), mine.get(estimate.name)
        parts.append(text(6, y + 4, _short(estimate.label)))
        parts += _mark(axis, estimate, y - 6, POOLED)
        if ours is not None:
            parts += _mark(axis, ours, y + 7, OWN)
        rows.append((estimate.label, *_cells(estimate), *_cells(ours)))
    about = (
        "Each row has a round mark for all clinics and one with corners for this clinic, with "
        "lines for 95 % intervals."
    )
    svg = framed(parts, (WIDTH, foot + 24), title, about)
    return Drawn(svg, title, COLUMNS, tuple(rows), _why(pooled, [*mine.values()]))


def _course(figure: Course, group: str, pooled: Series, own: Series | None) -> Drawn:
    """One group over time."""
    title = f"{figure.title}: {group}"
    seen = [n for s in (pooled, own or {}) for line in s.values() for n in line if math.isfinite(n)]
    low, high = figure.y_range or ((min(seen), max(seen)) if seen else (0.0, 1.0))
    left, right, top, foot = 56.0, WIDTH - 20, 40.0, 300.0
    across = Axis(figure.times[0], figure.times[-1], left, right)
    up = Axis(low, high, foot, top)
    parts = [*_legend(), *_sides(across, up), *_names(figure, foot)]
    band = [*_points(figure, pooled, "low", across, up)]
    back = [*_points(figure, pooled, "high", across, up)]
    parts.append(area([*band, *reversed(back)], POOLED, 0.16))
    parts.append(path([*_points(figure, pooled, "middle", across, up)], POOLED))
    if own is not None:
        line = [*_points(figure, own, "middle", across, up)]
        parts.append(path(line, OWN, "6 4"))
        parts += [diamond(x, y, OWN) for x, y in _thinned(line)]
    rows = tuple(
        (f"{time:g}", *_at(pooled, i), *(_at(own, i) if own else ("–", "–")))
        for i, time in enumerate(figure.times)
    )
    about = f"All clinics as a line with its band; this clinic dashed. {figure.y_label} by "
    svg = framed(parts, (WIDTH, foot + 50), title, f"{about}{figure.x_label}.")
    return Drawn(svg, title, (figure.x_label, *COLUMNS[1:]), rows, figure.band)


def _legend() -> Iterator[str]:
    yield dot(LABELS, 14, POOLED)
    yield text(LABELS + 10, 18, "all clinics, as released", colour=POOLED)
    yield diamond(LABELS + 190, 14, OWN)
    yield text(LABELS + 200, 18, "this clinic, never sent", colour=OWN)


def _scale(axis: Axis, top: float, foot: float) -> Iterator[str]:
    for tick in axis.ticks():
        yield rule((axis.at(tick), top), (axis.at(tick), foot))
        yield text(axis.at(tick), foot + 16, _tick(tick), anchor="middle", colour=SOFT)


def _sides(across: Axis, up: Axis) -> Iterator[str]:
    for tick in up.ticks():
        yield rule((across.start, up.at(tick)), (across.end, up.at(tick)))
        yield text(across.start - 6, up.at(tick) + 4, _tick(tick), anchor="end", colour=SOFT)
    for tick in across.ticks(10):
        yield text(across.at(tick), up.start + 16, _tick(tick), anchor="middle", colour=SOFT)
    yield rule((across.start, up.start), (across.end, up.start), INK)


def _names(figure: Course, foot: float) -> Iterator[str]:
    yield text(WIDTH - 20, foot + 34, figure.x_label, anchor="end", colour=SOFT)
    yield text(6, 32, figure.y_label, colour=SOFT)


def _points(
    figure: Course, lines: Series, name: str, across: Axis, up: Axis
) -> Iterator[tuple[float, float]]:
    """Where a line goes; one that holds until the next time has a corner there."""
    before = math.nan
    for time, value in zip(figure.times, lines[name], strict=True):
        if math.isfinite(value):
            if figure.steps and math.isfinite(before):
                yield across.at(time), up.at(before)
            yield across.at(time), up.at(value)
        before = value


def _thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    return points if len(points) <= 12 else points[:: math.ceil(len(points) / 8)]


def _mark(axis: Axis, e: Estimate, y: float, colour: str) -> Iterator[str]:
    if e.value is None:
        yield text(LABELS + 4, y + 4, "held back", colour=colour)
        return
    if e.low is not None and e.high is not None:
        yield rule((axis.at(e.low), y), (axis.at(e.high), y), colour, 2)
    yield (diamond if colour == OWN else dot)(axis.at(e.value), y, colour)


def _cells(e: Estimate | None) -> tuple[str, str]:
    if e is None:
        return "–", "–"
    if e.value is None:
        return "held back", "–"
    unit = f" {e.unit}" if e.unit else ""
    return f"{number(e.value)}{unit}", f"{number(e.low)} to {number(e.high)}"


def _at(lines: Series, index: int) -> tuple[str, str]:
    middle, low, high = (lines[name][index] for name in ("middle", "low", "high"))
    if not math.isfinite(middle):
        return "held back", "–"
    return number(middle), f"{number(low)} to {number(high)}"


def _why(pooled: Sequence[Estimate], own: Sequence[Estimate]) -> str:
    told = dict.fromkeys(
        [f"All clinics: {e.suppressed}" for e in pooled if e.suppressed]
        + [f"This clinic: {e.suppressed}" for e in own if e.suppressed]
    )
    return "; ".join(told)


def _tick(value: float) -> str:
    return f"{value:g}".replace("-", "−")


def _short(label: str) -> str:
    return label if len(label) <= 40 else f"{label[:39]}…"
