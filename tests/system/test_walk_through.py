"""docs/walk-through.md, typed command by command on a machine of its own, and what it leaves."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

import walk_inside
from cairn_privacy.accounting import RHO_UNIT
from documented_walk import steps_of

PAGE = Path(__file__).parents[2] / "docs" / "walk-through.md"
CLINICS = ("ash", "elm", "oak")
QUESTIONS = {"effect": 1, "course": 12}  # sums of the page's study
pytestmark = pytest.mark.netns


SHORT = "What came back"  # a release tests the code that ran, for a minute


@pytest.fixture(scope="module", params=[SHORT, pytest.param("", marks=pytest.mark.soak)])
def walked(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """What `walk_inside.Left` holds, after the walk of the page: to its last part, or all of it."""
    if reason := walk_inside.why_not():
        pytest.skip(reason)
    srv = Path(tmp_path_factory.mktemp("walk")) / "srv"
    srv.mkdir()
    here = Path(walk_inside.__file__)
    command = walk_inside.on_a_machine_of_its_own(srv, here, str(PAGE), request.param)
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    page = walk_inside.part_of(PAGE.read_text(), request.param)
    return found | {"of": len(steps_of(page))}


def test_every_command_of_the_page_says_what_the_page_shows(walked: dict[str, Any]) -> None:
    last = walked["steps"][-1]
    assert last["agrees"], f"line {last['line']}: {last['command']}\n{last['said']}"
    assert len(walked["steps"]) == walked["of"] > 50


def test_nobody_reads_what_is_anothers(walked: dict[str, Any]) -> None:
    readable = walked["readable"]
    private = {"identity.key", "keeper.sqlite", "records.sealed"}
    for clinic in CLINICS:
        of_keeper = readable[clinic]
        assert {Path(name).name for name in of_keeper} >= private | {"mapping.toml"}
        others = [name for name in of_keeper if not name.startswith(f"{clinic}/")]
        assert {Path(name).name for name in others} <= {"clinic.toml", "link.json", *LOGS}
        of_link = readable[f"{clinic}-link"]
        assert f"{clinic}/link/node.key" in of_link
        own = [name for name in of_link if not name.startswith(f"{clinic}/link/")]
        assert {Path(name).name for name in own} <= {"clinic.toml", "link.json", "link.sock", *LOGS}
    assert {name.partition("/")[0] for name in readable["team"]} >= {"team"}
    foreign = [name for name in readable["team"] if not name.startswith("team/")]
    assert {Path(name).name for name in foreign} <= {"clinic.toml", "link.json", *LOGS}


LOGS = {f"{clinic}.log" for clinic in CLINICS}


def test_each_process_has_a_user_of_its_own(walked: dict[str, Any]) -> None:
    running = [(user, command) for user, command in walked["processes"] if " run" in command]
    for clinic in CLINICS:
        for part, user in (("keeper", clinic), ("link", f"{clinic}-link")):
            mine = [u for u, c in running if f"run {part}" in c and f"/srv/cairn/{clinic}" in c]
            assert mine == [user]
    assert [user for user, command in running if "server run" in command] == ["team"]


def test_nothing_is_lost_when_everything_is_killed(walked: dict[str, Any]) -> None:
    """Opened sums ≤ each clinic's ledger ≤ what the results say; no attempt was charged twice."""
    assert walked["boots"] == dict.fromkeys(CLINICS, 2)
    results = json.loads(walked["results"])
    assert [answer["question"] for answer in results["answers"]] == list(QUESTIONS)
    assert results["stopped"] == ""
    spends = {question["name"]: question for question in results["spend"]["questions"]}
    for clinic in CLINICS:
        entries = [json.loads(line)["entry"] for line in walked["ledgers"][clinic]]
        committed = {e["of"] for e in entries if e["kind"] == "commit"}
        charges = [(n, e) for n, e in enumerate(entries, 1) if e["kind"] == "reserve"]
        attempts = [(e["question"], e["round"], e["attempt"]) for _, e in charges]
        assert len(set(attempts)) == len(attempts)
        for name, sums in QUESTIONS.items():
            mine = [(n, e) for n, e in charges if e["question"] == name]
            assert {e["round"] for n, e in mine if n in committed} == set(range(sums))
            charged = sum(e["units"] for _, e in mine) * RHO_UNIT
            each = spends[name]["rho"] / spends[name]["rounds"]
            assert sums * each * (1 - 1e-9) <= charged <= spends[name]["rho"] * (1 + 1e-6)
