"""`Ridge`: linear regression of the change ahead on exponential memories, one a horizon."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cairn_models.baselines.last_value import error_by_horizon, last_value
from cairn_models.baselines.memories import memories
from cairn_models.questions.base import instrument_of
from cairn_models.records import Records
from cairn_models.trajectory.columns import COLUMNS, HORIZONS
from cairn_models.trajectory.features import Weekly, weekly
from cairn_models.trajectory.placing import Floats
from cairn_models.trajectory.targets import main_targets
from cairn_protocol.study import Study

PENALTY: Final = 1.0
FREE: Final = 1e-6  # the intercept's penalty


@dataclass(frozen=True)
class Ridge:
    """`weights` (K, H) float64 of `memories(weeks, columns)`."""

    weights: NDArray[np.float64]
    columns: tuple[str, ...] = COLUMNS

    @classmethod
    def fit(cls, weeks: Weekly, columns: tuple[str, ...] = COLUMNS) -> Ridge:
        """From all patients' pairs of scores that lie a horizon apart, pooled without privacy."""
        x = memories(weeks, columns)
        target, known = main_targets(weeks)
        change = target.astype(np.float64) - last_value(weeks)
        penalty = PENALTY * np.eye(x.shape[2])
        penalty[0, 0] = FREE
        weights = []
        for k in range(len(HORIZONS)):
            rows, y = x[known[:, :, k]], change[:, :, k][known[:, :, k]]
            weights.append(np.linalg.solve(rows.T @ rows + penalty, rows.T @ y))
        return cls(np.stack(weights, axis=1), columns)

    def predict(self, weeks: Weekly) -> Floats:
        """(N, T, H) float32 on 0-1."""
        change = memories(weeks, self.columns) @ self.weights
        return np.asarray(last_value(weeks) + change, dtype=np.float32)


def ridge_oracle(train: Records, test: Records, study: Study) -> Mapping[int, float]:
    """MAE in points by horizon of ridge regression on exponential-memory features.

    Pooled and without privacy: a yardstick for synthetic or public data, never for patients.
    """
    instrument = instrument_of(study, study.outcome.instrument)
    judged = weekly(test, instrument)
    predicted = Ridge.fit(weekly(train, instrument)).predict(judged)
    return error_by_horizon(predicted, judged, instrument)
