"""The command as a person types it: what it says, its exit status, and never a traceback."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cairn_app.messages import show_error
from cairn_models.synthetic import World, generate, write_clinic_csv
from cairn_protocol.errors import (
    BudgetRefusal,
    CairnError,
    InputError,
    OurFault,
    PeerFault,
    PolicyRefusal,
    StudyStopped,
)
from small_study import STUDY

CAIRN = Path(sys.executable).parent / "cairn"


def cairn(*arguments: object) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [CAIRN, *map(str, arguments)], check=False, capture_output=True, text=True, timeout=120
    )
    assert "Traceback" not in done.stdout + done.stderr
    return done


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """study.toml and three synthetic clinics."""
    (tmp_path / "study.toml").write_text(STUDY)
    for records, name in zip(
        generate(World(), (30, 40, 50), seed=3), ("ash", "elm", "oak"), strict=True
    ):
        folder = tmp_path / "clinics" / name
        write_clinic_csv(records, folder, name=name)
        (folder / "clinic.toml").write_text(f'name = "{name}"\ndata = "synthetic"\n')
    return tmp_path


def run(place: Path, *more: object, to: str = "out") -> subprocess.CompletedProcess[str]:
    clinics, out = place / "clinics", place / to
    return cairn("study", "run", place / "study.toml", "--clinics", clinics, "--out", out, *more)


def test_a_study_over_folders_ends_with_its_paths(place: Path) -> None:
    done = run(place)
    assert done.returncode == 0, done.stderr
    assert str(place / "out" / "report.html") in done.stdout
    assert "memory at most" in done.stdout
    assert json.loads((place / "out" / "results.json").read_text())["schema"] == "cairn-results/1"


def test_json_is_one_object_a_line(place: Path) -> None:
    done = run(place, "--json")
    assert done.returncode == 0
    events = [json.loads(line) for line in done.stderr.splitlines()]
    assert [e["stage"] for e in events] == ["set-up", "round", "answered"]
    assert json.loads(done.stdout)["report"].endswith("report.html")


def test_the_same_study_again_is_refused_by_the_ledgers(place: Path) -> None:
    assert run(place).returncode == 0
    again = run(place, to="again")
    assert again.returncode == 7
    assert "privacy cap" in again.stderr
    assert "hint" in again.stderr


def test_version_and_help() -> None:
    assert cairn("--version").stdout.startswith("cairn 0.")
    assert "demo" in cairn("--help").stdout


@pytest.mark.parametrize(
    ("spoil", "code", "words"),
    [
        (lambda p: (p / "study.toml").unlink(), "input.file-unreadable", "study.toml"),
        (lambda p: (p / "study.toml").write_text("cairn = "), "input.not-toml", "study.toml"),
        (
            lambda p: (p / "study.toml").write_text(STUDY.replace("week = 8", "weak = 8")),
            "input.question-invalid",
            "weak is not a setting",
        ),
        (
            lambda p: (p / "study.toml").write_text(STUDY.replace('"effect"\nep', '"minimum"\nep')),
            "input.question-extreme",
            "minimum",
        ),
        (
            lambda p: (p / "study.toml").write_text(STUDY.replace('"effect"\nep', '"average"\nep')),
            "input.kind-unknown",
            "average",
        ),
        (
            lambda p: (p / "study.toml").write_text(
                STUDY.replace('instrument = "PHQ-9"', 'instrument = "PHQ"')
            ),
            "input.instrument-unknown",
            "PHQ",
        ),
        (
            lambda p: (p / "study.toml").write_text(STUDY.replace("epsilon = 1.0\n", "")),
            "input.file-invalid",
            "epsilon is missing",
        ),
        (lambda p: (p / "clinics").rename(p / "other"), "input.clinics-missing", "not a folder"),
        (
            lambda p: [f.unlink() for f in (p / "clinics").glob("*/clinic.toml")],
            "input.clinics-missing",
            "clinic.toml",
        ),
        (
            lambda p: (p / "clinics/ash/clinic.toml").write_text('name = "elm"'),
            "input.clinic-name-twice",
            "elm",
        ),
        (
            lambda p: (p / "clinics/ash/clinic.toml").write_text('name = "Ash Street"'),
            "input.file-invalid",
            "name",
        ),
        (
            lambda p: (p / "clinics/ash/clinic.toml").unlink(),
            "input.clinic-count",
            "3 clinics",
        ),
        (
            lambda p: (p / "study.toml").write_text(STUDY.replace("dmhi_guided", "dmhi_giuded")),
            "input.arm-nowhere",
            "dmhi_giuded",
        ),
        (lambda p: (p / "clinics/ash/mapping.toml").unlink(), "input.", "mapping.toml"),
        (lambda p: (p / "clinics/ash/scores.csv").unlink(), "input.", "scores.csv"),
        (
            lambda p: (p / "clinics/ash/scores.csv").write_text("patient,week,tool,value\n"),
            "input.",
            "instrument",
        ),
    ],
)
def test_a_mistake_is_named_with_a_remedy(place: Path, spoil, code: str, words: str) -> None:  # type: ignore[no-untyped-def]
    spoil(place)
    done = run(place)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: ")
    assert code in done.stderr
    assert words in done.stderr
    assert "hint:" in done.stderr


def test_bad_rows_are_set_aside_named_by_row_and_the_study_goes_on(place: Path) -> None:
    scores = place / "clinics" / "ash" / "scores.csv"
    patient = scores.read_text().splitlines()[1].split(",")[0]
    bad = [
        f"{patient},8,PHQ-9,28",
        f'{patient},9,PHQ-9,"12,5"',
        f"{patient},10,MADE-UP,3",
        f"{patient},11,PHQ-9,SECRETVALUE",
    ]
    with scores.open("a") as file:
        file.write("\n".join(bad) + "\n")
    rows = len(scores.read_text().splitlines())
    done = run(place)
    assert done.returncode == 0, done.stderr
    for row in range(rows - len(bad) + 1, rows + 1):
        assert str(row) in done.stderr.replace(",", "")
    assert patient not in done.stderr
    assert "SECRETVALUE" not in done.stderr
    assert (place / "clinics" / "ash" / "quarantine.csv").exists()


def test_import_names_the_rows_that_cannot_be_used(place: Path) -> None:
    folder = place / "clinics" / "ash"
    with (folder / "scores.csv").open("a") as file:
        file.write("nobody,8,PHQ-9,28\n")
    row = len((folder / "scores.csv").read_text().splitlines())
    dry = cairn("clinic", "import", "--dry-run", "--folder", folder)
    assert dry.returncode == 0
    assert f"row {row}" in dry.stdout.replace(",", "")
    assert not (folder / "quarantine.csv").exists()
    assert cairn("clinic", "import", "--folder", folder).returncode == 0
    assert (folder / "quarantine.csv").exists()


def test_a_full_disk_is_a_message(place: Path) -> None:
    clinics = place / "clinics"
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("/dev/full is not here")
    done = cairn("study", "run", place / "study.toml", "--clinics", clinics, "--out", full / "x")
    assert done.returncode != 0
    assert done.stderr.strip().splitlines()[-1].startswith("       (")


def test_every_family_has_its_own_exit_status() -> None:
    families = (InputError, PolicyRefusal, BudgetRefusal, PeerFault, OurFault, StudyStopped)
    assert len({f.exit_status for f in families}) == len(families)
    assert CairnError.exit_status not in {f.exit_status for f in families}


def test_an_error_for_programs_is_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    error = InputError("a file is missing", code="x", why="it is not there", hint="make it")
    show_error(error, as_json=True)
    assert json.loads(capsys.readouterr().err) == {
        "error": "a file is missing",
        "why": "it is not there",
        "hint": "make it",
        "code": "input.x",
    }
