"""A study whose server keeps its store in PostgreSQL, and is killed in the middle."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import postgres_server
from system_bench import Federation, synthetic_clinics, until

STUDY = """
cairn = 1
name = "in-postgresql"
title = "A study whose server has a database"
synthetic = true
[outcome]
instrument = "PHQ-9"
[cohort]
arms = ["waiting", "dmhi_unguided", "dmhi_guided"]
planned_patients = 180
largest_clinic = 60
[policy]
clinics = 3
survivors = 3
threshold = 3
[privacy]
retries = 3
[[questions]]
name = "effect"
kind = "effect"
insist = "synthetic patients: only the way is tested"
epsilon = 0.5
[[questions]]
name = "course"
kind = "trajectory"
epsilon = 0.5
rounds = 8
"""


@pytest.mark.soak
def test_a_killed_server_carries_on_from_a_database(tmp_path: Path) -> None:
    if reason := postgres_server.why_not():
        pytest.skip(reason)
    names = synthetic_clinics(tmp_path, (60, 60, 60), data="public")
    team = Federation(tmp_path, members=tuple(names))
    for name in names:
        team.add_clinic(name)
    with postgres_server.server() as folder:
        try:
            team.init()
            (team.home / "store.sqlite").unlink()
            file = team.home / "server.toml"
            address = f"postgresql://owner@/postgres?host={folder}"
            file.write_text(file.read_text().replace('store = ""', f'store = "{address}"'))
            team.run_server()
            team.enter_all()
            study = team.approved(STUDY)
            team.start(study)
            until(lambda: team.opened(study) >= 3, "three sums")
            assert team.server is not None
            team.server.kill()
            team.run_server()
            watched = team.watch(study)
            assert watched.status == 0, watched.words
            results = json.loads((team.results_folder(study) / "results.json").read_text())
            effect, course = (q["rounds"] for q in results["spend"]["questions"])
            assert effect == 1
            assert course in {8, 9}, "at most the round under way was asked anew"
            assert not (team.home / "store.sqlite").exists()
        finally:
            team.stop()
