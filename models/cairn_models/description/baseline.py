"""Estimates by arm of numbers, levels and quantiles; what may not be shown holds a reason instead.

**Counts and shares.** A group is judged by its noised count (`Counts.least`). Levels of a variable
are a list whose total is shown: where one level is held back, so is the smallest other, until those
held back are together enough, and every standardised difference with any of them.

**Standardised difference** of an arm and the reference: of a number (m₁ − m₀)/√((s₁² + s₀²)/2); of
a level, by its shares, (p₁ − p₀)/√((p₁(1 − p₁) + p₀(1 − p₀))/2) (Austin 2009, Stat Med 28:3083).
Intervals by the delta method from the variances, sampling and noise, of means, of spreads (those of
a normal law) and of shares. **SD**: log-normal interval from the variance of the spread.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cairn_models.answers import SHARE, Estimate
from cairn_models.arm_means import ArmMeans
from cairn_models.description.blocks import Cells, Number
from cairn_models.description.counts import Counts
from cairn_models.description.quantiles import Bins, quantile
from cairn_models.description.reading import ByArm, Frame, Reading
from cairn_models.description.told import (
    LEAST_SPREAD,
    NO_SPREAD,
    TOO_FEW,
    at,
    mean,
    normal,
    sd,
    share,
    spread_sampling,
    standardised_shares,
)
from cairn_models.disclosure import held_back

WOULD_TELL: Final = "held back, since a smaller group could be worked out from it"
NOT_REACHED: Final = "not reached: in fewer people than that it had happened by the last week"
QUARTILES: Final = {"lower-quartile": 0.25, "median": 0.5, "upper-quartile": 0.75}

Array = NDArray[np.float64]


@dataclass(frozen=True)
class NumberTold:
    """A number's mean and SD, one an arm, and the standardised differences, one another arm."""

    means: ByArm
    sds: ByArm
    differences: dict[int, Estimate]


@dataclass(frozen=True)
class LevelsTold:
    """Shares by level, one an arm, and standardised differences by (level, arm)."""

    shares: tuple[ByArm, ...]
    differences: dict[tuple[int, int], Estimate]


def number(reading: Reading, block: Number, label: str, unit: str) -> NumberTold:
    """Mean, SD and standardised differences of a bounded number."""
    frame, means = reading.frame, reading.means(block)
    blanks = {
        of: [
            Estimate(f"{block.name}-{of.lower()}-{arm}", f"{label}, {of}: {arm}", None, unit=unit)
            for arm in frame.arms
        ]
        for of in ("mean", "SD")
    }
    return NumberTold(
        tuple(mean(blank, block, means, k) for k, blank in enumerate(blanks["mean"])),
        tuple(sd(blank, block, means, k) for k, blank in enumerate(blanks["SD"])),
        {k: _standardised(frame, block, means, k, label) for k in frame.others},
    )


def course(reading: Reading, blocks: Sequence[Number]) -> tuple[ByArm, ...]:
    """Mean scores, one tuple of arms a week."""
    frame = reading.frame
    return tuple(
        tuple(
            mean(
                Estimate(
                    f"{block.name}-mean-{arm}",
                    f"{frame.instrument.name} at week {week:g}, mean: {arm}",
                    None,
                    unit="points",
                ),
                block,
                reading.means(block),
                k,
            )
            for k, arm in enumerate(frame.arms)
        )
        for week, block in zip(frame.weeks, blocks, strict=True)
    )


def quantiles(
    counts: Counts,
    bins: Bins,
    levels: Mapping[str, float],
    arms: Sequence[str],
    *,
    stem: str,
    label: str,
    unit: str,
) -> tuple[ByArm, ...]:
    """Quantiles at `levels`, by name, one tuple of arms each."""
    rows = []
    for name, q in levels.items():
        found, row = quantile(counts, bins, q), []
        for k, arm in enumerate(arms):
            words = f"{label}, {name.replace('-', ' ')}: {arm}"
            blank = Estimate(f"{stem}-{name}-{arm}", words, None, unit=unit)
            if not found.readable[k]:
                row.append(replace(blank, suppressed=TOO_FEW))
            elif not found.reached[k]:
                row.append(replace(blank, suppressed=NOT_REACHED))
            else:
                row.append(
                    replace(
                        blank,
                        value=float(found.value[k]),
                        low=float(found.low[k]),
                        high=float(found.high[k]),
                        noise_share=float(found.noise_share[k]),
                        count=float(found.count[k]),
                    )
                )
        rows.append(tuple(row))
    return tuple(rows)


