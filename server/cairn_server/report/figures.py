"""`draw`: a `Figure` of an answer as SVG and PNG, and the words that describe it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from matplotlib.figure import Figure as Sheet

from cairn_models.answers import Bars, Course, Estimate, Figure, Forest
from cairn_server.report import canvas, words
from cairn_server.report.canvas import NARROW, WIDE, Layout
from cairn_server.report.course import draw_course
from cairn_server.report.dots import draw_dots, value_range
from cairn_server.report.forest import draw_forest

LOWER_IS_BETTER: Final = "lower is better ↓"
HIGHER_IS_BETTER: Final = "higher is better ↑"


@dataclass(frozen=True)
class Drawing:
    """A figure ready for use. `wide` and `narrow` go into a page; `svg` and `png` are files."""

    wide: str
    narrow: str
    svg: bytes
    png: bytes


def draw(figure: Figure, *, key: str, hint: str = "", mark: str = "") -> Drawing:
    """All forms of `figure`; `key` makes its ids unique in the page.

    Args:
        hint: which way is better, written beside the vertical axis's name unless the figure
            already says so.
        mark: words in the corner of the standalone files, which travel without the page.
    """
    description = describe(figure)
    with canvas.drawing_rules():
        forms = [
            canvas.inline(
                canvas.to_svg(
                    _sheet(figure, layout, hint, titled=False), figure.title, description
                ),
                f"{key}-{layout.name}-",
            )
            for layout in (WIDE, NARROW)
        ]
        alone = _sheet(figure, WIDE, hint, titled=True)
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


def _unless_said(hint: str, figure: Course | Bars) -> str:
    return "" if "better" in f"{figure.title} {figure.y_label}".lower() else hint


def describe(figure: Figure) -> str:
    """The figure in words, for those who do not see it; the table beneath has every number."""
    match figure:
        case Forest():
            rows = [f"{e.label}: {words.estimate_with_interval(e)}" for e in figure.estimates]
            return f"Forest plot, {figure.x_label}. " + "; ".join(rows) + "."
        case Course():
            rows = []
            for name, lines in figure.series.items():
                middle = lines["middle"]
                first, last = (words.number(middle[i]) for i in (0, -1)) if middle else ("", "")
                rows.append(f"{name}: from {first} to {last}")
            return f"Lines over {figure.x_label}, {figure.y_label}. " + "; ".join(rows) + "."
        case Bars():
            rows = [
                f"{name}: "
                + ", ".join(
                    f"{group} {words.estimate(e)}"
                    for group, e in zip(figure.groups, estimates, strict=True)
                )
                for name, estimates in figure.series.items()
            ]
            return f"Dots by {figure.x_label}, {figure.y_label}. " + "; ".join(rows) + "."


def caption(figure: Figure) -> str:
    """What a reader must know to read the picture, beyond its axes."""
    match figure:
        case Forest():
            return f"Squares are estimates, lines their 95 % intervals{_noise(figure.estimates)}."
        case Course():
            return figure.band
        case Bars():
            every = [e for row in figure.series.values() for e in row]
            low, high = value_range(figure)
            cut = "" if low <= 0 <= high else " The vertical axis does not start at zero."
            return f"Dots are estimates, lines their 95 % intervals{_noise(every)}.{cut}"


def _noise(estimates: Sequence[Estimate]) -> str:
    noised = any(e.noise_share for e in estimates)
    return ", privacy noise included" if noised else ""
