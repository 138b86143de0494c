"""The empirical test over questions that are asked of a target trial: they keep their claim."""

from __future__ import annotations

import pytest

from cairn_app.privacy_command import test_study as run_privacy_test
from trial_cohorts import EFFECT, LANDMARK, RETENTION, SEQUENTIAL, study

PROPENSITY = """
[target_trial.propensity]
source = "made up"
[target_trial.propensity.arms.dmhi]
intercept = -0.4
baseline = 0.08
week = -0.1
"""


@pytest.mark.parametrize(
    ("question", "trial"),
    [(EFFECT, LANDMARK + PROPENSITY), (RETENTION, SEQUENTIAL + PROPENSITY)],
    ids=["landmark", "sequential"],
)
def test_a_question_of_a_trial_keeps_its_claim(question: str, trial: str) -> None:
    result = run_privacy_test(study(question, trial, data="patients"), lambda _: None)
    (found,) = result.questions
    assert found.holds, found
    assert 0.1 < found.pull.largest <= 1, "the test has power only if somebody takes part"
