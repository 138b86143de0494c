"""Numbers at risk beneath a curve's axis, each under its time, as in a Kaplan–Meier figure."""

from __future__ import annotations

import math
from typing import Final

from matplotlib.axes import Axes

from cairn_models.answers import Course
from cairn_server.report import words
from cairn_server.report.canvas import Layout, Page, on_page, text_width, wrap
from cairn_server.report.forest import MARGIN
from cairn_server.report.palette import INK, MUTED, styles

HEADER: Final = "Number at risk"
APART: Final = 0.11  # inches between two numbers of a row
SCALE: Final = 0.92  # of the figure's text


def at_risk_height(figure: Course, layout: Layout) -> float:
    """Inches that the rows need; 0 where the figure prints none."""
    if not figure.at_risk:
        return 0.0
    named = sum(len(_name_lines(group, layout)) for group in figure.at_risk)
    return layout.line * (1.3 + 1.15 * len(figure.at_risk) + named)


def printed_times(page: Page, axes: Axes, figure: Course) -> list[float]:
    """The times whose numbers fit beside each other: the last, and from the first all that can."""
    points = page.layout.points * SCALE
    widest = max(
        (text_width(_told(n), points) for row in figure.at_risk.values() for n in row), default=0.0
    )
    places = {time: on_page(page, axes, time, 0.0)[0] for time in figure.times}
    kept: list[float] = []
    for time in figure.times:
        after = [places[t] for t in (*kept[-1:], figure.times[-1]) if t != time]
        if all(abs(places[time] - place) >= widest + APART for place in after):
            kept.append(time)
    return [*kept, *figure.times[-1:]] if figure.times[-1:] != tuple(kept[-1:]) else kept


def write_at_risk(page: Page, axes: Axes, figure: Course, top: float) -> None:
    """One row a group from `top` down, its name above its numbers."""
    line, edge = page.layout.line, page.layout.width
    page.write(MARGIN, top + 0.8 * line, HEADER, colour=MUTED.light, scale=SCALE)
    y = top + 1.3 * line
    printed = printed_times(page, axes, figure)
    looks = styles(figure.series, page.layout.arms)
    for group, numbers in figure.at_risk.items():
        colour = looks[group].colour if group in looks else INK.light
        for text in _name_lines(group, page.layout):
            page.write(MARGIN, y + 0.5 * line, text, colour=colour, scale=SCALE)
            y += line
        for time, number in zip(figure.times, numbers, strict=True):
            if time in printed:
                text = _told(number)
                half = text_width(text, page.layout.points * SCALE) / 2
                x = on_page(page, axes, time, 0.0)[0]
                x = min(max(x, MARGIN + half), edge - MARGIN / 2 - half)
                page.write(x, y + 0.5 * line, text, align="center", scale=SCALE)
        y += 1.15 * line


def _name_lines(group: str, layout: Layout) -> list[str]:
    return wrap(group, layout.width - 2 * MARGIN, layout.points * SCALE, 2)


def _told(number: float | None) -> str:
    return "–" if number is None or not math.isfinite(number) else words.number(number, 0)
