"""Every number of a "rates" answer: rates, differences, ratios, gaps; what may not be shown is not.

With levels, arm totals and level totals are shown beside the cells of arm × level, so a cell that
is held back takes others with it until none follows by subtraction, nor several as a group that is
too small to be shown (`disclosure`).

Comparisons that a reader sees side by side are a family: all arms with the reference; the same at
every level; the gaps between levels. Where a family has several, each comparison has a second
interval, which holds together with all others of its family (`proportions_together`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from cairn_models.answers import SHARE, SHARE_GAP, Estimate
from cairn_models.disclosure import Withheld, withheld
from cairn_models.measures import Instrument
from cairn_models.proportions import (
    NORMAL_95,
    Contrast,
    Proportion,
    difference,
    noise_share,
    ratio,
)
from cairn_models.proportions_together import differences_together
from cairn_models.questions.confounding import Confounding
from cairn_models.reliable_change import Outcome

RATE: Final = "rate"
DIFFERENCE: Final = "difference"
RATIO: Final = "ratio"
GAP: Final = "gap"
JOINT, JOINT_GAP = "simultaneous", "simultaneous_gap"
EVERY_ARM: Final = "all-arms"
TOO_FEW: Final = "too few people to tell through the noise"
WOULD_TELL: Final = "held back, since a smaller group could be worked out from it"
TOO_RARE: Final = "too few people had the outcome to tell a ratio"

Group = tuple[int | None, int | None]
"""Arm and level by number; None: all of them."""
Pair = tuple[Group, Group]


class Rate(Protocol):
    """A rate from the noised sum, for one group."""

    def __call__(
        self,
        outcome: Outcome,
        *,
        arm: int | None = None,
        level: int | None = None,
        reach: float = NORMAL_95,
    ) -> Proportion: ...


@dataclass(frozen=True)
class Frame:
    """The public facts that an answer is worded with."""

    question: str
    scales: tuple[Instrument, ...]
    week: float
    window: float
    outcomes: tuple[Outcome, ...]
    arms: tuple[str, ...]
    reference: int
    by: str
    levels: tuple[str, ...]
    confounding: Confounding
    synthetic: bool
    fewest: int

    @property
    def others(self) -> list[int]:
        """The arms that are compared with the reference."""
        return [k for k in range(len(self.arms)) if k != self.reference]

    @property
    def groups(self) -> Iterator[Group]:
        """The arms; with levels also every arm's levels, and the levels over all arms."""
        arms = range(len(self.arms))
        yield from ((arm, None) for arm in arms)
        for level in range(len(self.levels)):
            yield None, level
            yield from ((arm, level) for arm in arms)

    @property
    def families(self) -> tuple[tuple[Pair, ...], ...]:
        """Comparisons that are read together: arms; arms at each level; levels over all arms."""
        levels = range(len(self.levels))
        return (
            tuple(((k, None), (self.reference, None)) for k in self.others),
            tuple(((k, at), (self.reference, at)) for at in levels for k in self.others),
            tuple(((None, at), (None, 0)) for at in levels if at),
        )

    def parts(self, pair: Pair) -> tuple[str, ...]:
        """The names of a comparison's groups, as they stand in an estimate's name."""
        (arm, level), (other, base) = pair
        if arm is None or other is None:
            return tuple(self.levels[at] for at in (level, base) if at is not None)
        names = (self.arms[arm], self.arms[other])
        return names if level is None else (*names, self.levels[level])

    def at(self, level: int) -> str:
        """A level in words, e.g. 'age band 16-25'."""
        return f"{self.by.replace('_', ' ')} {self.levels[level]}"

    def words(self, group: Group) -> str:
        """A group in words, by the arm's name."""
        arm, level = group
        name = "all arms" if arm is None else self.arms[arm]
        return name if level is None else f"{name}, {self.at(level)}"


def name_of(outcome: Outcome, what: str, *groups: str) -> str:
    """The name of an estimate, e.g. 'recovery-difference-dmhi_guided-waiting'."""
    return "-".join((outcome.name, what, *groups))


@dataclass(frozen=True)
class RatesEstimates:
    """All estimates of one outcome; arms are compared with the reference, levels with the first.

    `together`: the same contrasts, by their two groups, with intervals that hold together.
    """

    outcome: Outcome
    rates: dict[Group, Estimate]
    differences: dict[Group, Estimate]
    ratios: dict[Group, Estimate]
    gaps: dict[int, Estimate]
    together: dict[Pair, Estimate]

    def __iter__(self) -> Iterator[Estimate]:
        """Contrasts of arms first: they are what is asked."""
        yield from self.differences.values()
        yield from self.ratios.values()
        yield from self.gaps.values()
        yield from self.together.values()
        yield from self.rates.values()


