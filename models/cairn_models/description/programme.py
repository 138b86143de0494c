"""How far people came with a programme: the answer of a description's part `programme`.

**Two parts.** Taking a programme up and using it on are told apart: the share that started, among
people to whom it was offered, and the mean number of active weeks, among people who started.

**Funnel.** offered → started → in use at the asked weeks → completed → completed and assessed. Each
stage holds all later ones: completing counts as being in use at every week. *Assessed* is also told
among all who were offered, since who gives up a programme may still answer questionnaires.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from cairn_models.answers import SHARE, Estimate, Table
from cairn_models.description.blocks import Cells, Number
from cairn_models.description.counts import Counts
from cairn_models.description.funnels import FEW_LOST, drawn, funnel, people
from cairn_models.description.reading import ByArm, Frame, Reading, Section
from cairn_models.description.stages import Stage, used
from cairn_models.description.told import TOO_FEW, at, mean, percent, share, whole, with_interval
from cairn_models.questions.effect_frame import PEOPLE

FUNNEL = "programme"
ACTIVE = "active-weeks"


def section(reading: Reading, cells: Cells, number: Number) -> Section:
    """Both parts, for the arms that have a programme."""
    frame = reading.frame
    counts = reading.counts(cells)
    steps = used(frame.use.weeks, frame.weeks[-1])
    offered = people(counts, "offered", "people offered a programme", frame.arms)
    rows = funnel(counts, FUNNEL, steps, frame.arms, frame.fewest)
    assessed = _assessed(counts, frame)
    active = _active(reading, number)
    arms = {frame.arms[k]: k for k in frame.use.arms}
    figure = drawn(
        "How far people came with a programme, of those offered one",
        [stage.words for stage in steps],
        rows,
        arms,
    )
    every = [*[offered], *rows, assessed, active]
    return Section(
        about="use of a programme",
        estimates=tuple(row[k] for row in every for k in frame.use.arms),
        sentences=tuple(_sentences(frame, rows, active)),
        tables=(_table(frame, steps, rows, (offered, assessed, active)),),
        figures=(figure,) if figure else (),
        notes=(
            "The programme's funnel is of people to whom one was offered, whichever arm they are "
            "in, where that arm has one. In use at a week: last used so many weeks after first use "
            "or later, or completed. An active week is one with a log-in or a module, of the first "
            f"{frame.use.most_weeks} since first use; who began late may have had fewer to use.",
        ),
    )


def _assessed(counts: Counts, frame: Frame) -> ByArm:
    """The share of people offered a programme who were assessed, whatever they did with it."""
    place = np.arange(counts.places)
    having = place % 2 == 1
    apart = (having & (place < counts.places - 1), ~having)  # which would follow from what is shown
    found, row = counts.share(having), []
    for k, arm in enumerate(frame.arms):
        words = f"assessed at week {frame.weeks[-1]:g}, of all offered: {arm}"
        blank = Estimate(f"{FUNNEL}-assessed-{arm}", words, None, unit=SHARE)
        if not found.readable[k] or counts.of(having)[k] < counts.least(having):
            row.append(replace(blank, suppressed=TOO_FEW))
        elif any(counts.of(rest)[k] < frame.fewest for rest in apart):
            row.append(replace(blank, suppressed=FEW_LOST))
        else:
            row.append(share(blank, at(found, (k,))))
    return tuple(row)


def _active(reading: Reading, number: Number) -> ByArm:
    frame, means = reading.frame, reading.means(number)
    words = f"active weeks of the first {frame.use.most_weeks}, mean of those who started"
    return tuple(
        mean(
            Estimate(f"{ACTIVE}-mean-{arm}", f"{words}: {arm}", None, unit="weeks"),
            number,
            means,
            k,
        )
        for k, arm in enumerate(frame.arms)
    )


def _sentences(frame: Frame, rows: tuple[ByArm, ...], active: ByArm) -> Iterator[str]:
    for k in frame.use.arms:
        who = PEOPLE.get(frame.arms[k], f"people in arm “{frame.arms[k]}”")
        started, completed = rows[1][k], rows[-2][k]
        said = [
            f"{percent(e)} {words}"
            for e, words in ((started, "started it"), (completed, "completed it"))
            if e.value is not None
        ]
        if (weeks := active[k]).value is not None and weeks.low is not None:
            said.append(
                f"who started used it in {weeks.value:.1f} of the first {frame.use.most_weeks} "
                f"weeks (95 % interval {weeks.low:.1f} to {weeks.high:.1f})"
            )
        if said:
            yield f"Of {who}, {'; '.join(said)}."


def _table(
    frame: Frame, steps: tuple[Stage, ...], rows: tuple[ByArm, ...], more: tuple[ByArm, ...]
) -> Table:
    """`more`: people offered a programme, the share assessed, active weeks."""
    offered, assessed, active = more
    arms, own = frame.use.arms, frame.weeks[-1]
    count = [whole(offered[k]) for k in arms]
    shown = [
        (stage.words, *(percent(row[k]) for k in arms))
        for stage, row in zip(steps, rows, strict=True)
    ]
    return Table(
        title="How far people came with a programme",
        columns=("stage", *(f"{frame.arms[k]}, share of those offered" for k in arms)),
        rows=(
            ("people offered a programme (noised)", *count),
            *shown,
            (f"assessed at week {own:g}, of all offered", *(percent(assessed[k]) for k in arms)),
            ("active weeks of those who started, mean", *(with_interval(active[k]) for k in arms)),
        ),
        note="Whoever completed counts as in use at every week.",
    )
