"""Each rule of a target trial on its edge, and what every patient's row may depend on."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from cairn_models.measures import INSTRUMENTS
from cairn_models.records import ENGAGEMENT, SCORES, Records
from cairn_models.target_trial import Trial, in_trial, trials_of
from cairn_protocol.target_trial import TargetTrial
from trial_cohorts import (
    ARMS,
    EFFECT,
    LANDMARK,
    RETENTION,
    SEQUENTIAL,
    Person,
    asked,
    records,
    rows,
)

PHQ9 = INSTRUMENTS["PHQ-9"]
KEPT = {0.0: 15, 4.0: 14, 8.0: 12}
GONE = {0.0: 15, 3.9: 14}


def target(**settings: Any) -> TargetTrial:
    return TargetTrial(**{"design": "landmark", "starts": ("dmhi",), **settings})


def arm(person: Person, asked_for: TargetTrial, number: int = 0) -> str | None:
    """The arm of one person in trial `number`."""
    held = in_trial(records([person]), trials_of(asked_for)[number], asked_for, PHQ9, ARMS)
    (found,) = held.records.patients["arm"].to_list()
    return found


@pytest.mark.parametrize(
    ("person", "expected"),
    [
        (Person("dmhi", KEPT, {"started": 0}), "dmhi"),
        (Person("dmhi", KEPT, {"started": 4}), "dmhi"),  # the landmark belongs to the grace period
        (Person("dmhi", KEPT, {"started": 4.01}), "waiting"),
        (Person("dmhi", KEPT), "waiting"),  # never began
        (Person("dmhi", KEPT, {"started": -0.5}), None),  # had begun before entry
        (Person("waiting", KEPT), "waiting"),
        (Person("waiting", KEPT, {"started": 1}), "waiting"),  # an arm that needs no start
        (Person("waiting", GONE), None),  # not under observation at the landmark
        (Person("dmhi", GONE, {"started": 1}), None),
        (Person("waiting", {0.0: 15, 4.0: 99}), None),  # what is no score shows nobody
        (Person("waiting", KEPT, {"therapy_started": 4}), None),
        (Person("dmhi", KEPT, {"started": 1, "therapy_started": 4}), None),
        (Person("dmhi", KEPT, {"started": 1, "therapy_started": 4.01}), "dmhi"),
        (Person("waiting", KEPT, {"stepped_up": 1}), "waiting"),  # not named in not_yet
        (Person(None, KEPT, {"started": 1}), None),
        (Person("elsewhere", KEPT, {"started": 1}), None),
    ],
)
def test_the_landmark_s_rules_on_their_edges(person: Person, expected: str | None) -> None:
    assert arm(person, target()) == expected


@pytest.mark.parametrize(
    ("settings", "person", "expected"),
    [
        ({"seen_within": 0.1}, Person("waiting", GONE), "waiting"),
        ({"seen_within": 0.09}, Person("waiting", GONE), None),
        ({"begins": "offered"}, Person("dmhi", KEPT, {"offered": 1, "started": 7}), "dmhi"),
        ({"begins": "offered"}, Person("dmhi", KEPT, {"started": 1}), "waiting"),
        ({"not_yet": ("stepped_up",)}, Person("waiting", KEPT, {"stepped_up": 4}), None),
        ({"not_yet": ()}, Person("waiting", KEPT, {"therapy_started": 0}), "waiting"),
        ({"lowest_baseline": 15}, Person("waiting", KEPT), "waiting"),
        ({"lowest_baseline": 15.5}, Person("waiting", KEPT), None),
        ({"highest_baseline": 15}, Person("waiting", KEPT), "waiting"),
        ({"highest_baseline": 14}, Person("waiting", KEPT), None),
        ({"lowest_baseline": 0}, Person("waiting", {8.0: 3}), None),  # no baseline to judge
        ({"grace": 0}, Person("dmhi", KEPT, {"started": 0}), "dmhi"),
        ({"grace": 0}, Person("dmhi", KEPT, {"started": 0.1}), "waiting"),
    ],
)
def test_each_setting_moves_its_own_edge(
    settings: dict[str, Any], person: Person, expected: str | None
) -> None:
    assert arm(person, target(**settings)) == expected


@pytest.mark.parametrize(
    ("week", "expected"),
    [
        (0, ["dmhi", None, None]),
        (2, ["dmhi", None, None]),  # the end of a grace period belongs to it, not to the next
        (2.01, ["waiting", "dmhi", None]),
        (4, ["waiting", "dmhi", None]),
        (6, ["waiting", "waiting", "dmhi"]),
        (6.01, ["waiting", "waiting", "waiting"]),
    ],
)
def test_every_start_falls_into_one_trial(week: float, expected: list[str | None]) -> None:
    trials = target(design="sequential", grace=2, trials=(0, 2, 4))
    person = Person("dmhi", {0.0: 15, 8.0: 12}, {"started": week})
    assert [arm(person, trials, k) for k in range(3)] == expected


def test_an_arm_that_needs_no_start_begins_at_entry() -> None:
    arms = ("waiting", "dmhi", "book")
    trials = target(design="sequential", grace=2, trials=(0, 2))
    people = records([Person("book", KEPT)])
    found = [
        in_trial(people, t, trials, PHQ9, arms).records.patients["arm"][0]
        for t in trials_of(trials)
    ]
    assert found == ["book", None]


def test_the_clock_of_a_trial_starts_at_its_time_zero() -> None:
    people = records([Person("dmhi", {0.0: 20, 3.0: 16, 11.0: 9}, {"started": 4})])
    trials = target(design="sequential", grace=2, trials=(0, 3))
    held = in_trial(people, trials_of(trials)[1], trials, PHQ9, ARMS)
    assert held.records.scores["time"].to_list() == [-3.0, 0.0, 8.0]
    assert held.records.engagement["time"].to_list() == [1.0]
    assert held.baseline["baseline"].to_list() == [16.0]


def test_records_in_months_are_read_in_weeks() -> None:
    weeks = records([Person("dmhi", KEPT, {"started": 4}), Person("dmhi", KEPT, {"started": 4.1})])
    held = in_trial(weeks.times_in("month"), Trial(0, 4, True), target(), PHQ9, ARMS)
    assert held.records.patients["arm"].to_list() == ["dmhi", "waiting"]
    assert held.records.time_unit == "week"


def test_everybody_stays_in_the_order_of_the_records() -> None:
    people = [Person("waiting", GONE), Person("dmhi", KEPT, {"started": 1}), Person(None, {})]
    before = records(people)
    held = in_trial(before, Trial(0, 4, True), target(), PHQ9, ARMS)
    assert held.records.patients.drop("arm").equals(before.patients.drop("arm"))
    assert held.records.patients["arm"].to_list() == [None, "dmhi", None]


PROPENSITY = """
[target_trial.propensity]
source = "made up"
[target_trial.propensity.arms.dmhi]
intercept = -0.4
baseline = 0.08
week = -0.1
variables.severe = { yes = 0.7 }
variables.age = 0.01
"""
DESIGNS = {
    "landmark": LANDMARK,
    "weighted": LANDMARK + PROPENSITY,
    "sequential": SEQUENTIAL,
    "weighted sequential": SEQUENTIAL + PROPENSITY,
}
KINDS = {
    "effect": EFFECT,
    "rates": 'kind = "rates"\nscales = ["PHQ-9"]',
    "retention": RETENTION,
    "describe": 'kind = "describe"\ntarget_trial = true',
    "logistic": 'kind = "regression"\nfamily = "logistic"\nformula = "reliable_improvement ~ arm"\n'
    'scales = ["PHQ-9"]\nevents_per_variable = 5',
    "linear": 'kind = "regression"\nfamily = "linear"\nformula = "outcome ~ baseline + arm"',
    "hazard": 'kind = "regression"\nfamily = "hazard"\nformula = "hazard ~ arm"',
    "time_to_event": 'kind = "time_to_event"',
}


def crowd(size: int = 60) -> Records:
    rng = np.random.default_rng(4)
    people = []
    for _ in range(size):
        last = float(rng.integers(0, 16))
        weeks = np.arange(0.0, last + 1)
        people.append(
            Person(
                str(rng.choice(["waiting", "dmhi"])),
                {float(w): float(rng.integers(0, 28)) for w in weeks},
                {
                    "started": float(rng.integers(0, 9)),
                    "therapy_started": float(rng.integers(3, 20)),
                },
                str(rng.choice(["no", "yes", "unknown"])),
                float(rng.uniform(10, 100)),
            )
        )
    return records(people)


def states(question: Any, held: Records) -> list[np.ndarray]:
    """The first state, that after one clinic's counts, and some that a server made up."""
    first = question.start({})
    if question.shape.rounds == 1:
        return [first]
    total = rows(question, held, first)[0].sum(axis=0)
    made_up = [np.full(first.shape, v, np.float32) for v in (np.nan, np.inf, 1e30, -1.0, 1.0)]
    lying = np.random.default_rng(1).normal(0, 100, first.shape).astype(np.float32)
    lying[0] = 1.0
    return [first, question.advance(first, total, 0), lying, *made_up]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("design", DESIGNS)
