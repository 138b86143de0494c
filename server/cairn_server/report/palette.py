"""The report's colours, once: figures draw with the light ones, the page swaps in the dark ones.

Series follow Okabe & Ito (2008, jfly.uni-koeln.de/color), darkened on paper until their own
labels reach a contrast of 4.5 (WCAG 2.2, 1.4.3). Every hex value is unique, because a figure's
colours are found again by value.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Final


@dataclass(frozen=True)
class Colour:
    """One role: the CSS variable's name, its value on paper and in the dark."""

    name: str
    light: str
    dark: str


PAPER: Final = Colour("paper", "#fffffe", "#12171d")
INK: Final = Colour("ink", "#18212b", "#e9edf1")
MUTED: Final = Colour("muted", "#55606c", "#a9b4bf")
RULE: Final = Colour("rule", "#d3d9df", "#323c47")
ZERO: Final = Colour("zero", "#78838f", "#8792a0")
SOFT: Final = Colour("soft", "#f4f6f8", "#1a2129")
ACCENT: Final = Colour("accent", "#00609a", "#6cbcf0")
SYNTHETIC: Final = Colour("synthetic", "#7a3d00", "#ffc47a")
SYNTHETIC_SOFT: Final = Colour("synthetic-soft", "#fff3e2", "#2e2212")

SERIES: Final = (
    Colour("series-1", "#4a5560", "#b4bfca"),
    Colour("series-2", "#0069a8", "#56b4e9"),
    Colour("series-3", "#b14a00", "#f5894a"),
    Colour("series-4", "#00755a", "#2fc79f"),
    Colour("series-5", "#9b3f77", "#e79cc4"),
    Colour("series-6", "#7d5f00", "#e8b53a"),
    Colour("series-7", "#5d4bb0", "#b3a5f2"),
)
COLOURS: Final = (PAPER, INK, MUTED, RULE, ZERO, SOFT, ACCENT, SYNTHETIC, SYNTHETIC_SOFT, *SERIES)

MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X")
DASHES: Final[tuple[tuple[float, tuple[float, ...]], ...]] = (
    (0, ()),
    (0, (6, 2)),
    (0, (1.2, 1.6)),
    (0, (6, 2, 1.2, 2)),
    (0, (3, 1.5)),
    (0, (8, 2, 1.2, 2, 1.2, 2)),
    (0, (2, 3)),
)


@dataclass(frozen=True)
class Style:
    """How one series looks: colour, marker and dashes all differ, so colour is never alone."""

    colour: str
    marker: str
    dashes: tuple[float, tuple[float, ...]]


def style(position: int) -> Style:
    """The look of the series at `position`; past seven, colour and dashes part company."""
    n = len(SERIES)
    turn, place = divmod(position, n)
    return Style(SERIES[place].light, MARKERS[(place + turn) % n], DASHES[(place + 2 * turn) % n])


def styles(names: Iterable[str], known: Sequence[str]) -> dict[str, Style]:
    """A look for each name: `known` ones have theirs by their place there, the others what is left.

    So a study's arm looks alike in all its figures, whichever arms a figure has.
    """
    wanted = list(names)
    free = (place for place in count() if place >= len(known) or known[place] not in wanted)
    own = {name: place for place, name in enumerate(known)}
    return {name: style(own[name] if name in own else next(free)) for name in wanted}


def css_variables(dark: bool) -> str:
    """The palette as CSS declarations, one a line."""
    return "\n".join(f"--{c.name}: {c.dark if dark else c.light};" for c in COLOURS)


def contrast(first: str, second: str) -> float:
    """WCAG contrast ratio of two '#rrggbb' colours, 1 to 21."""
    bright, dim = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


def _luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
