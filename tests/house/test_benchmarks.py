"""What benchmarks print can be read by a machine, and what they start they end."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import pytest
from benchmarks.__main__ import NAMES, main
from benchmarks.outcome import Outcome, Target, median, seconds
from benchmarks.rounds_nothing import LENGTH, study_text
from benchmarks.rounds_processes import Failed, Processes
from benchmarks.rounds_procfs import family, look, loopback_bytes

from cairn_models.questions.trajectory import TrajectorySettings
from cairn_models.trajectory.network import parameter_count
from cairn_protocol.study import Study

PAGE = Path(__file__).parents[2] / "docs" / "benchmarks.md"


def test_the_outcome_is_one_line_of_json_with_rows_and_judged_targets() -> None:
    outcome = Outcome("rounds", rows=[{"what": "a round", "median_seconds": 0.25}])
    outcome.targets = [Target("a round, s", 0.25, "<=", 1.0), Target("ratio", 7.9, ">=", 8.0)]
    line = outcome.line()
    assert "\n" not in line
    assert json.loads(line) == {
        "name": "rounds",
        "rows": [{"what": "a round", "median_seconds": 0.25}],
        "targets": [
            {"what": "a round, s", "value": 0.25, "target": "<= 1.0", "met": True},
            {"what": "ratio", "value": 7.9, "target": ">= 8.0", "met": False},
        ],
    }


def test_the_first_call_is_not_timed_and_the_median_is_a_number() -> None:
    calls: list[float] = []
    times = seconds(lambda: calls.append(time.perf_counter()), 3)
    assert (len(calls), len(times)) == (4, 3)
    assert isinstance(median(times), float)
    assert median([3.0, 1.0, 2.0]) == 2.0


def test_an_unknown_name_lists_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["wonders"]) == 2
    assert "|".join(NAMES) in capsys.readouterr().err


def test_the_page_names_every_benchmark() -> None:
    for name in NAMES:
        assert f"make bench NAME={name}" in PAGE.read_text()


def test_a_round_of_nothing_is_longer_than_what_training_sends_by_default() -> None:
    assert TrajectorySettings().directions <= LENGTH <= parameter_count()
    assert Study.parse(study_text(3, 30).encode()).policy.clinics == 3


def test_processes_are_watched_with_what_they_start_and_ended_with_it(tmp_path: Path) -> None:
    grandchild = tmp_path / "grandchild"
    code = (
        "import subprocess, sys, time, pathlib\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'], "
        "start_new_session=True)\n"
        f"pathlib.Path({str(grandchild)!r}).write_text(str(child.pid))\n"
        "time.sleep(60)\n"
    )
    with Processes(tmp_path) as processes:
        processes.start("parent", sys.executable, "-c", code)
        processes.until(grandchild.exists, 10, "the grandchild")
        processes.until(lambda: processes.at(time.time()).peak.get("parent", 0) > 1, 10, "a sample")
        assert len(family(os.getpid())) >= 3
    left = look(int(grandchild.read_text()))
    assert left is None or left.peak_mb == 0  # ended, at most not yet waited for by init
    assert loopback_bytes() >= 0


def test_a_process_that_ends_early_fails_the_wait_and_says_why(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        processes.start("short", sys.executable, "-c", "print('no such port'); raise SystemExit(3)")
        with pytest.raises(Failed, match=r"status 3.*no such port"):
            processes.until(lambda: False, 10, "nothing")
        with pytest.raises(Failed, match="not today"):
            processes.call(sys.executable, "-c", "raise SystemExit('not today')")
        assert processes.call(sys.executable, "-c", "raise SystemExit(1)", fails=True) == ""