def estimates_of(frame: Frame, rate: Rate, outcome: Outcome) -> RatesEstimates:
    """All estimates of `outcome`; those that must not be shown hold a reason instead of numbers."""
    found = {g: rate(outcome, arm=g[0], level=g[1]) for g in frame.groups}
    why = _reasons(frame, found)
    rates = {g: _rate(frame, outcome, g, found[g], why[g]) for g in found}
    pairs = {
        (arm, level): _against_reference(frame, found, why, outcome, (arm, level))
        for arm, level in found
        if arm is not None and arm != frame.reference
    }
    differences: dict[Group, Estimate] = {group: pair[0] for group, pair in pairs.items()}
    ratios: dict[Group, Estimate] = {group: pair[1] for group, pair in pairs.items()}
    gaps = {
        level: _contrast(
            name_of(outcome, GAP, frame.levels[level], frame.levels[0]),
            f"{outcome.label}: {frame.at(level)} minus {frame.levels[0]}, all arms",
            difference(found[None, level], found[None, 0]),
            SHARE_GAP,
            why[None, level] or why[None, 0],
        )
        for level in range(1, len(frame.levels))
    }
    together = dict(_together(frame, rate, outcome, found, why))
    return RatesEstimates(outcome, rates, differences, ratios, gaps, together)


def _together(
    frame: Frame,
    rate: Rate,
    outcome: Outcome,
    found: dict[Group, Proportion],
    why: dict[Group, str],
) -> Iterator[tuple[Pair, Estimate]]:
    """The contrasts of every family of several, each with the interval that holds with the rest."""

    def at_reach(group: Group, reach: float) -> Proportion:
        return rate(outcome, arm=group[0], level=group[1], reach=reach)

    for family in frame.families:
        if len(family) < 2:
            continue
        shown = [pair for pair in family if not (why[pair[0]] or why[pair[1]])]
        told = differences_together(shown, found, at_reach)
        for pair in family:
            label = f"{outcome.label}: {frame.words(pair[0])} minus {frame.words(pair[1])}, "
            contrast = told.get(pair) or difference(found[pair[0]], found[pair[1]])
            what = JOINT_GAP if pair[0][0] is None else JOINT
            yield (
                pair,
                _contrast(
                    name_of(outcome, what, *frame.parts(pair)),
                    f"{label}interval that holds together with all {len(family)} comparisons",
                    contrast,
                    SHARE_GAP,
                    why[pair[0]] or why[pair[1]],
                ),
            )


def _against_reference(
    frame: Frame,
    found: dict[Group, Proportion],
    why: dict[Group, str],
    outcome: Outcome,
    group: tuple[int, int | None],
) -> tuple[Estimate, Estimate]:
    """Difference and ratio of `group` and the reference arm at the same level."""
    arm, level = group
    base = (frame.reference, level)
    hidden = why[group] or why[base]
    at = () if level is None else (frame.levels[level],)
    where = "" if level is None else f", {frame.at(level)}"
    one, other = frame.arms[arm], frame.arms[frame.reference]
    times = ratio(found[group], found[base])
    return (
        _contrast(
            name_of(outcome, DIFFERENCE, one, other, *at),
            f"{outcome.label}: {one} minus {other}{where}",
            difference(found[group], found[base]),
            SHARE_GAP,
            hidden,
        ),
        _contrast(
            name_of(outcome, RATIO, one, other, *at),
            f"{outcome.label}: {one} over {other}, ratio{where}",
            times,
            "",
            hidden or ("" if times.readable else TOO_RARE),
        ),
    )


def _reasons(frame: Frame, found: dict[Group, Proportion]) -> dict[Group, str]:
    """Why a group is not shown, '' where it is."""
    why = {g: "" if p.readable else TOO_FEW for g, p in found.items()}
    if not frame.levels:
        return why
    arms, levels = range(len(frame.arms)), range(len(frame.levels))
    counts = np.array([[float(found[arm, level].count) for level in levels] for arm in arms])
    known = Withheld(
        np.array([[bool(why[arm, level]) for level in levels] for arm in arms]),
        np.array([bool(why[arm, None]) for arm in arms]),
        np.array([bool(why[None, level]) for level in levels]),
    )
    hidden = withheld(counts, found[0, 0].least, known)
    groups: list[Group] = [(int(arm), int(level)) for arm, level in np.argwhere(hidden.cells)]
    groups += [(int(arm), None) for arm in np.flatnonzero(hidden.rows)]
    groups += [(None, int(level)) for level in np.flatnonzero(hidden.columns)]
    for group in groups:
        why[group] = why[group] or WOULD_TELL
    return why


def _rate(frame: Frame, outcome: Outcome, group: Group, found: Proportion, why: str) -> Estimate:
    arm, level = group
    at = () if level is None else (frame.levels[level],)
    names = (EVERY_ARM if arm is None else frame.arms[arm], *at)
    name = name_of(outcome, RATE, *names)
    label = f"{outcome.label}, {frame.words(group)}"
    if why:
        return Estimate(name, label, None, unit=SHARE, suppressed=why)
    return Estimate(
        name,
        label,
        float(found.value),
        float(found.low),
        float(found.high),
        float(np.sqrt(found.sampling + found.noise)),
        float(noise_share(found.sampling, found.noise)),
        SHARE,
        count=float(found.count),
    )


def _contrast(name: str, label: str, found: Contrast, unit: str, why: str) -> Estimate:
    if why:
        return Estimate(name, label, None, unit=unit, suppressed=why)
    return Estimate(
        name,
        label,
        float(found.value),
        float(found.low),
        float(found.high),
        float(found.standard_error),
        float(found.noise_share),
        unit,
        count=float(found.count),
    )
