"""The answer to a "describe" question: what is asked, in sentences, tables, figures and notes.

Parts of the baseline table are told here; `programme`, `waits` and `minutes` tell their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from cairn_models.answers import Answer
from cairn_models.description.reading import Frame, Reading
from cairn_models.description.stages import measured
from cairn_models.description.told import point, with_interval
from cairn_models.questions.describe_tables import figures, tables
from cairn_models.questions.describe_told import Told, read
from cairn_models.questions.effect_frame import PEOPLE

IMBALANCE: Final = 0.1  # a standardised difference from which arms are commonly called unlike


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
        tables=(*tables(frame, told), *(table for s in sections for table in s.tables)),
        figures=(*figures(frame, told), *(figure for s in sections for figure in s.figures)),
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
    if frame.left_out:
        yield (
            f"Variables not described: {', '.join(frame.left_out)}. They name a clinic, and of one "
            "clinic's patients nobody is told."
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
