"""`framed` and the parts of a drawing: SVG text that is safe to stand in any page.

No script, no style and no address: looks are presentation attributes, so a page may forbid inline
styles. Whoever cannot see a drawing has its title, its description, and the table beside it. What
differs does so by shape and dashes as well as by colour.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

INK, SOFT, RULE, PAPER = "#18212b", "#55606c", "#d3d9df", "#ffffff"
POOLED, OWN = "#0069a8", "#b14a00"  # both above 4.5 : 1 on paper
Point = tuple[float, float]
FONT: Final = 'font-family="system-ui, sans-serif" font-size="12"'


@dataclass(frozen=True)
class Drawn:
    """A drawing and the table that says the same; the first column names the row."""

    svg: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


@dataclass(frozen=True)
class Axis:
    """Numbers from `low` to `high` on the line from `start` to `end`, in drawing units."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """Where a number lies; beyond the ends, at the end."""
        span = self.high - self.low or 1.0
        share = min(max((value - self.low) / span, 0.0), 1.0)
        return self.start + (self.end - self.start) * share

    def ticks(self, most: int = 7) -> Iterator[float]:
        """Round numbers from one end to the other."""
        span = self.high - self.low
        if not span > 0:
            return
        rough = span / most
        size = 10.0 ** math.floor(math.log10(rough))
        step = next(size * k for k in (1, 2, 5, 10) if size * k >= rough)
        k = math.ceil(self.low / step - 1e-9)
        while k * step <= self.high + 1e-9 * span:
            yield round(k * step, 10)
            k += 1


def framed(parts: Sequence[str], size: Point, title: str, about: str) -> str:
    """An SVG with its title and a description of what is to be seen."""
    width, height = size
    body = "".join(parts)
    name = hashlib.sha256(f"{title}{body}".encode()).hexdigest()[:12]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" '
        f'width="{width:g}" height="{height:g}" role="img" {FONT} fill="{INK}" '
        f'aria-labelledby="t{name} d{name}"><title id="t{name}">{escape(title)}</title>'
        f'<desc id="d{name}">{escape(about)}</desc>'
        f'<rect width="{width:g}" height="{height:g}" fill="{PAPER}"/>{body}</svg>'
    )


def text(x: float, y: float, words: str, *, anchor: str = "start", colour: str = INK) -> str:
    """Words at a place."""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">'
        f"{escape(words)}</text>"
    )


def rule(a: Point, b: Point, colour: str = RULE, width: float = 1) -> str:
    """A straight line from `a` to `b`."""
    return (
        f'<line x1="{a[0]:.1f}" y1="{a[1]:.1f}" x2="{b[0]:.1f}" y2="{b[1]:.1f}" '
        f'stroke="{colour}" stroke-width="{width:g}"/>'
    )


def path(points: Sequence[Point], colour: str, dashes: str = "") -> str:
    """A line through points; nothing for fewer than two."""
    if len(points) < 2:
        return ""
    through = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return f'<path d="M{through}" fill="none" stroke="{colour}" stroke-width="2"{dashed}/>'


def area(points: Sequence[Point], colour: str, opacity: float) -> str:
    """A filled area within points; nothing for fewer than three."""
    if len(points) < 3:
        return ""
    around = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    return f'<path d="M{around}Z" fill="{colour}" fill-opacity="{opacity:g}"/>'


def dot(x: float, y: float, colour: str) -> str:
    """A round mark."""
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>'


def diamond(x: float, y: float, colour: str) -> str:
    """A mark with corners."""
    around = ((x, y - 5.5), (x + 5.5, y), (x, y + 5.5), (x - 5.5, y))
    corners = " ".join(f"{a:.1f},{b:.1f}" for a, b in around)
    return f'<polygon points="{corners}" fill="{colour}"/>'


def number(value: float | None) -> str:
    """A number for a reader; a dash where there is none."""
    if value is None or not math.isfinite(value):
        return "–"
    shown = f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"
    return shown.replace("-", "−")
