"""What a model foretells of records: in points, with its basis, or missing with a reason."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cairn_models.export import Model
from cairn_models.export.rows import BEYOND, COLUMNS, NOTHING_USABLE
from cairn_models.measures import INSTRUMENTS
from cairn_models.records import PATIENT_COLUMNS, SCORES, Records
from cairn_models.synthetic import World, generate
from cairn_models.trajectory.columns import DROPOUTS, HORIZONS, OUTCOMES
from cairn_models.trajectory.features import weekly
from cairn_models.trajectory.network import predict
from cairn_protocol.errors import InputError
from export_models import all_usable, card, model


def records_of(scores: dict[str, list[tuple[float, float]]], instrument: str = "PHQ-9") -> Records:
    people = pl.DataFrame(
        [(name, "waiting", None) for name in sorted(scores)], schema=PATIENT_COLUMNS, orient="row"
    )
    rows = [(name, t, instrument, v) for name, all_ in scores.items() for t, v in all_]
    return Records(people, pl.DataFrame(rows, schema=SCORES, orient="row"))


def of(frame: pl.DataFrame, patient: str) -> list[dict[str, object]]:
    return frame.filter(pl.col("patient") == patient).to_dicts()


def test_five_lines() -> None:
    frame = model().predict(records_of({"a": [(0, 14), (2, 12), (5, 11)]}))
    assert dict(frame.schema) == COLUMNS
    rows = of(frame, "a")
    assert [(r["weeks_ahead"], r["at_week"]) for r in rows] == [(4, 9), (8, 13)]
    for row in rows:
        assert row["basis"] == "PHQ-9 scores seen: 3, last week 5"
        assert row["missing"] is None
        quantiles = [row[q] for q in ("q10", "q25", "q50", "q75", "q90")]
        assert quantiles == sorted(quantiles)
        assert 0 <= quantiles[0] < quantiles[-1] <= 27


def test_points_are_those_of_the_network() -> None:
    records = generate(World(), [12], seed=2)[0]
    own = model(heads=all_usable())
    frame = own.predict(records, as_of=6)
    weeks = weekly(records, INSTRUMENTS["PHQ-9"])
    found = predict(own.parameters, weeks.features)
    compared = 0
    for row in frame.filter(pl.col("missing").is_null()).to_dicts():
        i = weeks.patients.index(row["patient"])
        week = int(np.flatnonzero(weeks.observed[i, :7, 0])[-1])
        h = HORIZONS.index(row["weeks_ahead"]) if row["weeks_ahead"] else 0
        if row["output"] in ("PHQ-9", "GAD-7"):
            k, span = (0, 27) if row["output"] == "PHQ-9" else (1, 21)
            assert row["q50"] == pytest.approx(span * found.quantile(0.5, k)[i, week, h], abs=1e-5)
            assert row["q90"] == pytest.approx(span * found.quantile(0.9, k)[i, week, h], abs=1e-5)
        elif row["output"] in OUTCOMES:
            truth = found.outcome[i, week, OUTCOMES.index(row["output"]), h]
            assert row["probability"] == pytest.approx(float(truth))
        else:
            truth = found.dropout[i, week, DROPOUTS.index(row["output"])]
            assert row["probability"] == pytest.approx(float(truth))
        compared += 1
    assert compared > 50


@pytest.mark.parametrize(
    ("scores", "why"),
    [
        ([], "there is none"),
        ([(0, 14)], "there is one"),
        ([(0, 14), (0.2, 13)], "there is one"),  # of one week
        ([(0, 14), (3, 40)], "there is one"),  # 40 is no PHQ-9
        ([(0, 14), (float("nan"), 12)], "there is one"),
        ([(0, 14), (2, 13), (30, 5)], "after week 26"),
    ],
)
def test_says_why_there_is_no_prediction(scores: list[tuple[float, float]], why: str) -> None:
    frame = model().predict(records_of({"a": scores, "b": [(0, 9), (1, 9)]}))
    [row] = of(frame, "a")
    assert "no prediction" in row["missing"]
    assert why in row["missing"]
    assert all(row[q] is None for q in ("q10", "q25", "q50", "q75", "q90", "probability"))
    assert len(of(frame, "b")) == 2


def test_a_week_after_the_last_is_missing() -> None:
    frame = model().predict(records_of({"a": [(0, 14), (20, 12)]}))
    four, eight = of(frame, "a")
    assert four["missing"] is None
    assert eight["missing"] == BEYOND
    assert eight["q50"] is None


def test_a_head_below_its_floor_is_missing_where_it_is_asked_for() -> None:
    frame = model().predict(records_of({"a": [(0, 14), (2, 12)]}), horizons=(2, 8))
    two, eight = of(frame, "a")
    assert "not shown to err less" in two["missing"]
    assert two["q50"] is None
    assert eight["missing"] is None


def test_without_any_usable_head_nothing_is_said() -> None:
    frame = model(found=()).predict(records_of({"a": [(0, 14), (2, 12)]}))
    [row] = of(frame, "a")
    assert row["missing"] == NOTHING_USABLE


@pytest.mark.parametrize("asked", [(16,), (0,), (-1,), (), (4, 13), (27,)])
def test_refuses_a_horizon_that_it_was_not_trained_for(asked: tuple[int, ...]) -> None:
    with pytest.raises(InputError) as caught:
        model().predict(records_of({"a": [(0, 14), (2, 12)]}), horizons=asked)
    assert caught.value.code == "input.horizon-unknown"


@pytest.mark.parametrize("week", [-1, 27, 200])
def test_refuses_a_week_that_it_does_not_know(week: int) -> None:
    with pytest.raises(InputError) as caught:
        model().predict(records_of({"a": [(0, 14), (2, 12)]}), as_of=week)
    assert caught.value.code == "input.week-unknown"


def test_refuses_records_without_its_instrument() -> None:
    with pytest.raises(InputError) as caught:
        model().predict(records_of({"a": [(0, 14), (2, 12)]}, instrument="WSAS"))
    assert caught.value.code == "input.model-no-scores"
    assert "WSAS" in caught.value.why


def test_refuses_parameters_that_overflow() -> None:
    huge = model().parameters.copy()
    huge[-5000:] *= 1e38  # the head: finite numbers whose sums are not
    with pytest.raises(InputError) as caught:
        Model(huge, card()).predict(records_of({"a": [(0, 14), (2, 12)]}))
    assert caught.value.code == "input.model-not-finite"


def test_nobody_gives_no_rows() -> None:
    assert model().predict(Records()).height == 0


def test_months_are_weeks() -> None:
    weeks = records_of({"a": [(0, 14), (52.0 / 12, 12)]})
    months = replace(records_of({"a": [(0, 14), (1, 12)]}), time_unit="month")
    assert model().predict(weeks).equals(model().predict(months))


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 19), st.integers(0, 26))
def test_the_future_and_other_patients_change_nothing(index: int, as_of: int) -> None:
    """A prediction as of a week is that of the records which end there, of that patient alone."""
    everybody = generate(World(), [20], seed=11)[0]
    patient = everybody.patients["patient"][index]
    alone = everybody.only(pl.Series([patient]))
    until = replace(
        alone,
        scores=alone.scores.filter((pl.col("time") + 0.5).floor() <= as_of),
        engagement=alone.engagement.filter((pl.col("time") + 0.5).floor() <= as_of),
        wearables=alone.wearables.filter(pl.col("week") <= as_of),
    )
    if until.scores.filter(pl.col("instrument") == "PHQ-9").is_empty():
        return
    own = model(heads=all_usable())
    told = own.predict(everybody, as_of=as_of).filter(pl.col("patient") == patient)
    assert told.equals(own.predict(until, as_of=as_of))
