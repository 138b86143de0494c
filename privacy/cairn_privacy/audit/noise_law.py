"""T2, `noise_checks`: whether the noise that an attacker does not know is what was charged.

Empty clinics answer, m uploads are opened, and the f colluders' own are subtracted. What is left
must look like independent normal noise of the charged variance: in all, in every coordinate, over
rounds and over clinics. Each check has a p-value under a right mechanism; `examine` measures
again before it believes a small one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtr, chdtrc, ndtr, ndtri

from cairn_privacy.audit.claim import Claim
from cairn_protocol.fixed_point import decode
from cairn_protocol.masks import Ring

Floats = NDArray[np.float64]
LEVEL: Final = 0.01  # of one measurement of one check
VALUES: Final = 40_000  # numbers of noise to look at: 1.4 % of relative precision in the variance
FEWEST_ROUNDS: Final = 8
MOST_UPLOADS: Final = 24_000  # bounds the time where a study has many clinics
MOST_CLINICS: Final = 8  # whose uploads are looked at singly
LAGS: Final = 7  # rounds apart that are compared
CELLS: Final = 16
_UNLIKELY: Final = 30.0  # chance e^−30: not in a lifetime of runs
_SMALL: Final = 64.0  # deviation in steps up to which cells are summed integer by integer


@dataclass(frozen=True)
class Check:
    """One property of the noise: its p-value under a right mechanism, and what was seen."""

    name: str
    p: float
    seen: str

    @property
    def passes(self) -> bool:
        """Whether one measurement raises no suspicion."""
        return self.p >= LEVEL


@dataclass(frozen=True)
class Noise:
    """What an attacker sees of empty clinics, in steps.

    `unknown` (R, d): the opened sums less the colluders' own noise. `shares` (R, k, d): the single
    uploads of up to 8 honest clinics.
    """

    unknown: Floats
    shares: Floats


def watch(uploads: Callable[[int], Sequence[Ring]], length: int, bits: int, claim: Claim) -> Noise:
    """The noise of enough rounds of m empty clinics; `uploads(round)` gives each one's vector.

    Sums are opened as in a study: added in the ring of `bits`, then read as integers.
    """
    affordable = max(FEWEST_ROUNDS, MOST_UPLOADS // claim.survivors)
    rounds = min(max(FEWEST_ROUNDS, math.ceil(VALUES / length)), affordable)
    unknown, shares = [], []
    for round_ in range(rounds):
        vectors = uploads(round_)
        total = opened(vectors, bits)
        single = [decode(vector, bits) for vector in vectors]
        for own in single[claim.honest :]:
            total = total - own
        unknown.append(total)
        shares.append(single[: min(claim.honest, MOST_CLINICS)])
    return Noise(np.array(unknown, dtype=np.float64), np.array(shares, dtype=np.float64))


def opened(vectors: Sequence[Ring], bits: int) -> NDArray[np.int64]:
    """The integers (d,) of a sum of uploads, added in the ring of `bits` as masked sums are."""
    total: Ring = vectors[0].copy()
    for vector in vectors[1:]:
        total += vector
    return decode(total, bits)


def noise_checks(noise: Noise, claim: Claim) -> tuple[Check, ...]:
    """Every check of the noise against the claim."""
    sigma = math.sqrt(claim.variance / claim.honest)
    return (
        _in_all(noise.unknown, claim.variance),
        _by_coordinate(noise.unknown, claim.variance),
        _peakedness(noise),
        _law(noise.shares, sigma),
        _repeats(noise.shares, sigma),
        _over_rounds(noise.unknown),
        _over_clinics(noise.shares),
    )


def _in_all(x: Floats, variance: float) -> Check:
    ratio = float(np.square(x).mean()) / variance
    return Check("variance", _two_sided(x.size, x.size * ratio), f"{ratio:.3f} of what is charged")


def _by_coordinate(x: Floats, variance: float) -> Check:
    rounds, length = x.shape
    squares = np.square(x).sum(axis=0) / variance
    p = np.minimum(2 * np.minimum(chdtr(rounds, squares), chdtrc(rounds, squares)), 1.0)
    without = int((squares == 0).sum())
    seen = (
        f"{without} of {length} coordinates without noise"
        if without
        else f"{squares.min() / rounds:.2f} to {squares.max() / rounds:.2f} of it, {length} in all"
    )
    return Check("each coordinate", min(1.0, length * float(p.min())), seen)


def _peakedness(noise: Noise) -> Check:
    """Kurtosis: of the sum, and of single shares, where another law shows undiluted."""
    kurtosis, p = [], 1.0
    for x in (noise.unknown, noise.shares):
        squares = np.square(x)
        mean = float(squares.mean())
        k = float(np.square(squares).mean()) / mean**2 if mean > 0 else 0.0
        kurtosis.append(k)
        p = min(p, 2 * _normal((k - 3) / math.sqrt(24 / x.size)))
    return Check("kurtosis", min(1.0, p), f"{kurtosis[0]:.2f} and {kurtosis[1]:.2f} (normal: 3)")


def _law(shares: Floats, sigma: float) -> Check:
    """χ² over cells of equal probability of one clinic's noise."""
    if sigma <= _SMALL:
        reach = math.ceil(14 * sigma)
        weights = np.exp(-np.square(np.arange(-reach, reach + 1)) / (2 * sigma**2))
        below = np.cumsum(weights / weights.sum())
        wanted = np.unique(np.searchsorted(below, np.arange(1, CELLS) / CELLS))
        edges, at = wanted - reach + 0.5, below[wanted]
    else:
        edges = np.round(sigma * ndtri(np.arange(1, CELLS) / CELLS)) + 0.5
        at = ndtr(edges / sigma)
    expected = np.diff(at, prepend=0.0, append=1.0) * shares.size
    cells = expected.size
    counts = np.bincount(np.searchsorted(edges, shares.ravel()), minlength=cells)
    distance = float((np.square(counts - expected) / expected).sum())
    seen = f"χ² {distance:.1f} over {cells} cells"
    return Check("law", float(chdtrc(cells - 1, distance)), seen)


