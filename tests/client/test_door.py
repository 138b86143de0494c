"""The door's rules D1–D5, each by a test that fails without it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest

from cairn_client.door import Asked, Door
from cairn_models.questions import build
from cairn_models.questions.base import Public, Vector
from cairn_models.questions.effect import Effect
from cairn_models.records import Records
from cairn_privacy.question_terms import QuestionTerms
from cairn_protocol.errors import BudgetRefusal, OurFault
from cairn_protocol.fixed_point import decode, word
from cairn_protocol.study import Study
from keeper_bench import STUDY


class Book:
    """A ledger that only remembers the order of events."""

    def __init__(self, events: list[str], *, full: bool = False) -> None:
        self.events, self.full = events, full

    def reserve(self, **charge: object) -> int:
        if self.full:
            raise BudgetRefusal("full", code="cap-reached")
        self.events.append("reserve")
        return 7


def asked(rows: Callable[[], Vector] | None = None) -> Asked:
    study = Study.parse(STUDY.encode())
    question = build(study.questions[0], study)
    assert isinstance(question, Effect)
    if rows is not None:

        def contributions(prepared: object, public: Public) -> Iterator[Vector]:
            yield rows()

        question.contributions = contributions  # type: ignore[method-assign]
    terms = QuestionTerms.of(study, question.spec, question.shape, 3)
    return Asked(bytes(16), question, terms, 0, 0, np.zeros(0, dtype=np.float32), 1.0)


def unit(value: float = 1.0) -> np.ndarray:
    """A patient's row with `value` in its first coordinate and nothing else."""
    row = np.zeros(asked().question.shape.length)
    row[0] = value
    return row


def door(events: list[str], *, full: bool = False) -> Door:
    def records() -> Records:
        events.append("records")
        return Records()

    return Door(records, Book(events, full=full))  # type: ignore[arg-type]


def steps(a: Asked) -> np.ndarray:
    """The answer of a clinic without records, or with those of `a`, in steps."""
    return decode(door([]).answer(a).vector, a.terms.scale.modulus_bits)


def grid_of(a: Asked) -> int:
    """S, the steps in the bound."""
    assert a.terms.noise is not None
    return a.terms.noise.grid


def test_d1_the_charge_comes_before_the_records() -> None:
    events: list[str] = []
    leaving = door(events).answer(asked())
    assert events == ["reserve", "records"]
    assert leaving.entry == 7


def test_d1_without_budget_no_record_is_read() -> None:
    events: list[str] = []
    with pytest.raises(BudgetRefusal):
        door(events, full=True).answer(asked())
    assert events == []


def test_d1_a_noised_question_without_a_ledger_is_a_fault() -> None:
    with pytest.raises(OurFault) as caught:
        Door(Records, None).answer(asked())
    assert caught.value.code == "internal.no-ledger"


@pytest.fixture
def before_noise(monkeypatch: pytest.MonkeyPatch) -> Callable[[Asked], np.ndarray]:
    """The sum as it stands before noise, in steps."""
    monkeypatch.setattr("cairn_client.door.add_noise", lambda total, plan: total)
    return steps


Before = Callable[[Asked], np.ndarray]


def test_d2_a_row_beyond_the_bound_is_cut_to_it(before_noise: Before) -> None:
    a = asked(lambda: np.full((1, len(unit())), 1e9))
    total, grid = before_noise(a), grid_of(a)
    assert 0.999 * grid < np.linalg.norm(total) <= grid


def test_d2_a_row_that_is_not_a_number_counts_as_nobody(before_noise: Before) -> None:
    rows = np.stack([np.full(len(unit()), np.nan), unit(np.inf), unit()])
    alone = before_noise(asked(lambda: rows[2:]))
    assert before_noise(asked(lambda: rows)).tolist() == alone.tolist()


def test_d3_a_sum_beyond_the_planned_size_is_clamped(before_noise: Before) -> None:
    a = asked(lambda: np.tile(unit(1e9), (400, 1)))
    total = before_noise(a)
    assert total[0] == a.terms.scale.clamp == 5 * grid_of(a), "largest_clinic is 5 in this study"


def test_d4_an_empty_clinic_sends_noise_of_the_planned_size_fresh_each_time() -> None:
    a = asked()
    assert a.terms.noise is not None
    sigma = a.terms.noise.clinic_sigma_steps
    draws = np.stack([steps(a) for _ in range(400)]).ravel()
    assert len({row.tobytes() for row in draws.reshape(400, -1)}) == 400
    assert abs(draws.std() / sigma - 1) < 5 / np.sqrt(2 * draws.size)
    assert abs(draws.mean()) < 5 * sigma / np.sqrt(draws.size)


def test_d4_without_noise_the_sum_would_come_out(monkeypatch: pytest.MonkeyPatch) -> None:
    a = asked(lambda: np.tile(unit(), (3, 1)))
    exact = (unit(3 * int(1.0 / a.terms.scale.step))).tolist()
    assert steps(a).tolist() != exact
    monkeypatch.setattr("cairn_client.door.add_noise", lambda total, plan: total)
    assert steps(a).tolist() == exact


def test_d5_what_leaves_is_in_the_ring_that_the_terms_name() -> None:
    a = asked()
    vector = door([]).answer(a).vector
    assert vector.dtype == word(a.terms.scale.modulus_bits) == np.uint32
    assert vector.shape == (a.question.shape.length,)


def test_the_records_are_asked_for_in_every_round_and_prepared_where_they_changed() -> None:
    held, prepared = [Records()], []
    a = asked()
    real = a.question.prepare
    a.question.prepare = lambda some: (prepared.append(some), real(some))[1]  # type: ignore[method-assign]
    one = Door(lambda: held[0], Book([], full=False))  # type: ignore[arg-type]
    one.answer(a)
    one.answer(replace(a, round_=1))
    assert len(prepared) == 1
    held[0] = Records()
    one.answer(replace(a, round_=2))
    assert len(prepared) == 2, "an import in between, or another day"
