"""`expected_of`: what a planned cohort would give for every estimate of a description.

Arms of one size; scores and numbers with the public spread of `blocks`, levels equally frequent,
the share `KEPT` of people with a score at each stage of the funnel and in the course, use of a
programme that falls from `STARTED` to `FINISHED`, and waits of a constant hazard that lets half of
all begin by half of the longest wait. They are guesses: they steer precision and bias nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from cairn_models.answers import SHARE
from cairn_models.description import programme, waits
from cairn_models.description.baseline import QUARTILES
from cairn_models.description.blocks import (
    COUNT_WEIGHT,
    PUBLIC_VARIANCE,
    Block,
    Cells,
    Divided,
    Number,
)
from cairn_models.description.counts import noise_between
from cairn_models.description.quantiles import Bins
from cairn_models.description.stages import Stage
from cairn_models.questions.base import Expected

KEPT: Final = 0.75
STARTED: Final = 0.9
FINISHED: Final = 0.35
RECOVERED: Final = 0.2  # of everybody in an arm, seen to recover reliably
MINUTES: Final = 0.25  # of the largest minutes, mean

Mask = NDArray[np.bool_]
Errors = tuple[float, float]  # of sampling, and what noise adds


@dataclass(frozen=True)
class Planned:
    """What is planned: people in each of `arms`, and what the blocks hold.

    `levels` are those of each variable of the study, () for a number; `measured` the stages of
    measurement and `used` those of a programme, which the arms `with_programme` have.
    """

    people: float
    arms: tuple[str, ...]
    levels: dict[str, tuple[str, ...]]
    bins: Bins
    waits: Bins
    measured: tuple[Stage, ...]
    used: tuple[Stage, ...]
    with_programme: tuple[str, ...]


@dataclass(frozen=True)
class _Arm:
    """An arm of `people`, where noise of `sd` is in a block's sums."""

    name: str
    people: float
    sd: float

    def kept(self) -> _Arm:
        """Those who have a later score."""
        return _Arm(self.name, KEPT * self.people, self.sd)

    def share(self, block: Cells, having: Mask, p: float, *, scale: float = 1.0) -> Errors:
        """Errors of a share p, of people in the cells `having`, times `scale`."""
        weights = having.astype(np.float64)[None, :] - p
        noise = float(noise_between(block.seen.covariance, weights)[0])
        sampling = float(np.sqrt(p * (1 - p) / self.people))
        return scale * sampling, scale * self.sd * float(np.sqrt(noise)) / self.people


def expected_of(planned: Planned, block: Block, sd: float) -> tuple[Expected, ...]:
    """Standard errors of a block's estimates where noise of `sd` is in its sums, arm by arm."""
    return tuple(
        e for arm in planned.arms for e in _of_arm(planned, block, _Arm(arm, planned.people, sd))
    )


def need(planned: Planned, block: Block) -> float:
    """The largest noise variance over sampling variance among a block's results.

    For noise of variance 1 in the whole vector, were the block alone in it.
    """
    told = expected_of(planned, block, block.bound)
    return max((e.noise / e.sampling) ** 2 for e in told)


def typical_use(stages: int) -> tuple[float, ...]:
    """The shares expected at the stages of a programme after the first."""
    return tuple(float(p) for p in np.linspace(STARTED, FINISHED, stages - 1))


def score_levels() -> tuple[tuple[float, float], ...]:
    """Each quartile with its guessed place along the scale: a normal law around the middle."""
    spread = float(np.sqrt(PUBLIC_VARIANCE)) / 2
    return tuple((q, 0.5 + spread * float(stats.norm.ppf(q))) for q in QUARTILES.values())


def wait_levels() -> tuple[tuple[float, float], ...]:
    """Each quantile of the wait with its guessed place along the longest."""
    rate = 2.0 * float(np.log(2.0))
    return tuple((q, min(-float(np.log(1.0 - q)) / rate, 1.0)) for q in waits.QUANTILES.values())


def _of_arm(planned: Planned, block: Block, arm: _Arm) -> Iterator[Expected]:
    match block:
        case Divided():
            yield from _minutes(block, arm)
        case Number(name=programme.ACTIVE):
            if arm.name in planned.with_programme:
                yield _mean(block, arm, "weeks")
        case Number(name=name) if name in planned.levels:
            yield _mean(block, arm, "")
        case Number(name=name):
            yield _mean(block, arm if name == "baseline" else arm.kept(), "points")
        case Cells(name="funnel"):
            yield from _stages(block, arm, planned.measured, (KEPT,) * (block.places - 1))
        case Cells(name=programme.FUNNEL):
            if arm.name in planned.with_programme:
                yield from _stages(block, arm, planned.used, typical_use(len(planned.used)))
                odd = np.arange(block.places) % 2 == 1
                label = f"assessed, of all offered: {arm.name}"
                name = f"{programme.FUNNEL}-assessed-{arm.name}"
                yield Expected(name, label, SHARE, *arm.share(block, odd, KEPT))
        case Cells(name=waits.WAITS):
            yield from _wait(planned.waits, block, arm)
        case Cells(name=name) if name in planned.levels:
            yield from _levels(block, arm, planned.levels[name])
        case Cells(name="quartiles"):
            yield from _quartiles(planned.bins, block, arm, "baseline")
        case Cells(name=name):
            stem = name.removesuffix("-quartiles")
            yield from _quartiles(planned.bins, block, arm.kept(), stem)


