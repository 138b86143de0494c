"""`draw`: a `Figure` of an answer as SVG and PNG, with the words that describe it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from matplotlib.figure import Figure as Sheet

from cairn_models.answers import Bars, Course, Figure, Forest, Funnel, Histogram
from cairn_server.report import canvas
from cairn_server.report.canvas import NARROW, WIDE, Layout
from cairn_server.report.course import draw_course
from cairn_server.report.dots import draw_dots
from cairn_server.report.figure_words import describe
from cairn_server.report.forest import draw_forest
from cairn_server.report.funnel import draw_funnel
from cairn_server.report.histogram import draw_histogram

LOWER_IS_BETTER: Final = "lower is better ↓"
HIGHER_IS_BETTER: Final = "higher is better ↑"


@dataclass(frozen=True)
class Drawing:
    """A figure ready for use. `wide` and `narrow` go into a page; `svg` and `png` are files."""

    wide: str
    narrow: str
    svg: bytes
    png: bytes


def draw(
    figure: Figure, *, key: str, hint: str = "", mark: str = "", arms: tuple[str, ...] = ()
) -> Drawing:
    """All forms of `figure`; `key` makes its ids unique in the page.

    Args:
        hint: which way is better, written beside the vertical axis's name unless the figure
            already says so.
        arms: names that look the same in every figure.
        mark: words in the corner of the standalone files, which travel without the page.
    """
    description = describe(figure)
    with canvas.drawing_rules():
        forms = [
            canvas.inline(
                canvas.to_svg(
                    _sheet(figure, replace(layout, arms=arms), hint, titled=False),
                    figure.title,
                    description,
                ),
                f"{key}-{layout.name}-",
            )
            for layout in (WIDE, NARROW)
        ]
        alone = _sheet(figure, replace(WIDE, arms=arms), hint, titled=True)
        canvas.stamp(alone, mark)
        svg = canvas.to_svg(alone, figure.title, description)
        png = canvas.to_png(alone)
    return Drawing(forms[0], forms[1], svg.encode(), png)


def _sheet(figure: Figure, layout: Layout, hint: str, *, titled: bool) -> Sheet:
    title = canvas.wrap(figure.title, layout.width * 0.84, layout.points * 1.15) if titled else []
    match figure:
        case Forest():
            return draw_forest(figure, layout, title)
        case Course():
            return draw_course(figure, layout, title, _unless_said(hint, figure))
        case Bars():
            return draw_dots(figure, layout, title, _unless_said(hint, figure))
        case Histogram():
            return draw_histogram(figure, layout, title)
        case Funnel():
            return draw_funnel(figure, layout, title)


def _unless_said(hint: str, figure: Course | Bars) -> str:
    return "" if "better" in f"{figure.title} {figure.y_label}".lower() else hint
