"""`CalibrationSums`: what one held-out patient says about bands and medians, within a bound.

For one scale a patient has cells: pairs of a week and a horizon with both scores. Each cell lies in
one of four zones: within the 50 % band, the 80 %, the 95 %, or outside; a patient has the share f
of own cells in each zone, Σf = 1, and with p_b the share within band b

    [ F f,  μ · p_b(1 − p_b) ]                                     seven numbers, norm ≤ 1.

F (`ZONES_SEEN`) is a public matrix whose columns F_j are no longer than 1, shaped so that noise
spares the shares within bands, the 80 % band's most. Proof: ‖Ff‖² = Σ f_j‖F_j‖² − Σ_{i<j} f_i f_j
d_ij², d_ij = ‖F_i − F_j‖, and p_b(1 − p_b) ≤ ¼ is the sum of f_i f_j over i ≤ b < j, so the squares
of the last three sum up to at most μ²/4 · Σ_{i<j} (j − i) f_i f_j, which is no more than what Ff
left where μ² = 4·min d_ij²/(j − i). So the second moments, from which the variance between
patients follows, cost nothing.

**The line**, where it is asked for: one point a patient says whether medians are right: the mean x
of own medians and the mean r of what came less what was foretold, both over all own cells, scaled
to −1 … 1 by public limits:

    [ a·x, b·(1 − x²), c·r, d·(1 − r²), e·x·r ]       norm² ≤ L², the largest at x², r² ∈ {0, 1}.

For medians that are right the slope's noise comes from x·r alone and that of the mean difference
from r, so these have the weight; it is convex in x² and r², and the two squares stand in corners
that the others leave empty. These twelve (seven) stand once a scale, in the slot of the patient's
level. Where horizons are told one by one, the seven stand once more for each horizon's own cells,
times g. So

    C² = scales · (1 + L² + g²·horizons),  without the parts that are not asked for.

**Read back.** The share within a band is p̂ = Σp/n. Its variance between patients is
p̂(1 − p̂)·D/n, D = 1 − Σp(1 − p)/(n p̂(1 − p̂)): as if n/D people had one cell each. The interval is
that of `proportions` for so many, the noise with it; without noise and with one cell each it is
Wilson's. Slope and intercept are least squares of what came on what was foretold, a point a
patient, with noise by the delta method.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cairn_models.proportions import Cells, Proportion, least_count, proportion, variances
from cairn_models.shaping import Shaping

Array = NDArray[np.float64]

BANDS: Final = (0.5, 0.8, 0.95)
ZONES: Final = len(BANDS) + 1
EACH: Final = ZONES + len(BANDS)
POINT: Final = 5
SPARED: Final = (0.1, 1.0, 0.1)  # weights of the bands' shares in the shaping of F
COUNT, EVERY_ZONE = 0.02, 0.01
TYPICAL_D: Final = 0.28  # D in synthetic worlds
CENTRE, HALF = 0.42, 0.35  # of the range: where medians lie; beyond counts as its end
FARTHEST: Final = 0.25  # of the range: what came less what was foretold; beyond counts as so
X, X2, R, R2, XR = 0.3, 0.5, 0.45, 0.55, 0.55  # a, b, c, d, e
LINE: Final = max(X2**2 + R2**2, X**2 + R2**2, X2**2 + R**2, X**2 + R**2 + XR**2)  # L²
ONE_HORIZON: Final = 0.5  # g
NARROWEST: Final = 0.1  # D below this is noise
CLEAR: Final = 3.0  # standard deviations of its noise that the spread of medians must have
LEAST_SD: Final = 0.04  # of the range: a residual SD below this is noise


def _zones_seen() -> Shaping:
    """F: noise in each band's share relative to how shares vary between people."""
    wanted = COUNT * np.ones((ZONES, ZONES)) + EVERY_ZONE * np.eye(ZONES)
    for b, (band, weight) in enumerate(zip(BANDS, SPARED, strict=True)):
        slope = np.where(np.arange(ZONES) <= b, 1.0 - band, -band)
        wanted += weight * np.outer(slope, slope) / (band * (1.0 - band) * TYPICAL_D)
    return Shaping.toward(wanted)


