"""`Targets`: what came true after each week, for every output of the network.

An *anchor* is a week in which the main score is observed; only from there is anything predicted.

- *Scores*: main instrument and companion, at each horizon where one was taken.
- *Outcomes*: reliable improvement and deterioration among everybody, recovery among people at
  caseness first, between the first totals so far and those at the horizon, by the NHS rules of
  `reliable_change` on both scales. Where a scale has no thresholds there is no outcome.
- *Measurement lost*: no main score in the eight weeks after the anchor; anchors whose eight weeks
  end within the 26.
- *Programme left*: given up in the four weeks after a week in which it was in use, anchor or not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cairn_models.measures import Instrument
from cairn_models.reliable_change import OUTCOMES as RULES
from cairn_models.reliable_change import courses, has_thresholds
from cairn_models.trajectory.columns import (
    DROPOUTS,
    HORIZONS,
    LEFT_WITHIN,
    LOST_WITHIN,
    OUTCOMES,
    SCALES,
    WEEKS,
)
from cairn_models.trajectory.features import Weekly, companion_of
from cairn_models.trajectory.placing import Floats, Mask


@dataclass(frozen=True)
class Targets:
    """Values (0 where not known) and masks.

    `score` (N, T, 2, H) on 0-1, `outcome` (N, T, 3, H) and `dropout` (N, T, 2) are 0 or 1; each
    has its `…_known`, bool of the same shape.
    """

    score: Floats
    score_known: Mask
    outcome: Floats
    outcome_known: Mask
    dropout: Floats
    dropout_known: Mask


def main_targets(weeks: Weekly, horizons: tuple[int, ...] = HORIZONS) -> tuple[Floats, Mask]:
    """((N, T, H) main score h weeks after each anchor, (N, T, H) whether both are observed)."""
    score, known = _scores(weeks, horizons)
    return score[:, :, 0], known[:, :, 0]


def targets(weeks: Weekly, instrument: Instrument, horizons: tuple[int, ...] = HORIZONS) -> Targets:
    """What each week of `weeks` is asked; horizons that are not named are never known."""
    n, anchor = len(weeks), weeks.observed[:, :, 0]
    score, known = _scores(weeks, horizons)
    outcome = np.zeros((n, WEEKS, len(OUTCOMES), len(HORIZONS)), dtype=np.float32)
    told = np.zeros(outcome.shape, dtype=np.bool_)
    had, judged, ready = _outcomes(weeks, instrument)
    for k, h in enumerate(HORIZONS):
        if h not in horizons:
            continue
        outcome[:, :-h, :, k] = had[:, h:]
        told[:, :-h, :, k] = (anchor & ready)[:, :-h, None] & judged[:, h:]
    dropout, dropout_known = _dropouts(weeks)
    return Targets(score, known, (outcome * told).astype(np.float32), told, dropout, dropout_known)


def _scores(weeks: Weekly, horizons: tuple[int, ...]) -> tuple[Floats, Mask]:
    """(N, T, 2, H) scores after each anchor, 0 where unknown, and whether they are known."""
    score = np.zeros((len(weeks), WEEKS, SCALES, len(HORIZONS)), dtype=np.float32)
    known = np.zeros(score.shape, dtype=np.bool_)
    for k, h in enumerate(HORIZONS):
        if h in horizons:
            score[:, :-h, :, k] = weeks.scores[:, h:]
            known[:, :-h, :, k] = weeks.observed[:, :-h, :1] & weeks.observed[:, h:]
    return score * known, known


def _outcomes(weeks: Weekly, instrument: Instrument) -> tuple[Floats, Mask, Mask]:
    """(N, T, 3) whether somebody assessed in that week had each outcome, (N, T, 3) whether that
    can be told, (N, T) whether the first totals were there by then."""
    scales = (instrument, companion_of(instrument))
    n = len(weeks)
    had = np.zeros((n, WEEKS, len(OUTCOMES)), dtype=np.float32)
    judged = np.zeros(had.shape, dtype=np.bool_)
    ready: Mask = np.asarray(np.maximum.accumulate(weeks.observed, axis=1).all(axis=2))
    if not all(has_thresholds(scale) for scale in scales):
        return had, judged, ready
    low = np.array([scale.lowest for scale in scales])
    span = np.array([scale.highest for scale in scales]) - low
    points = weeks.scores.astype(np.float64) * span + low  # (N, T, 2)
    place = weeks.observed.argmax(axis=1)  # (N, 2)
    first = np.take_along_axis(points, place[:, None, :], axis=1)
    row, week = np.nonzero(weeks.observed.all(axis=2))
    course = courses(first[row, 0], points[row, week], scales)
    for k, name in enumerate(OUTCOMES):
        had[row, week, k] = RULES[name].having[course]
        judged[row, week, k] = RULES[name].counted[course]
    return had, judged, ready


def _dropouts(weeks: Weekly) -> tuple[Floats, Mask]:
    """(N, T, 2) both dropouts after each week, and whether they can be told."""
    n, seen = len(weeks), weeks.observed[:, :, 0]
    gone = np.zeros((n, WEEKS, len(DROPOUTS)), dtype=np.float32)
    known = np.zeros(gone.shape, dtype=np.bool_)
    upto = np.concatenate([np.zeros((n, 1), dtype=np.int64), np.cumsum(seen, axis=1)], axis=1)
    whole = WEEKS - LOST_WITHIN  # anchors 0..whole-1 have all their weeks
    later = upto[:, 1 + LOST_WITHIN :] - upto[:, 1 : whole + 1]
    known[:, :whole, 0] = seen[:, :whole]
    gone[:, :whole, 0] = (later == 0) & seen[:, :whole]
    week = np.arange(WEEKS)[None, :]
    ended = np.minimum(weeks.left, weeks.completed)[:, None]
    active = (week >= weeks.started[:, None]) & (week < ended)
    whole = WEEKS - LEFT_WITHIN
    known[:, :whole, 1] = active[:, :whole]
    gone[:, :, 1] = known[:, :, 1] & (weeks.left[:, None] <= week + LEFT_WITHIN)
    return gone, known
