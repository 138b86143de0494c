"""Baselines that a trajectory model must beat, each fitted to the same weeks.

Every fitted baseline has `predict(weeks)`: (N, T, H) float32 on 0-1, like the network's medians.
All but `PrivateRidge` pool patients without privacy: yardsticks for synthetic and public data only.
"""

from cairn_models.baselines.arm_mean import ArmMean
from cairn_models.baselines.last_value import error_by_horizon, last_value
from cairn_models.baselines.mixed_model import MixedModel
from cairn_models.baselines.private_ridge import PrivateRidge
from cairn_models.baselines.ridge import Ridge, ridge_oracle

__all__ = [
    "ArmMean",
    "MixedModel",
    "PrivateRidge",
    "Ridge",
    "error_by_horizon",
    "last_value",
    "ridge_oracle",
]
