"""`Draws`: uniform numbers by name, a fixed stretch of one stream for each patient.

A clinic has its own stream, spawned from the seed by its position, and patient number i always
owns the i-th stretch of it. So a clinic does not depend on the other clinics, nor a patient on
how many others the clinic has. Everything random is made from these uniforms by inverse
distribution functions, which consume one number each whatever the parameters are: two worlds, or
two arms, can be compared on the same draws.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

Floats = NDArray[np.float64]

ONCE = (
    *("sex", "age_band", "ethnicity", "employment", "prior_therapy", "medication", "deprivation"),
    *("arm", "entry", "class", "phq9_level", "gad7_level", "trend", "weekly", "uptake"),
    *("start", "use", "credibility", "alliance", "wearer", "steps", "sleep", "heart_rate"),
)
WEEKLY = (
    *("phq9_wobble", "gad7_wobble", "phq9_answer", "gad7_answer", "done", "jitter", "gad7_too"),
    *("lost", "stop", "logins", "modules", "error", "check_ins", "minutes"),
    *("worn", "gap", "coverage", "steps_week", "sleep_week", "heart_rate_week"),
)


@dataclass(frozen=True)
class Draws:
    """Uniforms in (0, 1): `once` (n, len(ONCE)), `weekly` (len(WEEKLY), n, weeks + 1)."""

    once: Floats
    weekly: Floats

    @classmethod
    def of(cls, rng: np.random.Generator, patients: int, weeks: int) -> Draws:
        """The stretches of the first `patients` patients for weeks 0 to `weeks`."""
        times = weeks + 1
        flat = rng.random((patients, len(ONCE) + times * len(WEEKLY)))
        flat += 2.0**-54  # random() may return 0, whose normal quantile is infinite
        weekly = flat[:, len(ONCE) :].reshape(patients, times, len(WEEKLY))
        return cls(flat[:, : len(ONCE)], np.ascontiguousarray(weekly.transpose(2, 0, 1)))

    def __len__(self) -> int:
        return len(self.once)

    @property
    def times(self) -> int:
        """Number of weeks, week 0 included."""
        return int(self.weekly.shape[2])

    def uniform(self, name: str) -> Floats:
        """(n,) or (n, times) uniforms called `name`."""
        if name in ONCE:
            found: Floats = self.once[:, ONCE.index(name)]
        else:
            found = self.weekly[WEEKLY.index(name)]
        return found

    def normal(self, name: str) -> Floats:
        """The same numbers as standard normals."""
        quantile: Floats = ndtri(self.uniform(name))
        return quantile


def category(uniform: Floats, shares: Floats) -> NDArray[np.int64]:
    """(n,) category numbers; `shares` (k,) or (n, k), scaled here to sum to one."""
    edges = np.cumsum(shares, axis=-1)
    edges = edges / edges[..., -1:]
    return np.asarray((uniform[:, None] > edges[..., :-1]).sum(axis=1), dtype=np.int64)


def poisson(uniform: Floats, mean: Floats, most: int = 30) -> Floats:
    """Poisson counts by inversion, at most `most`; same shape as `uniform`."""
    mean = np.broadcast_to(mean, uniform.shape)
    term = np.exp(-mean)
    below = term.copy()
    count = np.zeros_like(uniform)
    for k in range(1, most + 1):
        above = uniform > below
        if not above.any():
            break
        count += above
        term = term * mean / k
        below += term
    return count
