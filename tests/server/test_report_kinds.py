"""Curves in steps with numbers at risk, histograms, funnels: drawn, told, written, read back."""

from __future__ import annotations

import csv
import io
import json
import math
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from cairn_models.answers import Answer, Course, Estimate, Figure, Forest, Funnel, Histogram
from cairn_server import frames
from cairn_server.points import points
from cairn_server.report import canvas, palette, words
from cairn_server.report.canvas import NARROW, WIDE
from cairn_server.report.course import _path
from cairn_server.report.estimates import dump_csv
from cairn_server.report.figure_words import caption, describe
from cairn_server.report.figures import _sheet, draw
from cairn_server.report.forest import short_labels
from cairn_server.report.histogram import unequal
from cairn_server.report.results import dump, load_results
from cairn_server.report.tables import of_figure
from cairn_server.results import StudyResults
from figure_boxes import check_words, words_on

SVG = "{http://www.w3.org/2000/svg}"
GERMAN = "Gruppenpsychotherapeutische Grundversorgung im Krankenkassenvertrag (Selbsthilfe)"
ARMS = ("waiting", "unguided programme", "guided programme")
LONG = (GERMAN, "Warteliste ohne Angebot", "Behandlungsplatz")
STAGES = ("offered a programme", "started it", "used it in week 4", "completed it")
TIMES = (0.0, 1.0, 2.0, 4.0, 6.0, 8.0, 12.0, 16.0, 20.0, 26.0)


def share(name: str, value: float, error: float = 2.0) -> Estimate:
    return Estimate(name, name, value, value - 2 * error, value + 2 * error, error, 0.3, "%")


def held_back(name: str) -> Estimate:
    return Estimate(name, name, None, unit="%", suppressed="fewer than 10 patients")


def curve(groups: Iterable[str], known: int = len(TIMES)) -> Course:
    """Survival by group; from place `known` on the second group's is held back."""
    series, at_risk = {}, {}
    for i, group in enumerate(groups):
        told = len(TIMES) if i != 1 else known
        middle = [100 * math.exp(-0.05 * (i + 1) * t) for t in TIMES]
        middle[told:] = [math.nan] * (len(TIMES) - told)
        series[group] = {
            "middle": tuple(middle),
            "low": tuple(max(0.0, m - 4) for m in middle),
            "high": tuple(m + 4 for m in middle),
        }
        counts = [1234.4 * math.exp(-0.05 * (i + 1) * t) for t in TIMES]
        at_risk[group] = tuple(n if j < told else None for j, n in enumerate(counts))
    band = "Bands are 95 % intervals; numbers at risk are noised."
    return Course("Kept", "weeks", "kept, %", TIMES, series, band, (0.0, 100.0), True, at_risk)


def funnel(groups: Iterable[str], stages: tuple[str, ...] = STAGES) -> Funnel:
    series = {
        g: tuple(
            held_back(f"{g}-{j}") if (i, j) == (1, 3) else share(f"{g}-{j}", 100 * 0.7**j)
            for j in range(len(stages))
        )
        for i, g in enumerate(groups)
    }
    return Funnel("From offer to completion", stages, series)


def waits(groups: Iterable[str], edges: tuple[float, ...], beyond: str = "") -> Histogram:
    k = len(edges) - 1 + bool(beyond)
    series = {
        g: tuple(
            held_back(f"{g}-{j}") if (i, j) == (1, 0) else share(f"{g}-{j}", 3.0 * (k - j) - 4)
            for j in range(k)
        )
        for i, g in enumerate(groups)
    }
    ends = tuple(map(float, edges))
    return Histogram("Waits", "weeks to the first session", "% of patients", ends, series, beyond)


EDGES = (0, 2, 4, 8, 12, 16, 26, 39, 52)
FIGURES: dict[str, Figure] = {
    "curve": curve(ARMS, 6),
    "curve, long names": curve(LONG),
    "curve, one group": curve(("all",)),
    "curve, ten groups": curve([f"arm {i}" for i in range(10)]),
    "curve, nothing shown": replace(
        curve(("a",)),
        series={"a": {"middle": (math.nan,) * len(TIMES)}},
        at_risk={"a": (None,) * len(TIMES)},
    ),
    "at risk of groups without a line": replace(curve(ARMS), at_risk={"everybody": TIMES}),
    "funnel": funnel(ARMS),
    "funnel, long names": funnel(LONG, tuple(f"{s} {GERMAN[:40]}" for s in STAGES)),
    "funnel, one group": funnel(("",)),
    "funnel, no stage": Funnel("Empty", (), {"a": ()}),
    "funnel, ten groups": funnel([f"arm {i}" for i in range(10)]),
    "waits": waits(ARMS, EDGES, "still waiting"),
    "waits, long names": waits(LONG, (0, 2, 4, 8, 12), "noch auf der Warteliste der Ambulanz"),
    "waits, one group": waits(("",), tuple(range(21))),
    "waits, nothing shown": Histogram("W", "weeks", "%", (0.0, 8.0), {"a": (held_back("a"),)}),
}


