"""The fitted baselines: by hand, against statsmodels, blind to the future, and bounded."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from hypothesis import given, settings
from hypothesis import strategies as st

from cairn_models.baselines import (
    ArmMean,
    MixedModel,
    PrivateRidge,
    Ridge,
    error_by_horizon,
    last_value,
)
from cairn_models.baselines.arm_mean import arm_of
from cairn_models.baselines.memories import FEW
from cairn_models.baselines.private_ridge import BOUND
from cairn_models.measures import INSTRUMENTS
from cairn_models.records import Records
from cairn_models.synthetic import World
from cairn_models.trajectory.columns import ARMS, HORIZONS, WEEKS
from cairn_models.trajectory.features import Weekly, weekly

PHQ9 = INSTRUMENTS["PHQ-9"]


@pytest.fixture(scope="module")
def cohorts(pooled) -> tuple[Weekly, Weekly]:
    train, test = (weekly(pooled(World.far(), [40] * 6, seed), PHQ9) for seed in (31, 32))
    return train, test


def mean_error(predicted, weeks: Weekly) -> float:
    return float(np.mean(list(error_by_horizon(predicted, weeks, PHQ9).values())))


def test_the_mean_change_of_an_arm_by_hand(added):
    records = Records()
    for k in range(400):
        fall = 4.0 if k % 2 else 0.0
        arm = "dmhi_guided" if k % 2 else "waiting"
        records = added(records, f"p{k:03d}", [(0.0, 14.0), (4.0, 14.0 - fall)], arm=arm)
    weeks = weekly(records, PHQ9)
    change = ArmMean.fit(weeks).change[:, 0, HORIZONS.index(4)] * 27
    assert change[ARMS.index("dmhi_guided")] == pytest.approx(
        -200 * 4 / 220 - 20 / 220 * 3.818, 0.01
    )
    assert change[ARMS.index("waiting")] == pytest.approx(0, abs=0.05)


def test_the_mixed_model_is_statsmodels(cohorts):
    """Likelihood, variances and coefficients of the same model by maximum likelihood."""
    weeks = cohorts[0]
    ours = MixedModel.fit(weeks)
    row, week = np.nonzero(weeks.observed[:, :, 0])
    long = pd.DataFrame(
        {
            "y": weeks.scores[row, week, 0].astype(float),
            "t": week / (WEEKS - 1),
            "l": np.log1p(week),
            "arm": arm_of(weeks)[row],
            "who": row,
        }
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = smf.mixedlm(
            "y ~ 0 + C(arm) + C(arm):t + C(arm):l", long, groups="who", re_formula="~t"
        ).fit(reml=False, method=["lbfgs"])
    assert ours.log_likelihood >= theirs.llf - 1e-4
    assert ours.log_likelihood == pytest.approx(theirs.llf, abs=0.01)
    assert ours.residual == pytest.approx(theirs.scale, rel=5e-3)
    np.testing.assert_allclose(ours.covariance, theirs.cov_re.to_numpy(), rtol=0.03)
    mine = ours.beta.reshape(-1, 3)[sorted(long.arm.unique())]
    np.testing.assert_allclose(mine.T.ravel(), theirs.fe_params.to_numpy(), atol=2e-3)


def test_a_mixed_models_last_prediction_is_its_best_linear_one(cohorts):
    """BLUP at the last week, from the definition D Zᵀ V⁻¹ (y − Xβ), for one patient."""
    weeks = cohorts[0]
    model = MixedModel.fit(weeks.take(np.arange(60)))
    one = int(weeks.observed[:, :, 0].sum(axis=1).argmax())
    place = arm_of(weeks)[one]
    beta = model.beta.reshape(-1, 3)[place]
    at = np.flatnonzero(weeks.observed[one, :, 0])
    z = np.column_stack([np.ones(len(at)), at / (WEEKS - 1)])
    x = np.column_stack([z, np.log1p(at)])
    v = z @ model.covariance @ z.T + model.residual * np.eye(len(at))
    own = model.covariance @ z.T @ np.linalg.solve(v, weeks.scores[one, at, 0] - x @ beta)
    ahead = WEEKS - 1 + 4
    clock = np.array([1, ahead / (WEEKS - 1)])
    expected = np.append(clock, np.log1p(ahead)) @ beta + clock @ own
    got = model.predict(weeks.take([one]))[0, -1, HORIZONS.index(4)]
    assert got == pytest.approx(np.clip(expected, 0, 1), abs=1e-5)


def test_each_beats_the_last_value_where_courses_are_steep(cohorts):
    train, test = cohorts
    last = mean_error(last_value(test), test)
    for fit in (ArmMean.fit, MixedModel.fit, lambda weeks: Ridge.fit(weeks, FEW)):
        assert mean_error(fit(train).predict(test), test) < last, fit


def test_no_prediction_sees_the_future(cohorts):
    train, test = cohorts
    week = 6
    changed = test.scores.copy()
    changed[:, week + 1 :] = 0.9
    features = test.features.copy()
    features[:, week + 1 :] = 0.5
    other = replace(test, scores=changed, features=features)
    for fit in (ArmMean.fit, MixedModel.fit, Ridge.fit):
        model = fit(train)
        np.testing.assert_array_equal(
            model.predict(test)[:, : week + 1], model.predict(other)[:, : week + 1]
        )


def test_private_ridge_without_noise_is_nearly_ridge(cohorts):
    train, test = cohorts
    exact = PrivateRidge.solve(PrivateRidge.vectors(train).sum(axis=0), 0.0)
    plain = mean_error(Ridge.fit(train, FEW).predict(test), test)
    assert mean_error(exact.predict(test), test) == pytest.approx(plain, rel=0.03)


def test_private_ridge_under_endless_noise_is_the_last_value(cohorts):
    """The penalty grows with the noise: what is predicted is then no change."""
    train, test = cohorts
    sd = 1e6
    noise = np.random.default_rng(0).normal(0, sd, PrivateRidge.length)
    found = PrivateRidge.solve(PrivateRidge.vectors(train).sum(axis=0) + noise, sd)
    last = mean_error(last_value(test), test)
    assert mean_error(found.predict(test), test) < 2 * last
    unaware = PrivateRidge.solve(PrivateRidge.vectors(train).sum(axis=0) + noise, 0.0)
    assert np.abs(unaware.weights).max() > np.abs(found.weights).max()


@settings(max_examples=30, deadline=None)
@given(
    scores=st.lists(
        st.tuples(st.sampled_from([0.0, 1.0, 3.0, 26.0, 1e9, float("nan")]), st.floats()),
        max_size=12,
    )
)
def test_a_hostile_patient_stays_within_the_bound_and_alone(added, clinic, scores):
    few = clinic.only(clinic.patients["patient"][:3])
    alone = PrivateRidge.vectors(weekly(few, PHQ9))
    both = PrivateRidge.vectors(weekly(added(few, "zz", scores), PHQ9))
    assert np.isfinite(both).all()
    assert (np.linalg.norm(both, axis=1) <= BOUND * (1 + 1e-9)).all()
    np.testing.assert_allclose(both[:3], alone, rtol=1e-9, atol=1e-12)
