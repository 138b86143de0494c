"""`fit_slopes`: the random-slope model and its test against a random intercept, or why not.

Read from the last round: the walk with the lowest −2ℓ wins if it has arrived, if no other walk is
lower, and if it is not above the random-intercept walk, whose model is nested in it.

The likelihood ratio is referred to χ² with as many degrees of freedom as variances and covariances
were added. A variance of 0 is at the edge of what is possible, so that this p is too large, at
most by a factor of about 2: it is the usual, conservative test.

Source: Self & Liang 1987, JASA 82: 605; Stram & Lee 1994, Biometrics 50: 1171.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.stats import chi2

from cairn_models.statistics.random_intercept import Method, NotEstimable, repeated_columns
from cairn_models.statistics.random_slopes import Array, SlopeSums
from cairn_models.statistics.slope_profile import SlopePoint, profile
from cairn_models.statistics.slope_search import (
    DONE,
    FARTHEST,
    NESTED,
    RISE,
    SlopeSearch,
    SlopeState,
    time_scale,
)

_TIE: Final = 1e-6  # of −2ℓ: walks closer than this are at one optimum
_EDGE: Final = 1e-5  # of θ, scaled: a variance or 1 − correlation² below its square counts as 0
_NEGATIVE: Final = -1e-6  # relative curvature: less is a saddle
_NO_RESIDUAL: Final = 1e-9  # of Σy²
NO_VARIATION: Final = "the model leaves no variation within patients"
NOT_ARRIVED: Final = "the search had not arrived when its rounds were over"


@dataclass(frozen=True)
class RandomSlopes:
    """A fitted model. Variances in outcome units², slopes per unit of time.

    `covariance` (p, p) is the coefficients'; `at_edge` whether a variance is 0 or the correlation
    ±1; `log_likelihood_intercept` that of the nested random-intercept model; `df` of the test.
    """

    method: Method
    beta: Array
    covariance: Array
    var_subject: float
    var_slope: float
    cov_slope: float
    var_resid: float
    log_likelihood: float
    log_likelihood_intercept: float
    df: int
    at_edge: bool
    subjects: int
    observations: int

    @property
    def standard_errors(self) -> Array:
        """The coefficients' standard errors, (p,)."""
        return np.sqrt(np.diag(self.covariance))

    @property
    def correlation(self) -> float | None:
        """Between a patient's intercept and slope; None where one does not vary."""
        size = math.sqrt(self.var_subject * self.var_slope)
        return max(-1.0, min(1.0, self.cov_slope / size)) if size > 0 else None

    @property
    def parameters(self) -> int:
        """Coefficients, variances and covariance, and the residual variance."""
        return self.beta.size + 2 + self.df

    @property
    def aic(self) -> float:
        """Akaike's criterion, −2ℓ + 2·parameters."""
        return 2 * self.parameters - 2 * self.log_likelihood

    @property
    def bic(self) -> float:
        """Schwarz's criterion with the number of scores, as lme4."""
        return self.parameters * math.log(self.observations) - 2 * self.log_likelihood

    @property
    def chi_squared(self) -> float:
        """Twice the difference of the log-likelihoods, not below 0."""
        return max(0.0, 2 * (self.log_likelihood - self.log_likelihood_intercept))

    @property
    def p_value(self) -> float:
        """Of the likelihood ratio against χ² with `df`; too large at the edge, see above."""
        return float(chi2.sf(self.chi_squared, self.df))


def fit_slopes(
    search: SlopeSearch, state: SlopeState, sums: SlopeSums
) -> RandomSlopes | NotEstimable:
    """The model from the state after the last round and that round's sums.

    Args:
        search: the rules by which the walks went.
        state: as `advance` left it.
        sums: of the last round.
    """
    fault = _fault(sums)
    if fault is not None:
        return fault
    scale = time_scale(sums)
    lowest = int(np.argmin(state.deviance))
    if (np.abs(state.best[lowest] * scale) >= FARTHEST / 2).any():
        return NotEstimable(NO_VARIATION)
    arrived: list[tuple[float, int, SlopePoint]] = []
    for walk in range(NESTED + 1):
        point = profile(sums, walk, search.method)
        if point is None:
            continue
        if point.residual <= _NO_RESIDUAL * sums.products[walk, 0, -1, -1]:
            return NotEstimable(NO_VARIATION)
        _, gain, curvature = search.step(point, walk, state.best[walk], scale)
        here = abs(point.deviance - state.deviance[walk]) <= RISE  # not a step that was refused
        if here and gain <= DONE and curvature >= _NEGATIVE:
            arrived.append((point.deviance, walk, point))
    nested = next((one for one in arrived if one[1] == NESTED), None)
    full = [one for one in arrived if one[1] != NESTED]
    if nested is None or not full:
        return NotEstimable(NOT_ARRIVED)
    deviance, walk, point = min(full, key=lambda one: one[:2])
    if deviance > min(state.deviance) + _TIE:
        return NotEstimable(NOT_ARRIVED)
    return _model(search, sums, nested[0], state.best[walk], point)


def _model(
    search: SlopeSearch,
    sums: SlopeSums,
    nested: float,
    theta: Array,
    point: SlopePoint,
) -> RandomSlopes | NotEstimable:
    a, b, c = theta.tolist()
    scaled = np.abs(theta * time_scale(sums))
    at_edge = bool(scaled[0] < _EDGE or scaled[2] < _EDGE)
    _, _, curvature = search.step(point, 0, theta, time_scale(sums))
    if not at_edge and curvature < 1e-9:
        return NotEstimable("the visits do not tell slopes that vary from scores that vary")
    p = point.beta.size
    weight = sums.observations - (p if search.method == "REML" else 0)
    var_resid = point.residual / weight
    return RandomSlopes(
        method=search.method,
        beta=point.beta,
        covariance=var_resid * point.inverse,
        var_subject=var_resid * a * a,
        var_slope=var_resid * (b * b + c * c) / sums.longest_time**2,
        cov_slope=var_resid * a * b / sums.longest_time,
        var_resid=var_resid,
        log_likelihood=-point.deviance / 2,
        log_likelihood_intercept=-nested / 2,
        df=2 if search.correlated else 1,
        at_edge=at_edge,
        subjects=sums.subjects,
        observations=sums.observations,
    )


def _fault(sums: SlopeSums) -> NotEstimable | None:
    """What no search could mend: too few data, or columns that repeat each other."""
    p = sums.products.shape[-1] - 1
    if not (np.isfinite(sums.products).all() and np.isfinite(sums.logs).all()):
        return NotEstimable("the sums are not finite")
    faults = (
        (sums.subjects < 2, f"fewer than two patients have a score ({sums.subjects})"),
        (sums.observations <= p + 1, f"{sums.observations} scores cannot carry {p} coefficients"),
        (not sums.root_mean_square_time > 0, "every score is at time 0"),
        (
            sums.observations <= 2 * sums.subjects,
            f"{sums.observations} scores cannot carry an intercept and a slope for each of "
            f"{sums.subjects} patients",
        ),
        (not sums.products[NESTED, 0, p, p] > 0, "every score is 0"),
    )
    for applies, reason in faults:
        if applies:
            return NotEstimable(reason)
    repeated = repeated_columns(sums.products[NESTED, 0, :p, :p])
    if repeated:
        return NotEstimable("some columns are combinations of earlier ones", repeated)
    return None
