"""`course_chart`: a patient's scores on one scale, and the course that the model expects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from cairn_client.returned.expected import Expected
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
    path,
    rule,
    text,
)
from cairn_models.export.card import Scale

WIDTH, HEIGHT = 680.0, 360.0
LEFT, RIGHT, TOP, FOOT = 48.0, WIDTH - 20, 52.0, HEIGHT - 52
COLUMNS: Final = ("week", "score", "expected", "80 % band", "95 % band")
ABOUT: Final = (
    "Scores so far as round marks; from the last one on, the expected course as a dashed line, "
    "with its 80 % band darker and its 95 % band lighter. Research use only."
)
Point = tuple[float, float]


def course_chart(
    scale: Scale, scores: Sequence[Point], expected: Sequence[Expected], title: str
) -> Drawn:
    """The chart and its table.

    Args:
        scores: (week, score), in order.
        expected: in order of weeks.
    """
    last = max([*(week for week, _ in scores), *(e.week for e in expected), 12.0])
    across = Axis(0.0, last, LEFT, RIGHT)
    up = Axis(scale.lowest, scale.highest, FOOT, TOP)
    banded = [e for e in expected if e.bands is not None]
    begin = [(across.at(w), up.at(v)) for w, v in scores if expected and w <= expected[0].origin]
    parts = [text(LEFT, 18, "Research use only", colour=SOFT), *_axes(across, up, scale)]
    for low, high, opacity in ((2, 3, 0.14), (0, 1, 0.24)):
        parts.append(area([*begin[-1:], *_around(banded, low, high, across, up)], POOLED, opacity))
    line = [*begin[-1:], *((across.at(e.week), up.at(e.median)) for e in expected)]
    parts.append(path(line, POOLED, "6 4"))
    parts += [diamond(x, y, POOLED) for x, y in line[len(begin[-1:]) :]]
    marks = [(across.at(week), up.at(value)) for week, value in scores]
    parts += [path(marks, OWN), *(dot(x, y, OWN) for x, y in marks)]
    parts += _legend(bool(expected))
    return Drawn(
        framed(parts, (WIDTH, HEIGHT), title, ABOUT), title, COLUMNS, _table(scores, expected)
    )


def _axes(across: Axis, up: Axis, scale: Scale) -> Iterator[str]:
    for tick in up.ticks():
        yield rule((LEFT, up.at(tick)), (RIGHT, up.at(tick)))
        yield text(LEFT - 6, up.at(tick) + 4, f"{tick:g}", anchor="end", colour=SOFT)
    for tick in across.ticks(13):
        yield text(across.at(tick), FOOT + 18, f"{tick:g}", anchor="middle", colour=SOFT)
    yield rule((LEFT, FOOT), (RIGHT, FOOT), INK)
    yield text(RIGHT, FOOT + 36, "weeks since entry", anchor="end", colour=SOFT)
    yield text(LEFT, TOP - 10, f"{scale.name}, higher is worse", colour=SOFT)


def _legend(expects: bool) -> Iterator[str]:
    yield dot(LEFT + 130, 14, OWN)
    yield text(LEFT + 140, 18, "scores so far", colour=OWN)
    if expects:
        yield diamond(LEFT + 250, 14, POOLED)
        yield text(LEFT + 260, 18, "expected, with 80 % and 95 % bands", colour=POOLED)


def _around(
    expected: Sequence[Expected], low: int, high: int, across: Axis, up: Axis
) -> Iterator[Point]:
    bands = [(across.at(e.week), e.bands) for e in expected if e.bands is not None]
    for x, band in bands:
        yield x, up.at(band[low])
    for x, band in reversed(bands):
        yield x, up.at(band[high])


def _table(scores: Sequence[Point], expected: Sequence[Expected]) -> tuple[tuple[str, ...], ...]:
    seen = [(week, (f"{week:g}", f"{value:g}", "–", "–", "–")) for week, value in scores]
    told = [(float(e.week), (f"{e.week}", "–", f"{e.median:.1f}", *_bands(e))) for e in expected]
    return tuple(row for _, row in sorted([*seen, *told], key=lambda one: one[0]))


def _bands(e: Expected) -> tuple[str, str]:
    if e.bands is None:
        return "not shown to hold", "not shown to hold"
    a, b, c, d = e.bands
    return f"{a:.1f} to {b:.1f}", f"{c:.1f} to {d:.1f}"
