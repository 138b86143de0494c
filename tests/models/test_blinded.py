"""Answers under letters: from the same sum, no trace of the arms' names, order or reference."""

from __future__ import annotations

import re
from dataclasses import asdict, replace
from itertools import permutations
from typing import Any

import numpy as np
import polars as pl
import pytest

from cairn_models.answers import Answer
from cairn_models.questions import build
from cairn_models.questions.base import Question, SumNoise
from cairn_models.questions.blinded import Blinded, blinded
from cairn_models.records import Records
from cairn_models.synthetic import World, generate
from cairn_protocol.errors import InputError
from cairn_protocol.study import Study

ARMS = ("waiting", "dmhi_unguided", "dmhi_guided")
STUDY = """
cairn = 1
name = "blind"
title = "Blind"
[outcome]
instrument = "PHQ-9"
[cohort]
arms = [%s]
planned_patients = 900
largest_clinic = 900
[variables.sex]
levels = ["female", "male"]
[variables.deprivation]
lowest = -3
highest = 3
[[questions]]
epsilon = 1
%s
"""
ASKED = {
    "effect": 'name = "q"\nkind = "effect"\nrandomised = true\nmargin = 2\nstandardise_by = 6',
    "effect in strata": 'name = "q"\nkind = "effect"\nrandomised = true\nstrata = "sex"',
    "effect as it was": 'name = "q"\nkind = "effect"\nrandomised = true\nadjust = "none"',
    "rates": 'name = "q"\nkind = "rates"\nrandomised = true\nby = "sex"',
    "retention": 'name = "q"\nkind = "retention"\nrandomised = true',
    "programme": 'name = "q"\nkind = "retention"\nevent = "programme"\nrandomised = true',
    "time to event": 'name = "q"\nkind = "time_to_event"\nrandomised = true',
    "describe": 'name = "q"\nkind = "describe"',
    "describe all": 'name = "q"\nkind = "describe"\nparts = ["score", "funnel", "variables", '
    '"quartiles", "course", "outcomes", "waits"]',
}


def question(asked: str, arms: tuple[str, ...] = ARMS, more: str = "") -> Question[Any]:
    named = ", ".join(f'"{arm}"' for arm in arms)
    study = Study.parse((STUDY % (named, f"{ASKED.get(asked, asked)}\n{more}")).encode())
    return build(study.questions[0], study)


@pytest.fixture(scope="module")
def many() -> Records:
    return generate(World(), [900], seed=3)[0]


@pytest.fixture(scope="module")
def few() -> Records:
    """Enough in some arms only."""
    records = generate(World(), [60], seed=4)[0]
    kept = records.patients.filter((pl.col("arm") == "waiting") | (pl.int_range(pl.len()) % 9 == 0))
    return replace(records, patients=kept)


def total(q: Question[Any], records: Records) -> np.ndarray:
    blocks = list(q.contributions(q.prepare(records), q.start({})))
    return sum((b.sum(axis=0) for b in blocks), np.zeros(q.shape.length))


def renamed(records: Records, letters: dict[str, str]) -> Records:
    arm = pl.col("arm").cast(pl.String).replace(letters)
    return replace(records, patients=records.patients.with_columns(arm))


def letters_of(order: tuple[str, ...]) -> dict[str, str]:
    return {arm: f"arm {letter}" for arm, letter in zip(order, "ABC", strict=False)}


def answered(q: Question[Any], hidden: Blinded, records: Records, sd: float) -> Answer:
    return hidden.estimate(q.start({}), total(q, records), SumNoise(sd))


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("order", [ARMS, ARMS[::-1], (ARMS[1], ARMS[2], ARMS[0])])
def test_the_sum_in_letters_order_is_that_of_renamed_patients(
    asked: str, order: tuple[str, ...], many: Records
) -> None:
    q, letters = question(asked), letters_of(order)
    hidden = blinded(q, letters)
    assert sorted(hidden.order) == list(range(q.shape.length))
    np.testing.assert_allclose(
        total(q, many)[hidden.order],
        total(hidden.question, renamed(many, letters)),
        rtol=0,
        atol=1e-9,
    )


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("crowd", ["many", "few"])
def test_neither_order_nor_reference_leaves_a_trace(
    asked: str, crowd: str, request: pytest.FixtureRequest
) -> None:
    records, letters = request.getfixturevalue(crowd), letters_of((ARMS[2], ARMS[0], ARMS[1]))
    told = []
    for i, order in enumerate(permutations(ARMS)):
        q = question(asked, order, f'reference = "{order[i % 3]}"')
        told.append(asdict(answered(q, blinded(q, letters), records, 0.5)))
    for other in told[1:]:
        assert rounded(other) == rounded(told[0])


