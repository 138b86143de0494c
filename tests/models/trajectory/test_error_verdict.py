"""The sentence that compares a model's error: right way round, and names left as they are."""

from __future__ import annotations

import pytest

from cairn_models.questions.error_answer import _verdict
from cairn_models.trajectory.error_sums import Value


@pytest.mark.parametrize(
    ("value", "deviation", "words"),
    [
        (
            -0.5,
            0.1,
            "That is less than its prior, by 0.50 PHQ-9 points (95 % interval 0.30 to 0.70).",
        ),
        (
            0.5,
            0.1,
            "That is more than its prior, by 0.50 PHQ-9 points (95 % interval 0.30 to 0.70)",
        ),
        (-0.1, 0.1, "It cannot be told apart from its prior: −0.10 PHQ-9 points"),
    ],
)
def test_a_difference_is_said_in_its_own_direction(
    value: float, deviation: float, words: str
) -> None:
    difference = Value(value, sampling=deviation**2, noise=0.0)
    assert words in _verdict(difference, "its prior", "PHQ-9 points")
