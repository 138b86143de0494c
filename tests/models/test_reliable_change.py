"""The NHS rules of reliable change at their thresholds, on both scales, beside a plain reading."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cairn_models.measures import INSTRUMENTS
from cairn_models.reliable_change import COURSES, OUTCOMES, courses, has_thresholds

BOTH = (INSTRUMENTS["PHQ-9"], INSTRUMENTS["GAD-7"])
RI, RD, RE, RR = OUTCOMES


def had(first, last, scales=BOTH):
    """Names of the outcomes of one person, and whether that person is counted for recovery."""
    (course,) = courses(np.array([first], float), np.array([last], float), scales)
    names = {o.name for o in OUTCOMES.values() if o.counted[course] and o.having[course]}
    return names, bool(OUTCOMES[RE].counted[course])


@pytest.mark.parametrize(
    ("first", "last", "outcomes", "case"),
    [
        # reliable change of PHQ-9 is 6 points, of GAD-7 4; exactly so much counts
        ((20, 3), (14, 3), {RI}, True),
        ((20, 3), (15, 3), set(), True),
        ((3, 15), (3, 11), {RI}, True),
        ((3, 15), (3, 12), set(), True),
        ((14, 3), (20, 3), {RD}, True),
        ((15, 3), (20, 3), set(), True),
        ((3, 11), (3, 15), {RD}, True),
        ((3, 12), (3, 15), set(), True),
        # improved on one scale, not reliably worse on the other; and the other way round
        ((20, 10), (14, 13), {RI}, True),
        ((20, 10), (14, 14), set(), True),
        ((10, 14), (16, 11), {RD}, True),
        ((10, 14), (16, 10), set(), True),
        # caseness: PHQ-9 from 10, GAD-7 from 8, on either; recovery: below on both
        ((10, 7), (9, 7), {RE}, True),
        ((9, 8), (9, 7), {RE}, True),
        ((9, 7), (0, 0), {RI}, False),
        ((9, 7), (9, 3), {RI}, False),
        ((9, 7), (9, 4), set(), False),
        ((9, 7), (27, 21), {RD}, False),
        ((10, 8), (9, 8), set(), True),
        ((10, 8), (10, 7), set(), True),
        ((15, 3), (9, 3), {RI, RE, RR}, True),
        ((14, 3), (9, 3), {RE}, True),
        ((9, 11), (9, 7), {RI, RE, RR}, True),
        ((9, 10), (9, 7), {RE}, True),
        # one may recover and yet deteriorate
        ((10, 0), (9, 4), {RE, RD}, True),
        ((10, 8), (10, 8), set(), True),
    ],
)
def test_the_rules_at_their_thresholds(first, last, outcomes, case):
    assert had(first, last) == (outcomes, case)


def test_one_scale_alone_uses_its_own_thresholds():
    assert had((10,), (4,), BOTH[:1]) == ({RI, RE, RR}, True)
    assert had((9,), (4,), BOTH[:1]) == (set(), False)
    assert had((8,), (4,), BOTH[1:]) == ({RI, RE, RR}, True)


@pytest.mark.parametrize(
    ("first", "last", "outcomes"),
    [((9.5, 0), (9.4, 0), {RE}), ((9.4, 0), (3.5, 0), set()), ((15.5, 0), (10.4, 0), {RI})],
)
def test_prorated_totals_are_rounded_halves_up_before_they_are_judged(first, last, outcomes):
    assert had(first, last)[0] == outcomes


def plainly(first, last):
    """The manual's sentences, word for word."""
    (p0, g0), (p1, g1) = first, last
    better = p0 - p1 >= 6 or g0 - g1 >= 4
    worse = p1 - p0 >= 6 or g1 - g0 >= 4
    case = p0 >= 10 or g0 >= 8
    names = set()
    if better and not worse:
        names.add(RI)
    if worse and not better:
        names.add(RD)
    if case and p1 < 10 and g1 < 8:
        names.add(RE)
    if {RI, RE} <= names:
        names.add(RR)
    return names, case


scores = st.tuples(st.integers(0, 27), st.integers(0, 21))


@given(scores, scores)
def test_any_scores_are_judged_as_the_manual_says(first, last):
    assert had(first, last) == plainly(first, last)


def test_every_course_can_be_taken_and_everybody_takes_one():
    first = [(p, g) for p in (0, 9, 10, 16) for g in (0, 7, 8)]
    last = [(p, g) for p in (0, 9, 10, 22) for g in (0, 4, 12)]
    grid = np.array([(*before, *after) for before in first for after in last])
    seen = courses(grid[:, :2].astype(float), grid[:, 2:].astype(float), BOTH)
    assert set(seen.tolist()) == set(range(COURSES))


def test_thresholds_are_those_of_the_manual():
    phq, gad = BOTH
    assert (phq.caseness, phq.reliable_change) == (10, 6)
    assert (gad.caseness, gad.reliable_change) == (8, 4)
    assert not has_thresholds(INSTRUMENTS["WSAS"])
