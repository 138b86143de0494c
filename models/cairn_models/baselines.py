"""Baselines that a trajectory model must beat: last value carried forward, and ridge.

`ridge_oracle` pools patients without privacy, so it serves synthetic and public data only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cairn_models.measures import Instrument
from cairn_models.questions.base import instrument_of
from cairn_models.records import Records
from cairn_models.trajectory.columns import COLUMNS, HORIZONS, LAST
from cairn_models.trajectory.features import Weekly, weekly
from cairn_models.trajectory.placing import Floats
from cairn_models.trajectory.targets import main_targets
from cairn_protocol.study import Study

MEMORIES: Final = (0.5, 0.8, 0.95)  # weights a week back, of the running means
PENALTY: Final = 1.0


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


def ridge_oracle(train: Records, test: Records, study: Study) -> Mapping[int, float]:
    """MAE in points by horizon of ridge regression on exponential-memory features.

    Pooled and without privacy: a yardstick for synthetic or public data, never for patients.
    """
    instrument = instrument_of(study, study.outcome.instrument)
    fitted, judged = weekly(train, instrument), weekly(test, instrument)
    x, x_new = _memories(fitted), _memories(judged)
    target, known = main_targets(fitted)
    last, predicted = last_value(fitted), last_value(judged).copy()
    for k in range(len(HORIZONS)):
        rows = known[:, :, k]
        weights = _ridge(x[rows], (target - last)[:, :, k][rows])
        predicted[:, :, k] += (x_new @ weights).astype(np.float32)
    return error_by_horizon(predicted, judged, instrument)


def _memories(weeks: Weekly) -> NDArray[np.float64]:
    """(N, T, K): a one, all columns, and running means of both scores with three memories."""
    f = weeks.features.astype(np.float64)
    parts = [np.ones((*f.shape[:2], 1)), f]
    for name in ("score", "companion"):
        value = f[:, :, COLUMNS.index(name)]
        seen = f[:, :, COLUMNS.index(f"{name}_observed")]
        last = f[:, :, COLUMNS.index(f"last_{name}")]
        for memory in MEMORIES:
            total, weight = np.zeros(len(f)), np.zeros(len(f))
            mean = np.zeros(f.shape[:2])
            for t in range(f.shape[1]):
                total = memory * total + seen[:, t] * value[:, t]
                weight = memory * weight + seen[:, t]
                mean[:, t] = np.divide(total, weight, out=np.zeros(len(f)), where=weight > 1e-9)
            parts.append((np.where(weight[:, None] > 1e-9, mean, 0.0) - last)[:, :, None])
    return np.concatenate(parts, axis=2)


def _ridge(x: NDArray[np.float64], y: Floats) -> NDArray[np.float64]:
    penalty = PENALTY * np.eye(x.shape[1])
    penalty[0, 0] = 1e-6  # the intercept is free
    return np.asarray(np.linalg.solve(x.T @ x + penalty, x.T @ y.astype(np.float64)))
