"""A clinic that lost its ledger does not start a fresh one, which would forget what was spent."""

from __future__ import annotations

from pathlib import Path

import pytest

from cairn_client.clinic_folder import ClinicFolder
from cairn_protocol.errors import InputError
from keeper_bench import write_clinic


@pytest.fixture
def clinic(tmp_path: Path) -> ClinicFolder:
    """A clinic that has charged something."""
    folder = ClinicFolder.open(write_clinic(tmp_path / "oak", "oak"))
    with folder.ledger() as ledger:
        ledger.reserve(bytes(32), "effect", 0, 0, 0.1)
    return folder


@pytest.mark.parametrize("lost", ["ledger*", "ledger.sqlite*", "ledger.sqlite"])
def test_without_its_ledger_a_clinic_stops(clinic: ClinicFolder, lost: str) -> None:
    for file in clinic.state.glob(lost):
        file.unlink()
    assert clinic.has_ledger
    with pytest.raises(InputError) as caught:
        clinic.ledger()
    assert caught.value.code == "input.ledger-missing"
    assert not (clinic.state / "ledger.sqlite").exists()


def test_a_ledger_of_an_earlier_version_is_marked_on_opening(clinic: ClinicFolder) -> None:
    (clinic.state / "charges-are-kept").unlink()
    clinic.ledger().close()
    assert (clinic.state / "charges-are-kept").exists()


def test_a_clinic_that_never_charged_has_no_ledger(tmp_path: Path) -> None:
    assert not ClinicFolder.open(write_clinic(tmp_path / "elm", "elm")).has_ledger
