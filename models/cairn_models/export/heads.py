"""`heads_of`: what a model may say, by what was measured under the same privacy.

The floor of a score at a horizon is the last value carried forward: an `error` question must have
found that the model errs less on patients who never trained it, with its whole 95 % interval, noise
included. What nothing measured does not pass, and is said to be missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cairn_models.trajectory.columns import DROPOUTS, HORIZONS, OUTCOMES


@dataclass(frozen=True)
class Number:
    """An estimate with its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f})".replace("-", "−")


@dataclass(frozen=True)
class Judged:
    """Mean absolute errors in points at one horizon in weeks (None: the mean over all of them).

    None where too few patients answered. `patients` is the noised number who were judged.
    """

    horizon: int | None
    patients: float | None
    model: Number | None
    prior: Number | None
    last: Number | None
    minus_prior: Number | None
    minus_last: Number | None


@dataclass(frozen=True)
class Head:
    """One output at one horizon (None: it has none): whether it may be used, and why (not)."""

    output: str
    horizon: int | None
    usable: bool
    why: str


def heads_of(instrument: str, companion: str, judged: Sequence[Judged]) -> tuple[Head, ...]:
    """Every head of the network. `judged` is empty where no `error` question was asked."""
    at = {j.horizon: j for j in judged}
    found = [_score(instrument, h, at.get(h)) for h in HORIZONS]
    for output in (companion, *OUTCOMES):
        found += [Head(output, h, False, _UNMEASURED) for h in HORIZONS]
    return (*found, *(Head(output, None, False, _UNMEASURED) for output in DROPOUTS))


_UNMEASURED = "not measured in this study"


def _score(output: str, horizon: int, own: Judged | None) -> Head:
    if own is None:
        return Head(output, horizon, False, _UNMEASURED)
    gain = own.minus_last
    if gain is None:
        return Head(output, horizon, False, "too few patients were judged to tell")
    told = f"its error minus that of the last value is {gain} points"
    if gain.high < 0:
        return Head(output, horizon, True, told)
    return Head(output, horizon, False, f"not shown to err less than the last value: {told}")
