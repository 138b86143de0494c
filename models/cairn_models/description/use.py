"""What a patient did with a programme and with the wait, and what it took: pure per patient.

All arrays are in the order in which `records.patients` first names a patient, times are weeks, and
values are cut so that nothing that a table can hold overflows. Marks are rows with the value 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cairn_models.cohort import TIME_DIGITS, changes
from cairn_models.description.quantiles import Bins
from cairn_models.endings import LONGEST, How, programme_endings
from cairn_models.measures import Instrument
from cairn_models.records import Records
from cairn_models.reliable_change import OUTCOMES, courses

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
SIGNS_OF_USE: Final = ("started", "logins", "modules", "completed", "stopped")


def programme_places(records: Records, weeks: Sequence[float], assessed: Mask) -> Array:
    """(N,) 2 × stage + assessed; NaN for people to whom no programme was offered.

    Stages: 0 offered, 1 started, 1 + k still in use at `weeks`[k − 1] after first use or completed,
    and last completed. Whoever started was offered it.
    """
    ended = programme_endings(records, arms=())
    offered = np.isfinite(_first(records, "offered")) | np.isfinite(ended.time)
    completed = ended.how == How.COMPLETED
    kept = (ended.time[:, None] >= np.asarray(weeks)) | completed[:, None]
    stage = np.where(np.isfinite(ended.time), 1 + kept.sum(axis=1) + completed, 0)
    return np.where(offered, 2.0 * stage + assessed, np.nan)


def active_weeks(records: Records, most: int) -> Array:
    """(N,) weeks with use, of the first `most` since first use; NaN for people who never started.

    Week k is from k until k + 1 weeks after first use; the first counts.
    """
    start = _first(records, "started")
    people = _people(records).with_columns(start=pl.Series(start, dtype=pl.Float64))
    rows = _rows(records, SIGNS_OF_USE, pl.col("value") > 0).join(people, on="patient")
    week = (pl.col("time") - pl.col("start")).round(TIME_DIGITS).floor()
    found = (
        rows.with_columns(week=week)
        .filter(pl.col("week").is_between(0, most - 1))
        .group_by("patient")
        .agg(pl.col("week").n_unique().alias("weeks"))
    )
    return np.where(np.isfinite(start), _joined(records, found, "weeks"), np.nan)


def wait_places(records: Records, bins: Bins) -> Array:
    """(N,) the bin by whose end therapy had begun, then stepped up first, then still waiting."""
    begun, moved = _first(records, "therapy_started"), _first(records, "stepped_up")
    place = np.ceil(np.round(np.maximum(begun, 0.0) / bins.step, TIME_DIGITS))
    longest = float(bins.value(np.array([bins.number - 1]))[0])
    stepped = (moved <= longest) & ~(begun <= moved)
    place = np.where(np.isfinite(place) & (place < bins.number), place, bins.number + 1)
    return np.where(stepped, float(bins.number), place)


def staff_minutes(records: Records, until: float, most: float) -> Array:
    """(N,) minutes that staff spent on each patient up to `until`, at most `most`; 0 for none."""
    rows = _rows(records, ("minutes",), pl.col("value") > 0).filter(pl.col("time") <= until)
    found = (
        rows.sort("patient", "time", "value")  # a sum must not depend on row order
        .group_by("patient", maintain_order=True)
        .agg(pl.col("value").sum().alias("minutes"))
    )
    return np.minimum(np.nan_to_num(_joined(records, found, "minutes")), most)


def reliably_recovered(
    records: Records,
    scales: Sequence[Instrument],
    *,
    baseline_window: tuple[float, float],
    week: float,
    window: float,
) -> Mask:
    """(N,) whether both scores on every scale are there and show reliable recovery."""
    told = [
        changes(records, scale, arms=(), baseline_window=baseline_window, at=week, within=window)
        for scale in scales
    ]
    first, last = (np.stack([getattr(t, f) for t in told], axis=1) for f in ("baseline", "outcome"))
    both = np.isfinite(first).all(axis=1) & np.isfinite(last).all(axis=1)
    found = np.zeros(len(both), dtype=np.bool_)
    course = courses(first[both], last[both], scales)
    found[both] = OUTCOMES["reliable_recovery"].having[course]
    return found


def _people(records: Records) -> pl.DataFrame:
    return records.patients.select("patient").unique(keep="first", maintain_order=True)


def _rows(records: Records, measures: Sequence[str], counts: pl.Expr) -> pl.DataFrame:
    """Engagement of these measures with finite times, cut to ± `LONGEST`, and values."""
    time, value = pl.col("time"), pl.col("value")
    kept = pl.col("measure").is_in(list(measures)) & time.is_finite() & value.is_finite() & counts
    return records.engagement.filter(kept).with_columns(time.clip(-LONGEST, LONGEST))


def _first(records: Records, measure: str) -> Array:
    """(N,) the earliest time at which `measure` is marked, NaN where it is not."""
    rows = _rows(records, (measure,), pl.col("value") == 1.0)
    return _joined(records, rows.group_by("patient").agg(pl.col("time").min()), "time")


def _joined(records: Records, found: pl.DataFrame, column: str) -> Array:
    table = _people(records).join(found, on="patient", how="left", maintain_order="left")
    numbers = table[column].cast(pl.Float64).fill_null(float("nan")).to_numpy()
    return np.asarray(numbers, dtype=np.float64)