def rounded(value: Any) -> Any:
    """Sums in another order differ in the last digits."""
    if isinstance(value, float):
        return None if np.isnan(value) else f"{value:.9e}" if abs(value) > 1e-9 else "0"
    if isinstance(value, dict):
        return [(k, rounded(v)) for k, v in value.items()]
    if isinstance(value, list | tuple):
        return [rounded(v) for v in value]
    return value


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("crowd", ["many", "few"])
def test_no_arm_is_named_nor_called_by_what_it_is(
    asked: str, crowd: str, request: pytest.FixtureRequest
) -> None:
    q = question(asked)
    said = str(answered(q, blinded(q, letters_of(ARMS)), request.getfixturevalue(crowd), 0.5))
    telling = r"waiting|unguided|guided|dmhi|usual care|“arm [A-Z]”"
    # 'waiting list' and the wait itself are words of every study, whatever its arms
    text = re.sub(r"waiting (list|for)|still waiting", "", said)
    assert not re.findall(telling, text)
    assert "arm A" in text


@pytest.mark.parametrize("asked", ["effect", "rates", "retention", "time to event"])
def test_two_arms_are_compared_as_a_against_b(asked: str, many: Records) -> None:
    pair = ("waiting", "dmhi_guided")
    q = question(asked, pair)
    named = {e.name: e for e in q.estimate(q.start({}), total(q, many), SumNoise(0.3)).estimates}
    same = {"arm A": "dmhi_guided", "arm B": "waiting"}
    turned = {"arm A": "waiting", "arm B": "dmhi_guided"}
    for arms, sign in ((same, 1), (turned, -1)):
        hidden = blinded(q, {arm: letter for letter, arm in arms.items()})
        told = answered(q, hidden, many, 0.3)
        contrasts = [e for e in told.estimates if "arm A-arm B" in e.name]
        assert contrasts
        assert not [e for e in told.estimates if "arm B-arm A" in e.name]
        for e in contrasts:
            own = named[e.name.replace("arm A-arm B", "dmhi_guided-waiting")]
            assert e.noise_share == pytest.approx(own.noise_share, abs=1e-9)
            if not e.unit.startswith(("ratio", "times")) and "ratio" not in e.name:
                assert e.value == pytest.approx(sign * own.value)


def test_all_pairs_stay_all_pairs_and_named_ones_become_all(many: Records) -> None:
    for contrasts in ('"all"', '[["dmhi_guided", "dmhi_unguided"]]'):
        q = question("effect", more=f"contrasts = {contrasts}")
        told = answered(q, blinded(q, letters_of(ARMS)), many, 0.3)
        names = {e.name for e in told.estimates if re.fullmatch(r"arm .-arm .", e.name)}
        assert names == {"arm A-arm C", "arm B-arm C", "arm B-arm A"} or names == {
            "arm A-arm B",
            "arm A-arm C",
            "arm B-arm C",
        }


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ('name = "q"\nkind = "trajectory"\nrounds = 2', "no answer of this kind"),
        ('name = "q"\nkind = "effect"', "not assigned at random"),
        ('name = "q"\nkind = "describe"\nparts = ["score", "programme"]', "programme"),
    ],
)
def test_what_cannot_be_blinded_is_refused(asked: str, why: str) -> None:
    with pytest.raises(InputError) as refused:
        blinded(question(asked), letters_of(ARMS))
    assert refused.value.code == "input.question-not-blind"
    assert why in refused.value.why
    assert refused.value.hint
