"""`heads_of`: what a model may say, by what was measured under the same privacy.

Each head has a floor that a question about patients who never trained must have shown it to exceed,
with the whole 95 % interval, noise included:

    a score at a horizon   `error`           the last value carried forward errs more
    a score's bands        `calibration`     the 80 % band holds more than `BANDS_FLOOR` of scores
    an outcome, a dropout  `discrimination`  the area under the curve exceeds the question's floor

Where several questions measured a head, each must have. What nothing measured does not pass, and is
said to be missing: a study that asks nothing about its model gets a model that says nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cairn_models.trajectory.columns import DROPOUTS, HORIZONS, OUTCOMES

BANDS_FLOOR: Final = 0.7  # of scores within the 80 % band
NOT_ASKED: Final = "not measured in this study"
NOT_TOLD: Final = "measured, but too few patients were judged to tell"


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

    None where too few patients answered. `patients` is the noised number who were judged; `scale`
    the questionnaire's name, empty for the main one; `weeks` the weeks from which was foretold,
    "4 to 11", empty for all.
    """

    horizon: int | None
    patients: float | None
    model: Number | None
    prior: Number | None
    last: Number | None
    minus_prior: Number | None
    minus_last: Number | None
    scale: str = ""
    weeks: str = ""


@dataclass(frozen=True)
class Held:
    """The share of a scale's scores within its 80 % band, over the horizons that were judged.

    `by` names the variable in whose levels it was told too; empty: none.
    """

    question: str
    scale: str
    horizons: tuple[int, ...]
    share: Number | None
    by: str = ""


@dataclass(frozen=True)
class Told:
    """How well an outcome or a dropout is told from its absence; `horizon` None for a dropout.

    `weeks` are the weeks since entry from which was foretold, "4 to 8"; `by` as in `Held`.
    """

    question: str
    output: str
    horizon: int | None
    area: Number | None
    floor: float
    weeks: str = ""
    by: str = ""

    @property
    def opens(self) -> bool:
        """Whether the head may be released."""
        return self.area is not None and self.area.low > self.floor


@dataclass(frozen=True)
class Measured:
    """All that a study's questions found out about its model."""

    judged: tuple[Judged, ...] = ()
    held: tuple[Held, ...] = ()
    told: tuple[Told, ...] = ()


@dataclass(frozen=True)
class Head:
    """One output at one horizon (None: it has none): whether it may be used, and why (not)."""

    output: str
    horizon: int | None
    usable: bool
    why: str


def bands_of(scale: str) -> str:
    """The name of the head that is a scale's quantiles beside its median."""
    return f"{scale} bands"


def heads_of(instrument: str, companion: str, measured: Measured) -> tuple[Head, ...]:
    """Every head of the network, in the order of its outputs."""
    found: list[Head] = []
    for scale, others in ((instrument, ("", instrument)), (companion, (companion,))):
        judged = [j for j in measured.judged if j.scale in others and not j.weeks]
        held = [c for c in measured.held if c.scale == scale]
        medians = [
            _head(scale, h, [_beats_last(j) for j in judged if j.horizon == h]) for h in HORIZONS
        ]
        bands = [
            _head(bands_of(scale), h, [_holds(c) for c in held if h in c.horizons])
            for h in HORIZONS
        ]
        found += medians
        found += [_beside(median, band) for median, band in zip(medians, bands, strict=True)]
    for output in OUTCOMES:
        found += [_chance(output, horizon, measured.told) for horizon in HORIZONS]
    return (*found, *(_chance(output, None, measured.told) for output in DROPOUTS))


Verdict = tuple[bool, str]


def _head(output: str, horizon: int | None, verdicts: Sequence[Verdict]) -> Head:
    """Usable where there is a verdict and none against it; a reason against it comes first."""
    if not verdicts:
        return Head(output, horizon, False, NOT_ASKED)
    usable, why = min(verdicts, key=lambda verdict: verdict[0])
    return Head(output, horizon, usable, why)


def _beside(median: Head, bands: Head) -> Head:
    """Bands as they may be used beside a median: not without it."""
    if median.usable or not bands.usable:
        return bands
    return Head(bands.output, bands.horizon, False, f"the score itself is missing ({bands.why})")


def _beats_last(own: Judged) -> Verdict:
    gain = own.minus_last
    if gain is None:
        return False, NOT_TOLD
    told = f"its error minus that of the last value is {gain} points"
    if gain.high < 0:
        return True, told
    return False, f"not shown to err less than the last value: {told}"


def _holds(own: Held) -> Verdict:
    if own.share is None:
        return False, NOT_TOLD
    told = f"its 80 % band held {_percent(own.share)} of scores, floor {100 * BANDS_FLOOR:g} %"
    if own.share.low > BANDS_FLOOR:
        return True, told
    return False, f"not shown to hold what they say: {told}"


def _chance(output: str, horizon: int | None, told: Sequence[Told]) -> Head:
    own = [t for t in told if (t.output, t.horizon) == (output, horizon)]
    return _head(output, horizon, [_discriminates(t) for t in own])


def _discriminates(own: Told) -> Verdict:
    if own.area is None:
        return False, NOT_TOLD
    weeks = f" from weeks {own.weeks}" if own.weeks else ""
    told = f"area under the curve {own.area}{weeks}, floor {own.floor:g}"
    if own.opens:
        return True, told
    return False, f"not shown to tell who will: {told}"


def _percent(share: Number) -> str:
    value, low, high = (100 * v for v in (share.value, share.low, share.high))
    return f"{value:.0f} % ({low:.0f} to {high:.0f})"
