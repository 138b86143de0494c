"""`cairn clinic import` as people and timers use it: words, exit status, schedule, units."""

from __future__ import annotations

import json
import re
import shutil
import stat
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from cairn_app.cli import app
from cairn_app.reimport_daemon import Reimporter, reimport_as_planned
from cairn_client.imports.found import LINES, ImportLine
from cairn_client.imports.running import ImportRuns
from cairn_client.reimport import Schedule
from cairn_protocol.errors import InputError, PolicyRefusal
from clinic_files import FILES, MAPPING
from keeper_bench import write_clinic

UNITS = Path(__file__).parents[2] / "deploy" / "systemd"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_clinic(tmp_path / "oak", "oak")


def cairn(folder: Path, *words: object) -> Result:
    return CliRunner().invoke(app, ["clinic", "import", "--folder", str(folder), *map(str, words)])


def test_a_first_import_a_second_and_a_change(folder: Path) -> None:
    first = cairn(folder)
    assert first.exit_code == 0
    assert "4 patients" in first.output
    assert "Import 1 is kept, sealed" in first.output
    assert "Next" in first.output
    assert "Nothing changed since import 1" in cairn(folder).output
    with (folder / "scores.csv").open("a") as file:
        file.write("SECRET-oak-1,4,PHQ-9,11\n")
    said = json.loads(cairn(folder, "--json").output)
    assert (said["change"], said["import"], said["patients"]) == ("changed", 2, 4)
    assert re.fullmatch("[0-9a-f]{64}", said["records"])
    assert "SECRET" not in first.output


def test_a_dry_run_keeps_nothing(folder: Path) -> None:
    done = cairn(folder, "--dry-run")
    assert "Nothing was kept" in done.output
    assert not (folder / ".cairn").exists()


def test_half_an_export_is_refused_with_the_remedy_and_the_report(folder: Path) -> None:
    cairn(folder)
    for name in ("patients", "scores"):
        lines = (folder / f"{name}.csv").read_text().splitlines()
        kept = [line for line in lines if "oak-0" in line or "patient" in line]
        (folder / f"{name}.csv").write_text("\n".join(kept) + "\n")
    report = folder / "data.html"
    done = cairn(folder, "--report", report)
    assert isinstance(done.exception, PolicyRefusal)
    assert "3 of 4 patients" in done.exception.what
    assert "For this clinic alone" in report.read_text(), "what is amiss shows there"
    assert stat.S_IMODE(report.stat().st_mode) == 0o600
    done = cairn(folder, "--accept-loss", "--quiet")
    assert done.output.count("\n") == 1
    assert "Gone since the last: 3 of 4 patients" in done.output


def test_free_text_is_refused_and_the_old_store_stays(tmp_path: Path) -> None:
    (tmp_path / "clinic.toml").write_text('name = "oak"\n')
    (tmp_path / "mapping.toml").write_text(MAPPING)
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    assert cairn(tmp_path).exit_code == 0
    store = (tmp_path / ".cairn" / "records.sealed").read_bytes()
    note = "she has felt worse since her last visit here"
    text = FILES["patients.csv"].replace(",note", ",notes").replace(",\n", f",{note}\n")
    (tmp_path / "patients.csv").write_text(text)
    mapping = MAPPING.replace('sex = "sex"', 'sex = "notes"')
    (tmp_path / "mapping.toml").write_text(mapping)
    done = cairn(tmp_path)
    assert isinstance(done.exception, InputError)
    assert done.exception.code == "input.free-text"
    assert "worse" not in str(done.exception)
    assert (tmp_path / ".cairn" / "records.sealed").read_bytes() == store


def reimporter(runs: ImportRuns, stop: threading.Event | None = None) -> Reimporter:
    schedule = Schedule.parse("daily 02:00")
    assert schedule is not None
    return Reimporter(runs, schedule, None, stop or threading.Event())


def runs_of(folder: Path, words: str) -> ImportRuns:
    """Importers that say what `words` print."""
    return ImportRuns(folder, [sys.executable, "-c", words])


NIGHT = datetime(2024, 6, 30, 2, 0, tzinfo=UTC)
LINE = ImportLine(1, 1, NIGHT, "kept", "schedule")
KEPT = f"print({json.dumps({'line': LINES.dump_python((LINE,), mode='json')[0]})!r})"


def test_the_daemon_imports_once_when_it_is_due(tmp_path: Path) -> None:
    note = tmp_path / "ran"
    one = reimporter(runs_of(tmp_path, f"open({str(note)!r}, 'a').write('x');{KEPT}"))
    assert one.look(NIGHT)
    assert not one.look(NIGHT + timedelta(hours=5))
    assert note.read_text() == "x"
    assert one.look(NIGHT + timedelta(days=1))
    assert note.read_text() == "xx"


def test_a_refused_import_is_logged_and_waits_for_the_next_time(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    refusal = {"code": "policy.import-loss", "what": "w", "why": "y", "hint": "h"}
    one = reimporter(runs_of(tmp_path, f"print({json.dumps(refusal)!r})"))
    assert one.look(NIGHT)
    assert "policy.import-loss" in caplog.text
    assert "what was kept before stays" in caplog.text
    assert not one.look(NIGHT + timedelta(hours=1))


def test_a_planned_import_waits_for_one_that_somebody_runs(tmp_path: Path) -> None:
    runs = runs_of(tmp_path, "import sys; sys.stdin.read(); import time; time.sleep(60)")
    runs.start("Ada")
    one = reimporter(runs)
    assert not one.look(NIGHT)
    runs.stop()
    assert one.look(NIGHT)
    runs.stop()


def test_an_import_that_is_under_way_ends_with_the_keeper(tmp_path: Path) -> None:
    stop = threading.Event()
    runs = runs_of(tmp_path, "import time; time.sleep(60)")
    thread = reimporter(runs, stop).start()
    stop.set()
    runs.stop()
    thread.join(10)
    assert not thread.is_alive()
    assert runs.newest.state != "running"


def test_a_planned_import_is_the_real_command(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", ":".join(sys.path))
    runs = ImportRuns(folder)
    assert reimport_as_planned(folder, runs, threading.Event()) is None, "no schedule, no thread"
    schedule = Schedule.parse("hourly")
    assert schedule is not None
    assert Reimporter(runs, schedule, None, threading.Event()).look(datetime.now().astimezone())
    assert (folder / ".cairn" / "records.sealed").exists()
    assert runs.newest.state == "kept"
    assert runs.newest.person == "schedule"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is absent")
def test_the_unit_is_hardened() -> None:
    unit = UNITS / "cairn-import.service"
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--threshold=20", str(unit)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-400:]
    assert "clinic import --quiet" in unit.read_text()
    assert "cairn-import.timer" in unit.read_text()
