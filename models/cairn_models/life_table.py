"""Survival, incidence and hazards from a noised life table, with variances that count the noise.

**Table.** One arm's patients, each in one cell: (interval, how it ended) or *through*, seen beyond
the last end. With d_j who had the event, q_j who ended by any other cause and c_j last seen in
interval j and r through, the number at risk in interval j is n_j = Σ_{i ≥ j} (d_i + q_i + c_i) + r.
It is never asked for: it follows by cumulation, which is why one vector of norm 1 a patient is
enough. Someone last seen inside an interval is at risk in it, as at a tie. `Ways.staying` says to
which interval an end belongs.

**Estimators.** h_j = d_j/n_j; S(e_j) = Π_{i ≤ j} (1 − h_i), where other causes count like being
last seen (Kaplan & Meier 1958, JASA 53:457); incidence of one cause
F(e_j) = Σ_{i ≤ j} S°(e_{i−1})·d_i/n_i with S° = Π (1 − (d + q)/n), the share without any (Aalen &
Johansen 1978, Scand J Statist 5:141); restricted mean = area under S or S° until the last end,
straight between ends. Hazard ratio = Σ w_j λ_j / Σ w_j λ⁰_j with λ = −log(1 − h), the integrated
hazard, and the log-rank weights w_j = n_j n⁰_j/(n_j + n⁰_j) (Andersen 1983, Scand J Statist 10:77):
if hazards are proportional in continuous time it finds their ratio whatever the intervals, and
needs no iteration that noise could throw off.

**Variance.** Each is a function f of the table that does not change when all cells are multiplied
by one number. Patients are independent, so cells are multinomial and the delta method gives
Σ_c x_c (∂f/∂x_c)²: for S this is Greenwood's formula (1926) to the last digit. Noise with
covariance V in the cells adds gᵀVg, g = ∂f/∂x, through the whole cumulation. Gradients are taken by
complex steps (Squire & Trapp 1998, SIAM Review 40:110), exact to rounding.

**Swamped risk sets.** Where the noised number still at risk at an end is below `fewest` or below
three standard deviations of its noise, ratios with it mean nothing: the arm is unreadable from that
end on, and so is its restricted mean.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from cairn_models.ways import Ways

Array = NDArray[np.float64]
Numbers = NDArray[Any]  # real, or complex while a gradient is taken
STEP: Final = 1e-30
CLEAR: Final = 3.0  # standard deviations of noise above which a count is told from none
EVENTS: Final = 5.0  # people with the event in each arm below which no ratio is told
REACH: Final = 1.959963984540054  # of a 95 % interval, in standard errors


@dataclass(frozen=True)
class Grid:
    """Ends of the intervals, and the ways in which an observation can end."""

    ends: tuple[float, ...]
    ways: Ways

    @property
    def cells(self) -> int:
        """Columns of an arm's table: interval by interval, then *through*."""
        return len(self.ends) * self.ways.columns + 1

    def cell_of(self, time: Array, how: NDArray[np.int64]) -> NDArray[np.int64]:
        """(N,) cell of patients whose observation ended at `time` in column `how`."""
        side: Literal["left", "right"] = "right" if self.ways.staying else "left"
        interval = np.searchsorted(np.asarray(self.ends), time, side=side)
        inside = interval < len(self.ends)
        cell = np.where(inside, interval * self.ways.columns + how, self.cells - 1)
        return cell.astype(np.int64)

    def ended(self, table: Numbers, cause: int) -> Numbers:
        """(..., K) who ended in each interval by this cause."""
        return np.asarray(table[..., cause : -1 : self.ways.columns])

    def at_risk(self, table: Numbers) -> Numbers:
        """(..., K + 1) at risk in each interval, and through."""
        shape = (*table.shape[:-1], len(self.ends), self.ways.columns)
        lost = table[..., :-1].reshape(shape).sum(axis=-1)
        tail = np.concatenate([lost, table[..., -1:]], axis=-1)
        return np.asarray(np.flip(np.cumsum(np.flip(tail, -1), axis=-1), -1))


def hazard(grid: Grid, table: Numbers) -> Numbers:
    """(..., K) h_j of the event asked about."""
    return np.asarray(grid.ended(table, 0) / grid.at_risk(table)[..., :-1])


def survival(grid: Grid, table: Numbers) -> Numbers:
    """(..., K) S(e_j), Kaplan–Meier."""
    return np.asarray(np.cumprod(1.0 - hazard(grid, table), axis=-1))


