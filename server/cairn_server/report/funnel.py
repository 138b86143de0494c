"""A funnel: how many of a group remain, stage by stage, as bars with intervals and numbers."""

from __future__ import annotations

from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Sheet
from matplotlib.ticker import MaxNLocator

from cairn_models.answers import Estimate, Funnel
from cairn_server.report import words
from cairn_server.report.canvas import ROUND_STEPS, Layout, Page, text_width, wrap
from cairn_server.report.forest import BOLDER, HEADER, MARGIN, finite, shown, write_under
from cairn_server.report.labels import Label, key_height, write_above
from cairn_server.report.palette import INK, MUTED, PAPER, RULE, Style, styles

X_LABEL: Final = "% of those at the first stage"
BAR: Final = 0.62  # of a row's height


def draw_funnel(figure: Funnel, layout: Layout, title_lines: list[str]) -> Sheet:
    """The plot: a block a stage, in it a bar a group; what is held back has a word and no bar."""
    points, line = layout.points, layout.line
    narrow = layout.name == "narrow"
    names = [name for name in figure.series if name]
    rows = list(figure.series.values())
    numbers = [[words.estimate_with_interval(e, 1) for e in row] for row in rows]
    told = [text_width(text, points) for row in numbers for text in row]
    number_width = max([text_width(HEADER, points) if not narrow else 0.0, *told])
    label_room = layout.width - 2 * MARGIN if narrow else 1.75
    labels = [
        wrap(stage, label_room, points * (BOLDER if narrow else 1)) for stage in figure.stages
    ]
    label_width = max((text_width(s, points) for block in labels for s in block), default=0.0)

    row = 1.15 * line
    heads = [line * (len(block) + 0.2) if narrow else 0.0 for block in labels]
    bodies = [
        max(row * len(rows), 0.0 if narrow else line * len(block)) + 0.55 * line for block in labels
    ]
    key = MARGIN + 1.25 * line * len(title_lines)
    top = key + (key_height(layout, names) if names else 0) + (0.4 if narrow else 1.3) * line
    bottom = top + (sum(heads) + sum(bodies) or line)
    page = Page(layout, bottom + 0.3 + 1.3 * line + MARGIN)
    left = MARGIN + (0.1 if narrow else label_width + 0.22)
    right = layout.width - MARGIN - number_width - 0.22
    axes = page.axes(left, top, right, bottom)
    axes.set_xlim(*_range(figure))
    axes.set_ylim(bottom, top)
    axes.set_yticks([])
    axes.xaxis.set_major_locator(MaxNLocator(3 if narrow else 5, steps=ROUND_STEPS))
    axes.grid(axis="x", color=RULE.light, linewidth=0.6)

    for i, text in enumerate(title_lines):
        page.write(MARGIN, MARGIN + 1.25 * line * (i + 0.5), text, bold=True, scale=1.15)
    looks = styles(figure.series, layout.arms)
    write_above(page, key, [Label(n, looks[n], None) for n in names])
    edge = layout.width - MARGIN
    if not narrow:
        page.write(edge, top - 0.75 * line, HEADER, align="right", colour=MUTED.light)
    y = top
    for stage, (block, head, body) in enumerate(zip(labels, heads, bodies, strict=True)):
        if narrow:
            page.write_lines(MARGIN, y + head / 2, block, bold=True, backing=PAPER.light)
        else:
            page.write_lines(MARGIN, y + body / 2, block)
        y += head
        start = y + (body - row * len(rows)) / 2
        shown_rows = zip(looks.values(), rows, numbers, strict=True)
        for place, (look, estimates, texts) in enumerate(shown_rows):
            middle = start + row * (place + 0.5)
            e = estimates[stage]
            _draw_bar(axes, e, middle, BAR * row, look)
            colour = INK.light if shown(e) else MUTED.light
            page.write(edge, middle, texts[stage], align="right", colour=colour)
        y += body
    write_under(page, (left + right) / 2, bottom + 0.3 + 0.6 * line, X_LABEL)
    return page.sheet


def _range(figure: Funnel) -> tuple[float, float]:
    """0 to 100, wider where an interval reaches beyond."""
    drawn = [e for row in figure.series.values() for e in row if shown(e)]
    values = finite([v for e in drawn for v in (e.value, e.low, e.high)])
    return min([0.0, *values]), max([100.0, *values])


def _draw_bar(axes: Axes, e: Estimate, y: float, height: float, look: Style) -> None:
    if not shown(e) or e.value is None:
        return
    axes.barh([y], [e.value], height=height, color=look.colour, alpha=0.35, edgecolor=PAPER.light)
    if e.low is not None and e.high is not None:
        axes.plot([e.low, e.high], [y, y], color=look.colour, linewidth=1.6)
    axes.plot(
        [e.value],
        [y],
        color=look.colour,
        marker=look.marker,
        markersize=5,
        markeredgecolor=PAPER.light,
        markeredgewidth=0.7,
        linestyle="none",
        clip_on=False,
    )
