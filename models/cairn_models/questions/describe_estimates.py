"""Every number of a "describe" answer by arm; what may not be shown holds a reason instead.

**Counts and shares.** A group is judged by its noised count (`proportions.least_count`). Levels of
a variable are a list whose total is shown: where one level is held back, so is the smallest other,
until those held back are together enough, and every standardised difference with any of them. A
funnel's stage is held back where too few reached it or too few were lost since the last stage that
is shown, so that no difference between two shown stages is a small cell.

**Standardised difference** of an arm and the reference: of a number (m₁ − m₀)/√((s₁² + s₀²)/2); of
a level, by its shares, (p₁ − p₀)/√((p₁(1 − p₁) + p₀(1 − p₀))/2) (Austin 2009, Stat Med 28:3083).
Intervals by the delta method from the variances, sampling and noise, of means, of spreads (those of
a normal law) and of shares. **SD**: log-normal interval from the variance of the spread.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cairn_models.answers import Estimate
from cairn_models.arm_means import ArmMeans
from cairn_models.description.blocks import Block, Cells, Layout, Number
from cairn_models.description.quantiles import Bins, quantile
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
from cairn_models.measures import Instrument
from cairn_models.proportions import NORMAL_95, least_count, proportion

WOULD_TELL: Final = "held back, since a smaller group could be worked out from it"
FEW_LOST: Final = "held back, since too few were lost since the stage before"
SHARE: Final = "share"
QUARTILES: Final = {"lower-quartile": 0.25, "median": 0.5, "upper-quartile": 0.75}

Array = NDArray[np.float64]
ByArm = tuple[Estimate, ...]


@dataclass(frozen=True)
class Frame:
    """The public facts that an answer is worded with; `variables` name level lists, () a number."""

    question: str
    layout: Layout
    instrument: Instrument
    bins: Bins
    arms: tuple[str, ...]
    reference: int
    weeks: tuple[float, ...]
    window: float
    variables: dict[str, tuple[str, ...]]
    synthetic: bool
    fewest: int

    @property
    def others(self) -> list[int]:
        """The arms that are compared with the reference."""
        return [k for k in range(len(self.arms)) if k != self.reference]

    @property
    def stages(self) -> tuple[tuple[str, str], ...]:
        """Name and words of the funnel's stages."""
        later = ((f"week-{w:g}", f"assessed at week {w:g}") for w in self.weeks)
        return (("entered", "entered"), ("baseline", "has a baseline"), *later)


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


