"""Figures: deterministic, readable as text, nothing overlapping, colours that can be told apart."""

from __future__ import annotations

import itertools
import math
import re
import xml.etree.ElementTree as ET

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from cairn_models.answers import Bars, Course, Estimate, Figure, Forest
from cairn_server.report import canvas, palette, words
from cairn_server.report.canvas import NARROW, WIDE
from cairn_server.report.figure_words import caption, describe
from cairn_server.report.figures import _sheet, draw
from cairn_server.report.labels import spread
from cairn_server.results import StudyResults
from figure_boxes import check_words

PNG = b"\x89PNG\r\n\x1a\n"
SVG = "{http://www.w3.org/2000/svg}"


def all_figures(*studies: StudyResults) -> list[Figure]:
    return [f for study in studies for answer in study.answers for f in answer.figures]


def test_every_figure_draws_in_every_form(results: StudyResults, awkward: StudyResults) -> None:
    for i, figure in enumerate(all_figures(results, awkward)):
        drawing = draw(figure, key=f"f{i}", mark="synthetic data")
        root = ET.fromstring(drawing.svg)
        assert root.attrib["role"] == "img"
        assert root[0].tag == f"{SVG}title"
        assert root[1].tag == f"{SVG}desc"
        assert root[1].text == describe(figure)
        texts = [t.text for t in root.iter(f"{SVG}text")]
        assert "synthetic data" in texts
        assert drawing.png.startswith(PNG)
        for inlined in (drawing.wide, drawing.narrow):
            assert "xmlns" not in inlined
            assert "<style" not in inlined
            assert "NaN" not in inlined
            assert "nan" not in re.sub(
                r"<text.*?</text>|<desc.*?</desc>|<title.*?</title>", "", inlined
            )


def test_a_figure_gives_the_same_bytes_again(results: StudyResults) -> None:
    figure = results.answers[1].figures[0]
    assert draw(figure, key="a") == draw(figure, key="a")
    assert b"<dc:date>" not in draw(figure, key="a").svg


def test_a_users_own_matplotlib_settings_change_nothing(results: StudyResults) -> None:
    import matplotlib as mpl

    figure = results.answers[0].figures[0]
    before = draw(figure, key="a")
    with mpl.rc_context({"font.size": 22, "axes.unicode_minus": False, "axes.linewidth": 9}):
        assert draw(figure, key="a") == before
        assert mpl.rcParams["font.size"] == 22  # and the user's settings stay theirs


def test_dark_mode_reaches_every_colour_of_an_inlined_figure(results: StudyResults) -> None:
    for figure in all_figures(results):
        bare = re.sub(r"var\(--[a-z0-9-]+, #[0-9a-f]{6}\)", "", draw(figure, key="a").wide)
        assert not re.findall(r"#[0-9a-f]{6}\b", bare)


def test_series_differ_by_more_than_colour() -> None:
    looks = [palette.style(i) for i in range(14)]
    for first, second in itertools.combinations(looks, 2):
        assert first != second
    for first, second in itertools.combinations(looks[:7], 2):
        assert first.marker != second.marker
        assert first.dashes != second.dashes


@pytest.mark.parametrize("dark", [False, True])
def test_text_reaches_a_contrast_of_four_and_a_half(dark: bool) -> None:
    def shade(colour: palette.Colour) -> str:
        return colour.dark if dark else colour.light

    text = (palette.INK, palette.MUTED, palette.ACCENT, palette.SYNTHETIC, *palette.SERIES)
    for colour in text:
        assert palette.contrast(shade(colour), shade(palette.PAPER)) >= 4.5, colour
    for colour, ground in (
        (palette.SYNTHETIC, palette.SYNTHETIC_SOFT),
        (palette.INK, palette.SOFT),
        (palette.MUTED, palette.SOFT),
    ):
        assert palette.contrast(shade(colour), shade(ground)) >= 4.5, colour
    assert palette.contrast(shade(palette.ZERO), shade(palette.PAPER)) >= 3  # WCAG 1.4.11


def test_contrast_is_wcags() -> None:
    assert palette.contrast("#000000", "#ffffff") == pytest.approx(21)
    assert palette.contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


def test_colours_can_be_found_again_by_value() -> None:
    values = [c.light for c in palette.COLOURS]
    assert len(values) == len(set(values))
    assert len({c.name for c in palette.COLOURS}) == len(palette.COLOURS)


