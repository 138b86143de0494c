"""Retention through the whole engine: clinics' folders in, report and results out."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cairn_app.embedded_study import EmbeddedStudy
from cairn_client.clinic_folder import clinic_folders
from cairn_models.answers import Course
from cairn_privacy import noise
from cairn_protocol.study import Study
from cairn_server.report import load_results, write_results
from small_study import STUDY

RETENTION = (
    STUDY[: STUDY.index("[[questions]]")].replace("= 60", "= 300")
    + """
[[questions]]
name = "measured"
kind = "retention"
epsilon = 2

[[questions]]
name = "used"
kind = "retention"
event = "programme"
epsilon = 2
ends = [2, 4, 8]
"""
)


@pytest.mark.parametrize("sizes", [(6, 5, 4), (150, 160, 140)])
def test_both_dropouts_reach_the_report_with_and_without_enough_people(
    federation: Callable[..., Path],
    tmp_path: Path,
    sizes: tuple[int, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if sum(sizes) < 100:  # by itself noise looks like enough people now and then
        monkeypatch.setattr(noise, "discrete_gaussian", lambda _, n: np.zeros(n, dtype=np.int64))
    study = EmbeddedStudy(Study.parse(RETENTION.encode()), clinic_folders(federation(sizes)))
    study.read()
    results = study.run()
    paths = write_results(results, tmp_path / "out")
    measured, used = load_results(paths.results).answers
    shown = {e.name: e for e in (*measured.estimates, *used.estimates) if e.value is not None}
    assert all((e.count or 0) >= 10 for e in shown.values())
    courses = [f for f in (*measured.figures, *used.figures) if isinstance(f, Course)]
    assert len(courses) == 4
    waiting = courses[1].series["waiting"]["middle"]
    assert all(math.isnan(v) for v in waiting), "who waits has no programme to leave"
    assert ("kept-waiting-8" in shown) == (sum(sizes) > 100)
    report = paths.report.read_text()
    assert ("number at risk (noised)" in report) == (sum(sizes) > 100)
    assert "lower is better" not in report