def untouched(grid: Grid, table: Numbers) -> Numbers:
    """(..., K) S°(e_j), without any cause; S where there is one cause only."""
    causes = range(len(grid.ways.causes))
    ended = sum(grid.ended(table, cause) for cause in causes)
    return np.asarray(np.cumprod(1.0 - ended / grid.at_risk(table)[..., :-1], axis=-1))


def incidence(grid: Grid, table: Numbers, cause: int) -> Numbers:
    """(..., K) F(e_j) of ending by this cause, Aalen–Johansen."""
    n = grid.at_risk(table)[..., :-1]
    going = untouched(grid, table)
    before = np.concatenate([np.ones_like(going[..., :1]), going[..., :-1]], axis=-1)
    return np.asarray(np.cumsum(before * grid.ended(table, cause) / n, axis=-1))


def main_curve(grid: Grid, table: Numbers) -> Numbers:
    """(..., K) what is asked at each end: S of who stays, else F of the event."""
    return survival(grid, table) if grid.ways.staying else incidence(grid, table, 0)


def restricted_mean(grid: Grid, table: Numbers) -> Numbers:
    """(..., 1) area from 0 to the last end under S of who stays, else under S°."""
    curve = survival(grid, table) if grid.ways.staying else untouched(grid, table)
    curve = np.concatenate([np.ones_like(curve[..., :1]), curve], axis=-1)
    widths = np.diff([0.0, *grid.ends])
    return np.asarray(((curve[..., 1:] + curve[..., :-1]) / 2 * widths).sum(-1, keepdims=True))


@dataclass(frozen=True)
class Fitted:
    """Estimates (..., M) with the two parts of their variance; what is not readable is 0."""

    value: Array
    sampling: Array
    noise: Array
    readable: NDArray[np.bool_]

    @property
    def standard_error(self) -> Array:
        """Noise included."""
        return np.asarray(np.sqrt(self.sampling + self.noise))

    @property
    def noise_share(self) -> Array:
        """Of the variance, 0 to 1."""
        whole = self.sampling + self.noise
        return np.asarray(np.where(whole > 0, self.noise / np.where(whole > 0, whole, 1.0), 0.0))


def share_interval(fitted: Fitted, fewest: Array, most: Array) -> tuple[Array, Array]:
    """Ends (..., K) of the 95 % intervals of shares (..., K), within 0 to 1.

    They hold every p with (p̂ − p)² ≤ z²·(p(1 − p)/n + V), V the noise's variance and n the
    effective number p̂(1 − p̂)/sampling variance, between `fewest` and `most` people, `fewest`
    where nobody seems to have had the event, or everybody. Without noise it is Wilson's (1927, JASA
    22:209), which holds for rare events too (with an effective n: Dorey & Korn 1987, Stat Med
    6:679).
    """
    p = np.clip(fitted.value, 0.0, 1.0)
    spread = p * (1.0 - p)
    with np.errstate(all="ignore"):
        n = np.where((spread > 0) & (fitted.sampling > 0), spread / fitted.sampling, fewest)
    n = np.maximum(np.clip(n, np.minimum(fewest, most), most), 1.0)
    a, b = 1.0 + REACH**2 / n, p + REACH**2 / (2.0 * n)
    root = np.sqrt(np.maximum(b**2 - a * (p**2 - REACH**2 * fitted.noise), 0.0))
    low, high = np.minimum((b - root) / a, p), np.maximum((b + root) / a, p)
    return np.clip(low, 0.0, 1.0), np.clip(high, 0.0, 1.0)


def minus(fitted: Fitted, reference: Fitted) -> Fitted:
    """The difference of estimates of two arms, whose patients and noise are independent."""
    return Fitted(
        fitted.value - reference.value,
        fitted.sampling + reference.sampling,
        fitted.noise + reference.noise,
        fitted.readable & reference.readable,
    )


