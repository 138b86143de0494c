"""Lines over time with bands, each named at its end."""

from __future__ import annotations

from collections.abc import Mapping

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
    side_height,
    side_width,
    write_above,
    write_beside,
)
from cairn_server.report.palette import PAPER, RULE, style
from cairn_server.report.scale import ValueAxis, write_frame


def draw_course(figure: Course, layout: Layout, title_lines: list[str], hint: str) -> Sheet:
    """The plot; a series without numbers is named, not drawn. `hint` says which way is better."""
    narrow = layout.name == "narrow"
    names = [
        name if _drawn(lines) else f"{name} (suppressed)" for name, lines in figure.series.items()
    ]
    frame = ValueAxis.above(layout, title_lines, figure.y_label, hint)
    top = frame.bottom + (key_height(layout.line, names) if narrow else 0)
    bottom = top + (2.5 if narrow else max(3.3, side_height(names, layout)))
    x_lines = wrap(figure.x_label, layout.width - 1, layout.points, 2)
    page = Page(layout, bottom + 0.28 + layout.line * (len(x_lines) + 0.2) + MARGIN)
    right = layout.width - MARGIN
    right -= 0.1 if narrow else side_width(names, layout.points) + 0.32
    axes = page.axes(0.48, top, right, bottom)
    _scale(axes, figure, narrow)
    write_frame(page, frame, x_lines, ((0.48 + right) / 2, bottom + 0.3))
    labels = [
        Label(name, style(place), end and on_page(page, axes, *end))
        for place, (name, end) in enumerate(zip(names, _lines(axes, figure), strict=True))
    ]
    if narrow:
        write_above(page, MARGIN, frame.bottom, labels)
    else:
        write_beside(page, right + 0.3, (top, bottom), labels)
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


def _drawn(lines: Mapping[str, tuple[float, ...]]) -> bool:
    return bool(np.isfinite(np.asarray(lines["middle"], dtype=float)).any())


def _lines(axes: Axes, figure: Course) -> list[tuple[float, float] | None]:
    """Draw each series; its last point, None where nothing could be drawn."""
    times = np.asarray(figure.times, dtype=float)
    every = max(1, len(times) // 9)
    shade = min(0.13, 0.4 / max(len(figure.series), 1))  # bands overlap and add up
    ends: list[tuple[float, float] | None] = []
    for place, lines in enumerate(figure.series.values()):
        look = style(place)
        middle = np.asarray(lines["middle"], dtype=float)
        if "low" in lines and "high" in lines:
            low, high = (np.asarray(lines[k], dtype=float) for k in ("low", "high"))
            axes.fill_between(times, low, high, color=look.colour, alpha=shade, linewidth=0)
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
        last = there[-1] if there.size else None
        ends.append(None if last is None else (float(times[last]), float(middle[last])))
    return ends
