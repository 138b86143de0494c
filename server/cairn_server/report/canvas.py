"""A page to draw on, in inches from the top left, and its way to SVG and PNG.

The same figure gives the same bytes: hash salt fixed, no dates, no user's matplotlibrc. Text in
SVG stays text, set in the reader's own system font; each line is placed by its anchor, so that a
narrower or wider font does not shift it.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from html import escape
from itertools import chain
from typing import Any, Final, Literal

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Sheet
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath

from cairn_server.report.palette import COLOURS, INK, MUTED, PAPER, RULE, SYNTHETIC
from cairn_server.report.words import printable

SYSTEM_FONTS: Final = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', sans-serif"
ROUND_STEPS: Final = (1, 2, 5, 10)  # between ticks
BACKING: Final[dict[str, Any]] = {"edgecolor": "none", "pad": 1.5}
WHOLE: Final = re.compile(r"\barm [A-Z](?!\w)\S*|\S+")  # a word, or an arm's letter with its word
_DRAWN_WITH: Final = "DejaVu Sans"  # comes with matplotlib, so widths are the same everywhere


@dataclass(frozen=True)
class Layout:
    """A figure's width in inches, its text size in points, and the arms with looks of their own."""

    name: Literal["wide", "narrow"]
    width: float
    points: float
    arms: tuple[str, ...] = ()

    @property
    def line(self) -> float:
        """Height of one line of text, inches."""
        return 1.4 * self.points / 72


WIDE: Final = Layout("wide", 7.6, 9.2)
NARROW: Final = Layout("narrow", 3.55, 8.6)


@contextmanager
def drawing_rules() -> Iterator[None]:
    """Matplotlib as this module needs it, whatever the user's settings; restored afterwards."""
    with mpl.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)  # the reader has it
        mpl.rcdefaults()
        mpl.rcParams.update(
            {
                "font.family": [_DRAWN_WITH],
                "svg.fonttype": "none",
                "svg.hashsalt": "cairn",
                "text.parse_math": False,
                "path.simplify": False,
                "lines.solid_capstyle": "round",
            }
        )
        yield


class Page:
    """A blank figure of `layout.width` × `height` inches."""

    def __init__(self, layout: Layout, height: float) -> None:
        self.layout = layout
        self.height = height
        self.sheet = Sheet(figsize=(layout.width, height))
        self.sheet.patch.set_facecolor(PAPER.light)

    def write(
        self,
        x: float,
        y: float,
        text: str,
        *,
        align: Literal["left", "center", "right"] = "left",
        colour: str = INK.light,
        bold: bool = False,
        scale: float = 1.0,
        backing: str = "none",
    ) -> None:
        """One line of text, its middle `y` inches from the top."""
        self.sheet.text(
            x / self.layout.width,
            1 - y / self.height,
            text,
            ha=align,
            va="center_baseline",
            color=colour,
            fontsize=self.layout.points * scale,
            fontweight="bold" if bold else "normal",
            bbox=None if backing == "none" else BACKING | {"facecolor": backing},
        )

    def write_lines(self, x: float, y: float, lines: list[str], **how: Any) -> None:
        """Several lines, their middle `y` inches from the top."""
        top = y - self.layout.line * (len(lines) - 1) / 2
        for i, text in enumerate(lines):
            self.write(x, top + i * self.layout.line, text, **how)

    def axes(self, left: float, top: float, right: float, bottom: float) -> Axes:
        """Bare axes between these inches: no frame but the baseline, ticks in a quiet colour."""
        width, height = self.layout.width, self.height
        axes = self.sheet.add_axes(
            (left / width, 1 - bottom / height, (right - left) / width, (bottom - top) / height)
        )
        axes.patch.set_visible(False)
        for side, spine in axes.spines.items():
            spine.set_visible(side == "bottom")
            spine.set_color(RULE.light)
        axes.tick_params(
            length=0, pad=5, labelsize=self.layout.points * 0.95, labelcolor=MUTED.light
        )
        axes.set_axisbelow(True)
        return axes


