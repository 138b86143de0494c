"""What a released network foretells of people at their baseline, whatever arm they came to.

The network sees a person as of week 0: the baseline of the outcome and of its companion scale,
and the person. It is told the same arm for everybody, and nothing of what a programme or a device
recorded: an arm, or what follows from it, would take the effect itself out of the prediction.
Between the weeks that it was trained for (0 is the baseline itself) its medians are joined by
straight lines. A row is a function of the parameters and of that patient's rows alone.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cairn_models.cohort import admitted_scores, baseline_scores
from cairn_models.measures import Instrument
from cairn_models.records import Records
from cairn_models.trajectory.columns import HORIZONS, LAST
from cairn_models.trajectory.features import companion_of, weekly
from cairn_models.trajectory.network import check_places, predict
from cairn_models.trajectory.placing import Floats

BLOCK: Final = 256  # patients
LAST_WEEK: Final = max(HORIZONS)


def at_baseline(
    records: Records, instrument: Instrument, *, window: tuple[float, float], arm: str
) -> Floats:
    """(N, 1, F) what the network is told; patients in the order that `records` first names them.

    `records` count weeks.
    """
    check_places(BLOCK, weeks=1)
    people = records.patients.unique("patient", keep="first", maintain_order=True)
    both = (
        baseline_scores(admitted_scores(records, scale), window).select(
            "patient",
            time=pl.lit(0.0),
            instrument=pl.lit(scale.name),
            value=pl.col("baseline"),
        )
        for scale in (instrument, companion_of(instrument))
    )
    alike = people.drop("modality", strict=False).with_columns(arm=pl.lit(arm))
    told = Records(alike, pl.concat(both))
    return weekly(told, instrument).features[:, :1]


def foretold(parameters: NDArray[np.float32], told: Floats, week: float) -> NDArray[np.float64]:
    """(N,) median of the outcome on 0-1 at `week`, at most `LAST_WEEK`, from `told` (N, 1, F)."""
    if not len(told):
        return np.zeros(0)
    medians = predict(parameters, told, BLOCK).median[:, 0, 0].astype(np.float64)  # (N, H)
    points = np.column_stack([told[:, 0, LAST[0]].astype(np.float64), medians])
    near = np.clip(np.nan_to_num(points, nan=0.5, posinf=1.0, neginf=0.0), 0.0, 1.0)
    weights = np.array([np.interp(week, (0, *HORIZONS), row) for row in np.eye(len(HORIZONS) + 1)])
    out = np.zeros(len(told))
    for column, weight in zip(near.T, weights, strict=True):
        out += weight * column  # never a matrix product: its rounding may depend on the row's place
    return out
