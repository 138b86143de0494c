"""A study that has to stop keeps what was answered, says why, and leaves the ledgers true."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cairn_app.embedded_study import EmbeddedStudy
from cairn_client.clinic_folder import ClinicFolder, clinic_folders
from cairn_client.keeper import Keeper
from cairn_client.keeper_state import Memory
from cairn_protocol.errors import StudyStopped
from cairn_protocol.study import Study
from cairn_server.report import load_results, write_results
from small_study import STUDY

TWICE = STUDY + STUDY[STUDY.index("[[questions]]") :].replace('name = "effect"', 'name = "again"')


@pytest.fixture
def poor(federation: Callable[..., Path]) -> list[ClinicFolder]:
    """Three clinics, one with a cap that holds one question of two."""
    folder = federation()
    config = next(folder.glob("*/clinic.toml"))
    config.write_text(config.read_text() + "cap_epsilon = 1.2\n")
    return clinic_folders(folder)


def test_what_was_answered_is_kept_with_the_reason(
    poor: list[ClinicFolder], tmp_path: Path
) -> None:
    study = EmbeddedStudy(Study.parse(TWICE.encode()), poor)
    study.read()
    results = study.run()
    assert [a.question for a in results.answers] == ["effect"]
    assert "privacy cap" in results.stopped
    assert [q.rounds for q in results.spend.questions] == [1, 1], "the second was asked and charged"
    paths = write_results(results, tmp_path / "out")
    assert "STOPPED EARLY" in paths.report.read_text()
    assert load_results(paths.results).stopped == results.stopped


def test_a_study_that_stops_before_its_first_answer_raises(
    small_study: Study, poor: list[ClinicFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(keeper: Keeper, request: bytes) -> bytes:
        raise RuntimeError

    monkeypatch.setattr(Keeper, "forward", silent)
    study = EmbeddedStudy(small_study, poor)
    with pytest.raises(StudyStopped) as caught:
        study.run()
    assert caught.value.code == "stopped.clinic-missing"


def test_a_refusal_names_the_clinic_and_its_remedy(
    small_study: Study, clinics: list[ClinicFolder]
) -> None:
    study = EmbeddedStudy(small_study, clinics)
    study.keepers[1].state = Memory()
    with pytest.raises(StudyStopped) as caught:
        study.run()
    assert caught.value.what.startswith(study.keepers[1].clinic.config.name)
    assert "approve" in caught.value.hint


def test_the_ledgers_hold_at_least_what_the_results_say(
    small_study: Study, clinics: list[ClinicFolder]
) -> None:
    study = EmbeddedStudy(small_study, clinics)
    study.read()
    results = study.run()
    spent = results.spend.total.rho
    assert spent is not None
    for clinic in clinics:
        with clinic.ledger() as ledger:
            assert ledger.spent() >= spent * (1 - 1e-12)
            assert [entry.state for entry in ledger.entries()] == ["committed"]