@pytest.mark.parametrize("layout", [WIDE, NARROW], ids=lambda layout: layout.name)
@pytest.mark.parametrize("figure", FIGURES.values(), ids=FIGURES)
def test_no_words_overlap_and_none_leave_the_page(figure: Figure, layout: canvas.Layout) -> None:
    with canvas.drawing_rules():
        check_words(_sheet(figure, layout, "lower is better ↓", titled=True))


@pytest.mark.parametrize("kind", ["curve", "funnel", "waits"])
def test_each_kind_is_drawn_in_every_form(kind: str) -> None:
    figure = FIGURES[kind]
    drawing = draw(figure, key="f", mark="synthetic data")
    root = ET.fromstring(drawing.svg)
    assert root[1].text == describe(figure)
    assert "synthetic data" in [t.text for t in root.iter(f"{SVG}text")]
    assert drawing.png.startswith(b"\x89PNG")
    assert drawing == draw(figure, key="f", mark="synthetic data")
    for inlined in (drawing.wide, drawing.narrow):
        assert "nan" not in inlined.lower().replace("font-variant", "")


def test_a_step_holds_until_the_next_time_and_not_into_a_gap() -> None:
    times, nan = np.array([0.0, 1, 3, 4]), math.nan
    at, values = _path(times, np.array([1.0, 0.5, 0.25, nan]), True)
    assert at.tolist() == [0, 1, 1, 3, 3, 4, 4]
    np.testing.assert_array_equal(values, [1, 1, 0.5, 0.5, 0.25, nan, nan])
    assert _path(times[:1], np.ones(1), True)[0].tolist() == [0]


def test_numbers_at_risk_stand_under_their_times() -> None:
    figure = curve(ARMS, 6)
    with canvas.drawing_rules():
        sheet = _sheet(figure, WIDE, "", titled=True)
        boxes = words_on(sheet)
        ticks = {
            round(axes.transData.transform((t, 0))[0]): f"{t:g}"
            for axes in sheet.axes
            for t in axes.xaxis.get_majorticklocs()
        }
    found = {round((b.x0 + b.x1) / 2): text for text, b in boxes}
    for column, time in ticks.items():
        place = TIMES.index(float(time))
        expected = f"{1234.4 * math.exp(-0.05 * 3 * TIMES[place]):,.0f}".replace(",", "\u202f")
        near = [text for x, text in found.items() if abs(x - column) <= 2]
        assert expected in [text for text, b in boxes if abs((b.x0 + b.x1) / 2 - column) < 3], near
    assert {"0", "26"} <= set(ticks.values())  # first and last are always there
    texts = [text for text, _ in boxes]
    assert texts.count("–") == sum(float(t) > 8 for t in ticks.values())  # held back, said so


def test_what_is_held_back_leaves_a_gap() -> None:
    with canvas.drawing_rules():
        sheet = _sheet(FIGURES["funnel"], WIDE, "", titled=True)
        assert [t.get_text() for t in sheet.texts].count("suppressed") == 1
        bars = list(sheet.axes[0].patches)
        assert len(bars) == 3 * 4 - 1
        panels = _sheet(FIGURES["waits"], WIDE, "", titled=True).axes
        assert [len(axes.patches) for axes in panels] == [9, 8, 9]
        crosses = [line for axes in panels for line in axes.lines if line.get_marker() == "x"]
        assert len(crosses) == 1
    assert "cross" in caption(FIGURES["waits"])
    assert "cross" not in caption(FIGURES["waits, one group"])


def test_captions_say_how_to_read_it() -> None:
    assert "privacy noise included" in caption(FIGURES["waits"])
    assert "differ in width" in caption(FIGURES["waits"])
    assert not unequal(waits(("a",), tuple(range(9))))
    assert "Each value holds until the next step." in caption(FIGURES["curve"])
    assert caption(replace(curve(ARMS), steps=False)) == curve(ARMS).band


def test_descriptions_name_every_group_and_stage() -> None:
    said = describe(FIGURES["funnel"])
    for part in (*ARMS, *STAGES, "70.0 %", "suppressed"):
        assert part in said
    assert "at risk, waiting: from 1\u202f234 to 336" in describe(FIGURES["curve"])
    assert "2 to 4" in describe(FIGURES["waits"])
    assert "still waiting" in describe(FIGURES["waits"])


