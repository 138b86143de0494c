"""Where `cairn study run` and `cairn study report` write: no result is overwritten or lost."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from cairn_app import study_command, team_commands
from cairn_app.study_command import run_study_command
from cairn_models.synthetic import World, generate, write_clinic_csv
from cairn_protocol.errors import InputError
from cairn_protocol.study import Study
from cairn_server.report import load_results, sealed_path, write_results
from small_study import STUDY

PUBLIC = STUDY.replace("[policy]", '[privacy]\ndata = "public"\n[policy]').replace(
    "epsilon = 1.0\n", ""
)


@pytest.fixture
def place(tmp_path: Path, federation: Callable[..., Path]) -> Path:
    """A study, clinics that were never asked, and nothing else."""
    federation()
    (tmp_path / "study.toml").write_text(STUDY)
    return tmp_path


def run(place: Path, out: Path) -> None:
    run_study_command(place / "study.toml", place / "clinics", out, as_json=True)


def refused(place: Path, out: Path) -> InputError:
    """The refusal of a run, which no clinic was charged for."""
    with pytest.raises(InputError) as caught:
        run(place, out)
    assert not list(place.glob("clinics/*/.cairn/ledger.sqlite"))
    return caught.value


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a charged run of the study."""
    place = tmp_path_factory.mktemp("earlier")
    for number, records in enumerate(generate(World(), (30, 40, 50), seed=1)):
        write_clinic_csv(records, place / f"clinics/c{number}", name=f"c{number}")
        config = f'name = "c{number}"\ndata = "synthetic"\n'
        (place / f"clinics/c{number}/clinic.toml").write_text(config)
    (place / "study.toml").write_text(STUDY)
    run(place, place / "out")
    return place / "out"


@pytest.mark.parametrize("out", ["taken", "taken/deeper"])
def test_a_folder_that_cannot_be_written_is_found_before_anything_is_spent(
    place: Path, out: str
) -> None:
    (place / "taken").write_text("x")
    error = refused(place, place / out)
    assert error.code == "input.folder-unwritable"
    assert "nothing has been spent" in error.hint


def test_a_run_that_fails_leaves_no_empty_folder(place: Path) -> None:
    (place / "study.toml").write_text(STUDY.replace("dmhi_guided", "dmhi_giuded"))
    assert refused(place, place / "out").code == "input.arm-nowhere"
    assert not (place / "out").exists()


def test_results_that_can_no_longer_be_written_are_saved_elsewhere(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = study_command._check_arms

    def taken_meanwhile(*found: object) -> None:
        shown(*found)  # type: ignore[arg-type]
        (place / "out").rmdir()
        (place / "out").write_text("x")

    monkeypatch.setattr(study_command, "_check_arms", taken_meanwhile)
    monkeypatch.chdir(place)
    with pytest.raises(InputError) as caught:
        run(place, place / "out")
    said = json.loads(capsys.readouterr().out)
    saved = Path(said["results"])
    assert saved.is_relative_to(place)
    assert load_results(saved).answers
    assert Path(said["report"]).is_file()
    assert caught.value.code == "input.folder-unwritable"
    assert str(saved.parent) in caught.value.hint


def test_another_run_that_was_charged_is_not_overwritten(place: Path, earlier: Path) -> None:
    before = (earlier / "results.json").read_bytes()
    assert refused(place, earlier).code == "input.file-exists"
    assert (earlier / "results.json").read_bytes() == before


def test_neither_another_study_nor_what_cannot_be_read_is_overwritten(
    place: Path, earlier: Path
) -> None:
    (place / "study.toml").write_text(STUDY.replace("A small study", "Another study"))
    error = refused(place, earlier)
    assert (error.code, "'small'" in error.why) == ("input.file-exists", True)
    (place / "out").mkdir()
    (place / "out" / "results.json").write_text("{}")
    assert refused(place, place / "out").code == "input.file-exists"


def test_the_key_of_a_blinded_run_and_a_release_are_not_overwritten(place: Path) -> None:
    sealed_path(place / "out").write_bytes(b"{}")
    assert refused(place, place / "out").code == "input.file-exists"
    (place / "public").mkdir()
    (place / "public" / "receipt.json").write_text("{}")
    assert refused(place, place / "public").code == "input.file-exists"


def test_a_study_over_public_data_is_run_into_its_folder_again(place: Path) -> None:
    for config in place.glob("clinics/*/clinic.toml"):
        config.write_text(config.read_text().replace('"synthetic"', '"public"'))
    (place / "study.toml").write_text(PUBLIC)
    run(place, place / "out")
    first = load_results(place / "out")
    (place / "out" / "figures" / "77-gone.svg").touch()
    run(place, place / "out")
    assert load_results(place / "out").run.run_id != first.run.run_id
    assert not (place / "out" / "figures" / "77-gone.svg").exists()


def test_a_report_is_written_again_but_over_no_other_results(
    earlier: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def store(home: Path) -> Iterator[tuple[SimpleNamespace, None]]:
        yield SimpleNamespace(path=home), None

    stored = SimpleNamespace(name="small", state="finished")
    monkeypatch.setattr(team_commands, "_store", store)
    monkeypatch.setattr("cairn_server.team_studies.find", lambda *_: stored)
    monkeypatch.setattr("cairn_server.running.results_folder", lambda *_: earlier)
    copy = tmp_path / "copy"
    for _ in range(2):
        team_commands.study_report("small", tmp_path, copy)
    ours = load_results(earlier)
    other = Study.parse(STUDY.replace("A small study", "Another study").encode())
    for held in (replace(ours, study=other), replace(ours, run=replace(ours.run, run_id="ab"))):
        write_results(held, copy)
        with pytest.raises(InputError) as caught:
            team_commands.study_report("small", tmp_path, copy)
        assert caught.value.code == "input.file-exists"
        assert load_results(copy).study.digest == held.study.digest
    sealed_path(tmp_path / "new").write_bytes(b"{}")
    with pytest.raises(InputError) as caught:
        team_commands.study_report("small", tmp_path, tmp_path / "new")
    assert caught.value.code == "input.file-exists"
