"""`ArmMean`: the last score plus the mean change of the patient's arm from this week on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cairn_models.baselines.last_value import last_value
from cairn_models.trajectory.columns import ARMS, COLUMNS, HORIZONS, WEEKS
from cairn_models.trajectory.features import Weekly
from cairn_models.trajectory.placing import Floats
from cairn_models.trajectory.targets import main_targets

FEW: Final = 20.0  # pairs; so many weigh as much as the arm's mean over all weeks
_ARM_AT: Final = [COLUMNS.index(f"arm_{arm}") for arm in ARMS]


def arm_of(weeks: Weekly) -> NDArray[np.int64]:
    """(N,) place in `ARMS`, or their number for an arm that the network has no input for."""
    has = weeks.features[:, 0, _ARM_AT] > 0
    return np.where(has.any(axis=1), has.argmax(axis=1), len(ARMS)).astype(np.int64)


@dataclass(frozen=True)
class ArmMean:
    """`change` (arms + 1, T, H) float64 on 0-1: from a week since entry to so many weeks later."""

    change: NDArray[np.float64]

    @classmethod
    def fit(cls, weeks: Weekly) -> ArmMean:
        """From all pairs of scores that lie a horizon apart.

        A week's mean is drawn towards its arm's over all weeks, and that towards everybody's, by
        `FEW` pairs.
        """
        target, known = main_targets(weeks)
        change = np.where(known, target - last_value(weeks), 0.0).astype(np.float64)
        arm = arm_of(weeks)
        total = np.zeros((len(ARMS) + 1, WEEKS, len(HORIZONS)))
        pairs = np.zeros(total.shape)
        np.add.at(total, arm, change)
        np.add.at(pairs, arm, known)
        everybody = total.sum(axis=(0, 1)) / (pairs.sum(axis=(0, 1)) + 1e-9)  # (H,)
        of_arm = (total.sum(axis=1) + FEW * everybody) / (pairs.sum(axis=1) + FEW)
        return cls((total + FEW * of_arm[:, None]) / (pairs + FEW))

    def predict(self, weeks: Weekly) -> Floats:
        """(N, T, H) float32 on 0-1."""
        return np.asarray(last_value(weeks) + self.change[arm_of(weeks)], dtype=np.float32)
