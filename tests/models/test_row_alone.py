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
from cairn_models.synthetic import World, generate
from cairn_models.trajectory.columns import HORIZONS
from cairn_models.trajectory.error_sums import ErrorSums
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


def test_a_row_of_every_part_alone_is_the_row_among_others() -> None:
    text = b"""
        cairn = 1
        name = "alone"
        title = "Alone"
        outcome = { instrument = "PHQ-9" }
        cohort = { arms = ["waiting", "blended"], planned_patients = 9, largest_clinic = 9 }
        [[questions]]
        name = "who"
        kind = "describe"
        epsilon = 1
        parts = ["outcomes", "programme", "waits", "minutes"]
        """
    study = Study.parse(text)
    question = build(study.questions[0], study)
    rng = np.random.default_rng(3)
    values = np.stack(
        [
            rng.integers(0, 28, 300),  # scores at two weeks
            rng.integers(0, 28, 300),
            rng.integers(0, 10, 300),  # furthest stage and whether assessed
            rng.integers(1, 13, 300),  # active weeks
            rng.integers(0, 27, 300),  # wait
            rng.uniform(0, 330, 300),  # minutes, some beyond the largest
            rng.integers(0, 2, 300),  # whether recovered
        ],
        axis=1,
    ).astype(np.float64)
    values[rng.random(values.shape) < 0.2] = np.nan
    described = Described(rng.integers(-1, 2, 300), values)
    public = question.start({})
    (together,) = question.contributions(described, public)
    for i in range(300):
        one = Described(described.arm[i : i + 1], values[i : i + 1])
        (alone,) = question.contributions(one, public)
        assert alone[0].tobytes() == together[i].tobytes()


@pytest.mark.parametrize(
    "asked",
    [
        'family = "logistic"\nformula = "reliable_improvement ~ arm + sex"',
        'family = "linear"\nformula = "outcome ~ baseline + arm"',
        'family = "hazard"\nformula = "hazard ~ time + arm"',
        'family = "hazard"\nevent = "step_up"\nformula = "hazard ~ sex"',
        'family = "hazard"\nevent = "deterioration"\nformula = "hazard ~ sex"',
    ],
)
def test_a_regression_row_alone_is_the_row_among_others(asked: str) -> None:
    text = f"""
        cairn = 1
        name = "alone"
        title = "Alone"
        outcome = {{ instrument = "PHQ-9" }}
        cohort = {{ arms = ["waiting", "dmhi_guided"], planned_patients = 900, largest_clinic = 9 }}
        variables.sex = {{ levels = ["female", "male"] }}
        [[questions]]
        name = "who"
        kind = "regression"
        epsilon = 1
        {asked}
        """
    study = Study.parse(text.encode())
    question = build(study.questions[0], study)
    records = generate(World(), [40], seed=4, weeks=12)[0]
    public = question.start({})
    (together,) = question.contributions(question.prepare(records), public)
    assert together.any()
    for i, patient in enumerate(records.patients["patient"]):
        one = records.only(
            records.patients["patient"].filter(records.patients["patient"] == patient)
        )
        (alone,) = question.contributions(question.prepare(one), public)
        assert alone[0].tobytes() == together[i].tobytes()
