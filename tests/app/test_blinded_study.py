"""A blinded study from its file to its release: letters, the sealed file, the named person."""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cairn_app.cli import app
from cairn_app.embedded_study import EmbeddedStudy
from cairn_client.clinic_folder import clinic_folders
from cairn_models.answers import Answer
from cairn_models.questions import build
from cairn_models.synthetic import World, clinic_name, generate, write_clinic_csv
from cairn_protocol.errors import InputError, PolicyRefusal
from cairn_protocol.study import Study
from cairn_server import results as notebook
from cairn_server.blinding import draw_letters
from cairn_server.planning import plan_study
from cairn_server.receipt import receipt_of
from cairn_server.report import load_results, sealed_path, write_results
from cairn_server.results import StudyResults
from cairn_server.sealing import note_path, unblind
from small_study import STUDY

BLIND = (
    STUDY.replace("week = 8", "week = 8\nrandomised = true")
    .replace("[policy]", "[release]\nblinded = true\n\n[policy]")
    .replace("planned_patients = 120", "planned_patients = 900")
    .replace("epsilon = 1.0", 'epsilon = 3\ninsist = "a test"')
)
WORDS = ("waiting", "dmhi_unguided", "dmhi_guided", "unguided", "guided programme")


def made(folder: Path, sizes: tuple[int, ...]) -> Path:
    for number, records in enumerate(generate(World(), sizes, seed=1)):
        name = clinic_name(number)
        write_clinic_csv(records, folder / name, name=name)
        (folder / name / "clinic.toml").write_text(f'name = "{name}"\ndata = "synthetic"\n')
    return folder


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> StudyResults:
    clinics = made(tmp_path_factory.mktemp("blind"), (110, 120, 100))
    heard: list[str] = []
    study = EmbeddedStudy(
        Study.parse(BLIND.encode()),
        clinic_folders(clinics),
        watch=lambda event: heard.append(event.text),
    )
    study.read()
    truth = Answer("oracle", "oracle", "Beside the truth", ("dmhi_guided: -2.",))
    results = study.run(oracle=lambda answers, members: truth)
    assert any("arm A" in text for text in heard)
    assert not [text for text in heard if any(word in text for word in WORDS)]
    return results


@pytest.fixture
def folder(ran: StudyResults, tmp_path: Path) -> Path:
    write_results(ran, tmp_path / "out")
    return tmp_path / "out"


def test_no_file_of_the_results_tells_which_arm_is_which(ran: StudyResults, folder: Path) -> None:
    source = ran.study.source.decode()
    escaped = (json.dumps(source, ensure_ascii=False)[1:-1], source, source.replace('"', "&#34;"))
    checked = 0
    for path in sorted(p for p in folder.rglob("*.*") if p.suffix != ".png"):
        text = path.read_text()
        for known in escaped:  # the study's file names its arms, but not which is which
            text = text.replace(known, "")
        text = text.replace("waiting list", "").replace("Waiting list", "")
        assert not [word for word in WORDS if word in text], path
        checked += 1
    assert checked >= 4
    page = (folder / "report.html").read_text()
    assert "ARMS ARE BLINDED" in page
    assert "arm A against arm C" in page


def test_the_frames_bear_letters(folder: Path) -> None:
    study = notebook.read(folder)
    assert study.is_blinded
    assert not study.estimates()["label"].str.contains("waiting|guided").any()
    assert study.figures_data()["label"].str.contains("arm A").any()


def test_the_key_is_beside_the_results_and_closed_to_others(folder: Path) -> None:
    sealed = sealed_path(folder)
    assert sealed.parent == folder.parent
    assert stat.S_IMODE(sealed.stat().st_mode) == 0o600
    blinding = load_results(folder).blinding
    assert blinding is not None
    assert hashlib.sha256(sealed.read_bytes()).hexdigest() == blinding.commitment
    assert blinding.letters == ("arm A", "arm B", "arm C")