@given(
    st.lists(st.tuples(st.floats(-5, 8), st.floats(0.1, 0.5)), max_size=12),
)
def test_labels_never_overlap_and_stay_inside(blocks: list[tuple[float, float]]) -> None:
    wanted, heights = [w for w, _ in blocks], [h for _, h in blocks]
    centres = spread(wanted, heights, 0.0, 6.0)
    for i, (c, h) in enumerate(zip(centres, heights, strict=True)):
        assert c - h / 2 >= -1e-9
        assert c + h / 2 <= 6 + 1e-9
        for d, k in zip(centres[:i], heights[:i], strict=True):
            assert abs(c - d) >= (h + k) / 2 - 1e-9


def test_labels_with_room_stay_where_they_point() -> None:
    assert spread([3.0, 1.0], [0.5, 0.5], 0, 4) == [3.0, 1.0]
    assert spread([2.0, 2.0], [0.5, 0.5], 0, 4) == [1.75, 2.25]


@pytest.mark.parametrize("layout", [WIDE, NARROW], ids=lambda layout: layout.name)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_no_words_overlap_and_none_leave_the_page(
    results: StudyResults, place: int, layout: canvas.Layout
) -> None:
    with canvas.drawing_rules():
        sheet = _sheet(results.answers[place].figures[0], layout, "lower is better ↓", titled=True)
        check_words(sheet)


numbers = st.none() | st.floats(-1e6, 1e6) | st.just(math.nan) | st.floats(-1e-6, 1e-6)
texts = st.text("ab <&'\"$_^\\{}\n\x00\ud7ffé漢−", max_size=40)
estimates = st.builds(
    Estimate,
    name=texts,
    label=texts,
    value=numbers,
    low=numbers,
    high=numbers,
    standard_error=numbers,
    noise_share=st.none() | st.floats(0, 1),
    suppressed=st.just("") | texts,
)


@settings(max_examples=10, deadline=None, phases=(Phase.reuse, Phase.generate))  # shrinking is slow
@given(data=st.data(), title=texts)
def test_whatever_the_numbers_it_draws(data: st.DataObject, title: str) -> None:
    groups = tuple(data.draw(st.lists(texts, min_size=1, max_size=3)))
    row = st.tuples(*[estimates] * len(groups))
    values = st.tuples(*[st.floats(-50, 50) | st.just(math.nan)] * len(groups))
    lines = st.fixed_dictionaries({"middle": values}, optional={"low": values, "high": values})
    figures: list[Figure] = [
        Forest(title, title, tuple(data.draw(st.lists(estimates, max_size=4))), better="left"),
        Bars(title, title, title, groups, data.draw(st.dictionaries(texts, row, max_size=3))),
        Course(
            title,
            title,
            title,
            tuple(float(i) for i in range(len(groups))),
            data.draw(st.dictionaries(texts, lines, max_size=8)),
        ),
    ]
    for figure in figures:
        with canvas.drawing_rules():
            for layout in (WIDE, NARROW):
                svg = canvas.to_svg(
                    _sheet(figure, layout, "", titled=True), title, describe(figure)
                )
                ET.fromstring(svg)


def test_dots_say_when_their_axis_does_not_start_at_zero() -> None:
    def bars(value: float) -> Bars:
        return Bars(
            "t", "x", "y", ("g",), {"s": (Estimate("e", "e", value, value - 1, value + 1),)}
        )

    assert "does not start at zero" in caption(bars(10))
    assert "zero" not in caption(bars(0.5))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "not estimated"),
        (math.nan, "not estimated"),
        (-0.0001e-3, "−10⁻⁷"),
        (0.0, "0.000"),
        (-1.234, "−1.23"),
        (-0.096, "−0.10"),
        (0.0123, "0.012"),
        (1234.5, "1\u202f234"),
        (123.45, "123.5"),
    ],
)
def test_numbers_in_words(value: float | None, text: str) -> None:
    assert words.number(value) == text


def test_small_words() -> None:
    assert words.number(-0.004, 2) == "0.00"
    assert words.percent(0.004) == "< 1 %"
    assert words.percent(None) == "–"
    assert words.interval(-1, None) == "–"
    assert words.scientific(2.5e-7) == "2.5 × 10⁻⁷"
    assert [words.duration(s) for s in (0.25, 3, 600, 9000)] == [
        "250 ms",
        "3.0 s",
        "10 min",
        "2.5 h",
    ]
    assert [words.size(n) for n in (12, 1500, 3_000_000, 2 * 10**9)] == [
        "12 bytes",
        "1.5 kB",
        "3.0 MB",
        "2.0 GB",
    ]
    assert words.moment("2026-11-20T09:14:03Z") == "20 November 2026, 09:14 UTC"
    assert words.moment("yesterday") == "yesterday"
