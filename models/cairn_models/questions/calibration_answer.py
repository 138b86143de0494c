"""The answer to a "calibration" question: coverage of bands, calibration lines, words, figures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from cairn_models.answers import Answer, Bars, Cell, Estimate, Figure, Forest, Table
from cairn_models.disclosure import held_back
from cairn_models.measures import Instrument
from cairn_models.proportions import NORMAL_95
from cairn_models.questions.judged_share import TOO_FEW, share_estimate
from cairn_models.trajectory.calibration_sums import BANDS, Decoded, Line

KIND: Final = "calibration"
WOULD_TELL: Final = "held back, since a smaller group could be worked out from it"
TOO_ALIKE: Final = "foretold medians spread too little to tell through the noise"
MAIN: Final = 0.8  # the band that sentences are about
COLUMNS: Final = {"slope": "slope", "gap": "mean difference", "intercept": "intercept"}
LINE_WORDS: Final = {
    "slope": "calibration slope",
    "gap": "what came less what was foretold, mean",
    "intercept": "calibration intercept, at a median of 0",
}


@dataclass(frozen=True)
class Frame:
    """The public facts that an answer is worded with."""

    question: str
    model: str
    scales: tuple[Instrument, ...]
    horizons: tuple[int, ...]
    by: str
    levels: tuple[str, ...]
    held_out: str
    synthetic: bool
    fewest: int
    noised: bool
    line: bool
    by_horizon: bool


@dataclass(frozen=True)
class Group:
    """One scale over all horizons, at a level or over all: coverage by band, and the line."""

    scale: Instrument
    level: str
    coverage: tuple[Estimate, ...]
    line: dict[str, Estimate]

    @property
    def every(self) -> tuple[Estimate, ...]:
        """The line first: it holds for all bands."""
        return (*self.line.values(), *self.coverage)


def coverage_name(scale: Instrument, band: float, at: str = "all") -> str:
    """The name of an estimate, e.g. 'coverage80-PHQ-9-week8'."""
    return f"coverage{100 * band:g}-{scale.name}-{at}"


def line_name(scale: Instrument, what: str) -> str:
    """The name of an estimate, e.g. 'slope-PHQ-9'."""
    return f"{what}-{scale.name}"


def answer(frame: Frame, decoded: Decoded) -> Answer:
    """The answer from the noised sums; never a NaN, whatever they are."""
    scales = range(len(frame.scales))
    wholes = [_group(frame, decoded, s, None, "") for s in scales]
    parts = [g for s in scales for g in _levels(frame, decoded, s)]
    by_horizon = {s: _by_horizon(frame, decoded, s) for s in scales if frame.by_horizon}
    every = [e for g in (*wholes, *parts) for e in g.every]
    every += [e for rows in by_horizon.values() for row in rows for e in row]
    return Answer(
        question=frame.question,
        kind=KIND,
        title="Whether the model's bands and medians are what they say",
        sentences=tuple(s for g in wholes for s in _sentences(g)),
        estimates=tuple(every),
        tables=tuple(_tables(frame, wholes, parts, by_horizon)),
        figures=tuple(_figures(frame, wholes, parts, by_horizon)),
        notes=tuple(_notes(frame)),
    )


def _group(frame: Frame, decoded: Decoded, scale: int, level: int | None, why: str) -> Group:
    instrument = frame.scales[scale]
    name = "all" if level is None else frame.levels[level]
    where = "" if level is None else f", {frame.by.replace('_', ' ')} {name}"
    coverage = tuple(
        share_estimate(
            coverage_name(instrument, band, name),
            f"{instrument.name}: within the {band:.0%} band{where}".replace("%", " %"),
            decoded.coverage(scale, b, level=level),
            why,
        )
        for b, band in enumerate(BANDS)
    )
    line = None if why else decoded.line(scale, level)
    suffix = "" if level is None else f"-{name}"
    told = _line(instrument, line, suffix, where, why) if frame.line else {}
    return Group(instrument, name, coverage, told)


def _line(
    scale: Instrument, line: Line | None, suffix: str, where: str, why: str
) -> dict[str, Estimate]:
    span, points = scale.highest - scale.lowest, f"{scale.name} points"
    found: dict[str, Estimate] = {}
    for what, words in LINE_WORDS.items():
        told = None if line is None else getattr(line, what)
        label = f"{scale.name}: {words}{where}"
        name, unit = line_name(scale, what) + suffix, "" if what == "slope" else points
        if told is None or line is None:
            reason = why or (TOO_FEW if line is None else TOO_ALIKE)
            found[what] = Estimate(name, label, None, unit=unit, suppressed=reason)
            continue
        value, sampling, noise = told
        times = 1.0 if what == "slope" else span
        if what == "intercept" and line.slope is not None:
            value += scale.lowest / span * (1.0 - line.slope[0])
        error = times * float(np.sqrt(sampling + noise))
        found[what] = Estimate(
            name,
            label,
            times * value,
            times * value - NORMAL_95 * error,
            times * value + NORMAL_95 * error,
            error,
            noise / (sampling + noise),
            unit,
            count=line.count,
        )
    return found


def _levels(frame: Frame, decoded: Decoded, scale: int) -> Iterator[Group]:
    """The levels' groups; those from which one that is held back would follow are held back too."""
    if not frame.levels:
        return
    counts = np.array([decoded.count(scale, k) for k in range(len(frame.levels))])
    least = decoded.least(0)
    hidden = held_back(counts, least, totals=True)
    for k, hide in enumerate(hidden):
        why = "" if not hide else (TOO_FEW if counts[k] < least else WOULD_TELL)
        yield _group(frame, decoded, scale, k, why)


