"""Baselines: the last value by hand, and a ridge that must beat it where there is signal."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from cairn_models.baselines import error_by_horizon, last_value, ridge_oracle
from cairn_models.measures import INSTRUMENTS
from cairn_models.records import Records
from cairn_models.synthetic import World
from cairn_models.trajectory import artefact
from cairn_models.trajectory.features import weekly
from cairn_models.trajectory.network import predict

PHQ9 = INSTRUMENTS["PHQ-9"]


def test_the_last_value_carried_forward_by_hand(added):
    weeks = weekly(added(Records(), "p", [(0.0, 10.0), (1.0, 12.0), (2.0, 9.0)]), PHQ9)
    errors = error_by_horizon(last_value(weeks), weeks, PHQ9)
    assert errors[1] == pytest.approx((2 + 3) / 2, abs=1e-5)
    assert errors[2] == pytest.approx(1, abs=1e-5)
    assert np.isnan(errors[8])


def test_ridge_and_the_prior_beat_the_last_value_in_a_synthetic_world(ask, pooled):
    train, test = (pooled(World(), [20] * 30, seed) for seed in (21, 22))
    study = ask("course").study
    weeks = weekly(test, PHQ9)
    last = error_by_horizon(last_value(weeks), weeks, PHQ9)
    ridge = ridge_oracle(train, test, study)
    median = predict(artefact.read().parameters, weeks.features).quantile(0.5)
    prior = error_by_horizon(median, weeks, PHQ9)
    for h in (4, 8):
        assert ridge[h] < last[h]
    assert np.mean(list(prior.values())) < np.mean(list(last.values()))


def test_ridge_finds_a_course_that_the_last_value_misses(ask):
    """Everybody improves by half a point a week: ridge must be nearly exact."""
    rows = [
        (f"p{i}", float(t), "PHQ-9", 26.0 - i % 7 - 0.5 * t) for i in range(80) for t in range(20)
    ]
    patients = pl.DataFrame({"patient": sorted({r[0] for r in rows}), "arm": ["waiting"] * 80})
    records = Records(patients, pl.DataFrame(rows, schema=Records().scores.schema, orient="row"))
    errors = ridge_oracle(records, records, ask("course").study)
    assert errors[8] < 0.5  # the last value is off by 4