ZONES_SEEN: Final = _zones_seen()
_APART: Final = [
    float(np.sum((ZONES_SEEN.seen[:, i] - ZONES_SEEN.seen[:, j]) ** 2)) / (j - i)
    for j in range(ZONES)
    for i in range(j)
]
MIXED: Final = float(np.floor(np.sqrt(4.0 * min(_APART)) * 2**16) / 2**16)  # μ
_COUNTS: Final = np.linalg.inv(ZONES_SEEN.seen)  # zones from their sums
_NOISE: Final = ZONES_SEEN.covariance  # of the zones, for noise of variance 1
_OF_COUNT: Final = float(_NOISE.sum())


@dataclass(frozen=True)
class Line:
    """Least squares of what came on what was foretold, on 0-1; each with two variances.

    `gap` is the mean of what came less what was foretold. A row: value, sampling, noise.
    """

    count: float
    gap: tuple[float, float, float]
    slope: tuple[float, float, float] | None
    intercept: tuple[float, float, float] | None


@dataclass(frozen=True)
class CalibrationSums:
    """The layout for so many `scales`, `horizons` and `levels` (1 where nobody is divided).

    `line`: with the point of a calibration line. `by_horizon`: horizons are told one by one too.
    """

    scales: int
    horizons: int
    levels: int = 1
    line: bool = True
    by_horizon: bool = False

    @property
    def parted(self) -> int:
        """Horizons that have numbers of their own."""
        return self.horizons if self.by_horizon and self.horizons > 1 else 0

    @property
    def whole(self) -> int:
        """Numbers of a scale and level."""
        return EACH + (POINT if self.line else 0)

    @property
    def length(self) -> int:
        """Coordinates in the vector."""
        return self.scales * (self.levels * self.whole + self.parted * EACH)

    @property
    def bound(self) -> float:
        """C."""
        one = 1.0 + (LINE if self.line else 0.0) + ONE_HORIZON**2 * self.parted
        return float(np.sqrt(self.scales * one))

    def encode(
        self, zones: NDArray[np.int64], median: Array, came: Array, level: NDArray[np.int64]
    ) -> Array:
        """(N, length) rows of norm ≤ C.

        Args:
            zones: (N, scales, horizons, ZONES) how many of the patient's cells lie in each zone.
            median: (N, scales) mean median over own cells, on 0-1; anything without cells.
            came: (N, scales) mean of what came, likewise.
            level: (N,) place of the level; whoever has none contributes zeros.
        """
        n = len(zones)
        whole = np.zeros((n, self.scales, self.levels, self.whole))
        there = np.flatnonzero(level >= 0)
        cells = zones.sum(axis=2)
        row = _spread(cells)
        if self.line:
            known = cells.sum(axis=-1, keepdims=True) > 0
            row = np.concatenate([row, _point(median, came) * known], axis=-1)
        whole[there, :, level[there]] = row[there]
        each = np.zeros((n, self.scales, self.parted, EACH))
        if self.parted:
            each[there] = ONE_HORIZON * _spread(zones[there])
        # The margin keeps the norm at or below C after rounding.
        both = [part.reshape(n, -1) for part in (whole, each)]
        return np.ascontiguousarray(np.concatenate(both, axis=1)) * (1 - 1e-12)

    def decode(self, total: Array, noise_sd: float, fewest: int | None) -> Decoded:
        """The sums, ready to be read.

        `fewest` is the least count that may be shown; None: the total is a plan's, and nothing is
        too small for its noise.
        """
        return Decoded(self, np.asarray(total, dtype=np.float64), noise_sd, fewest)

    def planned(self, people: float, spread: float) -> Array:
        """The sum over so many calibrated patients, equally at all levels.

        `spread` is D: how much less shares vary between patients than single cells do.
        """
        f = np.diff([0.0, *BANDS, 1.0])
        p = np.array(BANDS)
        seven = np.concatenate([ZONES_SEEN.seen @ f, MIXED * p * (1 - p) * (1 - spread)])
        five = np.array([0.0, X2 * (1 - TYPICAL_X2), 0.0, R2 * (1 - TYPICAL_R2), 0.0])
        one = np.concatenate([seven, five]) if self.line else seven
        whole = np.tile(one / self.levels, self.scales * self.levels)
        each = np.tile(ONE_HORIZON * seven, self.scales * self.parted)
        return people * np.concatenate([whole, each])


