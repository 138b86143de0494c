"""The statement says what was spent, in words that a patient's relative can follow."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cairn_privacy.accounting import rho_for
from cairn_privacy.ledger import Ledger
from cairn_privacy.statement import Spend, clinic_statement, patient_statement

CAP = rho_for(8.0, 1e-6)


def spend(epsilon: float, **more: object) -> Spend:
    return Spend("Brook Clinic", rho_for(epsilon, 1e-6), CAP, 1e-6, 12, 2, **more)


@pytest.mark.parametrize("epsilon", [0.1, 1.0, 2.0, 3.0, 8.0])
@pytest.mark.parametrize("write", [clinic_statement, patient_statement])
def test_no_statement_claims_too_much_or_speaks_in_symbols(epsilon: float, write) -> None:
    text = write(spend(epsilon))
    assert not re.search(r"anonym|ε|epsilon|δ|delta|ρ|DP\b|differential|guarantee|impossible", text)
    assert not re.search(r"\bsafe\b|cannot be identified|completely|nan|inf\b", text)
    assert "right" in text
    assert "50" in text


def test_figures_are_those_of_the_trade_off() -> None:
    text = patient_statement(spend(1.0))
    assert "right at most 55 times out of 100" in text  # Φ(0.2367/2) = 0.5471
    assert "at most 3.2 times as likely" in text
    assert "in all but 1 of 1,000,000 cases" in text
    assert "right at most 60 times out of 100 so far" in text  # two clinics: Φ(0.2367) = 0.5936
    clinic = clinic_statement(spend(1.0))
    assert "12 noised answers in 2 studies" in clinic
    assert "3 % of the clinic's privacy cap is used" in clinic


def test_figures_grow_with_the_spend_and_with_clinics() -> None:
    guesses = [spend(e).meaning(k).guess for e in (0.5, 1.0, 2.0) for k in (1, 2)]
    assert guesses[0] < guesses[1]
    assert guesses[0] < guesses[2] < guesses[4]
    one, two = spend(1.0).meaning(1), spend(1.0).meaning(2)
    assert one.guess < two.guess
    assert spend(1.0).meaning(at_cap=True) == spend(8.0).meaning()


def test_it_is_generated_from_the_ledger(tmp_path: Path) -> None:
    with Ledger.create(tmp_path / "l", clinic="Brook", cap_epsilon=3, delta=1e-6) as ledger:
        before = Spend.of(ledger)
        assert "nothing has left the clinic" in patient_statement(before)
        assert "0 noised answers in 0 studies" in clinic_statement(before)
        ledger.reserve(b"s" * 32, "q", 0, 0, rho_for(1.0, 1e-6))
        after = Spend.of(ledger, synthetic=True)
    assert (after.releases, after.studies) == (1, 1)
    assert after.rho == rho_for(1.0, 1e-6)
    assert after.cap_rho == before.cap_rho
    assert "1 noised answer in 1 study." in clinic_statement(after)
    assert "synthetic patients" in clinic_statement(after)
    assert "synthetic patients" in patient_statement(after)
    assert "synthetic" not in patient_statement(before)


def test_sentences_are_short_enough_to_read_aloud() -> None:
    for sentence in re.split(r"[.?!]\s", patient_statement(spend(2.0))):
        assert len(sentence.split()) <= 45, sentence
