"""Windows, ties and purity of a patient's baseline and outcome."""

import datetime as dt
from itertools import permutations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cairn_models.cohort import NO_ARM, Changes, changes
from cairn_models.measures import INSTRUMENTS
from cairn_models.records import SCORES, Records

PHQ9 = INSTRUMENTS["PHQ-9"]
ARMS = ("waiting", "dmhi_guided")


def records(patients, scores, unit="week"):
    return Records(
        patients=pl.DataFrame(
            [(p, a, dt.date(2026, 1, 1)) for p, a in patients],
            schema={"patient": pl.String, "arm": pl.String, "entry": pl.Date},
            orient="row",
        ),
        scores=pl.DataFrame(scores, schema=SCORES, orient="row"),
        time_unit=unit,
    )


def read(held, **changed) -> Changes:
    given = {"arms": ARMS, "baseline_window": (-4.0, 1.0), "at": 8.0, "within": 2.0} | changed
    return changes(held, PHQ9, **given)


def one(*scores, **changed) -> tuple[float, float]:
    """Baseline and outcome of one patient with (time, value) scores."""
    held = records([("p", "waiting")], [("p", t, "PHQ-9", v) for t, v in scores])
    seen = read(held, **changed)
    return float(seen.baseline[0]), float(seen.outcome[0])


@pytest.mark.parametrize(
    ("times", "chosen"),
    [
        ((-4.0,), -4.0),
        ((-4.01,), None),
        ((1.0,), 1.0),
        ((1.01,), None),
        ((-3.0, -1.0), -1.0),  # the last at or before zero
        ((-3.0, 0.0), 0.0),
        ((-3.0, 0.1), -3.0),  # a score before zero wins over a nearer one after it
        ((0.2, 0.9), 0.2),  # the earliest after zero, if none is before
    ],
)
def test_baseline_is_the_last_score_at_or_before_time_zero_in_its_window(times, chosen):
    baseline, _ = one(*((t, 10 + t) for t in times))
    assert np.isnan(baseline) if chosen is None else baseline == pytest.approx(10 + chosen)


@pytest.mark.parametrize(
    ("times", "chosen"),
    [
        ((6.0,), 6.0),
        ((5.99,), None),
        ((10.0,), 10.0),
        ((10.01,), None),
        ((6.0, 7.5, 9.0), 7.5),
        ((7.0, 9.0), 7.0),  # ties go to the earlier
        ((51 / 7, 61 / 7), 51 / 7),  # a tie in days, not in binary fractions
        ((70 / 7,), 10.0),
    ],
)
def test_outcome_is_the_nearest_score_in_its_window_and_the_earlier_at_a_tie(times, chosen):
    _, outcome = one(*((t, 10 + t) for t in times))
    assert np.isnan(outcome) if chosen is None else outcome == pytest.approx(10 + chosen)


def test_what_is_not_a_score_of_this_instrument_is_not_used():
    held = records(
        [("p", "waiting")],
        [
            ("p", 0.0, "PHQ-9", 28.0),
            ("p", 0.0, "GAD-7", 9.0),
            ("p", -1.0, "PHQ-9", 12.0),
            ("p", 8.0, "PHQ-9", float("nan")),
            ("p", 8.0, "PHQ-9", None),
            ("p", float("inf"), "PHQ-9", 3.0),
            ("p", 9.0, "PHQ-9", 7.0),
        ],
    )
    seen = read(held)
    assert (seen.baseline[0], seen.outcome[0]) == (12.0, 7.0)


def test_two_scores_at_one_time_are_averaged():
    assert one((0, 10), (0, 13), (8, 4), (8, 5)) == (11.5, 4.5)


def test_an_average_does_not_depend_on_row_order():
    values = (0.1, 0.2, 0.3, 1e-17)  # sums differ in the last bit by their order
    seen = {one(*((0, v) for v in order))[0] for order in permutations(values)}
    assert len(seen) == 1


def test_a_patient_of_an_unknown_arm_or_none_is_kept_apart():
    held = records([("a", "waiting"), ("b", "elsewhere"), ("c", None)], [])
    assert read(held).arm.tolist() == [0, NO_ARM, NO_ARM]
    assert not read(held).complete.any()


def test_empty_records_give_empty_changes():
    assert len(read(Records())) == 0


def test_months_are_read_as_weeks_once_converted():
    held = records([("p", "waiting")], [("p", 0.0, "PHQ-9", 15), ("p", 2.0, "PHQ-9", 9)], "month")
    seen = read(held.times_in("week"))  # 2 months are 8.7 weeks
    assert (seen.baseline[0], seen.outcome[0]) == (15.0, 9.0)


patients = st.lists(
    st.tuples(
        st.sampled_from([*ARMS, "elsewhere", None]),
        st.lists(st.tuples(st.integers(-5, 12), st.floats(-1, 30)), max_size=5),
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=60, deadline=None)
@given(patients, st.randoms())
def test_removing_a_patient_or_shuffling_rows_changes_no_other_patient(people, random):
    rows = [(f"p{i}", t, "PHQ-9", v) for i, (_, own) in enumerate(people) for t, v in own]
    held = records([(f"p{i}", arm) for i, (arm, _) in enumerate(people)], rows)
    random.shuffle(rows)
    shuffled = records([(f"p{i}", arm) for i, (arm, _) in enumerate(people)], rows)
    seen, again = read(held), read(shuffled)
    np.testing.assert_array_equal(seen.baseline, again.baseline)
    np.testing.assert_array_equal(seen.outcome, again.outcome)
    for gone in range(len(people)):
        rest, keep = read(held.without(f"p{gone}")), np.arange(len(people)) != gone
        np.testing.assert_array_equal(rest.arm, seen.arm[keep])
        np.testing.assert_array_equal(rest.baseline, seen.baseline[keep])
        np.testing.assert_array_equal(rest.outcome, seen.outcome[keep])
