"""`read`: everything that a description tells, from one noised sum."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cairn_models.answers import Estimate, Histogram
from cairn_models.description import bars, funnels, minutes, programme, waits
from cairn_models.description.baseline import (
    QUARTILES,
    LevelsTold,
    NumberTold,
    course,
    levels_told,
    number,
    quantiles,
)
from cairn_models.description.blocks import Cells, Divided, Number
from cairn_models.description.reading import ByArm, Reading, Section
from cairn_models.description.stages import measured


@dataclass(frozen=True)
class Spread:
    """Quartiles and histogram of a score, a tuple of arms each."""

    when: str
    quartiles: tuple[ByArm, ...]
    bars: tuple[ByArm, ...]
    figure: Histogram | None


@dataclass(frozen=True)
class Told:
    """Everything that was asked; empty where a part was not."""

    entered: ByArm
    funnel: tuple[ByArm, ...]
    score: NumberTold | None
    spreads: tuple[Spread, ...]
    numbers: dict[str, NumberTold]
    levels: dict[str, LevelsTold]
    course: tuple[ByArm, ...]
    sections: tuple[Section, ...]

    def __iter__(self) -> Iterator[Estimate]:
        yield from self.entered
        for of in (self.score, *self.numbers.values()):
            if of:
                yield from (*of.means, *of.sds, *of.differences.values())
        for spread in self.spreads:
            yield from (e for row in (*spread.quartiles, *spread.bars) for e in row)
        for row in self.funnel:
            yield from row
        for levels in self.levels.values():
            yield from (e for row in levels.shares for e in row)
            yield from levels.differences.values()
        for row in self.course:
            yield from row
        for section in self.sections:
            yield from section.estimates

    @property
    def later(self) -> tuple[Spread, ...]:
        """Spreads of scores after the baseline."""
        return tuple(spread for spread in self.spreads if spread.when != "baseline")

    @property
    def differences(self) -> tuple[Estimate, ...]:
        """All standardised differences."""
        numbers = [n for n in (self.score, *self.numbers.values()) if n]
        of_levels = [e for told in self.levels.values() for e in told.differences.values()]
        return (*(e for of in numbers for e in of.differences.values()), *of_levels)


def read(reading: Reading) -> Told:
    """All estimates of the parts that were asked."""
    frame = reading.frame
    entered: ByArm = ()
    stages: tuple[ByArm, ...] = ()
    score: NumberTold | None = None
    numbers: dict[str, NumberTold] = {}
    levels: dict[str, LevelsTold] = {}
    spreads: list[Spread] = []
    weekly: list[Number] = []
    by_name = {block.name: block for block in frame.layout.blocks}
    for name, block in by_name.items():
        match block:
            case Cells() if name in frame.variables:
                levels[name] = levels_told(reading, block, frame.variables[name])
            case Number() if name in frame.variables:
                numbers[name] = number(reading, block, name.replace("_", " "), "")
            case Number() if name == "baseline":
                score = number(reading, block, f"{frame.instrument.name} at baseline", "points")
            case Cells() if name == "funnel":
                counts, steps = reading.counts(block), measured(frame.weeks)
                entered = funnels.people(counts, "entered", "people who entered", frame.arms)
                stages = funnels.funnel(counts, name, steps, frame.arms, frame.fewest)
            case Cells() if name.endswith("quartiles"):
                spreads.append(_spread(reading, block))
            case Number() if name != programme.ACTIVE:
                weekly.append(block)
    return Told(
        entered=entered,
        funnel=stages,
        score=score,
        spreads=tuple(spreads),
        numbers=numbers,
        levels=levels,
        course=course(reading, weekly) if weekly else (),
        sections=tuple(_sections(reading)),
    )


def _sections(reading: Reading) -> Iterator[Section]:
    by_name = {block.name: block for block in reading.frame.layout.blocks}
    use, active = by_name.get(programme.FUNNEL), by_name.get(programme.ACTIVE)
    if isinstance(use, Cells) and isinstance(active, Number):
        yield programme.section(reading, use, active)
    if isinstance(wait := by_name.get(waits.WAITS), Cells):
        yield waits.section(reading, wait)
    if isinstance(spent := by_name.get(minutes.MINUTES), Divided):
        yield minutes.section(reading, spent)


def _spread(reading: Reading, block: Cells) -> Spread:
    """Of the baseline score, or of the score at the week in the block's name."""
    frame, counts = reading.frame, reading.counts(block)
    stem = "baseline" if block.name == "quartiles" else block.name.removesuffix("-quartiles")
    when = stem if stem == "baseline" else stem.replace("-", " ")
    label = f"{frame.instrument.name} at {when}"
    own, edges = bars.score_bars(frame.bins)
    shares = bars.shares(counts, own, frame.arms, stem=stem, label=label)
    return Spread(
        when,
        quantiles(counts, frame.bins, QUARTILES, frame.arms, stem=stem, label=label, unit="points"),
        shares,
        bars.drawn(f"{label}, by arm", "points", edges, shares, frame.arms),
    )
