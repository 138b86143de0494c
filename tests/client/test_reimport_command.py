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


def reimporter(tmp_path: Path, words: str, stop: threading.Event | None = None) -> Reimporter:
    schedule = Schedule.parse("daily 02:00")
    assert schedule is not None
    command = [sys.executable, "-c", words]
    return Reimporter(tmp_path, schedule, None, stop or threading.Event(), command=command)


def test_the_daemon_imports_once_when_it_is_due(tmp_path: Path) -> None:
    note = tmp_path / "ran"
    one = reimporter(tmp_path, f"open({str(note)!r}, 'a').write('x')")
    night = datetime(2024, 6, 30, 2, 0, tzinfo=UTC)
    assert one.look(night)
    assert not one.look(night + timedelta(hours=5))
    assert note.read_text() == "x"
    assert one.look(night + timedelta(days=1))
    assert note.read_text() == "xx"


def test_a_refused_import_is_logged_and_waits_for_the_next_time(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    one = reimporter(tmp_path, "raise SystemExit(3)")
    night = datetime(2024, 6, 30, 2, 0, tzinfo=UTC)
    assert one.look(night)
    assert "status 3" in caplog.text
    assert not one.look(night + timedelta(hours=1))


def test_an_import_that_is_under_way_ends_with_the_keeper(tmp_path: Path) -> None:
    stop = threading.Event()
    thread = reimporter(tmp_path, "import time; time.sleep(60)", stop).start()
    stop.set()
    thread.join(10)
    assert not thread.is_alive()


def test_a_planned_import_is_the_real_command(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", ":".join(sys.path))
    assert reimport_as_planned(folder, threading.Event()) is None, "no schedule, no thread"
    with (folder / "clinic.toml").open("a") as file:
        file.write('reimport = "hourly"\n')
    schedule = Schedule.parse("hourly")
    assert schedule is not None
    Reimporter(folder, schedule, None, threading.Event()).look(datetime.now().astimezone())
    assert (folder / ".cairn" / "records.sealed").exists()


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
