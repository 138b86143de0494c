"""Every attack fails, by any one of its fences, and succeeds without them: so they are needed."""

from __future__ import annotations

import pytest

import attacks_on_rounds
import attacks_on_setup
import attacks_on_survivors
from attacks import ATTACKS
from cairn_protocol.errors import CairnError
from mutations import weaken

MODULES = (attacks_on_survivors, attacks_on_setup, attacks_on_rounds)  # each enters its own


def outcome(name: str, federate) -> tuple[bool, str]:
    """Whether the attack has its gain, and the refusal's code if a step was refused."""
    try:
        return ATTACKS[name].play(federate), ""
    except CairnError as refused:
        return False, refused.code


@pytest.mark.parametrize("name", ATTACKS)
def test_the_attack_fails(name, federate):
    assert outcome(name, federate) == (False, ATTACKS[name].code)


@pytest.mark.parametrize("name", ATTACKS)
def test_the_attack_succeeds_without_its_fences(name, federate, monkeypatch):
    for function, old, new in ATTACKS[name].fences:
        weaken(monkeypatch, function, old, new)
    assert outcome(name, federate) == (True, "")


@pytest.mark.parametrize(
    ("name", "left"),
    [
        (name, left)
        for name, attack in ATTACKS.items()
        if len(attack.fences) > 1
        for left in range(len(attack.fences))
    ],
)
def test_one_fence_of_several_is_enough(name, left, federate, monkeypatch):
    for number, (function, old, new) in enumerate(ATTACKS[name].fences):
        if number != left:
            weaken(monkeypatch, function, old, new)
    gained, code = outcome(name, federate)
    assert not gained
    assert bool(code) == bool(ATTACKS[name].code)


def test_every_row_of_the_design_is_here():
    assert {attack.row for attack in ATTACKS.values()} == {
        *("different models to different clinics", "crafted model", "sybils", "tiny cohort"),
        *("differencing across rounds", "differencing across cohorts"),
        *("differencing across attempts", "key substitution", "roster substitution"),
        *("survivor-set lies", "split views", "late upload after a drop claim", "replay"),
        *("restored machine", "overflow"),
    }
