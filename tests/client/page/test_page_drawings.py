"""A drawing that came from elsewhere stands in a page only if it is nothing but a drawing."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cairn_client.page.drawings import drawing
from cairn_client.returned.svg import POOLED, area, diamond, dot, framed, path, rule, text

POINTS = ((0.0, 1.0), (20.0, 5.0), (30.0, 2.0))
OURS = framed(
    (
        text(1, 2, "a < b & c"),
        rule((0, 0), (1, 1)),
        path(POINTS, POOLED, "6 4"),
        area(POINTS, POOLED, 0.3),
        dot(1, 2, POOLED),
        diamond(3, 4, POOLED),
    ),
    (300, 100),
    "A title",
    "What is seen: a line",
)
FOREIGN = [
    "<script>alert(1)</script>",
    '<image href="x.png"/>',
    '<use href="#a"/>',
    '<a href="https://example.org"><text>x</text></a>',
    '<rect onload="alert(1)"/>',
    '<rect style="fill: red"/>',
    "<style>rect { fill: red }</style>",
    '<rect fill="url(https://example.org/x)"/>',
    '<rect fill="url(#a)" xmlns:xlink="http://www.w3.org/1999/xlink"/>',
    "<foreignObject><p>x</p></foreignObject>",
    "<animate attributeName='href'/>",
    "<!-- x -->",
    "<![CDATA[<script>]]>",
    "<?xml-stylesheet href='x'?>",
    "</svg><script>alert(1)</script><svg>",
    "</svg>words",
    "<svg><rect/></svg>",
    "<rect",
]


def test_the_clinics_own_drawings_pass_as_they_are() -> None:
    drawn = drawing(OURS)
    assert drawn is not None
    assert "a &lt; b &amp; c" in drawn
    assert drawn.count("<") == OURS.count("<")


@pytest.mark.parametrize("part", FOREIGN)
def test_what_is_no_part_of_a_drawing_is_not_shown(part: str) -> None:
    inside = OURS.replace("</svg>", f"{part}</svg>")
    assert drawing(inside) is None


@given(st.text(max_size=60))
def test_whatever_passes_is_made_of_what_is_listed(words: str) -> None:
    for svg in (words, f"<svg>{words}</svg>", f'<svg><text fill="{words}">x</text></svg>'):
        drawn = drawing(svg)
        if drawn is not None:
            assert not re.search(r"<(?!/?(svg|title|desc|g|rect|line|path|text|tspan)\b)", drawn)
