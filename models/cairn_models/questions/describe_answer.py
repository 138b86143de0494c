"""The answer to a "describe" question: baseline table, funnel, course, standardised differences."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from cairn_models.answers import Answer, Bars, Cell, Course, Estimate, Figure, Forest, Table
from cairn_models.description.blocks import Cells, Number
from cairn_models.questions.describe_estimates import (
    QUARTILES,
    ByArm,
    Frame,
    LevelsTold,
    NumberTold,
    Reading,
)
from cairn_models.questions.effect_answer import PEOPLE

NOT_SHOWN: Final = "not shown"
IMBALANCE: Final = 0.1  # a standardised difference from which arms are commonly called unlike


@dataclass(frozen=True)
class Told:
    """Everything that was asked; empty where a part was not."""

    entered: ByArm
    funnel: tuple[ByArm, ...]
    score: NumberTold | None
    quartiles: tuple[ByArm, ...]
    numbers: dict[str, NumberTold]
    levels: dict[str, LevelsTold]
    course: tuple[ByArm, ...]

    def __iter__(self) -> Iterator[Estimate]:
        yield from self.entered
        for of in (self.score, *self.numbers.values()):
            if of:
                yield from (*of.means, *of.sds, *of.differences.values())
        for row in (*self.quartiles, *self.funnel):
            yield from row
        for levels in self.levels.values():
            yield from (e for row in levels.shares for e in row)
            yield from levels.differences.values()
        for row in self.course:
            yield from row

    @property
    def differences(self) -> tuple[Estimate, ...]:
        """All standardised differences."""
        numbers = [n for n in (self.score, *self.numbers.values()) if n]
        of_levels = [e for told in self.levels.values() for e in told.differences.values()]
        return (*(e for of in numbers for e in of.differences.values()), *of_levels)


def answer(reading: Reading) -> Answer:
    """The answer from one noised sum; never a NaN, whatever it holds."""
    frame, told = reading.frame, read(reading)
    return Answer(
        question=frame.question,
        kind="describe",
        title=f"Who is in the arms: {frame.instrument.name} at baseline, and who is assessed",
        sentences=tuple(_sentences(frame, told)),
        estimates=tuple(told),
        tables=tuple(_tables(frame, told)),
        figures=tuple(_figures(frame, told)),
        notes=tuple(_notes(frame, told, noised=reading.noise_sd > 0)),
    )


def read(reading: Reading) -> Told:
    """All estimates of the parts that were asked."""
    frame = reading.frame
    scale = frame.instrument.name
    entered: ByArm = ()
    funnel: tuple[ByArm, ...] = ()
    quartiles: tuple[ByArm, ...] = ()
    score: NumberTold | None = None
    numbers: dict[str, NumberTold] = {}
    levels: dict[str, LevelsTold] = {}
    weekly: list[Number] = []
    for block in frame.layout.blocks:
        variable = block.name in frame.variables
        if isinstance(block, Cells):
            if variable:
                levels[block.name] = reading.levels(block, frame.variables[block.name])
            elif block.name == "funnel":
                entered, funnel = reading.counts(block), reading.funnel(block)
            else:
                quartiles = reading.quartiles(block, f"{scale} at baseline")
        elif variable:
            numbers[block.name] = reading.number(block, block.name.replace("_", " "), "")
        elif block.name == "baseline":
            score = reading.number(block, f"{scale} at baseline", "points")
        else:
            weekly.append(block)
    course = reading.course(weekly, scale) if weekly else ()
    return Told(entered, funnel, score, quartiles, numbers, levels, course)


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
            words = frame.stages[-1][1]
            of = "of them" if said else f"of {who}"
            said.append(f"{100 * last.value:.0f} % {of} were {words}")
        if said:
            line = "; ".join(said)
            yield f"{line[0].upper()}{line[1:]}."
        elif told.entered or told.score:
            yield f"Nothing can be said about {who}: too few to tell through the noise."
    if told.differences:
        far = [e for e in told.differences if e.value is not None and abs(e.value) > IMBALANCE]
        shown = sum(e.value is not None for e in told.differences)
        yield (
            f"Standardised differences between arms beyond {IMBALANCE:g}, noise included: "
            f"{len(far)} of the {shown} shown. Arms that differ at baseline are not compared by "
            "their outcomes alone."
        )


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
                (words, *(_percent(e) for e in row))
                for (_, words), row in zip(frame.stages, told.funnel, strict=True)
            ),
            note="Whoever came to a later stage counts at every earlier one.",
        )
    if told.course:
        yield Table(
            title=f"Mean {frame.instrument.name} by week, of whoever has a score then",
            columns=("week", *frame.arms),
            rows=tuple(
                (f"{week:g}", *(_with_interval(e) for e in row))
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
    for name, row in zip(QUARTILES, told.quartiles, strict=False):
        cells = [NOT_SHOWN if e.value is None else f"{e.value:g}" for e in row]
        yield (f"{frame.instrument.name}, {name.replace('-', ' ')}", *cells, *blank)
    for name in frame.variables:
        words = name.replace("_", " ")
        if name in told.numbers:
            yield (f"{words}, mean (SD)", *_number_cells(frame, told.numbers[name]))
        elif name in told.levels:
            of = told.levels[name]
            for place, level in enumerate(frame.variables[name]):
                gaps = [_signed(of.differences[place, k]) for k in frame.others]
                yield (f"{words} {level}", *map(_percent, of.shares[place]), *gaps)


def _number_cells(frame: Frame, of: NumberTold) -> list[Cell]:
    cells: list[Cell] = [
        NOT_SHOWN if m.value is None or s.value is None else f"{m.value:.1f} ({s.value:.1f})"
        for m, s in zip(of.means, of.sds, strict=True)
    ]
    return [*cells, *(_signed(of.differences[k]) for k in frame.others)]


def _percent(e: Estimate) -> str:
    return NOT_SHOWN if e.value is None else f"{100 * e.value:.0f} %"


def _signed(e: Estimate) -> str:
    return NOT_SHOWN if e.value is None else f"{round(e.value, 2) + 0.0:+.2f}".replace("-", "−")


def _with_interval(e: Estimate) -> str:
    return NOT_SHOWN if e.value is None else f"{e.value:.1f} ({e.low:.1f} to {e.high:.1f})"


def _figures(frame: Frame, told: Told) -> Iterator[Figure]:
    if told.funnel:
        yield Bars(
            "How far people came, by arm",
            "stage",
            "share of those who entered",
            tuple(words for _, words in frame.stages),
            {arm: tuple(row[k] for row in told.funnel) for k, arm in enumerate(frame.arms)},
        )
    if told.differences:
        yield Forest(
            "Standardised differences between arms at baseline",
            f"standard deviations, against {frame.arms[frame.reference]}",
            told.differences,
        )
    if told.course and (drawn := _series(frame, told)):
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
    if told.score or told.quartiles or told.course:
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
