"""Lines over time with bands, each named at its end."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Sheet
from matplotlib.ticker import MaxNLocator

from cairn_models.answers import Course
from cairn_server.report.canvas import ROUND_STEPS, Layout, Page, on_page, wrap
from cairn_server.report.forest import MARGIN, padded
from cairn_server.report.labels import (
    Label,
    key_height,
    side_width,
    write_above,
    write_beside,
)
from cairn_server.report.palette import PAPER, RULE, Style, style
from cairn_server.report.scale import ValueAxis, write_frame


def draw_course(figure: Course, layout: Layout, title_lines: list[str], hint: str) -> Sheet:
    """The plot; a series without numbers is named, not drawn. `hint` says which way is better."""
    narrow = layout.name == "narrow"
    names = list(figure.series)
    frame = ValueAxis.above(layout, title_lines, figure.y_label, hint)
    top = frame.bottom + (key_height(layout.line, names) if narrow else 0)
    bottom = top + (2.5 if narrow else 3.3)
    x_lines = wrap(figure.x_label, layout.width - 1, layout.points, 2)
    page = Page(layout, bottom + 0.28 + layout.line * (len(x_lines) + 0.2) + MARGIN)
    right = layout.width - MARGIN
    right -= 0.1 if narrow else side_width(names, layout.points) + 0.32
    axes = page.axes(0.48, top, right, bottom)
    _scale(axes, figure, narrow)
    write_frame(page, frame, x_lines, ((0.48 + right) / 2, bottom + 0.3))
    labels = [
        Label(
            name + ("" if drawn else " (suppressed)"), look, drawn and on_page(page, axes, *drawn)
        )
        for name, look, drawn in _lines(axes, figure)
    ]
    if narrow:
        write_above(page, MARGIN, frame.bottom, labels)
    else:
        write_beside(page, right + 0.3, bottom, labels)
    return page.sheet


def _scale(axes: Axes, figure: Course, narrow: bool) -> None:
    times = np.asarray(figure.times, dtype=float)
    span = float(times.max() - times.min()) if times.size else 1.0
    first = float(times.min()) if times.size else 0.0
    axes.set_xlim(first - 0.02 * (span or 1), first + (span or 1) * 1.015)
    values = np.concatenate(
        [np.asarray(v, float) for s in figure.series.values() for v in s.values()] or [np.zeros(0)]
    )
    low, high = figure.y_range or padded(values[np.isfinite(values)].tolist())
    axes.set_ylim(low, high)
    axes.grid(axis="y", color=RULE.light, linewidth=0.6)
    whole = bool(np.all(times == np.round(times)))
    axes.xaxis.set_major_locator(
        MaxNLocator(6 if narrow else 9, integer=whole, steps=(1, 2, 4, 10))
    )
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=ROUND_STEPS))


def _lines(axes: Axes, figure: Course) -> list[tuple[str, Style, tuple[float, float] | None]]:
    """Draw each series; its name, look and last point (None where nothing could be drawn)."""
    times = np.asarray(figure.times, dtype=float)
    every = max(1, len(times) // 9)
    ends = []
    for place, (name, lines) in enumerate(figure.series.items()):
        look = style(place)
        middle = np.asarray(lines["middle"], dtype=float)
        if "low" in lines and "high" in lines:
            low, high = (np.asarray(lines[k], dtype=float) for k in ("low", "high"))
            axes.fill_between(times, low, high, color=look.colour, alpha=0.13, linewidth=0)
        axes.plot(
            times,
            middle,
            color=look.colour,
            linestyle=look.dashes,
            linewidth=1.9,
            marker=look.marker,
            markersize=5,
            markevery=every,
            markeredgecolor=PAPER.light,
            markeredgewidth=0.7,
        )
        there = np.flatnonzero(np.isfinite(middle))
        end = (float(times[there[-1]]), float(middle[there[-1]])) if there.size else None
        ends.append((name, look, end))
    return ends
