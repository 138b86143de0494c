"""`points`: the numbers that a figure draws, one after another, whatever its kind.

Tables, the spreadsheet and the data frames all read figures through here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cairn_models.answers import Bars, Course, Estimate, Figure, Forest, Funnel, Histogram


@dataclass(frozen=True)
class Point:
    """One number of a figure: of which `series`, `at` which time, group, bin or stage.

    A course's points are no estimates of their own: theirs have no name, and `count` is the number
    at risk where the figure prints it.
    """

    series: str
    at: str | float | None
    estimate: Estimate


def points(figure: Figure) -> Iterator[Point]:
    """Every number of `figure`, in its order; numbers at risk without a line come last."""
    match figure:
        case Forest():
            yield from (Point("", None, e) for e in figure.estimates)
        case Bars():
            yield from _rows(figure.groups, figure.series)
        case Histogram():
            yield from _rows(figure.bins, figure.series)
        case Funnel():
            yield from _rows(figure.stages, figure.series)
        case Course():
            yield from _course(figure)


def estimates_in(figure: Figure) -> Iterator[Estimate]:
    """The estimates of `figure`; none for a course, whose points have no name."""
    if not isinstance(figure, Course):
        yield from (point.estimate for point in points(figure))


def _rows(places: tuple[str, ...], series: Mapping[str, tuple[Estimate, ...]]) -> Iterator[Point]:
    for name, row in series.items():
        for place, e in zip(places, row, strict=True):
            yield Point(name, place, e)


def _course(figure: Course) -> Iterator[Point]:
    nothing = (None,) * len(figure.times)
    for series, lines in figure.series.items():
        ends = (lines.get(key, nothing) for key in ("middle", "low", "high"))
        told = zip(figure.times, *ends, figure.at_risk.get(series, nothing), strict=True)
        for time, middle, low, high, count in told:
            yield Point(series, time, Estimate("", "", middle, low, high, count=count))
    for group, numbers in figure.at_risk.items():
        if group not in figure.series:
            for time, count in zip(figure.times, numbers, strict=True):
                yield Point(group, time, Estimate("", "", None, count=count))
