"""Grouped values as dots with intervals: a bar would need its axis to start at zero."""

from __future__ import annotations

from collections.abc import Iterator

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Sheet
from matplotlib.ticker import MaxNLocator

from cairn_models.answers import Bars, Estimate
from cairn_server.report.canvas import ROUND_STEPS, Layout, Page, on_page, wrap
from cairn_server.report.forest import MARGIN, finite, padded, shown
from cairn_server.report.labels import (
    Label,
    key_height,
    side_height,
    side_width,
    write_above,
    write_beside,
)
from cairn_server.report.palette import MUTED, PAPER, RULE, ZERO, styles
from cairn_server.report.scale import ValueAxis, write_frame

SPREAD = 0.56  # of a group's slot


def value_range(figure: Bars) -> tuple[float, float]:
    """The vertical axis: what is drawn, with some air. It need not start at zero."""
    drawn = [e for row in figure.series.values() for e in row if shown(e)]
    return padded(finite([v for e in drawn for v in (e.value, e.low, e.high)]), 0.09)


def draw_dots(figure: Bars, layout: Layout, title_lines: list[str], hint: str) -> Sheet:
    """The plot: a slot a group, within it a dot a series, in the order of the series."""
    narrow = layout.name == "narrow"
    names = list(figure.series)
    frame = ValueAxis.above(layout, title_lines, figure.y_label, hint)
    top = frame.bottom + (key_height(layout, names) if narrow else 0)
    bottom = top + (2.5 if narrow else max(3.0, side_height(names, layout)))
    left, right = 0.48, layout.width - MARGIN
    right -= 0.1 if narrow else side_width(names, layout.points) + 0.32
    slot = (right - left) / max(len(figure.groups), 1)
    ticks = [wrap(g, 0.92 * slot, layout.points * 0.95, 3) for g in figure.groups]
    tick_room = layout.line * max(map(len, ticks), default=1) + 0.12
    x_lines = wrap(figure.x_label, layout.width - 1, layout.points, 2)
    page = Page(layout, bottom + tick_room + layout.line * (len(x_lines) + 0.3) + MARGIN)
    axes = page.axes(left, top, right, bottom)
    axes.set_xlim(-0.5, max(len(figure.groups), 1) - 0.5)
    axes.set_ylim(*value_range(figure))
    axes.set_xticks([])
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=ROUND_STEPS))
    axes.grid(axis="y", color=RULE.light, linewidth=0.6)
    for edge in range(1, len(figure.groups)):
        axes.axvline(edge - 0.5, color=RULE.light, linewidth=0.6)
    if axes.get_ylim()[0] < 0 < axes.get_ylim()[1]:
        axes.axhline(0, color=ZERO.light, linewidth=1.1)
    for i, lines in enumerate(ticks):
        for j, text in enumerate(lines):
            y = bottom + 0.06 + (j + 0.5) * layout.line
            page.write(left + (i + 0.5) * slot, y, text, align="center", scale=0.95)
    write_frame(page, frame, x_lines, ((left + right) / 2, bottom + tick_room))
    labels = list(_series(page, axes, figure))
    if narrow:
        write_above(page, frame.bottom, labels)
    else:
        write_beside(page, right + 0.3, (top, bottom), labels)
    return page.sheet


def _series(page: Page, axes: Axes, figure: Bars) -> Iterator[Label]:
    count = len(figure.series)
    looks = styles(figure.series, page.layout.arms)
    for place, (name, row) in enumerate(figure.series.items()):
        look = looks[name]
        shift = 0.0 if count == 1 else SPREAD * (place / (count - 1) - 0.5)
        end = None
        for group, e in enumerate(row):
            x = group + shift
            if not shown(e) or e.value is None:
                _write_suppressed(axes, x, e, page.layout.points)
                continue
            if e.low is not None and e.high is not None:
                axes.plot([x, x], [e.low, e.high], color=look.colour, linewidth=1.6)
            axes.plot(
                [x],
                [e.value],
                color=look.colour,
                marker=look.marker,
                markersize=6.5,
                markeredgecolor=PAPER.light,
                markeredgewidth=0.7,
                linestyle="none",
            )
            end = on_page(page, axes, x, e.value)
        yield Label(name, look, end)


def _write_suppressed(axes: Axes, x: float, e: Estimate, points: float) -> None:
    axes.annotate(
        "suppressed" if e.suppressed else "not estimated",
        (x, 0.02),
        xycoords=("data", "axes fraction"),
        rotation=90,
        rotation_mode="anchor",
        ha="left",
        va="center",
        fontsize=0.85 * points,
        color=MUTED.light,
    )
