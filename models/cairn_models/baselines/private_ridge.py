"""`PrivateRidge`: ridge regression from one noised sum of clipped cross-products.

What a patient sends is XᵀX and Xᵀy of the pairs of scores a horizon apart, for each horizon, over
that patient's own number of pairs and some more, shrunk as a whole to norm C. X are few columns of
`memories`, around public centres and over public scales; y is the change ahead. Off-diagonal
products count twice (√2), so that the vector's norm is the matrix's.

The penalty answers the noise, as in AdaSSP: where the smallest eigenvalue of the noised XᵀX does
not stand above the noise, it is lifted to it. Noise of standard deviation s in every number has a
spectral norm of about s√(2K); half of that did best.

Source: Wang 2018, 'Revisiting differentially private linear regression', UAI, algorithm 2.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from cairn_models.baselines.last_value import last_value
from cairn_models.baselines.memories import FEW, memories
from cairn_models.baselines.ridge import Ridge
from cairn_models.trajectory.columns import HORIZONS
from cairn_models.trajectory.features import Weekly
from cairn_models.trajectory.targets import main_targets

Array = NDArray[np.float64]

# Public constants, set on synthetic worlds as wide as those of pre-training.
CENTRE: Final = {
    "last_score": 0.4,
    "first_score": 0.5,
    "last_companion": 0.4,
    "week": 0.3,
    "weeks_since_score": 0.0,
}
MEMORY_SCALE: Final = 6.0  # running means less the last value are small
CHANGE_SCALE: Final = 9.0  # of y: three PHQ-9 points are one
SOME: Final = 8.0  # pairs; so many weigh half of what endless ones would
BOUND: Final = 1.0  # C
LIFT: Final = 0.5  # of the noise's spectral norm
FEWEST: Final = 1e-3  # of a penalty, as a share of the trace's mean
K: Final = 1 + len(FEW) + 6
_I, _J = np.triu_indices(K)
_TWICE: Final[Array] = np.where(_I == _J, 1.0, np.sqrt(2.0))


class PrivateRidge:
    """The code of the sum: `vectors` at a clinic, `solve` where the sum is opened."""

    length: Final = len(HORIZONS) * (len(_I) + K)
    bound: Final = BOUND

    @classmethod
    def vectors(cls, weeks: Weekly) -> Array:
        """(N, length) float64 of norm ≤ C; a row is of one patient alone."""
        x = memories(weeks, FEW) @ _to_public(np.eye(K))
        target, known = main_targets(weeks)
        y = CHANGE_SCALE * (target.astype(np.float64) - last_value(weeks))
        parts = []
        for k in range(len(HORIZONS)):
            share = known[:, :, k] / (known[:, :, k].sum(axis=1, keepdims=True) + SOME)
            xx = np.einsum("nt,nti,ntj->nij", share, x, x, optimize=True)
            parts += [xx[:, _I, _J] * _TWICE, np.einsum("nt,nti->ni", share * y[:, :, k], x)]
        rows = np.concatenate(parts, axis=1)
        norm = np.linalg.norm(rows, axis=1, keepdims=True)
        return np.asarray(rows * np.minimum(1.0, BOUND / np.maximum(norm, 1e-12)))

    @classmethod
    def solve(cls, total: Array, noise_sd: float) -> Ridge:
        """The regression from a (length,) sum with noise of `noise_sd` in every number."""
        weights = []
        for part in total.reshape(len(HORIZONS), -1):
            xx = np.zeros((K, K))
            xx[_I, _J] = xx[_J, _I] = part[: len(_I)] / _TWICE
            noise = LIFT * noise_sd * np.sqrt(2.0 * K)
            lifted = noise - float(np.linalg.eigvalsh(xx)[0])
            least = FEWEST * max(float(np.trace(xx)), noise) / K
            weights.append(np.linalg.solve(xx + max(lifted, least) * np.eye(K), part[len(_I) :]))
        return Ridge(_to_public(np.stack(weights, axis=1)) / CHANGE_SCALE, FEW)


def _to_public(right: Array) -> Array:
    """The (K, K) map of `memories` to public centres and scales, times `right`."""
    scaled = np.eye(K)
    for name, centre in CENTRE.items():
        scaled[0, 1 + FEW.index(name)] = -centre
    scaled[1 + len(FEW) :, 1 + len(FEW) :] *= MEMORY_SCALE
    return scaled @ right
