"""`cairn privacy test` as a data protection officer types it: words, file, exit status."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cairn_app.audit_text import closing_text, question_text
from cairn_app.cli import app
from cairn_client import door
from cairn_privacy.audit import examine, noise_law
from cairn_privacy.audit.result import QuestionFound, Result
from cairn_protocol.errors import OurFault
from small_study import STUDY

CAIRN = Path(sys.executable).parent / "cairn"
WORDS_OF_OTHERS = ("Clopper", "kurtosis", "zCDP", "GDP", "canary", "μ")


@pytest.fixture
def study(tmp_path: Path) -> Path:
    file = tmp_path / "study.toml"
    file.write_text(STUDY)
    return file


def test_a_study_that_keeps_its_claim(study: Path) -> None:
    out = study.with_name("result.json")
    done = subprocess.run(
        [CAIRN, "privacy", "test", study, "--out", out],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("holds") == 4
    assert "All records here are synthetic" in " ".join(done.stdout.split())
    assert "evidence, never proof" in done.stdout
    assert not [word for word in WORDS_OF_OTHERS if word in done.stdout]
    result = Result.read(out)
    assert result.holds
    assert str(out) in done.stdout
    assert json.loads(out.read_text())["questions"][0]["configuration"]["question"] == "effect"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(noise_law, "VALUES", 2_000)
    monkeypatch.setattr(examine, "examine", lambda s, real=examine.examine: real(s, trials=200))


@pytest.mark.usefixtures("quick")
def test_a_study_that_breaks_its_claim(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "add_noise", lambda total, plan: total)
    out = study.with_name("result.json")
    done = CliRunner().invoke(app, ["privacy", "test", str(study), "--out", str(out)])
    assert isinstance(done.exception, OurFault)
    assert (done.exception.exit_status, done.exception.code) == (6, "internal.privacy-test-failed")
    text = " ".join(done.stdout.split())
    assert "noise FAILS size of the noise in all: 0.000 of what is charged" in text
    assert "guess FAILS" in text
    assert "ABOVE the claimed" in text
    assert "FAILED: effect. Do not ask and do not release" in text
    assert not Result.read(out).holds


@pytest.mark.usefixtures("quick")
def test_json_holds_the_result_and_nothing_else(study: Path) -> None:
    done = CliRunner().invoke(app, ["privacy", "test", str(study), "--json"])
    assert done.exit_code == 0, done.stdout
    result = Result.model_validate_json(done.stdout)
    assert result.synthetic_records_only
    for found in result.questions:
        assert "charge  holds" in question_text(found)
    assert "Nothing contradicts the claim of the question." in closing_text(result)


def test_every_kind_of_failure_has_words(study: Path) -> None:
    done = CliRunner().invoke(app, ["privacy", "test", str(study), "--json"])
    (found,) = Result.model_validate_json(done.stdout).questions

    def told(**parts: dict[str, object]) -> str:
        changed = {name: getattr(found, name).model_copy(update=u) for name, u in parts.items()}
        return " ".join(question_text(QuestionFound(**{**dict(found), **changed})).split())

    assert "charged the ledger 0 times" in told(charge={"holds": False, "charges": 0})
    assert "before the ledger was charged" in told(charge={"before_records": False})
    assert "stops answering" in told(pull={"holds": False, "largest": float("inf")})
    assert "pull FAILS" in told(pull={"blind": True})
    assert "shows nothing" in told(pull={"blind": True})


def test_public_data_promise_nothing_to_test(study: Path) -> None:
    text = STUDY.replace("epsilon = 1.0\n", "").replace(
        "[policy]", '[privacy]\ndata = "public"\n[policy]'
    )
    study.write_text(text)
    done = CliRunner().invoke(app, ["privacy", "test", str(study)])
    assert getattr(done.exception, "exit_status", None) == 2
    assert "nothing-to-test" in str(done.exception)


def test_a_door_with_a_stand_in_for_its_ledger_is_made_for_this_test_alone() -> None:
    root = Path(__file__).parents[2]
    packages = ("protocol", "privacy", "models", "client", "server", "app")
    users = {
        file.name
        for package in packages
        for file in (root / package).rglob("*.py")
        if "audit_stand_ins" in file.read_text() or "LinearCanary" in file.read_text()
    }
    assert users == {"audit_subject.py", "audit_canary.py"}
