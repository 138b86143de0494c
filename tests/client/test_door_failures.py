"""D6: what goes wrong while records are at hand is told to nobody, not even in its own words."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from cairn_client.clinic_folder import ClinicFolder
from cairn_client.door import Asked, Door
from cairn_models.questions import build
from cairn_models.questions.base import Public, Vector
from cairn_models.records import Records
from cairn_privacy.question_terms import QuestionTerms
from cairn_protocol.errors import BudgetRefusal, CairnError, InputError, OurFault
from cairn_protocol.study import Study
from keeper_bench import STUDY, write_clinic

MARK = "SECRET-oak-1"


def failing(rows: Iterator[Vector]) -> Asked:
    study = Study.parse(STUDY.encode())
    question = build(study.questions[0], study)

    def contributions(prepared: object, public: Public) -> Iterator[Vector]:
        yield from rows

    question.contributions = contributions  # type: ignore[method-assign]
    terms = QuestionTerms.of(study, question.spec, question.shape, 3)
    return Asked(bytes(16), question, terms, 0, 0, np.zeros(0, dtype=np.float32), 1.0)


def stopped() -> Iterator[Vector]:
    yield np.zeros((2, 6))
    raise InputError(f"patient {MARK} has no arm", code="arm", why=MARK, hint=MARK)


def misshapen() -> Iterator[Vector]:
    yield np.zeros((4242, 5))


@pytest.mark.parametrize("rows", [stopped, misshapen])
def test_a_failure_has_no_words_of_its_own(
    rows: Callable[[], Iterator[Vector]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = ClinicFolder.open(write_clinic(tmp_path / "oak", "oak"))
    with folder.ledger() as ledger, caplog.at_level(logging.DEBUG):
        with pytest.raises(OurFault) as caught:
            Door(Records, ledger).answer(failing(rows()))
        assert ledger.spent() > 0, "the charge stays"
    told = (str(caught.value), caught.value.hint, caplog.text)
    assert caught.value.code == "internal.answer-failed"
    assert not any(word in text for text in told for word in (MARK, "4242"))
    assert caught.value.__cause__ is None


def test_a_ledger_that_says_no_is_told_as_such(tmp_path: Path) -> None:
    folder = ClinicFolder.open(write_clinic(tmp_path / "oak", "oak", cap=0.01))
    with folder.ledger() as ledger, pytest.raises(CairnError) as caught:
        Door(Records, ledger).answer(failing(stopped()))
    assert isinstance(caught.value, BudgetRefusal)