def _repeats(shares: Floats, sigma: float) -> Check:
    """Whether an upload's noise came twice, at any distance, where chance cannot do that."""
    rows = shares.reshape(-1, shares.shape[-1])
    again = len(rows) - len({row.tobytes() for row in rows})
    # Two shares agree in a coordinate with probability 1/(2√π·σ).
    chance = 2 * math.log(len(rows)) - rows.shape[1] * math.log(2 * math.sqrt(math.pi) * sigma)
    p = 0.0 if again and chance < -_UNLIKELY else 1.0
    return Check("repeats", p, f"{again} uploads with the noise of another")


def _over_rounds(x: Floats) -> Check:
    pairs = [(x[lag:], x[:-lag]) for lag in range(1, min(LAGS, len(x) - 1) + 1)]
    return _independent("over rounds", pairs)


def _over_clinics(shares: Floats) -> Check:
    clinics = range(shares.shape[1])
    pairs = [(shares[:, a], shares[:, b]) for a, b in combinations(clinics, 2)]
    return _independent("over clinics", pairs)


def _independent(name: str, pairs: Sequence[tuple[Floats, Floats]]) -> Check:
    largest, p = 0.0, 1.0
    for a, b in pairs:
        size = math.sqrt(float(np.square(a).sum()) * float(np.square(b).sum()))
        r = float((a * b).sum()) / size if size > 0 else 0.0
        largest = r if abs(r) > abs(largest) else largest
        p = min(p, 2 * _normal(r * math.sqrt(a.size)))
    return Check(name, min(1.0, p * max(1, len(pairs))), f"largest correlation {largest:+.3f}")


def _two_sided(freedom: int, square: float) -> float:
    return min(1.0, 2 * float(min(chdtr(freedom, square), chdtrc(freedom, square))))


def _normal(z: float) -> float:
    return float(ndtr(-abs(z)))
