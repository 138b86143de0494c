"""A clinic that lowers its cap in clinic.toml is held to it; a raised cap is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from cairn_client.clinic_folder import ClinicFolder
from cairn_privacy.accounting import rho_for
from cairn_protocol.errors import BudgetRefusal, InputError
from keeper_bench import write_clinic

CHARGE = rho_for(1.0, 1e-6)


def with_cap(folder: Path, cap: float) -> ClinicFolder:
    (folder / "clinic.toml").write_text(f'name = "oak"\ncap_epsilon = {cap}\n')
    return ClinicFolder.open(folder)


@pytest.fixture
def spent(tmp_path: Path) -> Path:
    """A clinic's folder with a cap of ε = 8, of which a study took 1."""
    folder = write_clinic(tmp_path / "oak", "oak")
    with with_cap(folder, 8.0).ledger() as ledger:
        ledger.reserve(bytes(32), "effect", 0, 0, CHARGE)
    return folder


def test_the_lowered_cap_is_the_one_that_holds(spent: Path) -> None:
    with with_cap(spent, 1.5).ledger() as ledger:
        assert ledger.left() == pytest.approx(rho_for(1.5, 1e-6) - CHARGE)
        with pytest.raises(BudgetRefusal):
            ledger.reserve(bytes(32), "effect", 0, 1, CHARGE * 2)


def test_a_cap_below_what_is_spent_leaves_nothing(spent: Path) -> None:
    with with_cap(spent, 0.5).ledger() as ledger:
        assert ledger.left() == 0.0
        with pytest.raises(BudgetRefusal):
            ledger.reserve(bytes(32), "effect", 0, 1, 1e-6)


def test_the_cap_of_the_first_day_may_come_back(spent: Path) -> None:
    with with_cap(spent, 0.5).ledger():
        pass
    with with_cap(spent, 8.0).ledger() as ledger:
        assert ledger.left() == pytest.approx(rho_for(8.0, 1e-6) - CHARGE)


def test_a_raised_cap_is_refused_and_the_file_is_free_again(spent: Path) -> None:
    with pytest.raises(InputError, match="cap-raised"):
        with_cap(spent, 9.0).ledger()
    with with_cap(spent, 8.0).ledger() as ledger:
        assert ledger.spent() == pytest.approx(CHARGE)
