"""The answer to a "retention" question: courses, forests, and numbers at risk beside them."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

import numpy as np

from cairn_models.answers import Answer, Cell, Course, Estimate, Forest, Table
from cairn_models.life_table import Fitted, LifeTable
from cairn_models.questions.retention_estimates import (
    POINTS,
    SHARE,
    UNREADABLE,
    Curves,
    Frame,
    difference,
    filled,
    mean_difference,
    of_arm,
    ratio,
)

BAND: Final = "Bands are 95 % intervals at each time, privacy noise included."


def answer(frame: Frame, tables: tuple[LifeTable, ...], *, noised: bool) -> Answer:
    """The answer from one noised life table an arm; never a number that could not be told."""
    curves = tuple(Curves.of(table) for table in tables)
    others = [k for k in range(len(frame.arms)) if k != frame.reference]
    gaps = {k: difference(frame, curves, k) for k in others}
    ratios = {k: ratio(frame, curves, k) for k in others}
    means = [mean_difference(frame, curves, k) for k in others]
    label = frame.confounding.suffix if others else ""
    kind = "Use of the programme" if frame.event == "programme" else "Measurement kept"
    return Answer(
        question=frame.question,
        kind="retention",
        title=f"{kind} by arm{label}",
        sentences=tuple(_sentences(frame, curves, gaps, ratios)),
        estimates=(
            *gaps.values(),
            *ratios.values(),
            *means,
            *(e for k in range(len(curves)) for e in of_arm(frame, curves, k)),
        ),
        tables=(_table(frame, curves),),
        figures=_figures(frame, curves, gaps, ratios, label),
        notes=_notes(frame, curves, noised=noised),
    )


def _sentences(
    frame: Frame,
    curves: tuple[Curves, ...],
    gaps: dict[int, Estimate],
    ratios: dict[int, Estimate],
) -> list[str]:
    place, said = frame.named, []
    for k, own in enumerate(curves):
        who = frame.people(k)
        if own.kept.readable[place]:
            said.append(_standing(frame, own, who))
        else:
            said.append(f"Nothing can be said about {who} at {frame.at(place)}: {UNREADABLE}.")
    for k, gap in gaps.items():
        if gap.value is None or gap.low is None or gap.high is None:
            continue
        side = 1.0 if gap.value >= 0 else -1.0
        span = " to ".join(_one(v) for v in sorted((side * gap.low, side * gap.high)))
        noise = f", {100 * (gap.noise_share or 0):.0f} % of its variance privacy noise"
        said.append(
            f"Of {frame.people(k)}, {_one(abs(gap.value))} percentage points "
            f"{'more' if side > 0 else 'fewer'} were kept than of {frame.people(frame.reference)} "
            f"(95 % interval {span}{noise if gap.noise_share else ''})"
            f"{frame.confounding.suffix}."
        )
        times = ratios[k]
        if times.value is not None:
            said.append(
                f"Over all intervals their hazard of leaving was {times.value:.2f} times as high "
                f"({times.low:.2f} to {times.high:.2f})."
            )
    return said


def _standing(frame: Frame, own: Curves, who: str) -> str:
    """How many of one arm were still there at the named time, and how the others ended."""
    place, when = frame.named, frame.at(frame.named)

    def percent(fitted: Fitted) -> str:
        return f"{100 * min(max(float(fitted.value[place]), 0.0), 1.0):.0f} %"

    if own.left is None or own.completed is None:
        return f"At {when}, {percent(own.kept)} of {who} still gave {frame.instrument} scores."
    return (
        f"By {when} from first use, {percent(own.left)} of {who} who started had left the "
        f"programme and {percent(own.completed)} had completed it."
    )


def _one(value: float) -> str:
    return f"{round(value, 1) + 0.0:.1f}".replace("-", "−")


def _table(frame: Frame, curves: tuple[Curves, ...]) -> Table:
    competing = any(own.completed is not None for own in curves)
    rows: list[tuple[Cell, ...]] = []
    for name, own in zip(frame.arms, curves, strict=True):
        for place in range(len(frame.ends) + 1):
            shown = bool(own.table.readable[place])
            count = round(float(own.table.at_risk[place])) if shown else None
            time = frame.ends[place - 1] if place else 0.0
            kept = _ends(own.kept, place - 1) if place else (None,) * 3
            cells: tuple[Cell, ...] = (name, time, count, *kept)
            if competing:
                parts = [_ends(f, place - 1)[0] if f and place else None for f in _ways(own)]
                cells = (*cells, *parts)
            rows.append((*cells, "" if shown else UNREADABLE))
    spread = max(float(own.table.at_risk_sd.max()) for own in curves)
    return Table(
        title="By arm and time",
        columns=(
            "arm",
            frame.clock,
            "number at risk (noised)",
            "kept, %",
            "from",
            "to",
            *(("left, %", "completed, %") if competing else ()),
            "why not shown",
        ),
        rows=tuple(rows),
        note=f"95 % intervals. Numbers at risk are noised and may be off by {2 * spread:.0f} "
        "either way.",
    )


def _ways(own: Curves) -> tuple[Fitted | None, Fitted | None]:
    return own.left, own.completed


def _ends(fitted: Fitted, place: int) -> tuple[float | None, float | None, float | None]:
    """Value, low, high in per cent; Nones where it cannot be told."""
    e = filled(Estimate("", "", None), fitted, place, 0.0, limits=SHARE)
    return e.value, e.low, e.high


def _figures(
    frame: Frame,
    curves: tuple[Curves, ...],
    gaps: dict[int, Estimate],
    ratios: dict[int, Estimate],
    label: str,
) -> tuple[Course | Forest, ...]:
    names = dict(zip(frame.arms, curves, strict=True))
    figures: list[Course | Forest] = [
        _course(
            frame,
            f"People {frame.kept}",
            "people kept, %, higher is better",
            {name: (own.kept, 1.0) for name, own in names.items()},
        )
    ]
    if any(own.completed is not None for own in curves):
        lines = {
            f"{name}: {word}": (fitted, 0.0)
            for name, own in names.items()
            for word, fitted in zip(("left", "completed"), _ways(own), strict=True)
            if fitted is not None
        }
        title = "How use of the programme ended"
        figures.append(_course(frame, title, "cumulative incidence, %", lines))
    if gaps:
        when = frame.at(frame.named)
        figures.append(
            Forest(
                title=f"Difference in people kept at {when}{label}",
                x_label=f"difference, {POINTS}",
                estimates=_short(frame, gaps),
                better="right",
            )
        )
        figures.append(
            Forest(
                title=f"Hazard of leaving{label}",
                x_label="hazard ratio",
                estimates=_short(frame, ratios),
                no_difference=1.0,
                better="left",
            )
        )
    return tuple(figures)


def _short(frame: Frame, contrasts: dict[int, Estimate]) -> tuple[Estimate, ...]:
    """The contrasts under the arms' names alone: the figure says the rest."""
    return tuple(replace(e, label=frame.against(arm)) for arm, e in contrasts.items())


