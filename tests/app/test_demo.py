"""`cairn demo` as a person runs it: three answers, a report that says synthetic, modest memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.numpy import load_file

CAIRN = Path(sys.executable).parent / "cairn"
MOST_MEMORY_MB = 1500  # the demo's promise


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, object]]:
    """The demo's folder and the last line of its JSON."""
    out = tmp_path_factory.mktemp("demo") / "cairn-demo"
    done = subprocess.run(
        [CAIRN, "demo", "--out", out, "--seed", "2", "--json"],
        check=False,
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, done.stderr
    return out, json.loads(done.stdout.splitlines()[-1])


def test_three_questions_are_answered_with_intervals_that_hold_noise(demo) -> None:  # type: ignore[no-untyped-def]
    results = json.loads((demo[0] / "results" / "results.json").read_text())
    assert [a["kind"] for a in results["answers"]] == ["effect", "trajectory", "error"]
    effect = results["answers"][0]["estimates"][0]
    assert effect["low"] < effect["value"] < effect["high"]
    assert 0 < effect["noise_share"] < 1
    assert results["spend"]["total"]["epsilon"] <= 4
    assert [round(q["epsilon"], 2) for q in results["spend"]["questions"]] == [1, 2, 1]
    assert results["synthetic"] is True
    assert len(results["participants"]) == 5


def test_the_truth_stands_beside_it_labelled(demo) -> None:  # type: ignore[no-untyped-def]
    results = json.loads((demo[0] / "results" / "results.json").read_text())
    assert "synthetic" in results["oracle"]["label"]
    assert len(results["oracle"]["tables"]) == 2


def test_the_report_says_synthetic_and_research_only(demo) -> None:  # type: ignore[no-untyped-def]
    page = (demo[0] / "results" / "report.html").read_text()
    assert "SYNTHETIC DATA" in page
    assert "Research use only" in page
    assert "its prior" in page


def test_the_model_is_kept(demo) -> None:  # type: ignore[no-untyped-def]
    arrays = load_file(demo[0] / "results" / "released" / "trajectory.safetensors")
    assert arrays["parameters"].shape == arrays["prior"].shape
    assert (arrays["parameters"] != arrays["prior"]).any()


def test_it_keeps_to_its_memory(demo) -> None:  # type: ignore[no-untyped-def]
    assert demo[1]["peak_memory_mb"] <= MOST_MEMORY_MB


def test_every_ledger_holds_22_committed_charges(demo) -> None:  # type: ignore[no-untyped-def]
    from cairn_privacy.ledger import Ledger

    ledgers = sorted(demo[0].glob("clinics/*/.cairn/ledger.sqlite"))
    assert len(ledgers) == 5
    for path in ledgers:
        with Ledger.open(path) as ledger:
            assert [e.state for e in ledger.entries()] == ["committed"] * 22


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    done = subprocess.run(
        [CAIRN, "demo", "--out", tmp_path], check=False, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "not an earlier demo" in done.stderr
    assert (tmp_path / "thesis.txt").read_text() == "mine"