def test_who_unblinds_is_recorded_and_the_numbers_stay(folder: Path, tmp_path: Path) -> None:
    named, _ = unblind(folder, tmp_path / "named", by="A. Lopez", reason="analysis plan signed")
    opened = named.blinding.unblinded
    assert (opened.by, opened.reason) == ("A. Lopez", "analysis plan signed")
    line = json.loads(note_path(folder).read_text())
    assert (line["by"], line["reason"]) == ("A. Lopez", "analysis plan signed")
    blind, back = load_results(folder), load_results(tmp_path / "named")
    assert not back.is_blinded
    assert back.oracle is not None  # the truth tells which arm is which: sealed until now
    assert blind.oracle is None
    assert blind.is_blinded  # what was written blind stays so
    shown = {e.name: e for e in blind.answers[0].estimates}
    for e in back.answers[0].estimates:
        for letter, arm in opened.arms.items():
            if e.name == f"change-{arm}":
                assert shown[f"change-{letter}"].value == pytest.approx(e.value, nan_ok=True)
                assert shown[f"change-{letter}"].count == pytest.approx(e.count)
    page = (tmp_path / "named" / "report.html").read_text()
    assert "A. Lopez unblinded them: analysis plan signed" in page
    assert "ARMS ARE BLINDED" not in page


def test_a_release_rests_on_the_unblinding(folder: Path, tmp_path: Path) -> None:
    blind = load_results(folder)
    with pytest.raises(PolicyRefusal) as refused:
        receipt_of(blind, None)
    assert refused.value.code == "policy.release-blinded"
    with pytest.raises(PolicyRefusal):  # nor by leaving the word out
        receipt_of(replace(blind, blinding=None), None)
    named, _ = unblind(folder, tmp_path / "named", by="A. Lopez", reason="plan signed")
    with pytest.raises(PolicyRefusal) as untested:
        receipt_of(named, None)
    assert untested.value.code == "policy.release-untested"


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda f: sealed_path(f).unlink(), "input.sealed-missing"),
        (lambda f: sealed_path(f).write_bytes(b"{}"), "input.sealed-damaged"),
        (lambda f: sealed_path(f).chmod(0o644), "input.key-exposed"),
        (lambda f: (f.parent / "to").mkdir(), "input.file-exists"),
    ],
)
def test_what_cannot_be_unblinded_is_refused(
    folder: Path, spoil: Callable[[Path], None], code: str
) -> None:
    spoil(folder)
    with pytest.raises(InputError) as refused:
        unblind(folder, folder.parent / "to", by="A", reason="b")
    assert refused.value.code == code
    assert not note_path(folder).exists()


def test_nobody_unblinds_without_a_name_and_a_reason(folder: Path, tmp_path: Path) -> None:
    for by, reason in (("", "why"), ("who", "  "), ("w" * 501, "why")):
        with pytest.raises(InputError) as refused:
            unblind(folder, tmp_path / "to", by=by, reason=reason)
        assert refused.value.code == "input.unblind-unsaid"
    unblind(folder, tmp_path / "named", by="who", reason="why")
    with pytest.raises(InputError) as again:
        unblind(tmp_path / "named", tmp_path / "more", by="who", reason="why")
    assert again.value.code == "input.not-blinded"


def test_letters_are_drawn_anew_and_fairly() -> None:
    study = Study.parse(BLIND.encode())
    questions = [build(spec, study) for spec in study.questions]
    drawn = [tuple(draw_letters(study, questions).items()) for _ in range(600)]
    counts = [drawn.count(found) for found in set(drawn)]
    assert len(counts) == 6
    assert min(counts) > 60  # of 100; 5 standard deviations below is 54


def test_a_study_that_cannot_be_blinded_is_refused_when_it_is_planned() -> None:
    with pytest.raises(InputError) as refused:
        plan_study(Study.parse(BLIND.replace("randomised = true", "").encode()))
    assert refused.value.code == "input.question-not-blind"


def test_the_command_shows_letters_and_unblinds(tmp_path: Path) -> None:
    clinics = made(tmp_path / "clinics", (30, 40, 50))
    (tmp_path / "study.toml").write_text(BLIND)
    out = str(tmp_path / "out")
    run = ["study", "run", str(tmp_path / "study.toml"), "--clinics", str(clinics), "--out", out]
    shown = CliRunner().invoke(app, run, catch_exceptions=False)
    assert shown.exit_code == 0
    assert "arm A" in shown.stdout
    assert "Blinded" in shown.stdout
    assert not [word for word in WORDS if word in shown.output]
    command = ["study", "unblind", out, "--to", str(tmp_path / "named"), "--by", "A", "--json"]
    assert CliRunner().invoke(app, command).exit_code == 2  # no reason was given
    told = CliRunner().invoke(app, [*command, "--reason", "b"], catch_exceptions=False)
    assert set(json.loads(told.stdout)["arms"].values()) == set(WORDS[:3])