def on_page(page: Page, axes: Axes, x: float, y: float) -> tuple[float, float]:
    """A point of the axes' data in inches from the page's top left."""
    u, v = axes.transData.transform((x, y)) / page.sheet.dpi
    return float(u), float(page.height - v)


@cache
def text_width(text: str, points: float) -> float:
    """Width of `text` in inches at `points`."""
    if not text:
        return 0.0
    path = TextPath((0, 0), text, size=points, prop=FontProperties(family=_DRAWN_WITH))
    return float(path.get_extents().width) / 72


def wrap(text: str, width: float, points: float, most: int = 3) -> list[str]:
    """`text` in at most `most` lines of `width` inches; what does not fit ends in '…'.

    A word that is wider than a line is broken with a hyphen.
    """
    lines: list[str] = []
    current = ""
    for word in chain.from_iterable(_parts(whole, width, points) for whole in WHOLE.findall(text)):
        longer = f"{current} {word}".strip()
        if current and text_width(longer, points) > width:
            lines.append(current)
            current = word
        else:
            current = longer
    lines.append(current)
    cut = len(lines) > most
    lines = lines[:most]
    for i, line in enumerate(lines):
        short = line
        last = cut and i == len(lines) - 1
        while len(short) > 1 and text_width(short + ("…" if last else ""), points) > width:
            short, last = short[:-1], True
        lines[i] = short.rstrip() + "…" if last else short
    return lines


def _parts(word: str, width: float, points: float) -> Iterator[str]:
    while len(word) > 1 and text_width(word, points) > width:
        fits = next((n for n in range(len(word) - 1, 1, -1) if _fits(word, n, width, points)), 1)
        yield f"{word[:fits]}-"
        word = word[fits:]
    yield word


def _fits(word: str, letters: int, width: float, points: float) -> bool:
    return text_width(f"{word[:letters]}-", points) <= width


def stamp(sheet: Sheet, mark: str) -> None:
    """Write `mark` in the lower right corner."""
    if mark:
        sheet.text(0.995, 0.008, mark, ha="right", va="bottom", fontsize=8, color=SYNTHETIC.light)


def to_png(sheet: Sheet) -> bytes:
    """The figure as PNG, 200 dots an inch. Call it within `drawing_rules`."""
    out = io.BytesIO()
    sheet.savefig(out, format="png", dpi=200, metadata={"Software": None})
    return out.getvalue()


def to_svg(sheet: Sheet, title: str, description: str) -> str:
    """The figure as a standalone SVG with a title and a description for screen readers."""
    out = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    sheet.savefig(out, format="svg", metadata=nothing)
    svg = re.sub(r"<!DOCTYPE.*?>\s*", "", out.getvalue(), count=1, flags=re.DOTALL)
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, count=1, flags=re.DOTALL)
    svg = re.sub(rf"(['\"]?){_DRAWN_WITH}\1", SYSTEM_FONTS, svg)
    spoken = f"<title>{escape(title)}</title>\n<desc>{escape(description)}</desc>"
    svg = re.sub(r"(<svg\b[^>]*)>", lambda m: f'{m[1]} role="img">\n{spoken}', svg, count=1)
    return printable(svg)


def inline(svg: str, prefix: str) -> str:
    """The same SVG for use inside a page: no namespaces, unique ids, colours from the page."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", svg)
    svg = svg.replace("xlink:href", "href")
    svg = re.sub(r"<style\b.*?</style>", "", svg, count=1, flags=re.DOTALL)
    svg = re.sub(r'\sid="([^"]*)"', rf' id="{prefix}\1"', svg)
    svg = re.sub(r"url\(#", f"url(#{prefix}", svg)
    svg = svg.replace('href="#', f'href="#{prefix}')
    for colour in COLOURS:
        svg = svg.replace(colour.light, f"var(--{colour.name}, {colour.light})")
    head, _, rest = svg.partition(">")
    head = re.sub(r'\s(width|height|version)="[^"]*"', "", head)
    head += f' aria-labelledby="{prefix}title {prefix}desc"'
    rest = rest.replace("<title>", f'<title id="{prefix}title">', 1)
    rest = rest.replace("<desc>", f'<desc id="{prefix}desc">', 1)
    return f"{head}>{rest}"
