"""The pictures of an answer until an event, and the table of what they show."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

import numpy as np

from cairn_models.answers import SHARE_GAP, Cell, Course, Estimate, Forest, Table
from cairn_models.life_table import Fitted
from cairn_models.percentages import READ, estimate_in_per_cent
from cairn_models.questions.timed_estimates import (
    UNREADABLE,
    Curves,
    Frame,
    difference,
    ratio,
    share_at,
)
from cairn_models.questions.timed_words import Words

BAND: Final = "Bands are 95 % intervals at each time"
STEP: Final = 20.0  # per cent; an axis ends at a multiple
Line = tuple[Curves, Fitted, float]  # an arm, one of its curves, and where that starts


def table_of(frame: Frame, curves: tuple[Curves, ...], *, noised: bool) -> Table:
    """By arm and time: number at risk, main curve with interval, hazard, other causes."""
    rows: list[tuple[Cell, ...]] = []
    for name, own in zip(frame.arms, curves, strict=True):
        shown = _at_risk(own)
        others = [fitted for _, _, fitted in own.beside(frame.words)]
        for place, count in enumerate(shown):
            at = place - 1
            main = _per_cent(own, own.main, at) if place else Estimate("", "", None)
            parts = [_per_cent(own, f, at).value if place else None for f in (own.hazards, *others)]
            told = (main.value, main.low, main.high, *parts)
            time = frame.ends[at] if place else 0.0
            rows.append((name, time, count, *told, UNREADABLE if count is None else ""))
    spread = max(float(own.table.at_risk_sd.max()) for own in curves)
    known = f" Numbers at risk are noised and may be off by {2 * spread:.0f} either way."
    return Table(
        title="By arm and time",
        columns=(
            "arm",
            frame.words.clock,
            f"number at risk{' (noised)' if noised else ''}",
            f"{frame.words.key.replace('_', ' ')}, %",
            "from",
            "to",
            "hazard in the interval, %",
            *(f"{_short(key, said)}, %" for key, said, _ in curves[0].beside(frame.words)),
            "why not shown",
        ),
        rows=tuple(rows),
        note=f"95 % intervals.{known if noised else ''}",
    )


def figures(
    frame: Frame, curves: tuple[Curves, ...], label: str, *, noised: bool
) -> tuple[Course | Forest, ...]:
    """The main curve with numbers at risk, the other causes, the contrasts."""
    words, names = frame.words, dict(zip(frame.arms, curves, strict=True))
    start = 1.0 if curves[0].table.grid.ways.staying else 0.0
    main = {name: (own, own.main, start) for name, own in names.items()}
    found: list[Course | Forest] = [_course(frame, words.drawn, words.axis, main, noised=noised)]
    for place, cause in enumerate(words.causes):
        lines = {name: (own, _beside(own, words, place), 0.0) for name, own in names.items()}
        axis = "cumulative incidence, %"
        found.append(_course(frame, cause.drawn, axis, lines, noised=noised))
    if frame.others:
        worse = words.better and "left"
        gaps = tuple(_bare(frame, difference(frame, curves, k), k) for k in frame.others)
        ratios = tuple(_bare(frame, ratio(frame, curves, k), k) for k in frame.others)
        found += [
            Forest(
                title=f"Difference in people {words.at} {frame.at(frame.named)}{label}",
                x_label=f"difference, {READ[SHARE_GAP]}",
                estimates=gaps,
                better=words.better,
            ),
            Forest(
                title=f"Hazard of {words.doing}{label}",
                x_label="hazard ratio",
                estimates=ratios,
                no_difference=1.0,
                better=worse,
            ),
        ]
    return tuple(found)


def _per_cent(own: Curves, fitted: Fitted, place: int) -> Estimate:
    """The share at the end `place`, as a reader sees it."""
    return estimate_in_per_cent(share_at(own, fitted, place))


def _bare(frame: Frame, e: Estimate, arm: int) -> Estimate:
    """The contrast under the arms' names alone: the figure says the rest."""
    return replace(e, label=frame.against(arm))


def _beside(own: Curves, words: Words, place: int) -> Fitted:
    """The curve of the cause that is told at `place` beside the main one."""
    return list(own.beside(words))[place][2]


def _short(key: str, said: str) -> str:
    """The words of a cause without the time: 'in therapy'."""
    return said.removesuffix(" by").removesuffix(" at") or key


def _course(
    frame: Frame, title: str, y_label: str, lines: dict[str, Line], *, noised: bool
) -> Course:
    """Steps from a public start; what cannot be told is NaN, which is not drawn."""
    series, at_risk, highest = {}, {}, 0.0
    for name, (own, fitted, start) in lines.items():
        told = [_per_cent(own, fitted, place) for place in range(len(frame.ends))]
        rows = [(e.value, e.low, e.high) for e in told]
        points = np.array([[math.nan if v is None else v for v in row] for row in rows])
        with_start = np.vstack([np.full(3, 100 * start), points]).T
        if not fitted.readable.any():
            with_start[:] = math.nan
        highest = max(highest, 100 * start, *(row[2] or 0.0 for row in rows))
        middle, low, high = (tuple(float(v) for v in row) for row in with_start)
        series[name] = {"middle": middle, "low": low, "high": high}
        at_risk[name] = _at_risk(own)
    return Course(
        title,
        frame.words.clock,
        y_label,
        (0.0, *frame.ends),
        series,
        band=f"{BAND}{', privacy noise included; numbers at risk are noised' if noised else ''}.",
        y_range=(0.0, min(max(STEP * math.ceil(highest / STEP), STEP), 100.0)),
        steps=True,
        at_risk=at_risk,
    )


def _at_risk(own: Curves) -> tuple[int | None, ...]:
    """The number still there at 0 and at each end, to a whole person; None where held back."""
    table = own.table
    return tuple(
        round(float(count)) if told else None
        for count, told in zip(table.at_risk, table.readable, strict=True)
    )