TYPICAL_X2, TYPICAL_R2 = 0.28, 0.16  # variances of x and r in synthetic worlds


@dataclass(frozen=True)
class Decoded:
    """Noised sums of a layout. Scales, levels and horizons are named by number; None: all."""

    layout: CalibrationSums
    total: Array
    noise_sd: float
    fewest: int | None

    @cached_property
    def _whole(self) -> Array:
        """(scales, levels, numbers)."""
        at = self.layout.scales * self.layout.levels * self.layout.whole
        return self.total[:at].reshape(self.layout.scales, self.layout.levels, -1)

    @cached_property
    def _each(self) -> Array:
        """(scales, parted, EACH)."""
        at = self.layout.scales * self.layout.levels * self.layout.whole
        return self.total[at:].reshape(self.layout.scales, self.layout.parted, EACH)

    def _sums(self, scale: int, level: int | None) -> tuple[Array, float]:
        """Sums of a level or of all, and the standard deviation of each one's noise."""
        if level is not None:
            return self._whole[scale, level], self.noise_sd
        return self._whole[scale].sum(axis=0), self.noise_sd * float(np.sqrt(self.layout.levels))

    def coverage(
        self, scale: int, band: int, *, horizon: int | None = None, level: int | None = None
    ) -> Proportion:
        """The share of cells within `BANDS[band]`, patients weighing alike."""
        if horizon is None:
            sums, sd = self._sums(scale, level)
        else:
            sums, sd = self._each[scale, horizon] / ONE_HORIZON, self.noise_sd / ONE_HORIZON
        zones = _COUNTS @ sums[:ZONES]
        inside, outside = float(zones[: band + 1].sum()), float(zones[band + 1 :].sum())
        mixed = float(sums[ZONES + band]) / MIXED
        near, far = slice(None, band + 1), slice(band + 1, None)
        cells = Cells(
            float(_NOISE[near, near].sum()),
            float(_NOISE[far, far].sum()),
            float(_NOISE[near, far].sum()),
        )
        n = inside + outside
        least = self._least(sd)
        p = min(max(inside / n, 0.0), 1.0) if n >= least else 0.0
        whole = p * (1.0 - p)
        d = min(max(1.0 - mixed / n / whole, NARROWEST), 1.0) if whole > 0 else 1.0
        found = proportion(
            np.asarray(inside / d), np.asarray(outside / d), cells,
            noise_sd=0.0 if self.fewest is None else sd / d, fewest=least / d,
        )  # fmt: skip
        if self.fewest is None:
            _, added = variances(found.value, np.asarray(n / d), cells, sd / d)
            found = replace(found, noise=added)
        return Proportion(**{**vars(found), "count": np.asarray(n), "least": least})

    def count(self, scale: int, level: int | None = None) -> float:
        """Patients with any cell, noised."""
        return float((_COUNTS @ self._sums(scale, level)[0][:ZONES]).sum())

    def least(self, level: int | None = None) -> float:
        """The least noised count of patients that is shown."""
        return self._least(self._sums(0, level)[1])

    def _least(self, noise_sd: float) -> float:
        if self.fewest is None:
            return least_count(1.0, _OF_COUNT, 0.0)
        return least_count(self.fewest, _OF_COUNT, noise_sd)

    def line(self, scale: int, level: int | None = None) -> Line | None:
        """The line through patients' points; None where there are too few, or none was asked."""
        if not self.layout.line:
            return None
        sums, sd = self._sums(scale, level)
        made = _MAKE @ sums
        n, x, r, xx, rr, xr = (float(v) for v in made)
        if n < self._least(sd):
            return None
        noise = sd**2 * _MAKE @ _MAKE.T
        sxx, sxr, srr = xx - x * x / n, xr - x * r / n, rr - r * r / n
        of_gap = FARTHEST * np.array([-r / n**2, 0, 1 / n, 0, 0, 0])
        least = (LEAST_SD / FARTHEST) ** 2
        gap = (FARTHEST * r / n, FARTHEST**2 * max(srr / (n - 1), least) / n, _of(of_gap, noise))
        of_sxx = np.array([x * x / n**2, -2 * x / n, 0, 1, 0, 0])
        clear = 0.0 if self.fewest is None else CLEAR
        if sxx <= 0 or sxx < clear * np.sqrt(_of(of_sxx, noise)):
            return Line(n, gap, None, None)
        tilt = sxr / sxx
        of_sxr = np.array([x * r / n**2, -r / n, -x / n, 0, 0, 1])
        of_tilt = (of_sxr - tilt * of_sxx) / sxx
        rest = max((srr - tilt * sxr) / max(n - 2, 1), least)
        per = FARTHEST / HALF  # a unit of the scaled line's tilt in slope
        slope = (1 + per * tilt, per**2 * rest / sxx, per**2 * _of(of_tilt, noise))
        # At a median of 0, which is −CENTRE/HALF on the scaled axis.
        at = -CENTRE / HALF
        value = r / n + tilt * (at - x / n)
        of_x = np.array([-x / n**2, 1 / n, 0, 0, 0, 0])
        of_value = of_gap / FARTHEST + of_tilt * (at - x / n) - tilt * of_x
        sampling = rest * (1 / n + (at - x / n) ** 2 / sxx)
        intercept = (FARTHEST * value, FARTHEST**2 * sampling, FARTHEST**2 * _of(of_value, noise))
        return Line(n, gap, slope, intercept)


