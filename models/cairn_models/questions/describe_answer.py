"""The answer to a "describe" question: baseline table, funnel, course, sections for the rest.

Parts of the baseline table are told here; `programme`, `waits` and `minutes` tell their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from cairn_models.answers import Answer, Cell, Course, Estimate, Figure, Forest, Histogram, Table
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
from cairn_models.description.reading import ByArm, Frame, Reading, Section
from cairn_models.description.stages import measured
from cairn_models.description.told import NOT_SHOWN, percent, point, signed, with_interval
from cairn_models.questions.effect_answer import PEOPLE

IMBALANCE: Final = 0.1  # a standardised difference from which arms are commonly called unlike


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


def answer(reading: Reading) -> Answer:
    """The answer from one noised sum; never a NaN, whatever it holds."""
    frame, told = reading.frame, read(reading)
    sections = told.sections
    return Answer(
        question=frame.question,
        kind="describe",
        title=_title(frame, told),
        sentences=(*_sentences(frame, told), *(line for s in sections for line in s.sentences)),
        estimates=tuple(told),
        tables=(*_tables(frame, told), *(table for s in sections for table in s.tables)),
        figures=(*_figures(frame, told), *(figure for s in sections for figure in s.figures)),
        notes=tuple(_notes(frame, told, noised=reading.noise_sd > 0)),
    )


def _title(frame: Frame, told: Told) -> str:
    """What was asked, in a line."""
    first = len(told.spreads) > len(told.later)
    said = [
        *(["who is in the arms"] if told.score or told.numbers or told.levels or first else []),
        *(["who is assessed"] if told.funnel else []),
        *([f"{frame.instrument.name} later on"] if told.course or told.later else []),
        *(section.about for section in told.sections),
    ]
    line = ", ".join(said)
    return f"{line[0].upper()}{line[1:]}"


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


def _sentences(frame: Frame, told: Told) -> Iterator[str]:
    for k, arm in enumerate(frame.arms):
        who = PEOPLE.get(arm, f"people in arm “{arm}”")
        said = []
        if told.entered and (count := told.entered[k].value) is not None:
            said.append(f"about {count:.0f} {who} entered")
        if told.score and (mean := told.score.means[k]).value is not None:
            sd = told.score.sds[k].value
            start = "their" if said else f"{who} began with a"
            said.append(
                f"{start} mean {frame.instrument.name} {'was ' if said else 'of '}"
                f"{mean.value:.1f} points (95 % interval {mean.low:.1f} to {mean.high:.1f}; "
                f"SD {sd:.1f})"
            )
        if told.funnel and (last := told.funnel[-1][k]).value is not None:
            words = measured(frame.weeks)[-1].words
            of = "of them" if said else f"of {who}"
            said.append(f"{100 * last.value:.0f} % {of} were {words}")
        if said:
            line = "; ".join(said)
            yield f"{line[0].upper()}{line[1:]}."
        elif told.entered or told.score:
            yield f"Nothing can be said about {who}: too few to tell through the noise."
    yield from _later_sentences(frame, told)
    if told.differences:
        far = [e for e in told.differences if e.value is not None and abs(e.value) > IMBALANCE]
        shown = sum(e.value is not None for e in told.differences)
        yield (
            f"Standardised differences between arms beyond {IMBALANCE:g}, noise included: "
            f"{len(far)} of the {shown} shown. Arms that differ at baseline are not compared by "
            "their outcomes alone."
        )


def _later_sentences(frame: Frame, told: Told) -> Iterator[str]:
    """Of the last week."""
    for k, arm in enumerate(frame.arms):
        who = PEOPLE.get(arm, f"people in arm “{arm}”")
        said = []
        if told.course and (mean := told.course[-1][k]).value is not None:
            said.append(f"a mean of {with_interval(mean)} points")
        if told.later and (median := told.later[-1].quartiles[1][k]).value is not None:
            said.append(f"a median of {point(median)} ({median.low:g} to {median.high:g}) points")
        if said:
            week = f"week {frame.weeks[-1]:g}"
            scale = frame.instrument.name
            yield f"At {week}, {who} who have a {scale} score have {' and '.join(said)}."


def _tables(frame: Frame, told: Told) -> Iterator[Table]:
    others = [frame.arms[k] for k in frame.others]
    rows = list(_baseline_rows(frame, told))
    if rows:
        yield Table(
            title="At baseline, by arm",
            columns=("", *frame.arms, *(f"{a}: standardised difference" for a in others)),
            rows=tuple(rows),
            note=f"Standardised differences are from {frame.arms[frame.reference]}. Every number "
            "is noised; intervals are in the list of estimates.",
        )
    if told.funnel:
        yield Table(
            title="How far people came",
            columns=("stage", *(f"{a}, share of those who entered" for a in frame.arms)),
            rows=tuple(
                (stage.words, *map(percent, row))
                for stage, row in zip(measured(frame.weeks), told.funnel, strict=True)
            ),
            note="Whoever came to a later stage counts at every earlier one.",
        )
    if told.later:
        yield Table(
            title=f"Quartiles of {frame.instrument.name} by week, of whoever has a score then",
            columns=("week", *frame.arms),
            rows=tuple(
                (spread.when.removeprefix("week "), *(_three(spread, k) for k in arms))
                for arms in [range(len(frame.arms))]
                for spread in told.later
            ),
            note="Lower quartile, median, upper quartile.",
        )
    if told.course:
        yield Table(
            title=f"Mean {frame.instrument.name} by week, of whoever has a score then",
            columns=("week", *frame.arms),
            rows=tuple(
                (f"{week:g}", *(with_interval(e) for e in row))
                for week, row in zip(frame.weeks, told.course, strict=True)
            ),
        )


def _baseline_rows(frame: Frame, told: Told) -> Iterator[tuple[Cell, ...]]:
    blank = [""] * len(frame.others)
    if told.entered:
        people = [NOT_SHOWN if e.value is None else f"{e.value:.0f}" for e in told.entered]
        yield ("people who entered (noised)", *people, *blank)
    if told.score:
        yield (f"{frame.instrument.name}, mean (SD)", *_number_cells(frame, told.score))
    for spread in told.spreads:
        if spread.when == "baseline":
            for name, row in zip(QUARTILES, spread.quartiles, strict=True):
                words = f"{frame.instrument.name}, {name.replace('-', ' ')}"
                yield (words, *map(point, row), *blank)
    for name in frame.variables:
        words = name.replace("_", " ")
        if name in told.numbers:
            yield (f"{words}, mean (SD)", *_number_cells(frame, told.numbers[name]))
        elif name in told.levels:
            of = told.levels[name]
            for place, level in enumerate(frame.variables[name]):
                gaps = [signed(of.differences[place, k]) for k in frame.others]
                yield (f"{words} {level}", *map(percent, of.shares[place]), *gaps)


def _number_cells(frame: Frame, of: NumberTold) -> list[Cell]:
    cells: list[Cell] = [
        NOT_SHOWN if m.value is None or s.value is None else f"{m.value:.1f} ({s.value:.1f})"
        for m, s in zip(of.means, of.sds, strict=True)
    ]
    return [*cells, *(signed(of.differences[k]) for k in frame.others)]


def _three(spread: Spread, arm: int) -> str:
    return ", ".join(point(row[arm]) for row in spread.quartiles)


def _figures(frame: Frame, told: Told) -> Iterator[Figure]:
    words = [stage.words for stage in measured(frame.weeks)]
    arms = {arm: k for k, arm in enumerate(frame.arms)}
    if told.funnel and (
        figure := funnels.drawn("How far people came, by arm", words, told.funnel, arms)
    ):
        yield figure
    yield from (spread.figure for spread in told.spreads if spread.figure)
    if told.differences:
        yield Forest(
            "Standardised differences between arms at baseline",
            f"standard deviations, against {frame.arms[frame.reference]}",
            told.differences,
        )
    if len(told.course) > 1 and (drawn := _series(frame, told)):
        yield Course(
            f"Mean {frame.instrument.name} of whoever has a score, by arm",
            "weeks since entry",
            "points",
            frame.weeks,
            drawn,
            band="Bands are 95 % intervals at each week, privacy noise included.",
            y_range=(frame.instrument.lowest, frame.instrument.highest),
        )


def _series(frame: Frame, told: Told) -> dict[str, dict[str, tuple[float, ...]]]:
    """The arms of which every week is shown."""
    series = {}
    for k, arm in enumerate(frame.arms):
        points = [
            (e.value, e.low, e.high)
            for e in (row[k] for row in told.course)
            if e.value is not None and e.low is not None and e.high is not None
        ]
        if len(points) == len(frame.weeks):
            middle, low, high = zip(*points, strict=True)
            series[arm] = {"middle": middle, "low": low, "high": high}
    return series


def _notes(frame: Frame, told: Told, *, noised: bool) -> Iterator[str]:
    if frame.synthetic:
        yield "Synthetic data: these are not people."
    scale = frame.instrument.name
    if told.score or told.spreads or told.course:
        yield (
            f"Means and quartiles are of people who have a {scale} score in the window. SDs and "
            "intervals of standardised differences of numbers take a normal law."
        )
    if told.funnel:
        yield (
            f"Assessed at a week: a {scale} score within {frame.window:g} weeks of it. Whoever "
            "came to a later stage counts at every earlier one, also after a gap."
        )
    if told.course:
        yield (
            "The mean course is of whoever is still there: if those who did worse stopped "
            "answering, it falls although nobody improved."
        )
    if told.levels:
        yield (
            "Shares are of people whose level is one of the study's; people without one are in "
            "none of these numbers."
        )
    yield from (note for section in told.sections for note in section.notes)
    if noised:
        yield (
            "Intervals count the privacy noise; parts of one answer are noised apart, so that "
            "their counts differ."
        )
    if any(e.suppressed for e in told):
        yield (
            f"A group is shown from {frame.fewest} people on, by its noised count, and only where "
            "that count exceeds three standard deviations of its noise. A level is also held back "
            "where a smaller one would follow from it, and a stage of the funnel where fewer than "
            f"{frame.fewest} were lost since the stage before."
        )
