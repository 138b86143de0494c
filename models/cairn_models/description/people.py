"""What each patient's vector is made of: arm, scores, furthest stage, variables. Pure per patient.

All arrays are in the order in which `records.patients` first names a patient; nothing names anyone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cairn_models.cohort import changes
from cairn_models.measures import Instrument
from cairn_models.records import Records
from cairn_protocol.errors import InputError

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Scores:
    """`arm` (N,), `baseline` (N,), `later` (N, weeks); NaN where there is no score."""

    arm: NDArray[np.int64]
    baseline: Array
    later: Array

    @property
    def furthest(self) -> Array:
        """(N,) furthest stage: 0 entered, 1 has a baseline, 1 + k assessed in week k's window."""
        stages = np.isfinite(np.column_stack([self.baseline, self.later]))
        numbered = np.where(stages, np.arange(1, stages.shape[1] + 1), 0)
        return np.asarray(numbered.max(axis=1), dtype=np.float64)


def scores_of(
    records: Records,
    instrument: Instrument,
    *,
    arms: tuple[str, ...],
    baseline_window: tuple[float, float],
    weeks: tuple[float, ...],
    window: float,
) -> Scores:
    """Each patient's baseline and scores near `weeks` by the rules of `cohort`."""
    told = [
        changes(
            records.times_in("week"),
            instrument,
            arms=arms,
            baseline_window=baseline_window,
            at=week,
            within=window,
        )
        for week in weeks
    ]
    later = np.column_stack([t.outcome for t in told])
    return Scores(told[0].arm, told[0].baseline, later)


def numbers_of(records: Records, variable: str) -> Array:
    """(N,) each patient's number, NaN where there is none.

    Raises:
        InputError: `input.column-missing`; it follows from the clinic's columns alone.
    """
    if variable not in records.patients.columns:
        raise InputError(
            f"this clinic's patients have no column {variable!r}",
            code="column-missing",
            why="the study describes its patients by it",
            hint=f"map it under [patients.variables] in mapping.toml: {variable} = ...",
        )
    people = records.patients.unique("patient", keep="first", maintain_order=True)
    numbers = people[variable].cast(pl.Float64, strict=False).fill_null(float("nan"))
    return numbers.to_numpy().astype(np.float64)
