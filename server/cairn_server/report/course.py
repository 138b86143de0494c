"""Lines or steps over time with bands, each named at its end."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Sheet
from matplotlib.ticker import FixedLocator, MaxNLocator
from numpy.typing import NDArray

from cairn_models.answers import Course
from cairn_server.report.at_risk import at_risk_height, printed_times, write_at_risk
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
from cairn_server.report.palette import PAPER, RULE, Style, styles
from cairn_server.report.scale import ValueAxis, write_frame

FloatArray = NDArray[np.float64]
LEFT = 0.48  # inches from the page's edge to the vertical axis


def draw_course(figure: Course, layout: Layout, title_lines: list[str], hint: str) -> Sheet:
    """The plot; a series without numbers is named, not drawn. `hint` says which way is better."""
    narrow = layout.name == "narrow"
    names = [
        name if _drawn(lines) else f"{name} (suppressed)" for name, lines in figure.series.items()
    ]
    frame = ValueAxis.above(layout, title_lines, figure.y_label, hint)
    top = frame.bottom + (key_height(layout, names) if narrow else 0)
    bottom = top + (2.5 if narrow else max(3.3, side_height(names, layout)))
    x_lines = wrap(figure.x_label, layout.width - 1, layout.points, 2)
    under = bottom + 0.28 + layout.line * (len(x_lines) + 0.2)
    page = Page(layout, under + at_risk_height(figure, layout) + MARGIN)
    right = layout.width - MARGIN
    right -= 0.1 if narrow else side_width(names, layout.points) + 0.32
    axes = page.axes(LEFT, top, right, bottom)
    _scale(page, axes, figure)
    write_frame(page, frame, x_lines, ((LEFT + right) / 2, bottom + 0.3))
    if figure.at_risk:
        write_at_risk(page, axes, figure, under)
    looks = list(styles(figure.series, layout.arms).values())
    labels = [
        Label(name, look, end and on_page(page, axes, *end))
        for name, look, end in zip(names, looks, _lines(axes, figure, looks), strict=True)
    ]
    if narrow:
        write_above(page, frame.bottom, labels)
    else:
        write_beside(page, right + 0.3, (top, bottom), labels)
    return page.sheet


def _scale(page: Page, axes: Axes, figure: Course) -> None:
    narrow = page.layout.name == "narrow"
    times = np.asarray(figure.times, dtype=float)
    span = float(times.max() - times.min()) if times.size else 1.0
    first = float(times.min()) if times.size else 0.0
    axes.set_xlim(first - 0.02 * (span or 1), first + (span or 1) * 1.015)
    values = np.concatenate(
        [np.asarray(v, float) for s in figure.series.values() for v in s.values()] or [np.zeros(0)]
    )
    low, high = figure.y_range or padded(values[np.isfinite(values)].tolist())
    air = 0.015 * (high - low)  # for half the width of a line along the edge
    axes.set_ylim(low - air, high + air)
    axes.grid(axis="y", color=RULE.light, linewidth=0.6)
    whole = bool(np.all(times == np.round(times)))
    if figure.at_risk:
        axes.xaxis.set_major_locator(FixedLocator(printed_times(page, axes, figure)))
        axes.xaxis.set_major_formatter(lambda x, _: f"{x:g}".replace("-", "−"))
    else:
        axes.xaxis.set_major_locator(
            MaxNLocator(6 if narrow else 9, integer=whole, steps=(1, 2, 4, 10))
        )
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=ROUND_STEPS))


def _drawn(lines: Mapping[str, tuple[float, ...]]) -> bool:
    return bool(np.isfinite(np.asarray(lines["middle"], dtype=float)).any())


def _lines(axes: Axes, figure: Course, looks: list[Style]) -> list[tuple[float, float] | None]:
    """Draw each series; its last point, None where nothing could be drawn."""
    times = np.asarray(figure.times, dtype=float)
    every = max(1, len(times) // 9)
    shade = min(0.13, 0.4 / max(len(figure.series), 1))  # bands overlap and add up
    ends: list[tuple[float, float] | None] = []
    for look, lines in zip(looks, figure.series.values(), strict=True):
        drawn = {k: _path(times, np.asarray(v, float), figure.steps) for k, v in lines.items()}
        if "low" in drawn and "high" in drawn:
            (at, low), (_, high) = drawn["low"], drawn["high"]
            axes.fill_between(at, low, high, color=look.colour, alpha=shade, linewidth=0)
        axes.plot(*drawn["middle"], color=look.colour, linestyle=look.dashes, linewidth=1.9)
        middle = np.asarray(lines["middle"], dtype=float)
        axes.plot(
            times,
            middle,
            color=look.colour,
            linestyle="none",
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


def _path(times: FloatArray, values: FloatArray, steps: bool) -> tuple[FloatArray, FloatArray]:
    """The line's corners: with `steps` a value holds until the next time that has one.

    A step into a gap is not drawn: nothing is known of how long the value holds.
    """
    if not steps or times.size < 2:
        return times, values
    held = np.where(np.isfinite(values[1:]), values[:-1], np.nan)
    at = np.concatenate([times[:1], np.repeat(times[1:], 2)])
    corners = np.column_stack([held, values[1:]]).ravel()
    return at, np.concatenate([values[:1], corners])
