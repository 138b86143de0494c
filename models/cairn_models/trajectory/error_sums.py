"""`ErrorSums`: what one held-out patient says about three predictors' errors, within a bound.

For each horizon h with at least one (anchor, target) pair, a patient has three mean absolute
errors in points: the model's m, the prior's p and that of the last value carried forward, l. The
vector holds, for each h, with public centres c and scales s,

    [ a · 1,  b · (m − c)/s_m,  (m − l)/s_l,  e · (m − p)/s_p ]     0 where h is missing
    and once  g · Σ_h ½ ((m − c)²/s_m² + (m − l)²/s_l²)             the spread, for the variance

and is then shrunk as a whole to norm C, which replaces separate limits: a corner where every
number is extreme at once does not occur, and paying for it would double the noise. A patient who is
shrunk by w < 1 counts as w of a patient in every sum, so each estimate is a weighted mean

    R = Σ w x / Σ w

over patients, with a public rule for w; with these constants w < 1 for about one patient in seven,
R is 2 to 6 % below the plain mean, and comparisons stay paired. Differences are asked for
directly because they vary less than the errors do; scales are root mean squares over the wide
synthetic worlds, and a, b, e, g put the noise where the report needs it least.

Variance of R, by the delta method with noise variance V in every coordinate:

    ( f s² Σw  +  V_x  +  R'² V_count ) / (Σw)²,        R' = R − c for m, R otherwise

The first term is sampling: Σ w² (x − R)² ≤ Σ w x'² (x' is x measured from c), taken as f s² Σw,
where f, the noised spread over the noised counts, says how much wider patients vary than the
scales. In means over horizons, sampling correlates by the public `ERRORS_TOGETHER` and
`DIFFERENCES_TOGETHER` (synthetic worlds: .3 to .7 and .1 to .6); noise does not. A predictor's own
error is m's less the difference; the two hardly correlate (−.2 to .2), so variances add.

**By the week from which was foretold.** With several `bands` of weeks a patient has these numbers
once for each band and horizon, the mean over own pairs that begin in the band, all within one
bound. A horizon's numbers over all bands are sums over them: a patient counts once a band, and
errors in two bands of one person correlate by the public `BANDS_TOGETHER` (worlds: −.1 to .4).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cairn_models.disclosure import held_back
from cairn_models.trajectory.columns import HORIZONS

Vector = NDArray[np.float64]

REFERENCE_SPAN: Final = 27.0  # the constants below are in PHQ-9 points; others by their range
CENTRE: Final = np.array([2.25, 2.5, 3.0, 3.5, 3.8])
SCALE_ERROR: Final = np.array([1.0, 1.25, 1.8, 2.2, 2.4])
SCALE_LAST: Final = np.array([0.8, 1.1, 1.7, 2.3, 2.6])
SCALE_PRIOR: Final = np.array([0.2, 0.2, 0.25, 0.3, 0.35])
COUNT, ERROR, LAST, PRIOR, SPREAD = 0.5, 0.7, 1.0, 0.4, 0.15  # a, b, 1, e, g
BOUND_PER_HORIZON: Final = 1.3
ERRORS_TOGETHER: Final = 0.6
DIFFERENCES_TOGETHER: Final = 0.4
BANDS_TOGETHER: Final = 0.2
NARROWEST_SPREAD: Final = 0.25  # f below this is noise


@dataclass(frozen=True)
class Value:
    """An estimate in points with the sampling and the noise part of its variance."""

    value: float
    sampling: float
    noise: float

    @property
    def variance(self) -> float:
        """Of the estimate, noise included."""
        return self.sampling + self.noise


@dataclass(frozen=True)
class Row:
    """One horizon's (or all horizons') estimates; `count` is the noised weighted patient count.

    `usable` is False where the count is too small to show or to divide by, or would let one that
    is be worked out.
    """

    horizon: int | None  # None: the mean over horizons
    count: float
    usable: bool
    model: Value
    minus_last: Value  # the model's error less that of the last value carried forward
    minus_prior: Value
    last: Value
    prior: Value
    band: int | None = None  # None: over all weeks from which was foretold


@dataclass(frozen=True)
class ErrorSums:
    """The code for `horizons` on an instrument whose range is `span` points wide.

    `bands` is into how many parts the weeks are divided from which was foretold.
    """

    horizons: tuple[int, ...]
    span: float
    bands: int = 1

    @property
    def cells(self) -> int:
        """Bands times horizons, band by band."""
        return self.bands * len(self.horizons)

    @property
    def length(self) -> int:
        """Four numbers a cell, and the spread."""
        return 4 * self.cells + 1

    @property
    def bound(self) -> float:
        """C."""
        return float(BOUND_PER_HORIZON * np.sqrt(self.cells))

    def _of(self, constant: NDArray[np.float64], bands: int = 1) -> NDArray[np.float64]:
        """(bands · H,) of a constant in points, on this instrument."""
        at = [HORIZONS.index(h) for h in self.horizons]
        return np.tile(constant[at] * (self.span / REFERENCE_SPAN), bands)

    def encode(
        self, model: Vector, last: Vector, prior: Vector, known: NDArray[np.bool_]
    ) -> Vector:
        """(N, length) vectors of norm ≤ C from (N, cells) mean absolute errors in points.

        Where not `known` the errors may be anything; where known they are cut to 0..span.
        """

        def cut(errors: Vector) -> Vector:
            finite = np.where(known, np.nan_to_num(errors, nan=self.span, posinf=self.span), 0.0)
            return np.clip(finite, 0.0, self.span)

        m, gap_last, gap_prior = cut(model), cut(model) - cut(last), cut(model) - cut(prior)
        centre, of_error, of_last, of_prior = (
            self._of(c, self.bands) for c in (CENTRE, SCALE_ERROR, SCALE_LAST, SCALE_PRIOR)
        )
        error = np.where(known, (m - centre) / of_error, 0.0)
        to_last, to_prior = gap_last / of_last, gap_prior / of_prior
        spread = (0.5 * (error**2 + to_last**2)).sum(axis=1, keepdims=True)
        parts = [COUNT * known, ERROR * error, LAST * to_last, PRIOR * to_prior, SPREAD * spread]
        # Row-major: NumPy adds a column-major row in another order when it stands alone, and a
        # patient's last bit would depend on who else is there.
        rows = np.ascontiguousarray(np.concatenate(parts, axis=1))
        norm = np.sqrt((rows**2).sum(axis=1, keepdims=True))
        # The margin keeps the norm at or below C after rounding.
        shrink = np.minimum(1.0, self.bound * (1 - 1e-12) / np.maximum(norm, self.bound / 2))
        return np.asarray(rows * shrink, dtype=np.float64)

    def planned(self, patients: Vector) -> Vector:
        """The sum over typical patients, so many in each cell: no gain, spread as the scales say.

        Args:
            patients: (cells,), or one number for all.
        """
        counts = np.broadcast_to(np.asarray(patients, dtype=np.float64), (self.cells,))
        total = np.zeros(self.length)
        total[: self.cells] = COUNT * counts
        total[-1] = SPREAD * counts.sum()
        return total

    def decode(self, total: Vector, noise_variance: float, fewest: int | None) -> tuple[Row, ...]:
        """A row a horizon and, if all are usable and there are several, the row of their mean.

        With several bands the same follows for each of them. `noise_variance` is that of each
        coordinate of the sum, in the vector's units. `fewest` is the least count that may be shown;
        None: the total is a plan's, and no count is too small for its noise.
        """
        h = len(self.horizons)
        sums = np.asarray(total[:-1], dtype=np.float64).reshape(4, self.bands, h)
        n, least = sums[0] / COUNT, self._least(noise_variance, fewest)
        one = n >= least
        whole = n.sum(axis=0) >= self._least(self.bands * noise_variance, fewest)
        if self.bands > 1:
            for i in range(h):  # what is hidden must not follow from the rest and the whole
                one[:, i] = ~held_back(n[:, i], least, totals=bool(whole[i]))
        there = float(sums[0][one].sum()) / COUNT
        if not one.any():
            there = float(sums[0].sum(axis=0)[whole].sum()) / COUNT
        spread = max(float(total[-1]) / SPREAD / max(there, 1.0), NARROWEST_SPREAD)
        rows = self._rows(
            sums.sum(axis=1), whole, self.bands * noise_variance, spread=spread, counts=sums[0]
        )
        for band in range(self.bands if self.bands > 1 else 0):
            part = sums[:, band]
            rows += self._rows(
                part, one[band], noise_variance, spread=spread, counts=part[:1], band=band
            )
        return tuple(rows)

    def _least(self, noise_variance: float, fewest: int | None) -> float:
        if fewest is None:
            return 0.0
        return max(float(fewest), 2 * float(np.sqrt(noise_variance)) / COUNT)

    def _rows(
        self,
        sums: Vector,
        usable: NDArray[np.bool_],
        noise_variance: float,
        *,
        spread: float,
        counts: Vector,
        band: int | None = None,
    ) -> list[Row]:
        """Rows of (4, H) `sums`, which are over the bands whose (B, H) sums of people are given."""
        n, n_noise = sums[0] / COUNT, noise_variance / COUNT**2
        safe = np.where(usable, n, 1.0)
        wider = _wider(counts)

        def ratio(
            sums: Vector, weight: float, scale: NDArray[np.float64]
        ) -> tuple[Vector, Vector, Vector]:
            x = sums / weight * scale / safe
            sampling = spread * wider * scale**2 / safe
            noise = (noise_variance * (scale / weight) ** 2 + x**2 * n_noise) / safe**2
            return x, sampling, noise

        errors = ratio(sums[1], ERROR, self._of(SCALE_ERROR))
        to_last = ratio(sums[2], LAST, self._of(SCALE_LAST))
        to_prior = ratio(sums[3], PRIOR, self._of(SCALE_PRIOR))
        three = ((errors[0] + self._of(CENTRE), errors[1], errors[2]), to_last, to_prior)
        rows = [
            _row(k, n[i], bool(usable[i]), tuple(_pick(parts, i) for parts in three), band)
            for i, k in enumerate(self.horizons)
        ]
        if len(self.horizons) > 1 and bool(usable.all()):
            together = (ERRORS_TOGETHER, DIFFERENCES_TOGETHER, DIFFERENCES_TOGETHER)
            means = tuple(_mean(p, n, rho) for p, rho in zip(three, together, strict=True))
            rows.append(_row(None, float(n.min()), True, means, band))
        return rows


def _wider(counts: Vector) -> Vector:
    """(H,) how much wider a mean over bands varies, whose people are partly the same."""
    n = np.maximum(counts, 0.0)
    pairs = np.minimum(n[:, None], n[None]).sum(axis=(0, 1)) - n.sum(axis=0)
    return np.asarray(1.0 + BANDS_TOGETHER * pairs / np.maximum(n.sum(axis=0), 1e-9))


def _row(
    horizon: int | None, count: float, usable: bool, three: tuple[Value, ...], band: int | None
) -> Row:
    model, last, prior = three
    return Row(
        horizon,
        float(count),
        usable,
        model,
        last,
        prior,
        _less(model, last),
        _less(model, prior),
        band,
    )


def _pick(parts: tuple[Vector, Vector, Vector], i: int) -> Value:
    return Value(float(parts[0][i]), float(parts[1][i]), float(parts[2][i]))


def _less(model: Value, difference: Value) -> Value:
    return Value(
        model.value - difference.value,
        model.sampling + difference.sampling,
        model.noise + difference.noise,
    )


def _mean(parts: tuple[Vector, Vector, Vector], n: Vector, together: float) -> Value:
    """The mean over horizons; patients with few horizons add to the larger count only."""
    value, sampling, noise = parts
    h = len(value)
    sd = np.sqrt(sampling)
    shared = np.sqrt(np.minimum.outer(n, n) / np.maximum.outer(n, n))
    correlation = np.where(np.eye(h, dtype=np.bool_), 1.0, together * shared)
    return Value(
        float(value.mean()), float(sd @ correlation @ sd) / h**2, float(noise.sum()) / h**2
    )
