"""`last_value`: the last value carried forward; and `error_by_horizon`, by which all are judged."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from cairn_models.measures import Instrument
from cairn_models.trajectory.columns import HORIZONS, LAST
from cairn_models.trajectory.features import Weekly
from cairn_models.trajectory.placing import Floats
from cairn_models.trajectory.targets import main_targets


def last_value(weeks: Weekly) -> Floats:
    """(N, T, H) the last score so far, on 0-1, as the prediction for every horizon."""
    last = weeks.features[:, :, LAST[0], None]
    return np.repeat(last, len(HORIZONS), axis=2)


def error_by_horizon(
    predicted: Floats, weeks: Weekly, instrument: Instrument
) -> Mapping[int, float]:
    """Mean absolute error in points over all (anchor, horizon) cells; NaN where there is none."""
    target, known = main_targets(weeks)
    span = instrument.highest - instrument.lowest
    gap = np.abs(predicted.astype(np.float64) - target) * span
    return {
        h: float(gap[:, :, k][known[:, :, k]].mean()) if known[:, :, k].any() else float("nan")
        for k, h in enumerate(HORIZONS)
    }
