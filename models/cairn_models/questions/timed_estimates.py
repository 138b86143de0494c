"""The numbers of an answer until an event: each arm's curves, and contrasts with the reference."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, Literal

from cairn_models.answers import SHARE, SHARE_GAP, Estimate
from cairn_models.life_table import (
    REACH,
    Fitted,
    Grid,
    LifeTable,
    Numbers,
    hazard,
    incidence,
    log_hazard_ratio,
    main_curve,
    minus,
    restricted_mean,
    share_interval,
    untouched,
)
from cairn_models.questions.confounding import Confounding
from cairn_models.questions.effect_answer import PEOPLE
from cairn_models.questions.timed_words import Words

UNREADABLE: Final = "too few people are still there to tell through the noise"
TOO_FEW_EVENTS: Final = "too few people had it to tell a ratio"
LARGEST_LOG: Final = 700.0  # of an end of an interval that a float can hold


@dataclass(frozen=True)
class Frame:
    """The public facts that an answer is worded with; times are in `unit`."""

    question: str
    words: Words
    unit: Literal["week", "month"]
    ends: tuple[float, ...]
    named: int  # place in `ends` of the time that contrasts are made at
    arms: tuple[str, ...]
    reference: int
    confounding: Confounding
    synthetic: bool
    fewest: int

    @property
    def others(self) -> tuple[int, ...]:
        """The arms that are compared with the reference."""
        return tuple(arm for arm in range(len(self.arms)) if arm != self.reference)

    def people(self, arm: int) -> str:
        """The arm in words for a reader."""
        return PEOPLE.get(self.arms[arm], f"people in arm “{self.arms[arm]}”")

    def against(self, arm: int) -> str:
        """A contrast by name, 'dmhi_guided against waiting'."""
        return f"{self.arms[arm]} against {self.arms[self.reference]}"

    def pair(self, arm: int) -> str:
        """A contrast in the name of an estimate."""
        return f"{self.arms[arm]}-{self.arms[self.reference]}"

    def at(self, place: int) -> str:
        """A time in words, 'week 8'."""
        return f"{self.unit} {self.ends[place]:g}"


@dataclass(frozen=True)
class Curves:
    """One arm, fitted: estimates by end, but one number in `mean`.

    `causes` holds every cause's incidence in the order of `Ways.causes`; `main` is one of them, or
    the share who stay.
    """

    table: LifeTable
    main: Fitted
    hazards: Fitted
    mean: Fitted
    causes: tuple[Fitted, ...]
    untouched: Fitted

    @classmethod
    def of(cls, table: LifeTable) -> Curves:
        """All of one arm's estimates."""
        grid = table.grid

        def over(measure: Callable[[Grid, Numbers], Numbers]) -> Fitted:
            return table.fit(partial(measure, grid))

        causes = range(len(grid.ways.causes))
        return cls(
            table,
            main=over(main_curve),
            hazards=over(hazard),
            mean=over(restricted_mean),
            causes=tuple(over(partial(incidence, cause=cause)) for cause in causes),
            untouched=over(untouched),
        )

    def beside(self, words: Words) -> Iterator[tuple[str, str, Fitted]]:
        """Key, words and estimates of each curve that is told beside the main one."""
        names = self.table.grid.ways.causes
        for cause in words.causes:
            yield cause.key, cause.by, self.causes[names.index(cause.key)]
        if words.untouched:
            yield "untouched", words.untouched, self.untouched


def estimates(frame: Frame, curves: tuple[Curves, ...]) -> tuple[Estimate, ...]:
    """Everything that is told: contrasts at the named time first, then each arm by time."""
    contrasts = (difference, ratio, mean_difference)
    return (
        *(contrast(frame, curves, arm) for contrast in contrasts for arm in frame.others),
        *(e for arm in frame.others for e in _other_differences(frame, curves, arm)),
        *(e for arm in range(len(curves)) for e in _of_arm(frame, curves, arm)),
    )


def difference(frame: Frame, curves: tuple[Curves, ...], arm: int) -> Estimate:
    """The main curve of `arm` at the named time, minus the reference's."""
    fitted = minus(curves[arm].main, curves[frame.reference].main)
    said = f"{frame.words.at} {frame.at(frame.named)}"
    blank = Estimate("difference-", f"{frame.against(arm)}, {said}", None, unit=SHARE_GAP)
    return _difference(frame, curves, arm, blank, fitted)


def mean_difference(frame: Frame, curves: tuple[Curves, ...], arm: int) -> Estimate:
    """Restricted mean of `arm` minus the reference's, in the study's time unit."""
    label = f"{frame.against(arm)}, {frame.words.mean} until {frame.at(-1)}"
    blank = Estimate(f"mean_difference-{frame.pair(arm)}", label, None, unit=f"{frame.unit}s")
    fitted = minus(curves[arm].mean, curves[frame.reference].mean)
    return _filled(blank, fitted, 0, _fewer(curves, len(frame.ends), arm, frame.reference))