def _by_horizon(frame: Frame, decoded: Decoded, scale: int) -> list[tuple[Estimate, ...]]:
    """A row of bands a horizon."""
    instrument = frame.scales[scale]
    return [
        tuple(
            share_estimate(
                coverage_name(instrument, band, f"week{horizon}"),
                f"{instrument.name}: within the {band:.0%} band, ".replace("%", " %")
                + _ahead(horizon),
                decoded.coverage(scale, b, horizon=h),
                "",
            )
            for b, band in enumerate(BANDS)
        )
        for h, horizon in enumerate(frame.horizons)
    ]


def _ahead(horizon: int) -> str:
    return f"{horizon} week{'s' if horizon > 1 else ''} ahead"


def _sentences(group: Group) -> Iterator[str]:
    band, name = group.coverage[BANDS.index(MAIN)], group.scale.name
    if band.value is None or band.low is None or band.high is None:
        yield f"Whether the {name} bands are right cannot be told: {band.suppressed}."
    else:
        verdict = "as they should be, as far as can be told"
        if band.low > MAIN:
            verdict = "too wide"
        elif band.high < MAIN:
            verdict = "too narrow"
        yield (
            f"{100 * band.value:.0f} % of {name} scores came within the band that was to hold "
            f"{100 * MAIN:.0f} % (95 % interval {100 * band.low:.0f} to {100 * band.high:.0f} %): "
            f"the bands are {verdict}."
        )
    if not group.line:
        return
    gap, slope = group.line["gap"], group.line["slope"]
    if gap.value is not None and gap.low is not None and gap.high is not None:
        yield (
            f"What came was on average {_number(gap.value)} {gap.unit} from the foretold median "
            f"(95 % interval {_number(gap.low)} to {_number(gap.high)}; above 0: people did worse "
            "than foretold)."
            if not group.scale.higher_is_better
            else f"What came was on average {_number(gap.value)} {gap.unit} from the foretold "
            f"median (95 % interval {_number(gap.low)} to {_number(gap.high)})."
        )
    if slope.value is not None and slope.low is not None and slope.high is not None:
        verdict = "as far apart as they should be, as far as can be told"
        if slope.high < 1.0:
            verdict = "too far apart"
        elif slope.low > 1.0:
            verdict = "too close together"
        yield (
            f"Foretold {name} medians are {verdict}: calibration slope {slope.value:.2f} (95 % "
            f"interval {_number(slope.low)} to {_number(slope.high)}; 1 is right)."
        )


