"""D8: outside its group a clinic answers with nobody's vector; charge, noise and length as any."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from cairn_client.askable import askable
from cairn_client.clinic_config import ClinicConfig
from cairn_client.door import Asked, Door
from cairn_client.own_name import own_name
from cairn_client.preview import own_contribution
from cairn_models.records import Records
from cairn_models.synthetic import World, generate
from cairn_protocol.errors import PolicyRefusal
from cairn_protocol.fixed_point import decode
from cairn_protocol.study import Study
from keeper_bench import Bench

SIX = """
cairn = 1
name = "six"
title = "Six synthetic clinics"
synthetic = true
[outcome]
instrument = "PHQ-9"
[cohort]
arms = ["waiting", "dmhi_guided"]
planned_patients = 90
largest_clinic = 30
[policy]
clinics = 6
survivors = 6
threshold = 6
[groups.north]
clinics = ["ash", "elm", "oak"]
planned_patients = 45
[[questions]]
name = "course"
kind = "trajectory"
epsilon = 1.0
rounds = 1
held_out = "north"
"""


@pytest.fixture(scope="module")
def people() -> Records:
    return generate(World(), [8], seed=3)[0]


class Book:
    """A ledger that remembers what it was charged."""

    def __init__(self) -> None:
        self.charges: list[dict[str, Any]] = []

    def reserve(self, **charge: Any) -> int:
        self.charges.append(charge)
        return len(self.charges)


def answered(people: Records, clinic: str | None, book: Book) -> np.ndarray:
    """A clinic's answer to the first round of training, in steps."""
    found = askable(Study.parse(SIX.encode()), 6)["course"]
    door = Door(lambda: people, book, clinic=clinic)  # type: ignore[arg-type]
    first = found.question.start({})
    asked = Asked(bytes(16), found.question, found.terms, 0, 0, first, 1.0)
    return decode(door.answer(asked).vector, found.terms.scale.modulus_bits)


def test_a_held_out_clinic_trains_nobody(people: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cairn_client.door.add_noise", lambda total, plan: total)
    book = Book()
    inside, outside, everywhere = (answered(people, c, book) for c in ("yew", "oak", None))
    assert inside.any()
    assert not outside.any()
    assert np.array_equal(inside, everywhere)
    charges = [(c["rho"], c["question"], c["round_"]) for c in book.charges]
    assert len(set(charges)) == 1, "every clinic is charged alike"


def test_its_noise_is_that_of_any_clinic(people: Records) -> None:
    found = askable(Study.parse(SIX.encode()), 6)["course"]
    assert found.terms.noise is not None
    steps = np.concatenate([answered(people, "oak", Book()) for _ in range(6)])
    assert steps.std() == pytest.approx(found.terms.noise.clinic_sigma_steps, rel=0.15)


def test_a_preview_shows_the_same(people: Records) -> None:
    found = askable(Study.parse(SIX.encode()), 6)["course"]
    assert own_contribution(found, people, None, "yew").contributing > 0
    outside = own_contribution(found, people, None, "oak")
    assert (outside.admitted, outside.contributing) == (0, 0)
    assert not outside.total.any()


def test_a_keeper_answers_by_the_name_that_both_it_and_the_roster_have(
    bench: Callable[..., Bench],
) -> None:
    six = bench(text=SIX)
    six.everyone(six.opening)
    for keeper in six.keepers:
        (active,) = keeper._active
        assert active.door._clinic == keeper.clinic.config.name
        assert own_name(active.run, keeper.clinic.config) == active.door._clinic
        with pytest.raises(PolicyRefusal) as caught:
            own_name(active.run, ClinicConfig(name="another"))
        assert caught.value.code == "policy.roster-name"
