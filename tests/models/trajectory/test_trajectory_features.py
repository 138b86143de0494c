"""Features: values and masks, rules for odd rows, purity, and no look into the future."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cairn_models.measures import INSTRUMENTS, Instrument
from cairn_models.records import WEEKS_PER_MONTH, Records
from cairn_models.trajectory.columns import ARMS, COLUMNS, HORIZONS, WEEKS
from cairn_models.trajectory.features import weekly
from cairn_models.trajectory.targets import main_targets

PHQ9 = INSTRUMENTS["PHQ-9"]


def column(records: Records, name: str, instrument: Instrument = PHQ9, row: int = 0) -> np.ndarray:
    return weekly(records, instrument).features[row, :, COLUMNS.index(name)]


def test_a_score_of_zero_differs_from_no_score(added):
    records = added(Records(), "p", [(0.0, 9.0), (2.0, 0.0)])
    assert column(records, "score_observed")[:4].tolist() == [1, 0, 1, 0]
    assert column(records, "score")[:4].tolist() == pytest.approx([1 / 3, 0, 0, 0])
    assert column(records, "last_score")[:4].tolist() == pytest.approx([1 / 3, 1 / 3, 0, 0])
    assert column(records, "weeks_since_score")[:5] * 26 == pytest.approx([0, 1, 0, 1, 2])


def test_no_patient_and_no_rows_give_empty_or_zero_features(added):
    assert weekly(Records(), PHQ9).features.shape == (0, WEEKS, len(COLUMNS))
    features = weekly(added(Records(), "p", []), PHQ9).features[0]
    known = {"week", "arm_waiting"}
    others = [i for i, name in enumerate(COLUMNS) if name not in known]
    assert not features[:, others].any()


def test_the_latest_score_of_a_week_counts_whatever_the_order_of_rows(added):
    rows = [(3.3, 20.0), (2.8, 5.0), (3.1, 7.0)]
    for order in (rows, rows[::-1]):
        assert column(added(Records(), "p", order), "score")[3] == pytest.approx(20 / 27)
    same_time = added(Records(), "p", [(3.0, 4.0), (3.0, 9.0)])
    assert column(same_time, "score")[3] == pytest.approx(9 / 27)


def test_scores_out_of_range_or_time_are_no_scores(added):
    odd = [(1.0, 28.0), (2.0, -1.0), (3.0, np.nan), (-1.0, 5.0), (26.6, 5.0), (np.inf, 5.0)]
    assert not column(added(Records(), "p", odd), "score_observed").any()


def test_months_are_read_as_weeks(added):
    weeks = added(Records(), "p", [(0.0, 12.0), (8.0, 6.0)])
    months = weeks.times_in("month")
    assert months.scores["time"][1] == pytest.approx(8 / WEEKS_PER_MONTH)
    assert np.array_equal(weekly(weeks, PHQ9).features, weekly(months, PHQ9).features)


def test_another_instrument_is_scaled_by_its_range(added):
    own = Instrument("K10", 10, 50)
    records = added(Records(), "p", [(0.0, 30.0)])
    scores = records.scores.with_columns(pl.lit("K10").alias("instrument"))
    records = Records(records.patients, scores)
    assert column(records, "score", own)[0] == pytest.approx(0.5)


def test_an_arm_of_the_studys_own_leaves_all_arm_columns_empty(added):
    records = added(Records(), "p", [(0.0, 3.0)], arm="BtheB")
    assert not any(column(records, f"arm_{arm}").any() for arm in ARMS)


def test_every_feature_is_small_and_finite(hostile):
    features = weekly(hostile, PHQ9).features
    assert np.isfinite(features).all()
    assert features.min() >= 0
    assert features.max() <= 3


def test_removing_any_patient_changes_no_other_patients_features(clinic):
    all_ = weekly(clinic, PHQ9)
    for k in (0, 17, 59):
        less = weekly(clinic.without(all_.patients[k]), PHQ9)
        assert np.array_equal(less.features, np.delete(all_.features, k, axis=0))


@pytest.mark.parametrize("week", [0, 4, 13])
def test_nothing_that_happens_later_is_seen_at_an_anchor(clinic, week):
    def until(table: pl.DataFrame, time: str) -> pl.DataFrame:
        return table.filter(pl.col(time) < week + 0.5)

    past = Records(
        clinic.patients,
        until(clinic.scores, "time"),
        # 'stopped' is written at the last use but known only weeks later, so it must not matter.
        until(clinic.engagement.filter(pl.col("measure") != "stopped"), "time"),
        until(clinic.wearables, "week"),
    )
    upto = slice(0, week + 1)
    whole, cut = weekly(clinic, PHQ9).features[:, upto], weekly(past, PHQ9).features[:, upto]
    assert np.array_equal(whole, cut)


@given(st.dictionaries(st.integers(0, 26), st.integers(0, 27), min_size=1, max_size=20))
@settings(max_examples=30, deadline=None)
def test_targets_are_the_scores_h_weeks_later(scores):
    rows = [("p", float(t), "PHQ-9", float(v)) for t, v in scores.items()]
    patients = pl.DataFrame({"patient": ["p"], "arm": ["waiting"]})
    weeks = weekly(
        Records(patients, pl.DataFrame(rows, schema=Records().scores.schema, orient="row")), PHQ9
    )
    target, known = main_targets(weeks)
    for t in range(WEEKS):
        for k, h in enumerate(HORIZONS):
            both = t in scores and t + h in scores
            assert known[0, t, k] == both
            if both:
                assert target[0, t, k] * 27 == pytest.approx(scores[t + h], abs=1e-4)
