"""`drawing`: a drawing of the keeper's as it may stand in a page, whatever is in it.

What came back from a study was written by others. The parts and attributes that drawings are made
of are a short list; one that holds anything else is not shown, and its table stands alone.
"""

from __future__ import annotations

import re
from html import escape
from html.parser import HTMLParser
from typing import Final

from markupsafe import Markup

_PARTS = "svg title desc g rect line path circle polygon polyline text tspan"
_ATTRIBUTES = (
    "aria-labelledby cx cy d dy dx fill fill-opacity font-family font-size font-weight height id "
    "opacity points r role rx ry stroke stroke-dasharray stroke-linecap stroke-linejoin "
    "stroke-opacity stroke-width text-anchor transform viewbox width x x1 x2 y y1 y2"
)
PARTS: Final = frozenset(_PARTS.split())
ATTRIBUTES: Final = frozenset(_ATTRIBUTES.split())
NAMESPACE: Final = "http://www.w3.org/2000/svg"
_PLAIN: Final = re.compile(r"[\w\s.,%#+()-]*")  # no colon: no address


def drawing(svg: str) -> Markup | None:
    """The drawing, written anew from what was read, or None where it holds what none needs."""
    reader = _Reader()
    reader.feed(svg)
    reader.close()
    if not reader.fine or reader.open or not reader.out:
        return None
    return Markup("".join(reader.out))  # noqa: S704 - of the listed parts alone, each escaped


class _Reader(HTMLParser):
    """Reads a drawing; `fine` until something comes that is not listed."""

    def __init__(self) -> None:
        super().__init__()
        self.fine, self.open = True, 0
        self.out: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._begin(tag, attrs, ">")
        self.open += 1

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._begin(tag, attrs, "/>")

    def handle_endtag(self, tag: str) -> None:
        self.fine = self.fine and tag in PARTS and self.open > 0
        self.open -= 1
        self.out.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        self.fine = self.fine and (self.open > 0 or not data.strip())
        self.out.append(escape(data))

    def handle_comment(self, data: str) -> None:
        self.fine = False

    def handle_decl(self, decl: str) -> None:
        self.fine = False

    def unknown_decl(self, data: str) -> None:
        self.fine = False

    def handle_pi(self, data: str) -> None:
        self.fine = False

    def _begin(self, tag: str, attrs: list[tuple[str, str | None]], end: str) -> None:
        first = not self.open and not "".join(self.out).strip()
        self.fine = self.fine and tag in PARTS and (tag == "svg") == first
        written = []
        for name, value in attrs:
            plain = name in ATTRIBUTES and _PLAIN.fullmatch(value or "")
            self.fine = self.fine and bool(plain or (name, value) == ("xmlns", NAMESPACE))
            written.append(f' {name}="{escape(value or "")}"')
        self.out.append(f"<{tag}{''.join(written)}{end}")
