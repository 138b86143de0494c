"""Weights of person-trials and of propensity: balance, size, bound, whatever the counts."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st

from cairn_models.measures import INSTRUMENTS
from cairn_models.propensity import OverlapWeights
from cairn_models.trial_weights import HEAVIEST, MOST_PEOPLE, Comparison, TrialWeights, counting
from cairn_protocol.study import Variable
from cairn_protocol.target_trial import Line, Propensity
from trial_cohorts import Person, records

PHQ9 = INSTRUMENTS["PHQ-9"]
NUMBERS = st.one_of(st.floats(allow_nan=True, allow_infinity=True), st.floats(0, 3000))


def comparison(
    arms: int, reference: int | None = 0, alike: float = 0.0, fewest: float = 10
) -> Comparison:
    return Comparison(reference, np.ones(arms), alike, fewest)


@st.composite
def tables(draw: st.DrawFn) -> np.ndarray:
    trials, arms = draw(st.integers(2, 5)), draw(st.integers(2, 4))
    cells = draw(st.lists(NUMBERS, min_size=trials * arms, max_size=trials * arms))
    return np.array(cells).reshape(trials, arms)


@given(tables(), st.booleans(), st.floats(0, 1))
def test_no_counts_break_the_bound(counts: np.ndarray, compared: bool, alike: float) -> None:
    """Every history of one person: a reference in trials before, then in one arm, or never."""
    reference = 0 if compared else None
    weights = TrialWeights.of(counts, comparison(counts.shape[1], reference, alike))
    assert np.isfinite(weights.each).all()
    assert (weights.each >= 0).all()
    assert (weights.each <= HEAVIEST + 1e-12).all()
    for trial in range(len(counts)):
        before = weights.each[:trial, 0].sum() if compared else 0.0
        for arm in range(1 if compared else 0, counts.shape[1]):
            own = weights.each[trial, arm]
            norm = np.sqrt(own**2 + before**2 + 2 * alike * own * before)
            assert norm <= weights.norm * (1 + 1e-12)
    if compared:
        assert weights.each[:, 0].sum() <= weights.norm * (1 + 1e-12)


@given(tables())
def test_every_arm_has_the_same_mix_of_trials(counts: np.ndarray) -> None:
    weights = TrialWeights.of(counts, comparison(counts.shape[1]))
    told = weights.each.any(axis=1)
    people = (weights.each * np.where(told[:, None], counts.clip(max=MOST_PEOPLE), 0.0))[told]
    if told.any():
        mix = people / people.sum(axis=0)
        assert mix == pytest.approx(np.repeat(mix[:, :1], mix.shape[1], axis=1), rel=1e-9)


@pytest.mark.parametrize("small", [9.9, 0.0, -40.0, np.nan, np.inf * 0])
def test_a_trial_with_too_few_in_an_arm_is_left_out(small: float) -> None:
    counts = np.array([[500.0, 300.0], [400.0, small]])
    weights = TrialWeights.of(counts, comparison(2))
    assert weights.each[0].all()
    assert not weights.each[1].any()


def test_a_sum_of_weights_is_the_effective_number_of_people() -> None:
    """By hand: who refers to two trials counts twice over, with weights that add up."""
    counts = np.array([[100.0, 50.0], [40.0, 20.0]])
    weights = TrialWeights.of(counts, comparison(2)).each
    c, n = weights[:, 0], counts[:, 0]
    people = np.concatenate([np.full(40, c.sum()), np.full(60, c[0])])
    assert (c @ n) == pytest.approx((people**2).sum())
    assert people.sum() == pytest.approx(c @ n)
    begun = np.concatenate([np.full(50, weights[0, 1]), np.full(20, weights[1, 1])])
    assert begun.sum() == pytest.approx((begun**2).sum())


@pytest.mark.parametrize("trials", range(2, 7))
@pytest.mark.parametrize("reference", [None, 0, 1])
def test_nobody_s_counts_exceed_the_bound(trials: int, reference: int | None) -> None:
    units = counting(trials, 3, reference)
    for last in range(trials):
        before = (units[:last, reference] ** 2).sum() if reference is not None else 0.0
        others = [a for a in range(3) if a != reference]
        assert np.sqrt(before + units[last, others].max() ** 2) <= 1 + 1e-12
    if reference is not None:
        assert np.sqrt((units[:, reference] ** 2).sum()) <= 1 + 1e-12


VARIABLES = {"severe": Variable(levels=("no", "yes")), "age": Variable(lowest=16, highest=96)}
LINES = Propensity(
    source="made up",
    arms={
        "a": Line(
            intercept=-1.0,
            baseline=0.05,
            week=-0.2,
            variables={"severe": {"yes": 1.0}, "age": 0.02},
        ),
        "b": Line(intercept=0.5, baseline=-0.04, variables={"age": -0.01}),
    },
)
ARMS = ("none", "a", "b")


def overlap(propensity: Propensity = LINES, arms: tuple[str, ...] = ARMS) -> OverlapWeights:
    return OverlapWeights(propensity, arms, PHQ9, VARIABLES, (0.0, 4.0))


def crowd(size: int, seed: int = 0) -> tuple[list[Person], np.ndarray]:
    rng = np.random.default_rng(seed)
    people = [
        Person("none", {}, {}, str(rng.choice(["no", "yes"])), float(rng.uniform(16, 96)))
        for _ in range(size)
    ]
    return people, rng.uniform(0, 27, size)


def test_weights_are_those_of_li_and_li() -> None:
    people, baseline = crowd(50)
    found = overlap()
    weights = found.of(records(people), baseline, 4.0) * found.largest
    severe = np.array([p.severe == "yes" for p in people])
    age = np.array([p.age for p in people])
    odds = np.stack(
        [
            np.zeros(50),
            -1 + 0.05 * baseline - 0.8 + severe + 0.02 * age,
            0.5 - 0.04 * baseline - 0.01 * age,
        ],
        axis=1,
    )
    chance = np.exp(odds) / np.exp(odds).sum(axis=1, keepdims=True)
    expected = (1 / chance) / (1 / chance).sum(axis=1, keepdims=True)
    assert weights == pytest.approx(expected, rel=1e-12)


def test_weights_reach_one_at_the_ends_of_the_ranges_and_never_exceed_it() -> None:
    ends = [Person("none", {}, {}, severe, age) for severe in ("no", "yes") for age in (16.0, 96.0)]
    two = overlap(Propensity(source="x", arms={"a": LINES.arms["a"]}), ("none", "a"))
    every = np.concatenate(
        [
            two.of(records(ends), np.full(4, score), week)
            for score in (0.0, 27.0)
            for week in (0.0, 4.0)
        ]
    )
    assert every.max(axis=0) == pytest.approx([1.0, 1.0])
    people, baseline = crowd(400)
    several = overlap().of(records(people), baseline, 0.0)
    assert (several > 0).all()
    assert (several <= 1).all()


@pytest.mark.parametrize(
    ("person", "baseline"),
    [
        (Person("none", {}, {}, "unknown", 40), 12.0),
        (Person("none", {}, {}, "no", 15.9), 12.0),
        (Person("none", {}, {}, "no", float("nan")), 12.0),
        (Person("none", {}, {}, "no", 40), float("nan")),
    ],
)
def test_who_lacks_something_that_a_line_reads_has_no_weight(
    person: Person, baseline: float
) -> None:
    assert not overlap().of(records([person]), np.array([baseline]), 0.0).any()


def test_what_no_line_reads_may_be_missing() -> None:
    plain = Propensity(source="x", arms={"a": Line(intercept=0.3), "b": Line(intercept=0.0)})
    person = Person("none", {}, {}, "unknown", float("nan"))
    assert overlap(plain).of(records([person]), np.array([np.nan]), 0.0).all()


def test_with_fitted_coefficients_the_arms_weigh_alike() -> None:
    """Exact balance of means at the maximum likelihood fit (Li, Morgan & Zaslavsky, theorem 3)."""
    rng = np.random.default_rng(2)
    people, baseline = crowd(3000, seed=5)
    age = np.array([p.age for p in people])
    begun = rng.random(3000) < 1 / (1 + np.exp(-(-2 + 0.1 * baseline + 0.01 * age)))
    design = np.column_stack([np.ones(3000), baseline, age])
    fitted = sm.Logit(begun.astype(float), design).fit(disp=0, tol=1e-12).params
    line = Line(intercept=fitted[0], baseline=fitted[1], variables={"age": fitted[2]})
    found = overlap(Propensity(source="fitted", arms={"a": line}), ("none", "a"))
    each = found.of(records(people), baseline, 0.0)
    for covariate in (baseline, age):
        means = [
            np.average(covariate[who], weights=each[who, arm])
            for arm, who in enumerate((~begun, begun))
        ]
        assert means[0] == pytest.approx(means[1], rel=1e-6)
