"""`GeeState`, `next_state`, `fit_gee`: estimating equations solved in rounds.

A round's sums at (β, α) give Newton's step δ = (ΣB)⁻¹ ΣU and, with e moved to β + δ, the moment
estimates of R's gee, which are also those of statsmodels' `GEE` with `Exchangeable()`:

    φ = Σ eᵀe / (N − p)        α = Σ_i Σ_{j<k} e_ij e_ik / [φ (Σ_i n_i(n_i − 1)/2 − p)].

(statsmodels divides by its `ddof_scale`, p by default, in both. Its default standard errors are the
robust ones without small-sample correction, as here.) At the solution

    naive covariance   φ (ΣB)⁻¹            robust covariance   (ΣB)⁻¹ (ΣUUᵀ) (ΣB)⁻¹.

For the identity link and independence the first step is exact and the second round is the
sandwich's. Otherwise the rounds are fixed in advance, and the answer is given only if the last step
was nothing beside the standard errors.

Source: Liang & Zeger 1986, Biometrika 73: 13; V. Carey, R package gee.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cairn_models.statistics.gee_sums import Array, GeeSums
from cairn_models.statistics.random_intercept import NotEstimable, repeated_columns
from cairn_models.statistics.single_pairs import join, split

ARRIVED: Final = 1e-7  # of a naive standard error, and of α: a smaller last step is none
LARGEST_ALPHA: Final = 0.999
LARGEST_BETA: Final = 1e12
NOT_ARRIVED: Final = "the estimating equations were not solved when the rounds were over"
_SINGULAR: Final = 1e-13


@dataclass(frozen=True)
class GeeState:
    """β (p,) of the scaled columns, and α."""

    beta: Array
    alpha: float

    @classmethod
    def read(cls, public: NDArray[np.float32], lowest_alpha: float) -> GeeState:
        """From a round's public state; a hostile one is brought within what can be computed."""
        values = join(public)
        beta = np.clip(values[:-1], -LARGEST_BETA, LARGEST_BETA)
        return cls(beta, float(np.clip(values[-1], lowest_alpha, LARGEST_ALPHA)))

    def write(self) -> NDArray[np.float32]:
        """The public state, (2p + 2,) float32."""
        return split(np.append(self.beta, self.alpha))


@dataclass(frozen=True)
class Gee:
    """A fit. `beta` (p,) and both covariances (p, p) in the variables' own units."""

    beta: Array
    naive: Array
    robust: Array
    scale: float
    alpha: float
    subjects: int
    observations: int

    @property
    def naive_errors(self) -> Array:
        """(p,) standard errors if the working correlation is right."""
        return np.sqrt(np.diag(self.naive))

    @property
    def robust_errors(self) -> Array:
        """(p,) standard errors whatever the correlation."""
        return np.sqrt(np.maximum(np.diag(self.robust), 0.0))


def lowest_alpha(max_visits: int) -> float:
    """The least α at which R has an inverse for every patient, with some room."""
    return -LARGEST_ALPHA / (max_visits - 1)


def next_state(state: GeeState, sums: GeeSums, exchangeable: bool) -> GeeState:
    """One step further; `state` itself where the sums do not determine a step."""
    step = _step(sums)
    if step is None or not np.isfinite(step).all():
        return state
    return GeeState(state.beta + step, _moments(sums, step)[1] if exchangeable else 0.0)


def fit_gee(
    state: GeeState, sums: GeeSums, columns: Array, exchangeable: bool, least_alpha: float
) -> Gee | NotEstimable:
    """The fit from the state after the last round and that round's sums, or why there is none.

    Args:
        state: as `next_state` left it.
        sums: of the last round.
        columns: (p,) what the columns were multiplied by.
        exchangeable: whether α is estimated.
        least_alpha: see `lowest_alpha`.
    """
    fault = _fault(sums, exchangeable)
    if fault is not None:
        return fault
    step = _step(sums)
    if step is None:
        return NotEstimable(
            "the information on the coefficients vanished: an outcome that a term "
            "decides alone, or too few patients for the terms"
        )
    scale, alpha = _moments(sums, np.zeros_like(step))
    if not scale > 0:
        return NotEstimable("the model leaves no variation")
    inverse = _inverse(sums.bread)
    errors = np.sqrt(scale * np.diag(inverse))
    far = np.abs(step) > ARRIVED * errors
    moved = abs(alpha - state.alpha) > ARRIVED if exchangeable else False
    if exchangeable and not least_alpha < alpha < LARGEST_ALPHA:
        return NotEstimable(
            "the working correlation came to the edge of what is possible, where it cannot be used"
        )
    if far.any() or moved or not np.isfinite(state.beta).all():
        return NotEstimable(NOT_ARRIVED)
    units = np.outer(columns, columns)
    return Gee(
        beta=state.beta * columns,
        naive=scale * inverse * units,
        robust=inverse @ sums.meat @ inverse * units,
        scale=scale,
        alpha=state.alpha,
        subjects=sums.subjects,
        observations=sums.observations,
    )


def _moments(sums: GeeSums, step: Array) -> tuple[float, float]:
    """φ and α at β + `step`; α = 0 where they do not exist."""
    p = step.size
    ee = sums.ee - 2 * step @ sums.de + step @ sums.dd @ step
    e1e1 = sums.e1e1 - 2 * step @ sums.d1e1 + step @ sums.d1d1 @ step
    freedom, pairs = sums.observations - p, sums.pairs - p
    if freedom <= 0 or pairs <= 0 or not ee > 0:
        return float(ee) / max(freedom, 1), 0.0
    scale = float(ee) / freedom
    return scale, float(e1e1 - ee) / 2 / (scale * pairs)


def _step(sums: GeeSums) -> Array | None:
    """δ = (ΣB)⁻¹ ΣU; None if ΣB is singular or not finite."""
    if not (np.isfinite(sums.bread).all() and np.isfinite(sums.score).all()):
        return None
    if not (np.diag(sums.bread) > 0).all():
        return None
    length = np.sqrt(np.diag(sums.bread))
    if np.linalg.eigvalsh(sums.bread / np.outer(length, length))[0] <= _SINGULAR:
        return None
    return np.asarray(_inverse(sums.bread) @ sums.score)


def _inverse(matrix: Array) -> Array:
    length = np.sqrt(np.diag(matrix))
    return np.asarray(np.linalg.inv(matrix / np.outer(length, length)) / np.outer(length, length))


def _fault(sums: GeeSums, exchangeable: bool) -> NotEstimable | None:
    """What no round could mend: too few data, or columns that repeat each other."""
    p = sums.score.size
    if not all(np.isfinite(part).all() for part in (sums.bread, sums.meat, sums.dd, sums.score)):
        return NotEstimable("the sums are not finite")
    faults = (
        (sums.subjects < 2, f"fewer than two patients have a score ({sums.subjects})"),
        (
            sums.subjects <= p,
            f"{sums.subjects} patients cannot carry robust standard errors of {p} coefficients",
        ),
        (
            exchangeable and sums.pairs <= p,
            "too few patients have two scores to tell how a patient's scores go together",
        ),
    )
    for applies, reason in faults:
        if applies:
            return NotEstimable(reason)
    repeated = repeated_columns(sums.dd)
    if repeated:
        return NotEstimable("some columns are combinations of earlier ones", repeated)
    return None
