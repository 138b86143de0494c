"""`cairn clinic doctor` as it is typed: what it prints, how it ends, and that the docs know it."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from cairn_app.cli import app
from cairn_app.doctor_command import report_text
from cairn_client.clinic_folder import ClinicFolder
from cairn_client.doctor.finding import Report, ok, problem, unchecked
from keeper_bench import write_clinic

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "clinic-service.md"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = write_clinic(tmp_path / "oak", "oak", data="synthetic")
    made.chmod(0o711)
    ClinicFolder.open(made).identity()
    return made


def doctor(*words: object) -> Result:
    return CliRunner().invoke(app, ["clinic", "doctor", "--seconds", "0.5", *map(str, words)])


def test_a_problem_is_said_with_why_and_what_to_do_and_ends_with_2(folder: Path) -> None:
    (folder / ".cairn" / "identity.key").chmod(0o644)
    done = doctor("--folder", folder)
    assert done.exit_code == 2
    said = " ".join(done.output.split())
    assert "PROBLEM others may read" in said
    assert "(permissions.mode)" in said
    assert "why its mode is 644" in said
    assert "do chmod 600" in said
    assert "Mend the problems" in said


def test_for_a_program_it_is_one_object(folder: Path) -> None:
    told = json.loads(doctor("--folder", folder, "--json").output)
    assert told["status"] in {0, 1}
    assert {"family", "code", "level", "what", "why", "remedy"} == set(told["findings"][0])
    assert {row["level"] for row in told["findings"]} <= {"ok", "unchecked", "warning"}


def test_it_shows_no_key_no_patient_and_no_password(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", "http://ada:TOPSECRET@proxy.example.org:3128")
    key = (folder / ".cairn" / "identity.key").read_bytes()
    for words in (("--all",), ("--json",)):
        output = doctor("--folder", folder, *words).output
        for secret in ("TOPSECRET", "SECRET-oak", key.hex(), repr(key)):
            assert secret not in output


def test_a_folder_that_is_no_clinics_is_a_problem_and_no_traceback(tmp_path: Path) -> None:
    done = doctor("--folder", tmp_path)
    assert done.exit_code == 2
    assert "no-clinic-toml" in done.output


def test_what_is_in_order_shows_only_on_demand() -> None:
    found = (ok("a.b", "well"), unchecked("a.c", "later"))
    report = Report.of((("alpha", found), ("beta", (problem("b.a", "no", remedy="mend it"),))))
    assert "well" not in report_text(report)
    assert "1 in order" in report_text(report)
    everything = report_text(report, everything=True)
    assert "well" in everything
    assert "later" in everything


def test_the_docs_name_every_code() -> None:
    codes = set()
    for file in (ROOT / "client" / "cairn_client" / "doctor").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            called = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
            if called and node.func.id in {"problem", "warning"}:
                first = node.args[0]
                if isinstance(first, ast.Constant):
                    codes.add(first.value)
    documented = set(re.findall(r"^\| `([^`]+)` \|", PAGE.read_text(), flags=re.MULTILINE))
    assert codes
    assert codes <= documented
    assert {code for code in documented if "…" not in code} <= codes