@dataclass(frozen=True)
class Reading:
    """Estimates of the blocks of one noised sum `total` (length,)."""

    frame: Frame
    total: Array
    noise_sd: float

    def _of(self, block: Block) -> tuple[Array, float]:
        layout = self.frame.layout
        return layout.sums(self.total, block), layout.noise_sd(block, self.noise_sd)

    def number(self, block: Number, label: str, unit: str) -> NumberTold:
        """Mean, SD and standardised differences of a bounded number."""
        arms, name = self.frame.arms, block.name
        means = self._means(block)
        differences = {
            arm: self._standardised(block, means, arm, f"{label}, standardised")
            for arm in self.frame.others
        }
        return NumberTold(
            tuple(
                mean(_blank(f"{name}-mean-{arm}", f"{label}, mean: {arm}", unit), block, means, k)
                for k, arm in enumerate(arms)
            ),
            tuple(
                sd(_blank(f"{name}-sd-{arm}", f"{label}, SD: {arm}", unit), block, means, k)
                for k, arm in enumerate(arms)
            ),
            differences,
        )

    def course(self, blocks: list[Number], label: str) -> tuple[ByArm, ...]:
        """Mean scores, one tuple of arms a week."""
        found = []
        for week, block in zip(self.frame.weeks, blocks, strict=True):
            means = self._means(block)
            words = f"{label} at week {week:g}, mean"
            blanks = [
                _blank(f"{block.name}-mean-{arm}", f"{words}: {arm}", "points")
                for arm in self.frame.arms
            ]
            found.append(tuple(mean(b, block, means, k) for k, b in enumerate(blanks)))
        return tuple(found)

    def quartiles(self, block: Cells, label: str) -> tuple[ByArm, ...]:
        """Quartiles, median, one tuple of arms each."""
        sums, noise_sd = self._of(block)
        counts = sums.reshape(block.arms, block.places)
        rows = []
        for name, q in QUARTILES.items():
            found = quantile(
                counts, self.frame.bins, q, noise_sd=noise_sd, fewest=float(self.frame.fewest)
            )
            row = []
            for k, arm in enumerate(self.frame.arms):
                words = f"{label}, {name.replace('-', ' ')}: {arm}"
                blank = Estimate(f"baseline-{name}-{arm}", words, None, unit="points")
                if not found.readable[k]:
                    row.append(replace(blank, suppressed=TOO_FEW))
                    continue
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

    def funnel(self, block: Cells) -> tuple[ByArm, ...]:
        """Shares of those who entered that came as far as each stage or further; one tuple each."""
        frame = self.frame
        sums, noise_sd = self._of(block)
        counts = sums.reshape(block.arms, block.places)
        rows: list[list[Estimate]] = [[] for _ in frame.stages]
        for k, arm in enumerate(frame.arms):
            shown: float | None = None
            for stage, (name, words) in enumerate(frame.stages):
                found = proportion(
                    np.asarray(counts[k, stage:].sum()),
                    np.asarray(counts[k, :stage].sum()),
                    (block.places - stage, stage),
                    noise_sd=noise_sd,
                    fewest=float(frame.fewest),
                )
                reached = float(counts[k, stage:].sum())
                least = least_count(frame.fewest, block.places - stage, noise_sd)
                blank = Estimate(f"funnel-{name}-{arm}", f"{words}: {arm}", None, unit=SHARE)
                if not found.readable or reached < least:
                    rows[stage].append(replace(blank, suppressed=TOO_FEW))
                elif stage and shown is not None and shown - reached < frame.fewest:
                    rows[stage].append(replace(blank, suppressed=FEW_LOST))
                else:
                    shown = reached
                    rows[stage].append(share(blank, found, certain=stage == 0))
        return tuple(tuple(row) for row in rows)

    def counts(self, block: Cells) -> ByArm:
        """People who entered, by arm; the interval is the noise alone."""
        sums, noise_sd = self._of(block)
        counts = sums.reshape(block.arms, block.places).sum(axis=1)
        error = noise_sd * float(np.sqrt(block.places))
        least = least_count(self.frame.fewest, block.places, noise_sd)
        found = []
        for arm, count in zip(self.frame.arms, counts, strict=True):
            blank = Estimate(f"entered-{arm}", f"people who entered: {arm}", None, unit="people")
            if count < least:
                found.append(replace(blank, suppressed=TOO_FEW))
                continue
            ends = (max(float(count) - NORMAL_95 * error, 0.0), float(count) + NORMAL_95 * error)
            found.append(
                replace(
                    blank,
                    value=float(count),
                    low=ends[0],
                    high=ends[1],
                    standard_error=error,
                    noise_share=1.0 if noise_sd > 0 else 0.0,
                    count=float(count),
                )
            )
        return tuple(found)

    def levels(self, block: Cells, levels: tuple[str, ...]) -> LevelsTold:
        """Shares of a variable's levels among people with one of them, and their differences."""
        frame, variable = self.frame, block.name
        sums, noise_sd = self._of(block)
        counts = sums.reshape(block.arms, block.places)
        whole = counts.sum(axis=1, keepdims=True)
        found = proportion(
            counts,
            whole - counts,
            (1, block.places - 1),
            noise_sd=noise_sd,
            fewest=float(frame.fewest),
        )
        least = least_count(frame.fewest, 1, noise_sd)
        told = held_back_by_arm(counts, least)
        rows: list[ByArm] = []
        differences: dict[tuple[int, int], Estimate] = {}
        for place, level in enumerate(levels):
            label = f"{variable.replace('_', ' ')} {level}"
            row: list[Estimate] = []
            for k, arm in enumerate(frame.arms):
                blank = Estimate(f"{variable}-{level}-{arm}", f"{label}: {arm}", None, unit=SHARE)
                if why := (told[k][place] if found.readable[k, place] else TOO_FEW):
                    row.append(replace(blank, suppressed=why))
                else:
                    row.append(share(blank, at(found, (k, place)), count=float(counts[k, place])))
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
                smaller = float(counts[[other, frame.reference], place].min())
                differences[place, other] = (
                    replace(blank, suppressed=why)
                    if why
                    else standardised_shares(
                        replace(blank, count=smaller),
                        at(found, (other, place)),
                        at(found, (frame.reference, place)),
                    )
                )
        return LevelsTold(tuple(rows), differences)

    def _means(self, block: Number) -> ArmMeans:
        sums, noise_sd = self._of(block)
        return block.means(sums, noise_sd=noise_sd, fewest=float(self.frame.fewest))

    def _standardised(self, block: Number, means: ArmMeans, arm: int, label: str) -> Estimate:
        one, other = self.frame.arms[arm], self.frame.arms[self.frame.reference]
        blank = Estimate(
            f"{block.name}-standardised-{one}-{other}",
            f"{label}: {one} minus {other}",
            None,
            unit="SD",
        )
        pair = [arm, self.frame.reference]
        if not means.readable[pair].all():
            return replace(blank, suppressed=TOO_FEW)
        spread = float(means.spread[pair].mean())
        if spread < LEAST_SPREAD:
            return replace(blank, suppressed=NO_SPREAD)
        value = float(means.mean[arm] - means.mean[self.frame.reference]) / np.sqrt(spread)
        tilt = (value / (4.0 * spread)) ** 2
        own = tilt * float(spread_sampling(means)[pair].sum())
        sampling = float(means.sampling[pair].sum()) / spread + own
        noise = float(means.noise[pair].sum()) / spread
        noise += tilt * float(means.spread_error[pair].sum()) - own
        return normal(blank, value, sampling, noise, count=float(means.count[pair].min()))


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


def _blank(name: str, label: str, unit: str) -> Estimate:
    return Estimate(name, label, None, unit=unit)