@dataclass(frozen=True)
class LifeTable:
    """One arm's noised `table` (..., cells); `covariance` (cells, cells) is that of its noise.

    A number at risk is told from `fewest` and from `clear` standard deviations of its noise on, a
    ratio from `events` people with the event on.
    """

    grid: Grid
    table: Array
    covariance: Array
    fewest: float
    clear: float = CLEAR
    events: float = EVENTS

    @property
    def at_risk(self) -> Array:
        """(..., K + 1) noised numbers at risk at 0 and at each end."""
        return np.asarray(self.grid.at_risk(self.table))

    @property
    def at_risk_sd(self) -> Array:
        """(K + 1,) standard deviation of their noise."""
        tails = self.grid.at_risk(np.eye(self.grid.cells))  # (cells, K + 1)
        return np.asarray(np.sqrt(np.einsum("ck,cd,dk->k", tails, self.covariance, tails)))

    @property
    def readable(self) -> NDArray[np.bool_]:
        """(..., K + 1) whether the number at risk at 0 and each end can be told."""
        n = self.at_risk
        enough = (n > 0) & (n >= np.maximum(self.fewest, self.clear * self.at_risk_sd))
        return np.asarray(np.logical_and.accumulate(enough, axis=-1))

    def fit(self, measure: Callable[[Numbers], Numbers]) -> Fitted:
        """Estimates of `measure`, which gives one number an end, or one for the whole curve."""
        with np.errstate(all="ignore"):
            value = np.asarray(measure(self.table), dtype=np.float64)
            slope = gradient(measure, self.table)
            sampling = np.einsum("...c,...cm->...m", self.table, slope**2)
            noise = np.einsum("...cm,cd,...dm->...m", slope, self.covariance, slope)
        ends = self.readable[..., 1:]
        shown = ends if value.shape[-1] == ends.shape[-1] else ends[..., -1:]
        return _where(shown, value, sampling, noise)


def gradient(measure: Callable[[Numbers], Numbers], table: Array) -> Array:
    """(..., cells, M) derivative of `measure` with respect to every cell."""
    steps = 1j * STEP * np.eye(table.shape[-1])
    return np.asarray(measure(table[..., None, :] + steps).imag / STEP)


def log_hazard_ratio(arm: LifeTable, reference: LifeTable) -> Fitted:
    """(..., 1) log of the ratio of hazards, over the intervals that both arms can be read in.

    Unreadable where nothing can be read, fewer than five people of an arm had the event, or its
    weighted hazard does not stand three standard deviations of its noise above none.
    """
    grid, k = arm.grid, arm.grid.cells
    both = np.concatenate([arm.table, reference.table], axis=-1)
    covariance = np.zeros((2 * k, 2 * k))
    covariance[:k, :k], covariance[k:, k:] = arm.covariance, reference.covariance
    shared = arm.readable[..., 1:] & reference.readable[..., 1:]

    def weighted(table: Numbers) -> Numbers:
        first, second = table[..., :k], table[..., k:]
        n, m = grid.at_risk(first)[..., :-1], grid.at_risk(second)[..., :-1]
        open_ = shared if table.ndim == shared.ndim else shared[..., None, :]
        weight = n * m / (n + m)
        parts = [
            np.where(open_, -weight * np.log(1.0 - hazard(grid, own)), 0.0).sum(axis=-1)
            for own in (first, second)
        ]
        return np.stack(parts, axis=-1)

    with np.errstate(all="ignore"):
        sums = np.asarray(weighted(both), dtype=np.float64)  # (..., 2)
        slopes = gradient(weighted, both)
        spread = np.sqrt(np.einsum("...cm,cd,...dm->...m", slopes, covariance, slopes))
        value = np.log(sums[..., :1] / sums[..., 1:])
        slope = slopes[..., :1] / sums[..., None, :1] - slopes[..., 1:] / sums[..., None, 1:]
        sampling = np.einsum("...c,...cm->...m", both, slope**2)
        noise = np.einsum("...cm,cd,...dm->...m", slope, covariance, slope)
        had = np.stack(
            [np.where(shared, grid.ended(t.table, 0), 0.0).sum(axis=-1) for t in (arm, reference)],
            axis=-1,
        )
    told = (sums > arm.clear * spread) & (sums > 0) & (had >= arm.events)
    clear = told.all(axis=-1, keepdims=True)
    return _where(clear, value, sampling, noise)


def _where(told: NDArray[np.bool_], value: Array, sampling: Array, noise: Array) -> Fitted:
    """Readable where `told` and finite; variances that noise made negative are 0."""
    readable = told & np.isfinite(value) & np.isfinite(sampling + noise)
    zero = np.zeros_like(value)
    return Fitted(
        np.where(readable, value, zero),
        np.where(readable, np.maximum(sampling, zero), zero),
        np.where(readable, np.maximum(noise, zero), zero),
        np.asarray(readable),
    )