def test_tables_hold_every_number() -> None:
    table = of_figure(FIGURES["curve"])
    assert table.columns[-3:] == tuple(f"at risk, {arm}" for arm in ARMS)
    assert [cell.text for cell in table.rows[-1]][-3:] == ["336", "suppressed", "25"]
    waiting = of_figure(FIGURES["waits"])
    assert len(waiting.rows) == 9 * 3
    assert waiting.rows[-1][0].text == "still waiting"
    assert of_figure(FIGURES["funnel, one group"]).columns[:2] == ("stage", "estimate, %")


def answered(results: StudyResults) -> StudyResults:
    answer = Answer("waits", "describe", "Waits", ("So.",), figures=tuple(FIGURES.values()))
    return replace(results, answers=(answer,), oracle=None)


def test_results_with_every_kind_read_back(results: StudyResults, tmp_path) -> None:
    mine = answered(results)
    (tmp_path / "results.json").write_bytes(dump(mine))
    assert dump(load_results(tmp_path)) == dump(mine)
    kinds = {f["figure"] for f in json.loads(dump(mine))["answers"][0]["figures"]}
    assert kinds == {"course", "funnel", "histogram"}


def test_results_of_before_steps_and_numbers_at_risk_still_read(
    results: StudyResults, tmp_path
) -> None:
    document = json.loads(dump(results))
    for answer in document["answers"]:
        for figure in answer["figures"]:
            figure.pop("steps", None)
            figure.pop("at_risk", None)
    (tmp_path / "results.json").write_text(json.dumps(document))
    assert dump(load_results(tmp_path)) == dump(results)


def test_the_spreadsheet_and_the_frame_hold_each_number_once(results: StudyResults) -> None:
    mine = answered(results)
    rows = list(csv.DictReader(io.StringIO(dump_csv(mine).decode())))
    frame = frames.figures_data(mine)
    expected = sum(len(list(points(f))) for f in FIGURES.values())
    assert len(rows) == len(frame) == expected
    kept = frame[(frame["figure"] == "Kept") & (frame["series"] == "waiting")]
    assert kept["count"].iloc[0] == 1234.4
    assert set(frame["drawn_as"]) == {"course", "histogram", "funnel"}
    assert frame.loc[frame["suppressed"] != "", "value"].isna().all()
    everybody = [r for r in rows if r["series"] == "everybody"]
    assert [float(r["count"]) for r in everybody] == list(TIMES)


def test_a_figure_that_does_not_fit_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="one estimate a bin"):
        Histogram("t", "x", "y", (0, 1, 2), {"a": (share("a", 1),)})
    with pytest.raises(ValueError, match="rise"):
        Histogram("t", "x", "y", (0, 0), {})
    with pytest.raises(ValueError, match="one estimate a stage"):
        Funnel("t", ("a", "b"), {"a": (share("a", 1),)})
    with pytest.raises(ValueError, match="one a time"):
        replace(curve(ARMS), at_risk={"a": (1.0,)})


def test_an_arms_letter_stays_with_its_word() -> None:
    assert canvas.wrap("mean change in arm A, arm B", 1.15, 9) == ["mean change in", "arm A, arm B"]
    assert "arm A" in canvas.wrap("the forearm Alone in arm A", 0.8, 9)


def test_what_is_so_by_definition_has_no_interval() -> None:
    assert words.estimate_with_interval(Estimate("a", "a", 100.0, 100.0, 100.0), 1) == "100.0"
    assert words.estimate_with_interval(Estimate("a", "a", 1.0, 0.5, 1.0)) == "1.00 (0.50 to 1.00)"


def contrasts(title: str, *labels: str, **how: object) -> Forest:
    rows = tuple(Estimate(f"e{i}", text, 1.5, 1.2, 1.9) for i, text in enumerate(labels))
    return Forest(title, "x", rows, **how)


@pytest.mark.parametrize(
    ("title", "labels", "short"),
    [
        ("Differences: recovery", ("recovery: a minus b", "recovery: c minus b"), "a minus b"),
        ("Hedges' g", ("a against b, Hedges' g", "c against b, Hedges' g"), "a against b"),
        ("Recovery", ("recovery: a minus b", "relapse: a minus b"), "recovery: a minus b"),
        ("Something else", ("recovery: a", "recovery: b"), "recovery: a"),
        ("Recovery", ("recovery: ", "recovery: b"), "recovery: "),
        ("By age", ("a against b", "c against b"), "a against b"),
    ],
)
def test_a_forest_does_not_repeat_its_title(
    title: str, labels: tuple[str, ...], short: str
) -> None:
    assert short_labels(contrasts(title, *labels))[0] == short


def test_a_forest_says_whom_a_side_favours_without_the_measure() -> None:
    figure = contrasts("Hedges' g", "new against old, Hedges' g", better="right")
    with canvas.drawing_rules():
        texts = [t.get_text() for t in _sheet(figure, WIDE, "", titled=True).texts]
    assert any("favours old" in t and "Hedges" not in t for t in texts)


