"""A forest plot: labels left, points with intervals in the middle, numbers right."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Sheet
from matplotlib.ticker import FixedLocator, MaxNLocator

from cairn_models.answers import Estimate, Forest
from cairn_server.report import words
from cairn_server.report.canvas import ROUND_STEPS, Layout, Page, on_page, text_width, wrap
from cairn_server.report.palette import INK, MUTED, PAPER, RULE, SERIES, ZERO

HEADER = "estimate (95 % interval)"
MARGIN = 0.08
RATIOS: Final = tuple(
    round(digit * 10.0**power, 6)
    for power in range(-4, 5)
    for digit in (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8)
)
BOLDER = 1.15  # bold text is about this much wider
QUIET: Final[dict[str, Any]] = {"colour": MUTED.light, "backing": PAPER.light}


def draw_forest(figure: Forest, layout: Layout, title_lines: list[str]) -> Sheet:
    """The plot; one row an estimate. On a narrow page the words stand above each interval."""
    points, line = layout.points, layout.line
    narrow = layout.name == "narrow"
    numbers = [words.estimate_with_interval(e) for e in figure.estimates]
    number_width = max((text_width(n, points) for n in [*numbers, HEADER]), default=0.0)
    label_room = layout.width - 2 * MARGIN if narrow else 2.45
    label_points = points * (BOLDER if narrow else 1)
    labels = [wrap(text, label_room, label_points) for text in short_labels(figure)]
    label_width = max((text_width(s, points) for block in labels for s in block), default=0.0)

    top = MARGIN + 1.25 * line * len(title_lines) + (0 if narrow else 1.3 * line)
    heights = [
        line * (len(block) + 2.8) if narrow else max(1.95, len(block) + 0.8) * line
        for block in labels
    ]
    bottom = top + (sum(heights) or line)
    x_lines = _x_lines(figure, layout)
    height = bottom + 0.3 + line * (len(x_lines) + (1.3 if figure.better else 0.1)) + MARGIN
    page = Page(layout, height)
    left = MARGIN + (0.16 if narrow else label_width + 0.22)
    right = layout.width - MARGIN - (0.16 if narrow else number_width + 0.22)
    axes = page.axes(left, top, right, bottom)
    set_reach(axes, figure, 4 if narrow else 6)
    axes.set_ylim(bottom, top)
    axes.set_yticks([])
    axes.grid(axis="x", color=RULE.light, linewidth=0.6)
    axes.axvline(figure.no_difference, color=ZERO.light, linewidth=1.1)

    for i, text in enumerate(title_lines):
        page.write(MARGIN, MARGIN + 1.25 * line * (i + 0.5), text, bold=True, scale=1.15)
    if not narrow:
        page.write(
            layout.width - MARGIN, top - 0.75 * line, HEADER, align="right", colour=MUTED.light
        )
    y = top
    for e, block, text, room in zip(figure.estimates, labels, numbers, heights, strict=True):
        middle = y + (room - 0.62 * line if narrow else room / 2)
        _draw_row(axes, e, middle)
        colour = MUTED.light if e.suppressed else INK.light
        if narrow:
            page.write_lines(
                MARGIN, y + line * (0.1 + len(block) / 2), block, bold=True, backing=PAPER.light
            )
            full = f"{text}: {e.suppressed}" if e.suppressed else text
            full = wrap(full, layout.width - 2 * MARGIN, points, 1)[0]
            under = y + line * (0.6 + len(block))
            page.write(MARGIN, under, full, colour=colour, backing=PAPER.light)
        else:
            page.write_lines(MARGIN, middle, block)
            if e.suppressed:
                reason = wrap(e.suppressed, right - left - 0.2, points, len(block) + 1)
                page.write_lines((left + right) / 2, middle, reason, align="center", **QUIET)
            page.write(layout.width - MARGIN, middle, text, align="right", colour=colour)
        y += room
    zero, _ = on_page(page, axes, figure.no_difference, bottom)
    _write_below(page, (left, right), bottom + 0.3, zero, figure)
    return page.sheet


def _x_lines(figure: Forest, layout: Layout) -> list[str]:
    return wrap(figure.x_label, layout.width - 2 * MARGIN, layout.points, 2)


def _draw_row(axes: Axes, e: Estimate, y: float) -> None:
    if not shown(e) or e.value is None:
        return
    colour = SERIES[1].light
    if e.low is not None and e.high is not None:
        axes.plot([e.low, e.high], [y, y], color=colour, linewidth=1.8)
    axes.plot([e.value], [y], marker="s", markersize=6, color=colour, linestyle="none")


def _write_below(
    page: Page, ends: tuple[float, float], top: float, zero: float, figure: Forest
) -> None:
    line = page.layout.line
    left, right = ends
    if figure.better:
        _write_sides(page, ends, top, zero, figure)
        top += 1.2 * line
    for i, text in enumerate(_x_lines(figure, page.layout)):
        write_under(page, (left + right) / 2, top + (i + 0.5) * line, text)


def write_under(page: Page, middle: float, y: float, text: str) -> None:
    """An axis's name, centred beneath it as far as the page's edges let it."""
    half = text_width(text, page.layout.points) / 2
    x = max(MARGIN + half, min(middle, page.layout.width - MARGIN - half))
    page.write(x, y, text, align="center", colour=MUTED.light)


def _write_sides(
    page: Page, ends: tuple[float, float], top: float, zero: float, figure: Forest
) -> None:
    """The meaning of left and right, beside the line where there is room, else at the ends."""
    width, points = page.layout.width, page.layout.points
    first, second = _sides(figure)
    first, second = f"← {first}", f"{second} →"
    y = top + 0.5 * page.layout.line
    before, after = text_width(first, points), text_width(second, points)
    if before < zero - 0.1 - MARGIN and after < width - MARGIN - zero - 0.1:
        page.write(zero - 0.1, y, first, align="right")
        page.write(zero + 0.1, y, second)
    elif before + after + 0.2 < width - 2 * MARGIN:
        page.write(MARGIN, y, first)
        page.write(width - MARGIN, y, second, align="right")
    else:
        page.write(MARGIN, y, "← better" if figure.better == "left" else "← worse")
        last = "worse →" if figure.better == "left" else "better →"
        page.write(width - MARGIN, y, last, align="right")


def _sides(figure: Forest) -> tuple[str, str]:
    """What it means to lie left and right of the line, from labels like 'A against B'."""
    pairs = [text.partition(" against ") for text in short_labels(figure)]
    compared = {second for _, _, second in pairs}
    named = {first for first, _, _ in pairs}
    good, bad = "better", "worse"
    if len(compared) == 1 and "" not in compared:
        good = f"favours {named.pop()}" if len(named) == 1 else "favours the arm named first"
        bad = f"favours {compared.pop()}"
    return (good, bad) if figure.better == "left" else (bad, good)


def short_labels(figure: Forest) -> list[str]:
    """The labels without a beginning ('rate: …') or an end ('…, rate') that the title says too."""
    cut = [e.label.partition(": ") for e in figure.estimates]
    texts = [rest for _, _, rest in cut]
    if not _said({first for first, _, _ in cut}, texts, figure.title):
        texts = [e.label for e in figure.estimates]
    cut = [text.rpartition(", ") for text in texts]
    shorter = [first for first, _, _ in cut]
    return shorter if _said({last for _, _, last in cut}, shorter, figure.title) else texts


def _said(words: set[str], left: list[str], title: str) -> bool:
    """Whether it is one word, which the title says, and every label is left with something."""
    return len(words) == 1 and all(left) and next(iter(words)).lower() in title.lower()


def is_ratio(figure: Forest) -> bool:
    """Whether estimates are ratios: their axis is then logarithmic, as 2 is as far as 1/2."""
    drawn = [e for e in figure.estimates if shown(e)]
    return figure.no_difference == 1.0 and all(
        v > 0 for e in drawn for v in finite([e.value, e.low, e.high])
    )


def set_reach(axes: Axes, figure: Forest, most: int) -> None:
    """What the horizontal axis reaches, and at most about `most` round numbers along it."""
    if not is_ratio(figure):
        axes.set_xlim(*_range(figure))
        axes.xaxis.set_major_locator(MaxNLocator(most, steps=ROUND_STEPS))
        return
    drawn = [e for e in figure.estimates if shown(e)]
    values = finite([v for e in drawn for v in (e.value, e.low, e.high)])
    low, high = padded([math.log(v) for v in (*values, 1.0, 0.8, 1.25)])
    axes.set_xscale("log")
    axes.set_xlim(math.exp(low), math.exp(high))
    within = [t for t in RATIOS if low <= math.log(t) <= high]
    steps = range(1, len(within) + 1)
    one = within.index(1.0)
    kept = next(k for s in steps if len(k := within[one % s :: s]) <= most)
    axes.xaxis.set_major_locator(FixedLocator(kept))
    axes.xaxis.set_minor_locator(FixedLocator([]))
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:g}")


def shown(e: Estimate) -> bool:
    """Whether an estimate has a number to draw."""
    return not e.suppressed and e.value is not None and math.isfinite(e.value)


def finite(values: Sequence[float | None]) -> list[float]:
    """The values that are numbers."""
    return [v for v in values if v is not None and math.isfinite(v)]


def padded(values: Sequence[float], share: float = 0.07) -> tuple[float, float]:
    """A range around `values` with some air; (−1, 1) around nothing."""
    if not values:
        return -1.0, 1.0
    low, high = min(values), max(values)
    air = (high - low) * share or max(abs(high), 1.0) * 0.5
    return low - air, high + air


def _range(figure: Forest) -> tuple[float, float]:
    drawn = [e for e in figure.estimates if shown(e)]
    values = finite([v for e in drawn for v in (e.value, e.low, e.high)])
    if not values:
        return figure.no_difference - 1, figure.no_difference + 1
    return padded([*values, figure.no_difference])
