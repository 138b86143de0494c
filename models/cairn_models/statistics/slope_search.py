"""`SlopeSearch`: several starts of Newton's method for θ at once, one step of each a round.

−2ℓ(θ) of a random-slope model has saddle points (c = 0 is stationary whatever the data) and may
have several valleys; a single start can end above its own nested model. So a fixed number of starts
walk together in one public state, with the nested random-intercept model as a walk of its own along
b = c = 0: its likelihood is known in the same rounds, and nested likelihoods can be compared.

Round 0 is a look: every walk stands at θ = 0, and the mean square of the times gives the starts
their scale. In each later round a walk whose −2ℓ did not rise moves on by Newton's step, with the
Hessian's eigenvalues taken by size (so that a saddle repels) and the length limited; one whose −2ℓ
rose goes half the way back. Newton's Hessian is exact, so the last steps square the error.

The state holds for each walk θ to be tried, the best θ so far and its −2ℓ, as pairs of singles.
Everything is a function of the state and the sums: nothing is kept between rounds.

Source: Nocedal & Wright 2006, 'Numerical Optimization', §3.4.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cairn_models.statistics.random_intercept import Method
from cairn_models.statistics.random_slopes import Array, SlopeSums
from cairn_models.statistics.single_pairs import LARGEST, join, split
from cairn_models.statistics.slope_profile import SlopePoint, profile

# a, b, c in standard deviations of the residual, slopes at `time_scale`.
STARTS: Final[Array] = np.array(
    [[1.0, 0.0, 0.5], [0.5, 0.0, 1.5], [2.0, -0.5, 0.3], [0.3, 0.3, 0.3]]
)
NESTED: Final = len(STARTS)  # the place of the random-intercept walk
WALKS: Final = NESTED + 1
PER_WALK: Final = 7  # θ to try, best θ, its −2ℓ
FARTHEST: Final = 1e4  # of θ, scaled: beyond it patients do not vary within, as far as doubles tell
RISE: Final = 1e-7  # of −2ℓ: less is rounding of the sums
DONE: Final = 1e-9  # what one more step would take off −2ℓ
_FLAT: Final = 1e-7  # of the largest eigenvalue of the Hessian
_KICK: Final = 0.1  # how far a walk leaves a saddle at least


@dataclass(frozen=True)
class SlopeState:
    """`trial` and `best` (WALKS, 3) in the units of the scaled times, `deviance` (WALKS,)."""

    trial: Array
    best: Array
    deviance: Array

    @classmethod
    def read(cls, public: NDArray[np.float32]) -> SlopeState:
        """From a round's public state; a hostile one gives θ within `FARTHEST`²."""
        table = join(public).reshape(WALKS, PER_WALK)
        bounded = np.clip(table[:, :6], -(FARTHEST**2), FARTHEST**2)
        return cls(bounded[:, :3], bounded[:, 3:], table[:, 6])

    def write(self) -> NDArray[np.float32]:
        """The public state, (2·PER_WALK·WALKS,) float32."""
        table = np.concatenate([self.trial, self.best, self.deviance[:, None]], axis=1)
        return split(table.ravel())


START: Final = SlopeState(np.zeros((WALKS, 3)), np.zeros((WALKS, 3)), np.full(WALKS, LARGEST))


@dataclass(frozen=True)
class SlopeSearch:
    """The rules of the walks.

    Args:
        method: which likelihood.
        correlated: False holds b at 0: intercepts and slopes are independent, `||` in a formula.
    """

    method: Method
    correlated: bool

    def free(self, walk: int) -> Array:
        """(3,) 1 for the entries of θ that the walk may change."""
        return np.array([1.0, 0.0, 0.0] if walk == NESTED else [1.0, float(self.correlated), 1.0])

    def advance(self, state: SlopeState, sums: SlopeSums, round_: int) -> SlopeState:
        """Where each walk goes next, from the sums at `state.trial`."""
        scale = time_scale(sums)
        if round_ == 0:
            starts = np.vstack([STARTS, [[1.0, 0.0, 0.0]]]) / scale
            free = np.stack([self.free(walk) for walk in range(WALKS)])
            return SlopeState(starts * free, state.best, state.deviance)
        trial, best, deviance = state.trial.copy(), state.best.copy(), state.deviance.copy()
        for walk in range(WALKS):
            point = profile(sums, walk, self.method)
            if point is not None and point.deviance <= deviance[walk] + RISE:
                best[walk], deviance[walk] = trial[walk], point.deviance
                trial[walk] = best[walk] + self.step(point, walk, best[walk], scale)[0]
            else:
                trial[walk] = (best[walk] + trial[walk]) / 2
        return SlopeState(trial, best, deviance)

    def step(
        self, point: SlopePoint, walk: int, theta: Array, scale: Array
    ) -> tuple[Array, float, float]:
        """Newton's step (3,), what it would take off −2ℓ, and the least relative curvature.

        The last is the Hessian's smallest eigenvalue over its largest, in scaled entries.
        """
        free = self.free(walk)
        kept = np.flatnonzero(free)
        gradient = (point.gradient / scale)[kept]
        hessian = (point.hessian / np.outer(scale, scale))[np.ix_(kept, kept)]
        values, vectors = np.linalg.eigh(hessian)
        along = vectors.T @ gradient
        largest = max(float(np.abs(values).max()), 1e-300)
        curved = np.maximum(np.abs(values), _FLAT * largest)
        lengths = -along / curved
        saddle = values < -_FLAT * largest
        kick = np.where(along > 0, -_KICK, _KICK)
        lengths = np.where(saddle & (np.abs(lengths) < _KICK), kick, lengths)
        gain = float((along**2 / curved).sum() / 2)
        step = np.zeros(3)
        step[kept] = vectors @ lengths
        longest = 0.5 * (1 + float(np.linalg.norm(theta * scale)))
        step *= min(1.0, longest / max(float(np.linalg.norm(step)), 1e-300))
        wanted = np.clip(theta * scale + step, -FARTHEST, FARTHEST)
        return wanted / scale - theta, gain, float(values[0]) / largest


def time_scale(sums: SlopeSums) -> Array:
    """(3,) what brings a, b and c to one size: slopes count at the root mean square time."""
    time = sums.root_mean_square_time
    slope = time if time > 0 else 1.0
    return np.array([1.0, slope, slope])
