"""Shares for readers: of 100 wherever they stand, named on the axis; all else as it is."""

from __future__ import annotations

import pytest

from cairn_models.answers import (
    SHARE,
    SHARE_GAP,
    Answer,
    Bars,
    Course,
    Estimate,
    Forest,
    Funnel,
    Histogram,
)
from cairn_models.percentages import in_per_cent, scale_of


def told(name: str, unit: str) -> Estimate:
    return Estimate(name, name, 0.25, 0.2, 0.3, 0.025, 0.4, unit, count=120.0)


RATE, GAP, POINTS = told("rate", SHARE), told("gap", SHARE_GAP), told("points", "PHQ-9 points")
HELD = Estimate("held", "held", None, unit=SHARE, suppressed="too few people")


def answer(*figures: Forest | Bars | Course | Funnel | Histogram) -> Answer:
    return Answer("q", "rates", "Q", ("Said.",), (RATE, GAP, POINTS, HELD), figures=figures)


def test_numbers_grow_a_hundredfold_and_nothing_else_changes() -> None:
    rate, gap, points, held = in_per_cent(answer()).estimates
    assert (rate.value, rate.low, rate.high, rate.standard_error) == (25.0, 20.0, 30.0, 2.5)
    assert (rate.unit, rate.noise_share, rate.count) == ("%", 0.4, 120.0)
    assert (gap.value, gap.unit) == (25.0, "percentage points")
    assert points == POINTS
    assert (held.value, held.unit, held.suppressed) == (None, "%", "too few people")


def test_figures_say_it_on_their_axis_once() -> None:
    shown = in_per_cent(
        answer(
            Forest("F", "difference in the share of people", (GAP,)),
            Forest("F", "difference, percentage points", (GAP,)),
            Forest("F", "points", (POINTS,)),
            Bars("B", "outcome", "share of people", ("a", "b"), {"arm": (RATE, HELD)}),
            Bars("B", "outcome", "either", ("a", "b"), {"arm": (RATE, POINTS)}),
            Funnel("U", ("a",), {"arm": (RATE,)}),
            Histogram("H", "weeks", "% of people", (0.0, 1.0), {"arm": (RATE,)}),
            Course("C", "week", "points", (0.0,), {"arm": {"middle": (0.25,)}}),
        )
    ).figures
    labels = [getattr(f, "x_label" if isinstance(f, Forest) else "y_label", "") for f in shown]
    assert labels == [
        "difference in the share of people, percentage points",
        "difference, percentage points",
        "points",
        "share of people, %",
        "either",
        "",
        "% of people",
        "points",
    ]
    values = [e.value for f in shown[3:7] for e in f.series["arm"]]  # type: ignore[union-attr]
    assert values == [25.0, None, 25.0, 0.25, 25.0, 25.0]


def test_what_is_of_a_hundred_already_stays() -> None:
    once = in_per_cent(answer(Forest("F", "difference in the share", (GAP,))))
    assert in_per_cent(once) == once


@pytest.mark.parametrize(
    ("unit", "scale"),
    [(SHARE, (100.0, "%")), (SHARE_GAP, (100.0, "percentage points")), ("weeks", (1.0, "weeks"))],
)
def test_a_plan_reads_them_likewise(unit: str, scale: tuple[float, str]) -> None:
    assert scale_of(unit) == scale
