"""Names beside the lines that they name, or above them where the page is narrow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.lines import Line2D

from cairn_server.report.canvas import Layout, Page, text_width, wrap
from cairn_server.report.forest import MARGIN
from cairn_server.report.palette import MUTED, Style

WIDEST_LABEL = 1.55  # inches
KEY = 0.5  # inches from the page's edge to the names of a key
FAR = 0.6  # inches between a line's end and its name


@dataclass(frozen=True)
class Label:
    """A name for a series; `end` is the inch from the top that it points at, None for no line."""

    name: str
    style: Style
    end: tuple[float, float] | None  # (x, y) in inches from the top left


def side_lines(name: str, points: float) -> list[str]:
    """A series' name as it stands beside the plot."""
    return wrap(name, WIDEST_LABEL, points)


def side_width(names: Sequence[str], points: float) -> float:
    """Inches that the widest of the names needs beside the plot."""
    lines = [line for name in names for line in side_lines(name, points)]
    return max((text_width(line, points) for line in lines), default=0.0)


def spread(
    wanted: Sequence[float], heights: Sequence[float], top: float, bottom: float
) -> list[float]:
    """Centres near `wanted` for blocks of these heights, between `top` and `bottom`, no overlap.

    Pool-adjacent-violators (least squares) on the blocks in the order in which they are wanted;
    a pool that would leave the range is moved back into it.
    """
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    pools: list[tuple[float, list[int], float]] = []  # (top, members, height)
    for i in order:
        pool = (_within(wanted[i] - heights[i] / 2, top, bottom - heights[i]), [i], heights[i])
        while pools and pools[-1][0] + pools[-1][2] > pool[0]:
            above, members, height = pools.pop()
            below, others, more = pool
            n, m = len(members), len(others)
            joined = (n * above + m * (below - height)) / (n + m)
            pool = (
                _within(joined, top, bottom - height - more),
                [*members, *others],
                height + more,
            )
        pools.append(pool)
    centres = [0.0] * len(wanted)
    for start, members, _ in pools:
        y = start
        for i in members:
            centres[i] = y + heights[i] / 2
            y += heights[i]
    return centres


def _within(value: float, low: float, high: float) -> float:
    return max(low, min(value, high))


def side_height(names: Sequence[str], layout: Layout) -> float:
    """Inches that `write_beside` needs at least."""
    return sum(_height(side_lines(name, layout.points), layout) for name in names)


def _height(block: list[str], layout: Layout) -> float:
    return layout.line * len(block) + 0.05


def write_beside(page: Page, x: float, span: tuple[float, float], labels: Sequence[Label]) -> None:
    """Names from `x` to the right within `span` (top, bottom), each joined to its line's end."""
    layout = page.layout
    top, bottom = span
    blocks = [side_lines(label.name, layout.points) for label in labels]
    heights = [_height(block, layout) for block in blocks]
    wanted = [label.end[1] if label.end else bottom for label in labels]
    centres = spread(wanted, heights, top, bottom)
    for label, block, centre in zip(labels, blocks, centres, strict=True):
        if label.end is None:
            page.write_lines(x, centre, block, colour=MUTED.light)
            continue
        page.write_lines(x, centre, block, colour=label.style.colour)
        _segment(page, (*label.end, x - 0.06, centre), label.style.colour)


def _segment(page: Page, ends: tuple[float, float, float, float], colour: str) -> None:
    """From a line's end to its name; sparse dots where it is far, lest it look like the line."""
    x0, y0, x1, y1 = ends
    width, height = page.layout.width, page.height
    far = x1 - x0 > FAR
    page.sheet.add_artist(
        Line2D(
            [(x0 + 0.05) / width, x1 / width],
            [1 - y0 / height, 1 - y1 / height],
            color=colour,
            linewidth=1.0 if far else 0.6,
            linestyle=(0, (1, 5)) if far else "solid",
        )
    )


def key_height(layout: Layout, names: Sequence[str]) -> float:
    """Inches that `write_above` needs."""
    lines = sum(len(_key_lines(layout, name)) for name in names)
    return layout.line * (lines + 0.15 * len(names)) + 0.08


def _key_lines(layout: Layout, name: str) -> list[str]:
    return wrap(name, layout.width - MARGIN - KEY - 0.05, layout.points, 2)


def write_above(page: Page, top: float, labels: Sequence[Label]) -> None:
    """Names in a column from `top` down, each after a sample of its line."""
    line, width, height = page.layout.line, page.layout.width, page.height
    x, y = MARGIN, top + 0.075 * line
    for label in labels:
        lines = _key_lines(page.layout, label.name)
        page.sheet.add_artist(
            Line2D(
                [x / width, (x + 0.16) / width, (x + 0.32) / width],
                [1 - (y + line / 2) / height] * 3,
                color=label.style.colour,
                linestyle=label.style.dashes,
                marker=label.style.marker,
                markersize=4.5,
                markevery=[1],
                linewidth=1.4,
            )
        )
        page.write_lines(KEY, y + line * len(lines) / 2, lines)
        y += line * (len(lines) + 0.15)
