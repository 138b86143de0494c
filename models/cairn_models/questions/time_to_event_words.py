"""How deterioration and step-up are told."""

from __future__ import annotations

from cairn_models.measures import Instrument
from cairn_models.questions.timed_words import Cause, Words


def deterioration_words(instrument: Instrument, unit: str) -> Words:
    """Of the first reliable deterioration."""
    rise = f"{instrument.reliable_change:g} points or more"
    return Words(
        title="Reliable deterioration",
        key="deteriorated",
        at="deteriorated by",
        by="deteriorated by",
        did="had deteriorated",
        doing="deteriorating",
        mean="mean time without deterioration",
        standing="By {when}, {deteriorated} of {who} had reliably deteriorated.",
        drawn="People who had reliably deteriorated",
        axis="cumulative incidence, %, lower is better",
        better="left",
        clock=f"{unit}s since entry",
        notes=(
            f"Estimand: among people with a {instrument.name} score at the start and one later, "
            f"the share whose score had ever been higher than at the start by {rise}. It counts "
            "the first such score, also of people who were better again later.",
            "Deterioration is seen only where a score is taken. Whoever has not deteriorated "
            "counts until their last score, as if people without a score later had fared like "
            "those who have one; if people who get worse stop answering, the shares are too low. "
            "Arms that are asked more often have more occasions to be seen worse.",
        ),
    )


def step_up_words(
    instrument: str, unit: str, window: float, last: float, *, is_open: bool
) -> Words:
    """Of a move to more intensive care; `is_open`: people are admitted until records are read."""
    notes = [
        f"Estimand: among people with a {instrument} score, the share who were moved to more "
        "intensive care or referred urgently before they started the therapy that they waited for "
        "and before measurement was lost: cumulative incidence in the presence of both "
        "(Aalen–Johansen), not what would be if nobody started or was lost. Hazards and their "
        "ratio are of this cause alone.",
        f"Measurement is lost when no score was given for {window:.3g} {unit}s. All are taken to "
        f"have been observable until {unit} {last:g}: let the window of entry close that long "
        "before records are read. Only what the clinic recorded is known.",
    ]
    if is_open:
        notes.append(
            "The study admits people until the day its records are read (no entry_until): whoever "
            f"entered less than {unit} {last:g} before counts as lost too early."
        )
    return Words(
        title="Moves to more intensive care",
        key="stepped_up",
        at="stepped up by",
        by="stepped up by",
        did="had been stepped up",
        doing="being stepped up",
        mean="mean time waiting and in touch",
        standing="By {when}, {stepped_up} of {who} had been moved to more intensive care or "
        "referred urgently; {therapy_started} had started therapy before, and {lost} were no "
        "longer measured.",
        drawn="People moved to more intensive care",
        axis="cumulative incidence, %",
        better="",
        clock=f"{unit}s since entry",
        notes=tuple(notes),
        causes=(
            Cause("therapy_started", "in therapy by", "People who had started therapy"),
            Cause("lost", "lost to measurement by", "People lost to measurement"),
        ),
        untouched="waiting and in touch at",
    )