def levels_told(reading: Reading, block: Cells, levels: tuple[str, ...]) -> LevelsTold:
    """Shares of a variable's levels among people with one of them, and their differences."""
    frame, variable, counts = reading.frame, block.name, reading.counts(block)
    every = np.eye(block.places, dtype=np.bool_)
    rows: list[ByArm] = []
    differences: dict[tuple[int, int], Estimate] = {}
    hidden = held_back_by_arm(counts.table, counts.least(every[0]))
    for place, level in enumerate(levels):
        label = f"{variable.replace('_', ' ')} {level}"
        found, own = counts.share(every[place]), counts.of(every[place])
        row: list[Estimate] = []
        for k, arm in enumerate(frame.arms):
            blank = Estimate(f"{variable}-{level}-{arm}", f"{label}: {arm}", None, unit=SHARE)
            if why := (hidden[k][place] if found.readable[k] else TOO_FEW):
                row.append(replace(blank, suppressed=why))
            else:
                row.append(share(blank, at(found, (k,)), count=float(own[k])))
        rows.append(tuple(row))
        for other in frame.others:
            pair = (frame.arms[other], frame.arms[frame.reference])
            blank = Estimate(
                f"{variable}-{level}-standardised-{pair[0]}-{pair[1]}",
                f"{label}, standardised: {pair[0]} minus {pair[1]}",
                None,
                unit="SD",
            )
            why = row[other].suppressed or row[frame.reference].suppressed
            differences[place, other] = (
                replace(blank, suppressed=why)
                if why
                else standardised_shares(
                    replace(blank, count=float(own[[other, frame.reference]].min())),
                    at(found, (other,)),
                    at(found, (frame.reference,)),
                )
            )
    return LevelsTold(tuple(rows), differences)


def held_back_by_arm(counts: Array, least: float) -> list[list[str]]:
    """Why a level (arms, levels) is not shown, '' where it is; an arm's total is shown.

    The levels that are held back are together a group that follows from the total, so they must be
    as many people as any group that is shown.
    """
    hidden = np.stack([held_back(row, least, totals=True) for row in counts])
    for row, mask in zip(counts, hidden, strict=True):
        while mask.any() and not mask.all() and row[mask].sum() < least:
            mask[np.argmin(np.where(mask, np.inf, row))] = True
    small = counts < least
    return [
        [TOO_FEW if s else WOULD_TELL if h else "" for s, h in zip(*pair, strict=True)]
        for pair in zip(small, hidden, strict=True)
    ]


def _standardised(frame: Frame, block: Number, means: ArmMeans, arm: int, label: str) -> Estimate:
    one, other = frame.arms[arm], frame.arms[frame.reference]
    blank = Estimate(
        f"{block.name}-standardised-{one}-{other}",
        f"{label}, standardised: {one} minus {other}",
        None,
        unit="SD",
    )
    pair = [arm, frame.reference]
    if not means.readable[pair].all():
        return replace(blank, suppressed=TOO_FEW)
    spread = float(means.spread[pair].mean())
    if spread < LEAST_SPREAD:
        return replace(blank, suppressed=NO_SPREAD)
    value = float(means.mean[arm] - means.mean[frame.reference]) / np.sqrt(spread)
    tilt = (value / (4.0 * spread)) ** 2
    own = tilt * float(spread_sampling(means)[pair].sum())
    sampling = float(means.sampling[pair].sum()) / spread + own
    noise = float(means.noise[pair].sum()) / spread
    noise += tilt * float(means.spread_error[pair].sum()) - own
    return normal(blank, value, sampling, noise, count=float(means.count[pair].min()))
