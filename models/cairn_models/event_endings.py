"""When patients first deteriorate or are stepped up, or what came before: pure per patient.

- `deterioration_endings`: the first score that is reliably worse than baseline, by the NHS rule for
  the one outcome: higher by its reliable change or more, totals rounded as on a form. Whoever has
  none is last seen at their last score: nothing is known of them later. Baseline is the last score
  at or before time zero inside its window, else the earliest after it; people without a baseline or
  without any later score are not in question.
- `step_up_endings`: the first of a move to more intensive care, the start of the therapy that was
  waited for, and the loss of measurement, at one time in this order. Measurement is lost from the
  first moment at which no score lies within the window before it. People without any score are not
  in question, and an event before entry is none.

Times count from entry, and are read and clipped as in `endings`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cairn_models.cohort import TIME_DIGITS, admitted_scores, baseline_scores
from cairn_models.endings import OF_THE_WAIT, Endings, by_patient, read
from cairn_models.measures import Instrument
from cairn_models.records import Records
from cairn_models.reliable_change import OUTCOMES, courses

NEXT_MOMENT: Final = 10.0**-TIME_DIGITS


def deterioration_endings(
    records: Records,
    instrument: Instrument,
    *,
    arms: Sequence[str],
    baseline_window: tuple[float, float],
) -> Endings:
    """`ways.DETERIORATION`: time to the first reliably worse score, or to the last score.

    `instrument` must have thresholds (`reliable_change.has_thresholds`).
    """
    scores = admitted_scores(records, instrument)
    time = pl.col("time")
    began = (
        scores.filter(time.is_between(*baseline_window))
        .group_by("patient")
        .agg(first=pl.when((time <= 0).any()).then(0.0).otherwise(time.min()))
    )
    later = (
        scores.join(baseline_scores(scores, baseline_window), on="patient")
        .join(began, on="patient")
        .filter(time > pl.col("first"))
    )
    worse = reliably_worse(later["baseline"].to_numpy(), later["value"].to_numpy(), instrument)
    found = (
        later.with_columns(worse=pl.Series(worse, dtype=pl.Boolean))
        .group_by("patient")
        .agg(worsened=time.filter(pl.col("worse")).min(), seen=time.max())
    )
    arm, (worsened, seen) = by_patient(records, arms, found, ("worsened", "seen"))
    last_seen = np.isnan(worsened)
    return Endings(arm, read(np.where(last_seen, seen, worsened)), last_seen.astype(np.int64))


def step_up_endings(
    records: Records, instrument: Instrument, *, arms: Sequence[str], window: float
) -> Endings:
    """`ways.STEP_UP`: time to more intensive care, to therapy, or to loss of measurement."""
    measure, time = pl.col("measure"), pl.col("time")
    events = (
        records.engagement.filter(
            (pl.col("value") == 1.0) & (time >= 0) & time.is_finite() & measure.is_in(OF_THE_WAIT)
        )
        .group_by("patient")
        .agg(**{m: time.filter(measure == m).min() for m in OF_THE_WAIT})
    )
    last = admitted_scores(records, instrument).group_by("patient").agg(last=time.max())
    found = last.join(events, on="patient", how="left")
    arm, columns = by_patient(records, arms, found, ("stepped_up", "therapy_started", "last"))
    stepped_up, therapy_started, lost = (read(column) for column in columns)
    lost = read(lost + window + NEXT_MOMENT)
    first = np.fmin(np.fmin(stepped_up, therapy_started), lost)
    how = np.select([stepped_up == first, therapy_started == first], [0, 1], 2)
    return Endings(arm, np.where(np.isnan(lost), np.nan, first), how.astype(np.int64))


def reliably_worse(
    baseline: NDArray[np.float64], later: NDArray[np.float64], instrument: Instrument
) -> NDArray[np.bool_]:
    """(N,) whether each later total is reliably worse than its baseline."""
    course = courses(baseline[:, None], later[:, None], (instrument,))
    return np.asarray(OUTCOMES["reliable_deterioration"].having[course])
