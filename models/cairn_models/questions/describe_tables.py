"""Tables and figures of a description: baseline, funnel of measurement, course, spreads."""

from __future__ import annotations

from collections.abc import Iterator

from cairn_models.answers import Cell, Course, Figure, Forest, Table
from cairn_models.description import funnels
from cairn_models.description.baseline import QUARTILES, NumberTold
from cairn_models.description.reading import Frame
from cairn_models.description.stages import measured
from cairn_models.description.told import NOT_SHOWN, percent, point, signed, with_interval
from cairn_models.questions.describe_told import Spread, Told


def tables(frame: Frame, told: Told) -> Iterator[Table]:
    """Of the parts that share them; other parts have their own."""
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


def figures(frame: Frame, told: Told) -> Iterator[Figure]:
    """Likewise."""
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