@pytest.mark.parametrize("ends", [(0.5, 0.9), (1.1, 1.3), (0.05, 40.0), (0.99, 1.01)])
def test_ratios_stand_on_a_logarithmic_axis_with_one_on_it(ends: tuple[float, float]) -> None:
    e = Estimate("hr", "a against b", math.sqrt(ends[0] * ends[1]), *ends)
    figure = Forest("Hazards", "hazard ratio", (e,), no_difference=1.0)
    for layout in (WIDE, NARROW):
        with canvas.drawing_rules():
            sheet = _sheet(figure, layout, "", titled=True)
            check_words(sheet)
            axes = sheet.axes[0]
            assert axes.get_xscale() == "log"
            ticks = axes.xaxis.get_majorticklocs().tolist()
        assert 1.0 in ticks
        assert 2 <= len(ticks) <= 7
    assert "logarithmic" in caption(figure)
    impossible = replace(figure, estimates=(replace(e, low=-0.1),))
    assert "logarithmic" not in caption(impossible)
    with canvas.drawing_rules():
        assert _sheet(impossible, WIDE, "", titled=True).axes[0].get_xscale() == "linear"


def test_long_words_are_broken_not_lost() -> None:
    lines = canvas.wrap("Gruppenpsychotherapie heute", 0.9, 9)
    assert "".join(line.removesuffix("-") for line in lines) == "Gruppenpsychotherapieheute"
    assert all(canvas.text_width(line, 9) <= 0.9 for line in lines)


texts = st.text("ab <&'\"$_^\\{}\n\x00\ud7ffé漢−", max_size=40)
numbers = st.none() | st.floats(-1e6, 1e6) | st.just(math.nan)
estimates = st.builds(
    Estimate,
    name=texts,
    label=texts,
    value=numbers,
    low=numbers,
    high=numbers,
    suppressed=st.just("") | texts,
)


@settings(max_examples=8, deadline=None, phases=(Phase.reuse, Phase.generate))  # shrinking is slow
@given(data=st.data(), title=texts, k=st.integers(1, 4))
def test_whatever_the_numbers_it_draws(data: st.DataObject, title: str, k: int) -> None:
    rows = st.dictionaries(texts, st.tuples(*[estimates] * k), max_size=3)
    counts = st.tuples(*[st.none() | st.floats(-1e6, 1e6)] * k)
    values = st.tuples(*[st.floats(-50, 50) | st.just(math.nan)] * k)
    lines = st.fixed_dictionaries({"middle": values}, optional={"low": values, "high": values})
    times = tuple(float(i) for i in range(k))
    figures: list[Figure] = [
        Funnel(title, tuple(data.draw(texts) for _ in range(k)), data.draw(rows)),
        Histogram(title, title, title, tuple(float(i) for i in range(k + 1)), data.draw(rows)),
        Course(
            title,
            title,
            title,
            times,
            data.draw(st.dictionaries(texts, lines, max_size=3)),
            steps=True,
            at_risk=data.draw(st.dictionaries(texts, counts, max_size=3)),
        ),
    ]
    for figure in figures:
        with canvas.drawing_rules():
            for layout in (WIDE, NARROW):
                sheet = _sheet(figure, layout, "", titled=True)
                ET.fromstring(canvas.to_svg(sheet, title, describe(figure)))


def test_an_arm_looks_the_same_in_every_figure() -> None:
    arms = ("waiting", "unguided", "guided")
    every = palette.styles(arms, arms)
    assert [every[a] for a in arms] == [palette.style(i) for i in range(3)]
    some = palette.styles(("guided", "model", "unguided", "prior"), arms)
    assert (some["guided"], some["unguided"]) == (every["guided"], every["unguided"])
    assert len(set(some.values())) == 4  # and nothing else looks like one of them
    assert palette.styles(("a", "b"), ()) == {"a": palette.style(0), "b": palette.style(1)}
    colour = palette.style(2).colour
    for figure in (curve(("guided",)), funnel(("guided",)), waits(("guided",), EDGES)):
        drawn = draw(figure, key="f", arms=arms)
        assert colour in drawn.svg.decode()
        assert colour in drawn.narrow


def test_results_keep_the_order_of_series_though_files_sort_their_keys(
    results: StudyResults, tmp_path
) -> None:
    arms = ("waiting", "offered", "a third")
    figures = (curve(arms), funnel(arms), waits(arms, EDGES))
    answer = Answer("q", "describe", "Q", (), figures=figures)
    (tmp_path / "results.json").write_bytes(dump(replace(results, answers=(answer,))))
    for figure in load_results(tmp_path).answers[0].figures:
        assert tuple(figure.series) == arms
    assert tuple(load_results(tmp_path).answers[0].figures[0].at_risk) == arms