def _mean(block: Number, arm: _Arm, unit: str) -> Expected:
    """At a mean of a tenth of the range from the middle."""
    noise = arm.sd * np.sqrt(1.0 + (0.2 / COUNT_WEIGHT) ** 2) / arm.people
    return Expected(
        f"{block.name}-mean-{arm.name}",
        f"{block.name.replace('_', ' ').replace('-', ' ')}, mean: {arm.name}",
        unit,
        block.limit * float(np.sqrt(PUBLIC_VARIANCE / arm.people)),
        block.limit * float(noise),
    )


def _stages(
    block: Cells, arm: _Arm, stages: tuple[Stage, ...], typical: tuple[float, ...]
) -> Iterator[Expected]:
    """From the last to the second; the first is 1 by definition."""
    place = np.arange(block.places)
    for stage, p in reversed(list(zip(stages[1:], typical, strict=True))):
        name, label = f"{block.name}-{stage.name}-{arm.name}", f"{stage.words}: {arm.name}"
        yield Expected(name, label, SHARE, *arm.share(block, place >= stage.start, p))


def _levels(block: Cells, arm: _Arm, levels: tuple[str, ...]) -> Iterator[Expected]:
    for k, level in enumerate(levels):
        errors = arm.share(block, np.arange(block.places) == k, 1 / block.places)
        label = f"{block.name.replace('_', ' ')} {level}: {arm.name}"
        yield Expected(f"{block.name}-{level}-{arm.name}", label, SHARE, *errors)


def _quartiles(bins: Bins, block: Cells, arm: _Arm, stem: str) -> Iterator[Expected]:
    """The density of a normal law turns the share's error into points."""
    spread = float(np.sqrt(PUBLIC_VARIANCE)) * bins.step * (bins.number - 1) / 2
    for name, q in QUARTILES.items():
        z = float(stats.norm.ppf(q))
        place = round((bins.number - 1) / 2 + z * spread / bins.step)
        below = np.arange(block.places) <= place
        errors = arm.share(block, below, q, scale=spread / float(stats.norm.pdf(z)))
        label = f"{stem.replace('-', ' ')} score, {name.replace('-', ' ')}: {arm.name}"
        yield Expected(f"{stem}-{name}-{arm.name}", label, "points", *errors)


def _wait(bins: Bins, block: Cells, arm: _Arm) -> Iterator[Expected]:
    longest = bins.step * (bins.number - 1)
    rate = 2.0 * float(np.log(2.0)) / longest
    place = np.arange(block.places)
    half = arm.share(block, place <= (bins.number - 1) // 2, 0.5, scale=2.0 / rate)
    label = f"weeks by which half had begun therapy: {arm.name}"
    yield Expected(f"{waits.WAITS}-median-{arm.name}", label, "weeks", *half)
    still = arm.share(block, place == block.places - 1, float(np.exp(-rate * longest)))
    label = f"still waiting at week {longest:g}: {arm.name}"
    yield Expected(f"{waits.WAITS}-still-{arm.name}", label, SHARE, *still)


def _minutes(block: Divided, arm: _Arm) -> Iterator[Expected]:
    limit, n = block.number.limit, arm.people
    mean, spread = MINUTES * block.highest, PUBLIC_VARIANCE * limit**2
    of_counts = 2.0 * (1 - mean / limit) ** 2 / COUNT_WEIGHT**2
    yield Expected(
        f"minutes-mean-{arm.name}",
        f"staff minutes a patient, mean: {arm.name}",
        "minutes",
        float(np.sqrt(spread / n)),
        arm.sd * limit * float(np.sqrt(2.0 + of_counts)) / n,
    )
    theta = mean / RECOVERED
    sampling = spread + mean**2 - 2 * theta * mean * RECOVERED + theta**2 * RECOVERED
    of_counts = (limit**2 + (limit - theta) ** 2) / COUNT_WEIGHT**2
    yield Expected(
        f"minutes-per-recovery-{arm.name}",
        f"staff minutes for each reliable recovery: {arm.name}",
        "minutes",
        float(np.sqrt(n * sampling)) / (RECOVERED * n),
        arm.sd * float(np.sqrt(2 * limit**2 + of_counts)) / (RECOVERED * n),
    )
