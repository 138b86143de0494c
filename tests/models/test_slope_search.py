"""The search for a random slope's covariance: exact derivatives, saddles, edges, arrival."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal

from cairn_models.questions.mixed_model import DEFAULT_ROUNDS
from cairn_models.statistics.random_intercept import NotEstimable
from cairn_models.statistics.random_slopes import PatientProducts, SlopeSums
from cairn_models.statistics.single_pairs import join, split
from cairn_models.statistics.slope_fit import NOT_ARRIVED, RandomSlopes, fit_slopes
from cairn_models.statistics.slope_profile import profile
from cairn_models.statistics.slope_search import NESTED, START, WALKS, SlopeSearch, SlopeState
from longitudinal_data import JOB_LOSS


def test_a_walk_that_begins_at_a_saddle_is_kicked_off_it_and_otherwise_never_wins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """c = 0 is stationary whatever the data."""
    groups = job_loss_groups()
    search = "cairn_models.statistics.slope_search"
    monkeypatch.setattr(f"{search}.STARTS", np.array([[1.0, 0.0, 0.0]] * NESTED))
    assert -2 * fitted_well(groups).log_likelihood == pytest.approx(5133.13743, abs=1e-5)
    monkeypatch.setattr(f"{search}._KICK", 0.0)
    stuck = fitted(groups)
    assert isinstance(stuck, NotEstimable)
    assert stuck.reason == NOT_ARRIVED


def job_loss_groups() -> Groups:
    frame = pd.read_csv(JOB_LOSS)
    return [
        (
            np.column_stack([np.ones(len(g)), g.months]),
            g.depression.to_numpy(float),
            g.months.to_numpy(),
        )
        for _, g in frame.groupby("id")
    ]


Groups = list[tuple[Any, Any, Any]]


def synthetic_groups(seed: int, patients: int = 40, slope: float = 0.5) -> Groups:
    rng = np.random.default_rng(seed)
    groups = []
    for _ in range(patients):
        n = int(rng.integers(1, 6))
        times = np.sort(rng.uniform(0, 12, n))
        x = np.column_stack([np.ones(n), times])
        level, own = 3 * rng.normal(), slope * rng.normal()
        groups.append((x, x @ [15, -0.4] + level + own * times + 2 * rng.normal(size=n), times))
    return groups


def fitted(
    groups: Groups, rounds: int = DEFAULT_ROUNDS, method: Any = "ML", correlated: bool = True
) -> RandomSlopes | NotEstimable:
    x, y, times = (list(part) for part in zip(*groups, strict=True))
    products = PatientProducts.of(x, y, [t / 16 for t in times])
    search, public = SlopeSearch(method, correlated), START.write()
    for round_ in range(rounds):
        state = SlopeState.read(public)
        total = products.vectors(state.trial, 64.0).sum(axis=0)
        sums = SlopeSums.unpack(total, np.ones(x[0].shape[1]), 1.0, 64.0, 16.0)
        public = search.advance(state, sums, round_).write()
    return fit_slopes(search, SlopeState.read(public), sums)


def fitted_well(groups: Groups, **how: Any) -> RandomSlopes:
    model = fitted(groups, **how)
    assert isinstance(model, RandomSlopes), model
    return model


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 10_000),
    st.tuples(*[st.floats(-2.5, 2.5)] * 3),
    st.sampled_from(["ML", "REML"]),
)
def test_gradient_and_hessian_are_the_differences_of_a_dense_likelihood(
    seed: int, theta: tuple[float, float, float], method: Any
) -> None:
    groups = synthetic_groups(seed, patients=8)
    x, y, times = (list(part) for part in zip(*groups, strict=True))
    if sum(map(len, y)) < 8:
        return
    products = PatientProducts.of(x, y, times)

    def at(t: Any) -> Any:
        total = products.vectors(np.array([t]), 1.0).sum(axis=0)
        found = profile(SlopeSums.unpack(total, np.ones(2), 1.0, 1.0, 1.0), 0, method)
        assert found is not None
        return found

    here = at(theta)
    assert here.deviance == pytest.approx(dense(groups, np.array(theta), method), rel=1e-8)
    step = 1e-5
    for k in range(3):
        one = np.zeros(3)
        one[k] = step
        up, down = at(theta + one), at(theta - one)
        slope = (up.deviance - down.deviance) / (2 * step)
        assert here.gradient[k] == pytest.approx(slope, rel=1e-4, abs=1e-4)
        curvature = (up.gradient - down.gradient) / (2 * step)
        np.testing.assert_allclose(here.hessian[k], curvature, rtol=1e-4, atol=1e-3)


def dense(groups: Groups, theta: Any, method: Any) -> float:
    a, b, c = theta
    root = np.array([[a, 0], [b, c]])
    full, p = [], 2
    for x, y, times in groups:
        z = np.column_stack([np.ones(len(y)), times]) @ root
        full.append((x, y, np.eye(len(y)) + z @ z.T))
    gram = sum(x.T @ np.linalg.solve(v, x) for x, _, v in full)
    beta = np.linalg.solve(gram, sum(x.T @ np.linalg.solve(v, y) for x, y, v in full))
    residual = sum((y - x @ beta) @ np.linalg.solve(v, y - x @ beta) for x, y, v in full)
    n = sum(len(y) for _, y, _ in full)
    m = n - p if method == "REML" else n
    variance = residual / m
    if method == "ML":
        return -2 * sum(multivariate_normal.logpdf(y, x @ beta, variance * v) for x, y, v in full)
    log_det = sum(np.linalg.slogdet(v)[1] for _, _, v in full)
    return float(m * (1 + np.log(2 * np.pi * variance)) + log_det + np.linalg.slogdet(gram)[1])


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 100_000), st.sampled_from([0.0, 0.1, 0.5]), st.booleans())
def test_no_neighbour_is_more_likely_or_the_answer_says_why(
    seed: int, slope: float, correlated: bool
) -> None:
    groups = synthetic_groups(seed, slope=slope)
    model = fitted(groups, correlated=correlated)
    if isinstance(model, NotEstimable):
        assert model.reason
        return
    assert model.log_likelihood >= model.log_likelihood_intercept - 1e-6
    rng = np.random.default_rng(seed)
    d = np.array([[model.var_subject, model.cov_slope], [model.cov_slope, model.var_slope]])
    root = np.linalg.cholesky(d / model.var_resid + 1e-14 * np.eye(2))
    theta = np.array([root[0, 0], root[1, 0], root[1, 1]])
    for _ in range(30):
        near = theta + 0.02 * rng.normal(size=3) * [1.0, float(correlated), 1.0]
        assert dense(groups, near, "ML") >= -2 * model.log_likelihood - 1e-6


def test_a_walk_whose_likelihood_fell_goes_half_the_way_back() -> None:
    x, y, times = (list(part) for part in zip(*job_loss_groups(), strict=True))
    products, search = PatientProducts.of(x, y, times), SlopeSearch("ML", True)
    best, far = np.full((WALKS, 3), [1.1, -0.3, 0.06]), np.full((WALKS, 3), [60.0, 5.0, 40.0])
    state = SlopeState(far, best, np.full(WALKS, 5140.0))
    total = products.vectors(state.trial, 1.0).sum(axis=0)
    after = search.advance(state, SlopeSums.unpack(total, np.ones(2), 1.0, 1.0, 1.0), 3)
    np.testing.assert_allclose(after.trial, (best + far) / 2)
    np.testing.assert_array_equal(after.best, best)
    np.testing.assert_array_equal(after.deviance, state.deviance)


def test_an_answer_is_given_only_for_the_lowest_walk_at_rest() -> None:
    groups = job_loss_groups()
    x, y, times = (list(part) for part in zip(*groups, strict=True))
    products, search, state = PatientProducts.of(x, y, times), SlopeSearch("ML", True), START
    for round_ in range(16):
        total = products.vectors(state.trial, 1.0).sum(axis=0)
        sums = SlopeSums.unpack(total, np.ones(2), 1.0, 1.0, 1.0)
        state = search.advance(state, sums, round_)
    assert isinstance(fit_slopes(search, state, sums), RandomSlopes)
    lower = state.deviance - [0, 0.1, 0, 0, 0]  # a walk that was lower than where it is now
    nested = state.deviance - [0, 0, 0, 0, 10]  # nested likelihoods out of order
    for deviance in (lower, nested):
        refused = fit_slopes(search, replace(state, deviance=deviance), sums)
        assert isinstance(refused, NotEstimable)
        assert refused.reason == NOT_ARRIVED


def test_nearly_every_synthetic_study_arrives_in_the_default_rounds() -> None:
    models = [fitted(synthetic_groups(seed)) for seed in range(20)]
    assert sum(isinstance(model, RandomSlopes) for model in models) >= 19


@given(st.lists(st.floats(-1e25, 1e25), min_size=1, max_size=9))
def test_pairs_of_singles_keep_48_bits(values: list[float]) -> None:
    exact = np.array([v if abs(v) > 1e-25 else 0.0 for v in values])
    np.testing.assert_allclose(join(split(exact)), exact, rtol=2.0**-47)
