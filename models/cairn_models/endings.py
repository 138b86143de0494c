"""When and how each patient's observation ended, for the two dropouts: pure per patient.

- `measurement_endings`: a patient is kept at time t if a score of the outcome lies at t − window or
  later, so the end is the last score + window; people without any score are not in question. How
  long records were kept up is not in them: everybody counts as one who could have been asked.
- `programme_endings`: from first use to the last use of someone who did not complete. Completing
  ends use in another way and wins over 'stopped'; whoever did neither is last seen at their last
  row of a programme's engagement. People who never started are not in question.

Times are read to a millionth and clipped to 0 … 1e6, so nothing that a table can hold overflows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cairn_models.cohort import NO_ARM, TIME_DIGITS, admitted_scores
from cairn_models.measures import Instrument
from cairn_models.records import ENGAGEMENT_MEASURES, Records

LONGEST: Final = 1e6
OF_THE_WAIT: Final = ("therapy_started", "stepped_up")
OF_USE: Final = tuple(measure for measure in ENGAGEMENT_MEASURES if measure not in OF_THE_WAIT)
Times = NDArray[np.float64]


class How(IntEnum):
    """How use of a programme ended: the columns of `ways.PROGRAMME`."""

    LEFT = 0
    COMPLETED = 1
    LAST_SEEN = 2


@dataclass(frozen=True)
class Endings:
    """One row a patient; nothing here names anyone.

    `arm` (N,) int64 index into the study's arms, `NO_ARM` where unknown; `time` (N,) float64 since
    the clock's start, NaN for people who are not in question; `how` (N,) int64, a column of the
    question's `Ways`.
    """

    arm: NDArray[np.int64]
    time: Times
    how: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.arm)

    @property
    def told(self) -> NDArray[np.bool_]:
        """(N,) whether the patient is in question: a known arm and a time."""
        told: NDArray[np.bool_] = np.isfinite(self.time) & (self.arm != NO_ARM)
        return told


def measurement_endings(
    records: Records, instrument: Instrument, *, arms: Sequence[str], window: float
) -> Endings:
    """`ways.MEASUREMENT`: time to the last score of `instrument`, plus `window`."""
    last = admitted_scores(records, instrument).group_by("patient").agg(pl.col("time").max())
    arm, (time,) = by_patient(records, arms, last, ("time",))
    return Endings(arm, read(time + window), np.zeros(len(arm), dtype=np.int64))


def programme_endings(records: Records, *, arms: Sequence[str]) -> Endings:
    """`ways.PROGRAMME`: time from first to last use of those who started, and how it ended."""
    measure, time = pl.col("measure"), pl.col("time")
    rows = records.engagement.filter(time.is_finite() & measure.is_in(list(OF_USE)))
    marked = pl.col("value") == 1.0
    found = rows.group_by("patient").agg(
        started=time.filter((measure == "started") & marked).min(),
        completed=time.filter((measure == "completed") & marked).min(),
        stopped=time.filter((measure == "stopped") & marked).max(),
        seen=time.max(),
    )
    arm, (started, completed, stopped, seen) = by_patient(
        records, arms, found, ("started", "completed", "stopped", "seen")
    )
    how = np.select(
        [np.isfinite(completed), np.isfinite(stopped)],
        [int(How.COMPLETED), int(How.LEFT)],
        int(How.LAST_SEEN),
    ).astype(np.int64)
    end = np.choose(how, [stopped, completed, seen])
    last, first = (np.clip(times, -LONGEST, LONGEST) for times in (end, started))
    return Endings(arm, read(last - first), how)


def by_patient(
    records: Records, arms: Sequence[str], found: pl.DataFrame, names: Sequence[str]
) -> tuple[NDArray[np.int64], list[Times]]:
    """Arm and the columns `names` of `found`, NaN where absent, in the order of the patients."""
    table = (
        records.patients.select("patient", "arm")
        .unique("patient", keep="first", maintain_order=True)
        .join(found, on="patient", how="left", maintain_order="left")
    )
    places = {name: index for index, name in enumerate(arms)}
    arm = np.array([places.get(a, NO_ARM) for a in table["arm"].to_list()], dtype=np.int64)
    nan = float("nan")
    return arm, [table[n].cast(pl.Float64).fill_null(nan).to_numpy() for n in names]


def read(time: Times) -> Times:
    """Times to a millionth, from 0 on; NaN stays."""
    return np.asarray(np.round(np.clip(time, 0.0, LONGEST), TIME_DIGITS))
