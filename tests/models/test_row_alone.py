"""A patient's row has the same bits alone as among others, whatever the order of the rows."""

from __future__ import annotations

from itertools import combinations
from typing import Literal

import numpy as np
import pytest

from cairn_models.endings import Endings
from cairn_models.questions import build
from cairn_models.questions.describe import Described
from cairn_models.questions.timed import Timed
from cairn_models.trajectory.error_sums import ErrorSums
from cairn_models.trajectory.features import HORIZONS
from cairn_protocol.study import Study

HORIZON_SETS = [c for n in range(1, len(HORIZONS) + 1) for c in combinations(HORIZONS, n)]


@pytest.mark.parametrize("horizons", HORIZON_SETS, ids=str)
@pytest.mark.parametrize("order", ["C", "F"])
def test_an_error_row_alone_is_the_row_among_others(
    horizons: tuple[int, ...], order: Literal["C", "F"]
) -> None:
    """NumPy adds up a row of one patient in another order than a column-major row among many."""
    rng = np.random.default_rng(3)
    sums = ErrorSums(horizons, 27.0)
    shape = (300, len(horizons))
    errors = [np.asarray(rng.gamma(2.0, 2.0, shape), order=order) for _ in range(3)]
    known = np.asarray(rng.random(shape) < 0.8, order=order)
    together = sums.encode(*errors, known)
    for i in range(shape[0]):
        alone = sums.encode(*(e[i : i + 1] for e in errors), known[i : i + 1])
        assert alone[0].tobytes() == together[i].tobytes()


@pytest.mark.parametrize(
    ("kind", "event"),
    [
        ("retention", "measurement"),
        ("retention", "programme"),
        ("time_to_event", "deterioration"),
        ("time_to_event", "step_up"),
    ],
)
def test_a_row_until_an_event_alone_is_the_row_among_others(kind: str, event: str) -> None:
    text = f"""
        cairn = 1
        name = "alone"
        title = "Alone"
        outcome = {{ instrument = "PHQ-9" }}
        cohort = {{ arms = ["waiting", "blended"], planned_patients = 9, largest_clinic = 9 }}
        [[questions]]
        name = "stay"
        kind = "{kind}"
        epsilon = 1
        event = "{event}"
        """
    study = Study.parse(text.encode())
    question = build(study.questions[0], study)
    rng = np.random.default_rng(3)
    assert isinstance(question, Timed)
    how = rng.integers(0, question.ways.columns, 300)
    ended = Endings(rng.integers(-1, 2, 300), rng.uniform(0, 15, 300), how)
    public = question.start({})
    (together,) = question.contributions(ended, public)
    for i in range(300):
        one = Endings(ended.arm[i : i + 1], ended.time[i : i + 1], ended.how[i : i + 1])
        (alone,) = question.contributions(one, public)
        assert alone[0].tobytes() == together[i].tobytes()


def test_a_describe_row_alone_is_the_row_among_others() -> None:
    text = b"""
        cairn = 1
        name = "alone"
        title = "Alone"
        outcome = { instrument = "PHQ-9" }
        cohort = { arms = ["waiting", "blended"], planned_patients = 9, largest_clinic = 9 }
        variables.sex = { levels = ["female", "male"] }
        variables.age = { lowest = 16, highest = 100 }
        [[questions]]
        name = "who"
        kind = "describe"
        epsilon = 1
        """
    study = Study.parse(text)
    question = build(study.questions[0], study)
    rng = np.random.default_rng(3)
    values = np.stack(
        [
            rng.uniform(-3, 30, 300),  # score, some out of range
            rng.integers(0, 4, 300),  # furthest stage
            rng.integers(0, 2, 300),
            rng.uniform(10, 110, 300),
            rng.integers(0, 28, 300),
        ],
        axis=1,
    )
    values[rng.random(values.shape) < 0.2] = np.nan
    described = Described(rng.integers(-1, 2, 300), values)
    public = question.start({})
    (together,) = question.contributions(described, public)
    for i in range(300):
        one = Described(described.arm[i : i + 1], values[i : i + 1])
        (alone,) = question.contributions(one, public)
        assert alone[0].tobytes() == together[i].tobytes()
