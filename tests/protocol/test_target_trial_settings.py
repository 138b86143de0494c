"""[target_trial] in a study file: what is taken, and every refusal by name."""

from __future__ import annotations

import pytest

from cairn_protocol.errors import InputError
from trial_cohorts import EFFECT, LANDMARK, SEQUENTIAL, study

LINES = """
[target_trial.propensity]
source = "Example et al. 2024, table 3"
[target_trial.propensity.arms.dmhi]
intercept = -0.5
baseline = 0.02
variables.severe = { yes = 0.4 }
variables.age = -0.01
"""


def test_a_study_without_one_compares_as_recorded() -> None:
    assert study(EFFECT).target_trial is None


@pytest.mark.parametrize(
    "trial", [LANDMARK, SEQUENTIAL, LANDMARK + LINES, '[target_trial]\ndesign = "as_recorded"']
)
def test_a_whole_one_is_taken(trial: str) -> None:
    found = study(EFFECT, trial).target_trial
    assert found is not None
    assert found.emulates == ("as_recorded" not in trial)
    assert found.weeks == ((0.0, 2.0, 4.0, 6.0) if "sequential" in trial else (0.0,))


@pytest.mark.parametrize(
    ("trial", "said"),
    [
        ('[target_trial]\nstarts = ["dmhi"]', "target_trial.design is missing"),
        ('[target_trial]\ndesign = "crossover"', "target_trial.design"),
        ('[target_trial]\ndesign = "as_recorded"\ngrace = 2', "has no use for grace"),
        ('[target_trial]\ndesign = "landmark"', "starts is missing"),
        (LANDMARK.replace('["dmhi"]', '["dmhi", "dmhi"]'), "name each arm once"),
        (LANDMARK.replace('"dmhi"', '"book"'), "target_trial.starts: not in cohort.arms: book"),
        (LANDMARK.replace('"dmhi"', '"waiting"'), "is the arm of those who do not start"),
        (LANDMARK + '\nreference = "book"', "target_trial.reference: 'book'"),
        (LANDMARK + "\ntrials = [0, 4]", "a landmark has one trial"),
        (SEQUENTIAL.replace("[0, 2, 4, 6]", "[0]"), "two or more"),
        (SEQUENTIAL.replace("[0, 2, 4, 6]", "[0, 1]"), "by grace or more"),
        (SEQUENTIAL.replace("[0, 2, 4, 6]", "[4, 2]"), "later than the one before"),
        (SEQUENTIAL.replace("[0, 2, 4, 6]", "[-1, 2]"), "target_trial.trials.0"),
        (LANDMARK + "\nbaseline_window = [1, 0]", "its start must not be after its end"),
        (LANDMARK + "\nlowest_baseline = 9\nhighest_baseline = 8", "must not be above"),
        (LANDMARK + "\ncounted = 0", "target_trial.counted"),
        (LANDMARK + "\nweeks = 2", "target_trial.weeks is not a setting"),
        (LANDMARK + LINES.replace("arms.dmhi", "arms.book"), "give a line for each"),
        (LANDMARK + LINES.replace("yes = 0.4", "maybe = 0.4"), "a level is not declared"),
        (LANDMARK + LINES.replace("{ yes = 0.4 }", "0.4"), "give a coefficient a level"),
        (LANDMARK + LINES.replace("-0.01", "{ old = 1 }"), "give one slope"),
        (LANDMARK + LINES.replace("variables.age", "variables.sex"), "no variable 'sex'"),
        (LANDMARK + LINES.replace("-0.5", "inf"), "propensity.arms.dmhi.intercept"),
        (LANDMARK + LINES.replace("-0.5", "1e9"), "propensity.arms.dmhi.intercept"),
        (LANDMARK + LINES.replace('source = "Example et al. 2024, table 3"', ""), "source"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(trial: str, said: str) -> None:
    with pytest.raises(InputError) as refused:
        study(EFFECT, trial)
    assert said in str(refused.value)


def test_a_trial_needs_arms_that_are_compared() -> None:
    with pytest.raises(InputError, match=r"cohort\.arms must name the arms"):
        study(EFFECT, LANDMARK, arms=["waiting"])


def test_a_question_cannot_be_asked_of_a_trial_that_is_not_there() -> None:
    with pytest.raises(InputError, match=r"no \[target_trial\]"):
        study(EFFECT + "\ntarget_trial = true")
