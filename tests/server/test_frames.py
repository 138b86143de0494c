"""Results as data frames: the same numbers as the files, tidy, nothing that was held back."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest

from cairn_models.answers import Table
from cairn_protocol.errors import InputError
from cairn_server import results as results_module
from cairn_server.frames import ESTIMATES, FIGURES, NUMBERS
from cairn_server.report.estimates import dump_csv
from cairn_server.report.results import dump
from cairn_server.results import StudyResults

PAGE = Path(__file__).parents[2] / "docs" / "notebook.md"


@pytest.fixture
def folder(results: StudyResults, tmp_path: Path) -> Path:
    out = tmp_path / "out"
    out.mkdir()
    first, *others = results.answers
    (forest,) = first.figures
    counted = tuple(replace(e, count=871.3) for e in first.estimates[:2])
    drawn = replace(forest, estimates=counted + forest.estimates[2:])  # type: ignore[union-attr]
    told = replace(first, estimates=counted + first.estimates[2:], figures=(drawn,))
    (out / "results.json").write_bytes(dump(replace(results, answers=(told, *others))))
    return out


def test_a_folder_and_its_file_are_read_by_path_or_by_text(folder: Path) -> None:
    for place in (folder, str(folder), folder / "results.json"):
        assert dump(results_module.read(place)) == (folder / "results.json").read_bytes()


def test_a_folder_without_results_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        results_module.read(tmp_path)
    assert refused.value.hint


def test_each_estimate_stands_once_with_its_numbers(folder: Path) -> None:
    study = results_module.read(folder)
    frame = study.estimates()
    assert tuple(frame.columns) == ESTIMATES
    assert not frame.duplicated(["question", "name"]).any()
    assert len(frame) == 6 + 3 * 4  # of the effect, and what only the error's bars show
    (guided,) = frame[frame["name"] == "dmhi_guided-waiting"].to_dict("records")
    assert guided["value"] == -2.3456789
    assert guided["count"] == 871.3
    assert (guided["kind"], guided["unit"], guided["suppressed"]) == ("effect", "PHQ-9 points", "")
    assert guided["synthetic"] is True


def test_what_is_held_back_is_nan_and_says_why(folder: Path) -> None:
    frame = results_module.read(folder).estimates().set_index("name")
    held_back = frame.loc["over-65"]
    assert held_back["suppressed"] == "fewer than 10 patients"
    assert held_back[list(NUMBERS)].isna().all()


def test_numbers_are_floats_also_where_all_are_missing(folder: Path) -> None:
    study = results_module.read(folder)
    for frame in (study.estimates(), study.figures_data()):
        assert {str(frame[c].dtype) for c in NUMBERS} == {"float64"}
    empty = replace(study, answers=(), oracle=None)
    assert tuple(empty.estimates().columns) == ESTIMATES
    assert tuple(empty.figures_data().columns) == FIGURES
    assert len(empty.estimates()) == len(empty.figures_data()) == len(empty.tables()) == 0


def test_figures_have_a_row_a_point(folder: Path) -> None:
    study = results_module.read(folder)
    frame = study.figures_data()
    assert tuple(frame.columns) == FIGURES
    sizes = frame.groupby("drawn_as").size().to_dict()
    assert sizes == {"forest": 3, "course": 3 * 14, "bars": 3 * 4}
    course = frame[(frame["drawn_as"] == "course") & (frame["series"] == "waiting")]
    lines = study.answers[1].figures[0].series["waiting"]  # type: ignore[union-attr]
    for column, key in (("value", "middle"), ("low", "low"), ("high", "high")):
        np.testing.assert_array_equal(course[column], lines[key])
    assert list(course["at"]) == [float(w) for w in range(0, 27, 2)]


def _or_nothing(cell: str | float) -> str | float:
    return "" if cell == "" or np.isnan(float(cell)) else float(cell)


def test_the_frames_and_the_csv_say_the_same(folder: Path) -> None:
    """Every number of the CSV is in a frame under the same question, and the other way round."""
    study = results_module.read(folder)
    rows = list(csv.DictReader(io.StringIO(dump_csv(study).decode())))
    for row in rows:
        assert set(NUMBERS) <= set(row)

    def told(records: list[dict[str, Any]]) -> set[tuple[str | float, ...]]:
        return {(r["question"], *(_or_nothing(r[c]) for c in NUMBERS)) for r in records}

    frames = (study.estimates(), study.figures_data())
    assert told(rows) == set.union(*(told(frame.to_dict("records")) for frame in frames))
    (guided,) = (r for r in rows if r["name"] == "dmhi_guided-waiting")
    assert float(guided["count"]) == 871.3


def test_tables_come_by_question_and_title_with_their_notes(folder: Path) -> None:
    study = results_module.read(folder)
    frames = study.tables()
    assert set(frames) == {("guided-or-waiting", "By arm, at week 8"), ("oracle", "Found and true")}
    arms = frames["guided-or-waiting", "By arm, at week 8"]
    assert list(arms["arm"]) == ["waiting", "dmhi_unguided", "dmhi_guided"]
    assert arms.attrs["note"].startswith("Counts are noised")
    assert arms.attrs["synthetic"] is True


def test_a_title_that_is_used_again_loses_no_table(
    make_results: Callable[..., StudyResults],
) -> None:
    whole = make_results()
    same = tuple(Table("By arm", ("arm",), ((arm,),)) for arm in ("a", "b", "c"))
    study = replace(whole, answers=(replace(whole.answers[0], tables=same),), oracle=None)
    assert [title for _, title in study.tables()] == ["By arm", "By arm (2)", "By arm (3)"]


def test_the_page_describes_every_column() -> None:
    assert tuple(re.findall(r"^\| `([a-z_]+)` \|", PAGE.read_text(), re.MULTILINE)) == ESTIMATES


def test_every_snippet_of_the_page_runs(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder.parent)
    mpl.use("Agg")
    snippets = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(snippets) == 5
    names: dict[str, object] = {}
    for snippet in snippets:
        exec(compile(snippet, str(PAGE), "exec"), names)
    assert (folder.parent / "numbers.csv").is_file()
    said = capsys.readouterr().out
    assert "By arm, at week 8 (3, 4)" in said
    assert "ε = 2.3 at δ = 1e-06" in said
    assert names["ax"].get_title().startswith("Synthetic data. ")  # type: ignore[attr-defined]
