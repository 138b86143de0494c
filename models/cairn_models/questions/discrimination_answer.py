"""The answer to a "discrimination" question: sentences, reliability, decision curve, notes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

import numpy as np

from cairn_models.answers import Answer, Bars, Cell, Course, Estimate, Figure, Forest, Table
from cairn_models.questions.discrimination_estimates import Found, Frame

KIND: Final = "discrimination"
NO_SKILL: Final = 0.5
NAN: Final = math.nan


def answer(frame: Frame, found: Found) -> Answer:
    """The answer; `released` says whether the head may be released, 1 or 0."""
    opens = found.opens(frame.floor)
    return Answer(
        question=frame.question,
        kind=KIND,
        title=f"How well {frame.label} is foretold {frame.ahead} weeks ahead",
        sentences=tuple(_sentences(frame, found)),
        estimates=found.every,
        tables=(_whole(found), _reliability(frame, found), _decisions(frame, found)),
        figures=tuple(_figures(frame, found)),
        notes=tuple(_notes(frame, found)),
        released={"may_be_released": np.array([float(opens)], dtype=np.float32)},
    )


def _sentences(frame: Frame, found: Found) -> Iterator[str]:
    area = found.area
    if area.value is None or area.low is None or area.high is None:
        yield (
            f"How well {frame.label} is foretold cannot be told: {area.suppressed}. "
            f"The model's probability of it is therefore said to be missing."
        )
        return
    yield (
        f"Of two people, one who {frame.phrase} and one who {frame.contrary}, {frame.ahead} weeks "
        "on, the model gave the first the higher probability in "
        f"{100 * area.value:.0f} of 100 cases: area under the curve {area.value:.2f} "
        f"(95 % interval {area.low:.2f} to {area.high:.2f}{_noise(area)})."
    )
    if found.opens(frame.floor):
        yield (
            f"The lower end exceeds the floor of {frame.floor:g}: this head of the model may be "
            "released."
        )
    else:
        yield (
            f"The lower end does not exceed the floor of {frame.floor:g}: this head of the model "
            "is not to be released, and what it foretells is said to be missing."
        )
    yield from _calibration(found)
    yield _benefit(frame, found)
    for part in found.by_level:
        if part.value is None:
            yield f"{part.label}: not told, {part.suppressed}."


def _noise(e: Estimate) -> str:
    return (
        f", {max(e.noise_share, 0.01):.0%}".replace("%", " % of its variance privacy noise")
        if (e.noise_share)
        else ""
    )


def _calibration(found: Found) -> Iterator[str]:
    gap, slope = found.gap, found.slope
    if gap.value is not None and gap.low is not None and gap.high is not None:
        side = "more" if gap.value >= 0 else "less"
        ends = sorted((gap.low, gap.high), key=lambda v: v if gap.value >= 0 else -v)  # type: ignore[operator]
        sign = 1.0 if gap.value >= 0 else -1.0
        yield (
            f"It foretold {100 * abs(gap.value):.1f} percentage points {side} than came (95 % "
            f"interval {_number(100 * sign * ends[0])} to {_number(100 * sign * ends[1])})."
        )
    if slope.value is not None and slope.low is not None and slope.high is not None:
        words = "as far apart as they should be"
        if slope.high < 1.0:
            words = "too far apart"
        elif slope.low > 1.0:
            words = "too close together"
        sure = "" if words != "as far apart as they should be" else ", as far as can be told"
        yield (
            f"Its probabilities are {words}{sure}: calibration slope {slope.value:.2f} (95 % "
            f"interval {_number(slope.low, 2)} to {_number(slope.high, 2)}; 1 is right)."
        )


def _number(value: float, digits: int = 1) -> str:
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "−")


def _benefit(frame: Frame, found: Found) -> str:
    useful = [
        100 * edge
        for edge, gain in zip(frame.edges, found.gain, strict=True)
        if gain.low is not None and gain.low > 0
    ]
    if not useful:
        return (
            "At no threshold is its net benefit clearly above that of acting on everybody or on "
            "nobody."
        )
    if len(useful) == 1:
        return (
            f"Its net benefit is clearly above that of acting on everybody or on nobody at a "
            f"threshold of {useful[0]:g} %."
        )
    return (
        "Its net benefit is clearly above that of acting on everybody or on nobody at "
        f"{len(useful)} of {len(frame.edges)} thresholds, between {useful[0]:g} and "
        f"{useful[-1]:g} %."
    )


def _cells(e: Estimate, times: float = 1.0) -> tuple[Cell, ...]:
    return tuple(None if v is None else round(times * v, 4) for v in (e.value, e.low, e.high))


def _whole(found: Found) -> Table:
    rows = (
        *((e, 1.0) for e in (found.area, *found.by_level, found.slope, found.intercept)),
        *((e, 100.0) for e in (found.gap, found.share)),
        (found.score, 1.0),
    )
    names = {id(found.gap): ", percentage points", id(found.share): ", %"}
    return Table(
        "Discrimination and calibration",
        ("measure", "value", "from", "to", "why not shown"),
        tuple(
            (f"{e.label}{names.get(id(e), '')}", *_cells(e, times), e.suppressed)
            for e, times in rows
        ),
        note="95 % intervals, noise included. Area under the curve: 0.5 is chance. Calibration: "
        "slope 1 and intercept 0 are right. Brier score: lower is better.",
    )


def _reliability(frame: Frame, found: Found) -> Table:
    return Table(
        f"{frame.label.capitalize()} by foretold probability",
        ("foretold", "people (noised)", "observed, %", "from", "to", "why not shown"),
        tuple(
            (
                name,
                None if e.count is None else round(e.count),
                *_cells(e, 100.0),
                e.suppressed,
            )
            for name, e in zip(found.bins, found.observed, strict=True)
        ),
        note="A lower end belongs to its bin. Neighbouring bins stand together, by a public rule "
        "on noised counts, where one alone would tell too little.",
    )


def _decisions(frame: Frame, found: Found) -> Table:
    parts = zip(frame.edges, found.model, found.treat_all, found.gain, strict=True)
    return Table(
        "Net benefit by threshold",
        ("threshold, %", "model", "everybody", "model less the better of both", "from", "to"),
        tuple(
            (100 * edge, _cells(model)[0], _cells(whole)[0], *_cells(gain))
            for edge, model, whole, gain in parts
        ),
        note="Net benefit: people rightly acted on, less those wrongly, weighed by the threshold's "
        "odds, as a share of all. Acting on nobody: 0. The better of both: everybody or nobody.",
    )


def _figures(frame: Frame, found: Found) -> Iterator[Figure]:
    yield Bars(
        f"Reliability: {frame.label}",
        "foretold probability; right is a share within the bin",
        "share of people who had it",
        found.bins,
        {"observed": found.observed},
    )
    yield Course(
        f"Decision curve: {frame.label}",
        "threshold probability, %",
        "net benefit",
        tuple(100 * edge for edge in frame.edges),
        {
            "model": _line(found.model),
            "everybody": _line(found.treat_all),
            "nobody": dict.fromkeys(("middle", "low", "high"), (0.0,) * len(frame.edges)),
        },
        band="Bands are 95 % intervals.",
    )
    if found.by_level:
        yield Forest(
            f"Area under the curve by {frame.by.replace('_', ' ')}: {frame.label}",
            "area under the curve",
            (found.area, *found.by_level),
            no_difference=NO_SKILL,
            better="right",
        )


def _line(row: tuple[Estimate, ...]) -> dict[str, tuple[float, ...]]:
    def told(values: Iterator[float | None]) -> tuple[float, ...]:
        return tuple(NAN if v is None else v for v in values)

    return {
        "middle": told(e.value for e in row),
        "low": told(e.low for e in row),
        "high": told(e.high for e in row),
    }


def _notes(frame: Frame, found: Found) -> Iterator[str]:
    if frame.synthetic:
        yield "Synthetic data: these are not people."
    first, last = frame.anchor
    weeks = f"week {first}" if first == last else f"the first week from {first} to {last}"
    yield (
        f"People who were held out from training ({frame.held_out}), each "
        f"once, at {weeks} from which the outcome is known. Who has no such week is in none of "
        "these numbers."
    )
    yield (
        "Probabilities are told to their bin: Brier score and calibration take the bin's middle, "
        "and two people in one bin count as a tie."
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
        "care. Net benefit judges the model, not a treatment."
    )