def _course(
    frame: Frame, title: str, y_label: str, lines: dict[str, tuple[Fitted, float]]
) -> Course:
    """Lines from a public start; what cannot be told is NaN, which is not drawn."""
    series = {}
    for name, (fitted, start) in lines.items():
        points = [_ends(fitted, place) for place in range(len(frame.ends))]
        told = np.array([[math.nan if v is None else v for v in p] for p in points])
        with_start = np.vstack([np.full(3, 100 * start), told]).T
        if not fitted.readable.any():
            with_start[:] = math.nan
        middle, low, high = (tuple(float(v) for v in row) for row in with_start)
        series[name] = {"middle": middle, "low": low, "high": high}
    times = (0.0, *frame.ends)
    return Course(title, frame.clock, y_label, times, series, band=BAND, y_range=(0.0, 100.0))


def _notes(frame: Frame, curves: tuple[Curves, ...], *, noised: bool) -> tuple[str, ...]:
    if frame.event == "programme":
        estimand = (
            "Estimand: among people who started the programme, time from first to last use. "
            "'Kept' is Kaplan–Meier, where completing counts like being last seen; 'left' and "
            "'completed' are Aalen–Johansen incidences of the two ways to end. It knows only "
            "stops that the clinic recorded."
        )
    else:
        estimand = (
            f"Estimand: among people with a {frame.instrument} score, the share with one at a time "
            f"or later, or at most {frame.window:.3g} {frame.unit}s before. It takes for granted "
            f"that all could have been asked until {frame.at(-1)}: let the window of entry close "
            "that long before records are read."
        )
    notes = [
        estimand,
        f"Time is cut at {', '.join(f'{end:g}' for end in frame.ends)} {frame.unit}s; hazards are "
        "of an interval, their ratio is one number over all intervals, and the mean time takes "
        "the curve as straight between cuts.",
    ]
    if frame.event == "measurement" and frame.window_of_entry_open:
        notes.append(
            "The study admits people until the day its records are read (no entry_until): whoever "
            f"entered less than {frame.at(-1)} before counts as lost too early."
        )
    if frame.synthetic:
        notes.insert(0, "Synthetic data: these are not people.")
    if frame.confounding.note and len(frame.arms) > 1:
        notes.append(frame.confounding.note)
    if noised:
        notes.append(
            "Intervals count the privacy noise through the whole cumulation. Nothing is smoothed: "
            "noise can make a curve rise a little."
        )
    if not all(own.table.readable.all() for own in curves):
        notes.append(
            f"A curve stops before fewer than {frame.fewest} people are still there by the noised "
            "number, or fewer than three standard deviations of that number's noise."
        )
    return tuple(notes)