def ratio(frame: Frame, curves: tuple[Curves, ...], arm: int) -> Estimate:
    """Hazard of the event in `arm` as a multiple of the reference's; interval on the log scale."""
    fitted = log_hazard_ratio(curves[arm].table, curves[frame.reference].table)
    name = f"hazard_ratio-{frame.pair(arm)}"
    label = f"{frame.against(arm)}, hazard ratio of {frame.words.doing}"
    if not fitted.readable[0]:
        return Estimate(name, label, None, suppressed=TOO_FEW_EVENTS)
    value, error = float(fitted.value[0]), float(fitted.standard_error[0])
    ends = (min(value + side * REACH * error, LARGEST_LOG) for side in (0.0, -1.0, 1.0))
    middle, low, high = map(math.exp, ends)
    share = float(fitted.noise_share[0])
    count = _fewer(curves, 1, arm, frame.reference)
    return Estimate(name, label, middle, low, high, middle * error, share, count=count)


def share_at(own: Curves, fitted: Fitted, place: int, blank: Estimate | None = None) -> Estimate:
    """`blank` with the share at the end `place`; suppressed where unreadable."""
    blank = blank or Estimate("", "", None, unit=SHARE)
    if not fitted.readable[place]:
        return replace(blank, suppressed=UNREADABLE)
    at_risk = own.table.at_risk
    low, high = share_interval(fitted, at_risk[:-1], at_risk[:1])
    return replace(
        _filled(blank, fitted, place, float(at_risk[place + 1])),
        value=min(max(float(fitted.value[place]), 0.0), 1.0),
        low=float(low[place]),
        high=float(high[place]),
    )


def _other_differences(frame: Frame, curves: tuple[Curves, ...], arm: int) -> Iterator[Estimate]:
    """Of every curve beside the main one."""
    own, theirs = (curves[k].beside(frame.words) for k in (arm, frame.reference))
    for (key, said, fitted), (_, _, reference) in zip(own, theirs, strict=True):
        label = f"{frame.against(arm)}, {said} {frame.at(frame.named)}"
        blank = Estimate(f"difference_{key}-", label, None, unit=SHARE_GAP)
        yield _difference(frame, curves, arm, blank, minus(fitted, reference))


def _difference(
    frame: Frame, curves: tuple[Curves, ...], arm: int, blank: Estimate, fitted: Fitted
) -> Estimate:
    """`blank`, whose name lacks the arms, with the difference at the named time."""
    blank = replace(blank, name=blank.name + frame.pair(arm))
    count = _fewer(curves, frame.named + 1, arm, frame.reference)
    return _filled(blank, fitted, frame.named, count)


def _of_arm(frame: Frame, curves: tuple[Curves, ...], arm: int) -> Iterator[Estimate]:
    """The main curve, hazards and other causes at each end; the mean time."""
    own, name, words = curves[arm], frame.arms[arm], frame.words
    kinds = (
        (words.key, words.by, own.main),
        ("hazard", f"hazard of {words.doing} in the interval to", own.hazards),
        *own.beside(words),
    )
    for key, said, fitted in kinds:
        for place, end in enumerate(frame.ends):
            label = f"{name}: {said} {frame.at(place)}"
            blank = Estimate(f"{key}-{name}-{end:g}", label, None, unit=SHARE)
            yield share_at(own, fitted, place, blank)
    label = f"{name}: {words.mean} until {frame.at(-1)}"
    blank = Estimate(f"mean-{name}", label, None, unit=f"{frame.unit}s")
    mean = _filled(blank, own.mean, 0, float(own.table.at_risk[-1]))
    yield _cut(mean, 0.0, frame.ends[-1])


def _cut(e: Estimate, lowest: float, highest: float) -> Estimate:
    """The estimate and its interval within the limits of what is possible."""
    if e.value is None or e.low is None or e.high is None:
        return e
    value, low, high = (min(max(v, lowest), highest) for v in (e.value, e.low, e.high))
    return replace(e, value=value, low=low, high=high)


def _filled(blank: Estimate, fitted: Fitted, place: int, count: float) -> Estimate:
    """`blank` with a fitted number and its normal interval; suppressed if unreadable."""
    if not fitted.readable[place]:
        return replace(blank, suppressed=UNREADABLE)
    middle, error = float(fitted.value[place]), float(fitted.standard_error[place])
    return replace(
        blank,
        value=middle,
        low=middle - REACH * error,
        high=middle + REACH * error,
        standard_error=error,
        noise_share=float(fitted.noise_share[place]),
        count=count,
    )


def _fewer(curves: tuple[Curves, ...], place: int, *arms: int) -> float:
    """The noised number at risk in the smallest of these arms."""
    return min(float(curves[arm].table.at_risk[place]) for arm in arms)
