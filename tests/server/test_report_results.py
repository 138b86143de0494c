"""results.json and estimates.csv: exact, deterministic, whole or absent, and read back."""

from __future__ import annotations

import csv
import io
import json
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from cairn_models.answers import Estimate
from cairn_protocol.errors import InputError, OurFault
from cairn_server.report import load_results, write_results
from cairn_server.report.atomic import replace_atomically
from cairn_server.report.estimates import dump_csv
from cairn_server.report.results import ORACLE_LABEL, SCHEMA, dump, to_json
from cairn_server.results import StudyResults


@pytest.fixture(scope="module")
def folder(results: StudyResults, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("report") / "not" / "yet"
    write_results(results, out)
    return out


def test_results_read_back_as_written(results: StudyResults, folder: Path) -> None:
    for path in (folder, folder / "results.json"):
        back = load_results(path)
        assert asdict(back) == asdict(results)
        assert dump(back) == dump(results)


def test_the_study_comes_back_with_the_bytes_that_were_signed(
    results: StudyResults, folder: Path
) -> None:
    assert load_results(folder).study.digest == results.study.digest


def test_every_file_is_the_same_when_written_again(
    results: StudyResults, folder: Path, tmp_path: Path
) -> None:
    paths = write_results(results, tmp_path)
    written = [paths.results, paths.report, paths.estimates, *paths.figures]
    assert len(paths.figures) == 6
    for path in written:
        assert path.read_bytes() == (folder / path.relative_to(tmp_path)).read_bytes(), path.name
    everything = {p for p in tmp_path.rglob("*") if p.is_file()}
    assert everything == set(written)  # no temporary file stays


def test_json_is_sorted_and_keeps_full_precision(results: StudyResults) -> None:
    text = dump(results).decode()
    document = json.loads(text)
    assert text == json.dumps(document, sort_keys=True, indent=2, ensure_ascii=False) + "\n"
    assert document["schema"] == SCHEMA == "cairn-results/1"
    assert document["answers"][0]["estimates"][1]["value"] == -2.3456789
    assert document["answers"][0]["estimates"][2]["suppressed"] == "fewer than 10 patients"
    assert document["oracle"]["label"] == ORACLE_LABEL
    assert document["study"]["digest"] == results.study.digest.hex()


def test_numbers_that_are_not_finite_become_null_and_arrays_their_shapes(
    results: StudyResults,
) -> None:
    odd = replace(
        results.answers[0],
        estimates=(Estimate("a", "a", math.nan, low=-math.inf, high=np.float64(1.5)),),
        released={"weights": np.zeros((3, 4), dtype=np.float32)},
    )
    answer = to_json(replace(results, answers=(odd,)))["answers"][0]
    assert answer["estimates"][0]["value"] is None
    assert answer["estimates"][0]["low"] is None
    assert answer["estimates"][0]["high"] == 1.5
    assert answer["released"] == {"weights": {"shape": [3, 4]}}


def test_awkward_results_read_back(awkward: StudyResults, tmp_path: Path) -> None:
    (tmp_path / "results.json").write_bytes(dump(awkward))
    assert dump(load_results(tmp_path)) == dump(awkward)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"no json", "input.results-not-json"),
        (b"[" * 100_000, "input.results-not-json"),
        (b"\xff", "input.results-not-json"),
        (b"[]", "input.results-schema"),
        (b'{"schema": "cairn-results/2"}', "input.results-schema"),
        (b'{"schema": "cairn-results/1"}', "input.results-damaged"),
        (b'{"schema": "cairn-results/1", "oracle": 3, "study": 4}', "input.results-damaged"),
    ],
)
def test_a_file_that_is_not_results_is_refused_in_words(
    tmp_path: Path, content: bytes, code: str
) -> None:
    path = tmp_path / "results.json"
    path.write_bytes(content)
    with pytest.raises(InputError) as refused:
        load_results(path)
    assert refused.value.code == code


def test_a_missing_field_is_named(results: StudyResults, tmp_path: Path) -> None:
    document = to_json(results)
    del document["answers"][1]["figures"][0]["times"]
    (tmp_path / "results.json").write_text(json.dumps(document))
    with pytest.raises(InputError) as refused:
        load_results(tmp_path)
    assert refused.value.code == "input.results-damaged"
    assert "15.2" not in str(refused.value)  # no values in a message
    del document["spend"]
    (tmp_path / "results.json").write_text(json.dumps(document))
    with pytest.raises(InputError):
        load_results(tmp_path)


def test_csv_has_one_row_a_number(results: StudyResults) -> None:
    rows = list(csv.DictReader(io.StringIO(dump_csv(results).decode())))
    counts = Counter(row["question"] for row in rows)
    # The forest's estimates stand once; the oracle's table has no estimates.
    assert counts == {"guided-or-waiting": 6, "expected-course": 3 * 14, "how-far-off": 3 * 4}
    assert {r["synthetic"] for r in rows} == {"yes"}
    guided = next(r for r in rows if r["name"] == "dmhi_guided-waiting")
    assert float(guided["value"]) == -2.3456789
    held_back = next(r for r in rows if r["name"] == "over-65")
    assert (held_back["value"], held_back["suppressed"]) == ("", "fewer than 10 patients")


def test_no_cell_of_the_csv_is_a_formula(awkward: StudyResults) -> None:
    for row in csv.DictReader(io.StringIO(dump_csv(awkward).decode())):
        texts = [row[k] for k in ("shown_in", "series", "name", "label", "unit", "suppressed")]
        assert not any(text.startswith(("=", "+", "-", "@")) for text in texts)
        assert "nan" not in row["value"]


def test_an_oracle_needs_synthetic_data(make_results: Callable[..., StudyResults]) -> None:
    real = make_results(synthetic=False)
    with pytest.raises(OurFault):
        replace(real, oracle=make_results().oracle)


def test_a_study_that_calls_itself_synthetic_is_synthetic(
    make_results: Callable[..., StudyResults],
) -> None:
    assert replace(make_results(), synthetic=False).is_synthetic
    assert replace(make_results(synthetic=False), synthetic=True).is_synthetic


def test_a_folder_that_cannot_be_written_is_refused(results: StudyResults, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError) as refused:
        write_results(results, tmp_path / "file" / "out")
    assert refused.value.code == "input.folder-unwritable"
    assert refused.value.hint


def test_a_file_is_replaced_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "results.json"
    replace_atomically(path, b"old")

    def power_cut(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", power_cut)
    with pytest.raises(InputError, match="No space left"):
        replace_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_numbers_reach_the_disk_before_anything_is_drawn(
    results: StudyResults, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fault(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr("cairn_server.report.lay_out", fault)
    with pytest.raises(RuntimeError):
        write_results(results, tmp_path)
    assert load_results(tmp_path).run == results.run