def test_a_row_is_the_patient_s_own_whoever_else_is_there(kind: str, design: str) -> None:
    """Bit for bit: alone, among others, and in another order of rows."""
    question, held = asked(KINDS[kind], DESIGNS[design], data="patients"), crowd()
    turned = Records(
        held.patients, held.scores.reverse(), held.engagement.reverse(), held.wearables
    )
    given = states(question, held)
    together, other_order = rows(question, held, *given), rows(question, turned, *given)
    assert [r.tobytes() for r in together] == [r.tobytes() for r in other_order]
    for number, name in enumerate(held.patients["patient"][:8]):
        alone = rows(question, held.only(pl.Series([name])), *given)
        for one, every in zip(alone, together, strict=True):
            assert len(every) == len(held)
            assert one.tobytes() == every[number].tobytes()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("design", DESIGNS)
def test_no_row_exceeds_the_bound_whatever_the_state(kind: str, design: str) -> None:
    question, held = asked(KINDS[kind], DESIGNS[design], data="patients"), crowd(300)
    for found in rows(question, held, *states(question, held)):
        norms = np.linalg.norm(found, axis=1)
        assert np.isfinite(norms).all()
        assert norms.max() <= question.shape.bound * (1 + 1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(4))
def test_an_impossible_patient_is_answered_and_disturbs_nobody(kind: str, seed: int) -> None:
    rng, held = np.random.default_rng(seed), crowd(12)
    question = asked(KINDS[kind], DESIGNS["weighted sequential"], data="patients")
    numbers = [float("nan"), float("inf"), -float("inf"), 1e300, -1e300, 0.0, -0.0, None, 3.0]

    def table(schema: dict[str, Any], names: list[str | None]) -> pl.DataFrame:
        made = [
            (
                "zz",
                numbers[rng.integers(9)],
                names[rng.integers(len(names))],
                numbers[rng.integers(9)],
            )
            for _ in range(30)
        ]
        return pl.DataFrame(made, schema=schema, orient="row")

    patients = pl.DataFrame(
        [("zz", "dmhi", None, "yes", numbers[rng.integers(9)])] * 2,
        schema=held.patients.schema,
        orient="row",
    )
    events = ["started", "offered", "therapy_started", None]
    both = Records(
        pl.concat([held.patients, patients.head(1)]),
        pl.concat([held.scores, table(SCORES, ["PHQ-9", None])]),
        pl.concat([held.engagement, table(ENGAGEMENT, events)]),
    )
    given = states(question, held)
    before, after = rows(question, held, *given), rows(question, both, *given)
    for others, together in zip(before, after, strict=True):
        assert together[: len(held)].tobytes() == others.tobytes()
        assert np.linalg.norm(together[-1]) <= question.shape.bound * (1 + 1e-12)


@pytest.mark.parametrize("design", DESIGNS)
def test_a_clinic_without_patients_answers(design: str) -> None:
    question = asked(EFFECT, DESIGNS[design], data="patients")
    for found in rows(question, records([]), *states(question, crowd())):
        assert found.shape == (0, question.shape.length)