def _of(gradient: Array, noise: Array) -> float:
    return float(gradient @ noise @ gradient)


def _finite(values: Array) -> Array:
    return np.nan_to_num(values, nan=0.0, posinf=1.0, neginf=0.0)


def _spread(cells: NDArray[np.int64]) -> Array:
    """(..., EACH) zones as they are seen and second moments, 0 without cells, from (..., ZONES)."""
    n = np.maximum(cells.sum(axis=-1, keepdims=True), 1)
    p = np.cumsum(cells, axis=-1)[..., :-1] / n
    seen = np.zeros(cells.shape)
    for zone in range(ZONES):  # one after another: a product's order could tell who else is there
        seen = seen + (cells[..., zone, None] / n) * ZONES_SEEN.seen[:, zone]
    return np.concatenate([seen, MIXED * p * (1 - p)], axis=-1)


def _point(median: Array, came: Array) -> Array:
    """(..., POINT) from means on 0-1."""
    x = np.clip((_finite(median) - CENTRE) / HALF, -1.0, 1.0)
    r = np.clip((_finite(came) - _finite(median)) / FARTHEST, -1.0, 1.0)
    return np.stack([X * x, X2 * (1 - x * x), R * r, R2 * (1 - r * r), XR * x * r], axis=-1)


def _make() -> Array:
    """(6, EACH + POINT): n, Σx, Σr, Σx², Σr², Σxr from the sums of one scale."""
    make = np.zeros((6, EACH + POINT))
    make[[0, 3, 4], :ZONES] = _COUNTS.sum(axis=0)
    make[1, EACH], make[3, EACH + 1] = 1 / X, -1 / X2
    make[2, EACH + 2], make[4, EACH + 3] = 1 / R, -1 / R2
    make[5, EACH + 4] = 1 / XR
    return make


_MAKE: Final = _make()
