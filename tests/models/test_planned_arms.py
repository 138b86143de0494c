"""A plan counts the patients that a question's arms will have, not those of all arms."""

from __future__ import annotations

import pytest

from cairn_models.questions import build
from cairn_models.questions.base import SumNoise
from cairn_protocol.study import Study

STUDY = """
cairn = 1
name = "planned"
title = "Planned"
synthetic = true
[outcome]
instrument = "PHQ-9"
[cohort]
arms = [{arms}]
planned_patients = {patients}
largest_clinic = 400
[[questions]]
name = "asked"
epsilon = 1.0
arms = ["waiting", "guided"]
{asked}
"""
KINDS = ('kind = "effect"', 'kind = "rates"', 'kind = "retention"', 'kind = "describe"')


def first_expected(arms: str, patients: int, asked: str) -> tuple[float, float]:
    study = Study.parse(STUDY.format(arms=arms, patients=patients, asked=asked).encode())
    told = build(study.questions[0], study).expected(SumNoise(6.0))[0]
    return told.sampling, told.noise


@pytest.mark.parametrize("asked", KINDS)
def test_two_arms_of_three_have_two_thirds_of_the_patients(asked: str) -> None:
    of_three = first_expected('"waiting", "unguided", "guided"', 3000, asked)
    assert of_three == pytest.approx(first_expected('"waiting", "guided"', 2000, asked))
    assert of_three > first_expected('"waiting", "guided"', 3000, asked)