def _number(value: float) -> str:
    return f"{round(value, 2) + 0.0:.2f}".replace("-", "−")


def _words(e: Estimate, times: float) -> Cell:
    if e.value is None or e.low is None or e.high is None:
        return "suppressed"
    value, low, high = (_number(times * v) for v in (e.value, e.low, e.high))
    if times == 1.0:
        return f"{value} ({low} to {high})"
    return f"{times * e.value:.1f} ({times * e.low:.1f} to {times * e.high:.1f})"


def _tables(
    frame: Frame,
    wholes: list[Group],
    parts: list[Group],
    by_horizon: dict[int, list[tuple[Estimate, ...]]],
) -> Iterator[Table]:
    bands = tuple(f"within the {100 * band:g} % band, %" for band in BANDS)
    yield Table(
        "Calibration over all horizons",
        ("scale and group", "people (noised)", *bands, *(COLUMNS.values() if frame.line else ())),
        tuple(
            (
                g.scale.name if g.level == "all" else f"{g.scale.name}, {g.level}",
                None if g.coverage[0].count is None else round(g.coverage[0].count),
                *(_words(e, 100.0) for e in g.coverage),
                *(_words(g.line[what], 1.0) for what in (COLUMNS if frame.line else ())),
            )
            for g in (*wholes, *parts)
        ),
        note="With 95 % intervals, noise included. Right are 50, 80 and 95 %"
        + (", slope 1, difference and intercept 0 (points)." if frame.line else "."),
    )
    for s, rows in by_horizon.items():
        yield Table(
            f"Scores within foretold bands by horizon: {frame.scales[s].name}",
            ("horizon", "people (noised)", *bands),
            tuple(
                (
                    _ahead(horizon),
                    None if row[0].count is None else round(row[0].count),
                    *(_words(e, 100.0) for e in row),
                )
                for horizon, row in zip(frame.horizons, rows, strict=True)
            ),
            note="per cent with 95 % intervals; each patient counts once a horizon",
        )


def _figures(
    frame: Frame,
    wholes: list[Group],
    parts: list[Group],
    by_horizon: dict[int, list[tuple[Estimate, ...]]],
) -> Iterator[Figure]:
    bands = tuple(f"{100 * band:g} % band" for band in BANDS)
    yield Bars(
        "Scores within foretold bands, all horizons",
        "foretold band",
        "share of scores within it",
        bands,
        {g.scale.name: g.coverage for g in wholes},
    )
    for s, rows in by_horizon.items():
        yield Bars(
            f"Scores within foretold bands by horizon: {frame.scales[s].name}",
            "weeks ahead",
            "share of scores within the band",
            tuple(str(h) for h in frame.horizons),
            {name: tuple(row[b] for row in rows) for b, name in enumerate(bands)},
        )
    if frame.line:
        yield Forest(
            "Calibration slope of the median",
            "slope (1 is right)",
            tuple(g.line["slope"] for g in (*wholes, *parts)),
            no_difference=1.0,
        )


def _notes(frame: Frame) -> Iterator[str]:
    if frame.synthetic:
        yield "Synthetic data: these are not people."
    yield (
        f"People who were held out from training ({frame.held_out}). Each "
        "counts once, with the share of own scores within the band; a score on the band's end is "
        "within it."
    )
    if frame.line:
        yield (
            "Slope, difference and intercept: least squares with one point a person, the mean of "
            "what came on the mean of what was foretold over own pairs of weeks. Differences "
            "beyond a quarter of the scale's range count as a quarter, medians below 7 % and above "
            "77 % of the range as these; where medians are right that changes nothing."
        )
    if frame.by:
        yield (
            f"People whose {frame.by.replace('_', ' ')} is not one of the study's levels are in "
            "none of these numbers. Differences between levels describe; they explain nothing."
        )
    if frame.noised:
        yield (
            "Intervals are 95 % and include the privacy noise. A group is shown from "
            f"{frame.fewest} people on, by its noised count, and only where that count exceeds "
            "three standard deviations of its noise."
        )
    yield (
        "For research only: not a prediction for any person, and no basis for a decision about "
        "care."
    )
