"""How long people wait for the therapy that they are listed for: a description's part `waits`.

**Estimand.** Of everybody who entered, the share whose therapy had begun by week w: a cumulative
incidence. Who was moved to more intensive care before stays among those who entered and never
begins; who has done neither by the last week is *still waiting*. A quantile is the week by which
that share of everybody had begun, not of those only who did, so it may not be reached. It takes
everybody for followed up to the last week: records carry no date on which they were read.

**Shown.** Bars that are a small group are held back together with neighbours (`bars`). A share
begun by a week is held back inside such a run, where, with the bars, one of them would follow.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from cairn_models.answers import SHARE, Cell, Estimate, Table
from cairn_models.description.bars import Bar, drawn, shares
from cairn_models.description.baseline import NOT_REACHED, WOULD_TELL, quantiles
from cairn_models.description.blocks import Cells
from cairn_models.description.counts import Counts
from cairn_models.description.quantiles import Bins
from cairn_models.description.reading import ByArm, Frame, Reading, Section
from cairn_models.description.told import TOO_FEW, at, percent, share, whole
from cairn_models.questions.effect_frame import PEOPLE

WAITS: Final = "wait"
MOST_BINS: Final = 24
MOST_BARS: Final = 6
BAR: Final = MOST_BINS // MOST_BARS
BEYOND: Final = 2  # cells beside the bins: stepped up first, still waiting
QUANTILES: Final = {"lower-quartile": 0.25, "median": 0.5, "upper-quartile": 0.75, "90th": 0.9}


@dataclass(frozen=True)
class Told:
    """Everything about the wait, a tuple of arms each."""

    weeks: tuple[float, ...]
    begun: tuple[ByArm, ...]
    bars: tuple[ByArm, ...]
    stepped_up: ByArm
    waiting: ByArm
    quantiles: tuple[ByArm, ...]


def bins_of(longest: int) -> Bins:
    """Bins by whose end therapy has begun: at entry, week 1, 2, … `longest`, or wider steps."""
    step = float(-(-longest // MOST_BINS))
    return Bins(0.0, step, int(-(-longest // step)) + 1)


def bars_of(bins: Bins) -> tuple[tuple[Bar, ...], tuple[float, ...]]:
    """Bars of the bins, the two other cells after them, and the bars' edges."""
    place = np.arange(bins.number + BEYOND)
    last = bins.number - 1
    width = -(-last // MOST_BARS)
    ends = [*range(width, last, width), last]
    bars = []
    for before, end in zip([-1, *ends], ends, strict=False):
        low, high = (float(v) for v in bins.value(np.array([max(before, 0), end])))
        words = f"therapy began after {low:g} to {high:g} weeks"
        bars.append(Bar(f"{low:g}-to-{high:g}", words, (place > before) & (place <= end)))
    longest = float(bins.value(np.array([last]))[0])
    bars.append(Bar("stepped-up", "moved to more intensive care first", place == bins.number))
    bars.append(Bar("still", f"still waiting at week {longest:g}", place == bins.number + 1))
    return tuple(bars), (0.0, *(float(v) for v in bins.value(np.array(ends))))


def section(reading: Reading, block: Cells) -> Section:
    """The wait by arm: quantiles, histogram, share begun by week."""
    frame = reading.frame
    counts, (bars, edges) = reading.counts(block), bars_of(frame.waits)
    told = _read(counts, frame, bars, edges)
    figure = drawn(
        "Weeks from entry to the start of therapy, of everybody who entered",
        "weeks since entry",
        edges,
        (*told.bars, told.waiting),
        frame.arms,
        beyond="still waiting",
    )
    every = (*told.quantiles, *told.begun, *told.bars, told.stepped_up, told.waiting)
    return Section(
        about="waits",
        estimates=tuple(e for row in every for e in row),
        sentences=tuple(_sentences(frame, told)),
        tables=(_table(frame, told),),
        figures=(figure,) if figure else (),
        notes=tuple(_notes(frame, edges[-1])),
    )


def _read(counts: Counts, frame: Frame, bars: Sequence[Bar], edges: tuple[float, ...]) -> Told:
    rows = shares(counts, bars, frame.arms, stem=WAITS, label="of those who entered")
    return Told(
        weeks=edges[1:],
        begun=_begun(counts, frame, bars, rows, edges[1:]),
        bars=rows[:-BEYOND],
        stepped_up=rows[-2],
        waiting=rows[-1],
        quantiles=quantiles(
            counts,
            frame.waits,
            QUANTILES,
            frame.arms,
            stem=WAITS,
            label="weeks by which therapy had begun, of everybody who entered",
            unit="weeks",
        ),
    )


def _begun(
    counts: Counts,
    frame: Frame,
    bars: Sequence[Bar],
    shown: Sequence[ByArm],
    weeks: tuple[float, ...],
) -> tuple[ByArm, ...]:
    """The share that had begun by the end of each bar, beside the bars that are `shown`."""
    hidden = np.array([[e.value is None for e in row] for row in shown])  # (bars, arms)
    rows = []
    for place, week in enumerate(weeks):
        having = np.logical_or.reduce([bar.places for bar in bars[: place + 1]])
        found, row = counts.share(having), []
        for k, arm in enumerate(frame.arms):
            words = f"therapy had begun by week {week:g}: {arm}"
            blank = Estimate(f"{WAITS}-begun-by-{week:g}-{arm}", words, None, unit=SHARE)
            if not found.readable[k] or counts.of(having)[k] < counts.least(having):
                row.append(replace(blank, suppressed=TOO_FEW))
            elif hidden[place, k] and hidden[place + 1, k]:  # inside a run of hidden bars
                row.append(replace(blank, suppressed=WOULD_TELL))
            else:
                row.append(share(blank, at(found, (k,))))
        rows.append(tuple(row))
    return tuple(rows)


def _sentences(frame: Frame, told: Told) -> Iterator[str]:
    for k, arm in enumerate(frame.arms):
        who = PEOPLE.get(arm, f"people in arm “{arm}”")
        median, waiting = told.quantiles[1][k], told.waiting[k]
        said = []
        if median.value is not None and median.low is not None and median.high is not None:
            said.append(
                f"half had begun therapy by week {median.value:g} (95 % interval {median.low:g} to "
                f"{median.high:g})"
            )
        elif median.suppressed == NOT_REACHED:
            said.append(f"fewer than half had begun therapy by week {told.weeks[-1]:g}")
        if waiting.value is not None:
            said.append(f"{percent(waiting)} were still waiting at week {told.weeks[-1]:g}")
        if said:
            yield f"Of {who}, {' and '.join(said)}."


def _table(frame: Frame, told: Told) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (f"{name.replace('-', ' ')}{' percentile' if name[0].isdigit() else ''}, weeks", *cells)
        for name, row in zip(QUANTILES, told.quantiles, strict=True)
        for cells in [map(whole, row)]
    ]
    for week, row in zip(told.weeks, told.begun, strict=True):
        rows.append((f"therapy had begun by week {week:g}", *map(percent, row)))
    rows.append(("moved to more intensive care first", *map(percent, told.stepped_up)))
    rows.append((f"still waiting at week {told.weeks[-1]:g}", *map(percent, told.waiting)))
    return Table(
        title="How long people waited for therapy",
        columns=("of everybody who entered", *frame.arms),
        rows=tuple(rows),
        note="Quantiles are of everybody who entered, also of those who were still waiting.",
    )


def _notes(frame: Frame, longest: float) -> Iterator[str]:
    yield (
        "Waits are of everybody who entered: the week by which a half of them had begun therapy, "
        "not a half of those who did. People moved to more intensive care first stay in all shares "
        f"and never begin. An end of an interval at week {longest:g} means that week or later."
    )
    if frame.window_of_entry_open:
        yield (
            "The study names no last day of entry: people who entered lately count as still "
            "waiting, so that waits look longer than they are."
        )
