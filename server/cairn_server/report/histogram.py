"""Histograms, one panel a group over one axis, so that any number of groups can be compared.

Bins are drawn equally wide with their edges written between them: what a bar's height says is the
bin's own share, not a density, and unequal bins would mislead if their areas were looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Sheet
from matplotlib.ticker import FixedLocator, MaxNLocator

from cairn_models.answers import Estimate, Histogram
from cairn_server.report.canvas import ROUND_STEPS, Layout, Page, text_width, wrap
from cairn_server.report.forest import BOLDER, MARGIN, finite, shown
from cairn_server.report.palette import INK, MUTED, PAPER, RULE, ZERO, styles
from cairn_server.report.scale import ValueAxis, write_frame

BAR: Final = 0.86  # of a bin's slot
GAP: Final = 0.4  # of a slot, between the axis and the category beyond it
LEFT: Final = 0.52  # inches from the page's edges to the axis
RIGHT: Final = MARGIN + 0.1
APART: Final = 0.12  # inches between panels
SCALE: Final = 0.95  # of the figure's text
NOTHING: Final = (0.0, 1.0)  # the heights where there is nothing to draw


def unequal(figure: Histogram) -> bool:
    """Whether the bins differ in width, which the caption then says."""
    widths = [high - low for low, high in pairwise(figure.edges)]
    return bool(widths) and max(widths) - min(widths) > 1e-6 * max(widths)


def draw_histogram(figure: Histogram, layout: Layout, title_lines: list[str]) -> Sheet:
    """The panels, their group's name above each; a cross on the axis marks what is held back."""
    frame = ValueAxis.above(layout, title_lines, figure.y_label, "")
    room = layout.width - LEFT - MARGIN
    names = [wrap(name, room, layout.points * BOLDER, 2) for name in figure.series]
    heads = [layout.line * (len(lines) + 0.35 if any(lines) else 0.2) for lines in names]
    tall = 1.1 if len(names) > 1 else 2.2
    bottom = frame.bottom + sum(heads) + tall * len(names) + APART * max(len(names) - 1, 0)
    words = _Below.of(figure, layout, bottom)
    x_lines = wrap(figure.x_label, layout.width - 1, layout.points, 2)
    page = Page(layout, words.bottom + layout.line * (len(x_lines) + 0.4) + MARGIN)
    top = frame.bottom
    limits = _limits([e for row in figure.series.values() for e in row])
    panels = zip(names, heads, figure.series.values(), strict=True)
    looks = styles(figure.series, layout.arms).values()
    for look, (lines, head, row) in zip(looks, panels, strict=True):
        colour = look.colour
        if any(lines):
            page.write_lines(LEFT, top + head / 2, lines, bold=True, colour=colour)
        top += head
        axes = page.axes(LEFT, top, layout.width - RIGHT, top + tall)
        axes.set_xlim(0, (layout.width - RIGHT - LEFT) / words.slot)
        _set_heights(axes, limits, 5 if tall > 2 else 3)
        for i, e in enumerate(row):
            _draw_bar(axes, words.place(i), e, colour)
        top += tall + APART
    words.write(page)
    write_frame(page, frame, x_lines, (LEFT + words.inner * words.slot / 2, words.bottom))
    return page.sheet


@dataclass(frozen=True)
class _Below:
    """The bins' places and what stands beneath the lowest axis; inches from the top left."""

    edges: tuple[str, ...]
    beyond: list[str]
    slot: float
    middle: float  # of the words for the last category
    tops: tuple[float, float]  # of the edges' line and of those words
    bottom: float

    @classmethod
    def of(cls, figure: Histogram, layout: Layout, top: float) -> _Below:
        inner = len(figure.edges) - 1
        slots = len(figure.bins) + (GAP if figure.beyond else 0)
        slot = (layout.width - LEFT - RIGHT) / max(slots, 1)
        edges = tuple(f"{edge:g}".replace("-", "−") for edge in figure.edges)
        beyond = wrap(figure.beyond, max(1.8 * slot, 0.8), layout.points * SCALE, 3)
        half = _widest(beyond, layout) / 2
        middle = min(LEFT + (inner + GAP + 0.5) * slot, layout.width - MARGIN - half)
        last = LEFT + inner * slot + _widest(edges[-1:], layout) / 2 + 0.08
        under = top + 0.06 + (0 if middle - half > last else layout.line)
        bottom = max(top + 0.06 + layout.line, under + layout.line * len(beyond))
        return cls(edges, beyond, slot, middle, (top + 0.06, under), bottom)

    @property
    def inner(self) -> int:
        """Bins with a place on the axis."""
        return len(self.edges) - 1

    def place(self, i: int) -> float:
        """The middle of bin `i`, in slots."""
        return i + 0.5 + (GAP if i >= self.inner else 0)

    def write(self, page: Page) -> None:
        """Each edge between its bins, every second or third where they would touch."""
        line = page.layout.line
        step = max(1, -int(-(_widest(self.edges, page.layout) + 0.08) // self.slot))
        for i in range(0, len(self.edges), step):
            x, y = LEFT + i * self.slot, self.tops[0] + line / 2
            page.write(x, y, self.edges[i], align="center", colour=MUTED.light, scale=SCALE)
        for i, text in enumerate(self.beyond):
            y = self.tops[1] + (i + 0.5) * line
            page.write(self.middle, y, text, align="center", scale=SCALE)


def _widest(texts: Sequence[str], layout: Layout) -> float:
    return max((text_width(t, layout.points * SCALE) for t in texts), default=0.0)


def _limits(every: list[Estimate]) -> tuple[float, float]:
    """From zero (or below, where noise took a share there) to the highest interval."""
    values = finite([v for e in every if shown(e) for v in (e.value, e.low, e.high)])
    high = max([0.0, *values])
    low = min([0.0, *values])
    return (1.05 * low, 1.05 * high) if high > low else NOTHING


def _set_heights(axes: Axes, limits: tuple[float, float], ticks: int) -> None:
    axes.set_ylim(*limits)
    axes.set_xticks([])
    axes.yaxis.set_major_locator(
        FixedLocator([]) if limits == NOTHING else MaxNLocator(ticks, steps=ROUND_STEPS)
    )
    axes.grid(axis="y", color=RULE.light, linewidth=0.6)
    if limits[0] < 0:
        axes.axhline(0, color=ZERO.light, linewidth=1.1)


def _draw_bar(axes: Axes, x: float, e: Estimate, colour: str) -> None:
    if not shown(e) or e.value is None:
        axes.plot([x], [0], marker="x", markersize=4.5, color=MUTED.light, clip_on=False)
        return
    axes.bar([x], [e.value], width=BAR, color=colour, edgecolor=PAPER.light, alpha=0.55)
    if e.low is not None and e.high is not None:
        axes.plot([x, x], [e.low, e.high], color=INK.light, linewidth=1.3, clip_on=False)
