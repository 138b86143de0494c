"""Which questions are asked of the trial, what their answers say, and what a plan foretells."""

from __future__ import annotations

import re

import pytest

from cairn_models.questions.base import SumNoise
from cairn_models.questions.emulated import Emulated
from cairn_protocol.errors import InputError
from trial_cohorts import (
    EFFECT,
    LANDMARK,
    RETENTION,
    SEQUENTIAL,
    answered,
    asked,
    null_cohort,
)

RATES = 'kind = "rates"\nscales = ["PHQ-9"]'
DESCRIBE = 'kind = "describe"'
TRAINED = 'kind = "trajectory"'
PROPENSITY = """
[target_trial.propensity]
source = "Example et al. 2024"
[target_trial.propensity.arms.dmhi]
intercept = -0.5
"""


@pytest.mark.parametrize(
    ("question", "emulated"),
    [
        (EFFECT, True),
        (RATES, True),
        (RETENTION, True),
        ('kind = "retention"\nevent = "programme"', False),  # its clock starts at first use
        (DESCRIBE, False),
        (DESCRIBE + "\ntarget_trial = true", True),
        (EFFECT + "\ntarget_trial = false", False),
        (EFFECT + "\nrandomised = true", False),
    ],
)
def test_comparisons_from_time_zero_are_asked_of_the_trial(question: str, emulated: bool) -> None:
    assert isinstance(asked(question, LANDMARK), Emulated) == emulated
    plain = question.replace("\ntarget_trial = true", "")
    assert not isinstance(asked(plain), Emulated)
    assert not isinstance(asked(plain, '[target_trial]\ndesign = "as_recorded"'), Emulated)


@pytest.mark.parametrize(
    ("question", "why"),
    [
        (TRAINED, "compares no arms"),
        (EFFECT + "\nrandomised = true", "assigned at random"),
    ],
)
def test_what_cannot_be_emulated_says_so(question: str, why: str) -> None:
    with pytest.raises(InputError, match=why):
        asked(question + "\ntarget_trial = true", LANDMARK, data="patients")


@pytest.mark.parametrize("question", [EFFECT, RATES, RETENTION])
@pytest.mark.parametrize(
    ("trial", "label", "immortal"),
    [
        ("", "unadjusted for confounding", True),
        (LANDMARK, "landmark at week 4, unadjusted for confounding", False),
        (SEQUENTIAL, "sequential trials, unadjusted for confounding", False),
        (
            LANDMARK + PROPENSITY,
            "landmark at week 4, weighted by public propensity coefficients; confounders not in "
            "them remain",
            False,
        ),
    ],
)
def test_an_answer_says_what_was_compared(
    question: str, trial: str, label: str, immortal: bool
) -> None:
    answer, _, _ = answered(asked(question, trial), [null_cohort(400, seed=2)])
    assert answer.title.endswith(f", {label}")
    assert any(label in sentence for sentence in answer.sentences)
    notes = " ".join(answer.notes)
    assert ("which flatters it" in notes) == immortal
    assert ("Target trial" in notes) == bool(trial)
    assert ("Example et al. 2024" in notes) == (trial == LANDMARK + PROPENSITY)
    if trial:
        assert answer.notes[0] == "Synthetic data: these are not people."
        assert "a PHQ-9 score at" in notes
        assert "had not begun the therapy that they waited for by then" in notes
        assert not re.search(r"\b1 weeks|\{|\}", notes)
    if trial == SEQUENTIAL:
        table = answer.tables[-1]
        assert table.title.startswith("Person-trials")
        assert [row[0] for row in table.rows] == ["week 0", "week 2", "week 4", "week 6"]


def test_a_plan_counts_fewer_people_and_a_round_more() -> None:
    noise = SumNoise(5.0)
    plain, landmark, sequential = (
        asked(EFFECT, trial, data="patients") for trial in ("", LANDMARK, SEQUENTIAL)
    )
    alone, one, many = (q.expected(noise)[0] for q in (plain, landmark, sequential))
    assert one.sampling == pytest.approx(alone.sampling / 0.9**0.5)
    assert one.noise == pytest.approx(alone.noise / 0.9)
    assert many.noise > 1.4 * one.noise
    assert [q.shape.rounds for q in (plain, landmark, sequential)] == [1, 1, 2]
    guess = asked(EFFECT, LANDMARK + "\ncounted = 0.45", data="patients").expected(noise)[0]
    assert guess.noise == pytest.approx(2 * one.noise)


@pytest.mark.parametrize("noise", [0.0, 6.0, 1e3])
@pytest.mark.parametrize("question", [EFFECT, RATES, RETENTION])
def test_noise_alone_gives_no_number(question: str, noise: float) -> None:
    """Clinics without patients: nothing is told, and nothing fails."""
    for seed in range(5):
        found = asked(question, SEQUENTIAL, data="patients", fewest=10)
        answer, _, _ = answered(found, [], noise=noise, seed=seed)
        shown = [e for e in answer.estimates if e.value is not None and e.count != 0]
        assert len(shown) <= len(answer.estimates) // 3
        assert "nan" not in str(answer.estimates).lower()
