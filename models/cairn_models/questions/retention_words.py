"""How the two dropouts are told."""

from __future__ import annotations

from cairn_models.questions.timed_words import Cause, Words


def measurement_words(
    instrument: str, unit: str, window: float, last: float, *, is_open: bool
) -> Words:
    """Of loss to measurement; `is_open`: people are admitted until records are read."""
    notes = [
        f"Estimand: among people with a {instrument} score, the share with one at a time or later, "
        f"or at most {window:.3g} {unit}s before. It takes for granted that all could have been "
        f"asked until {unit} {last:g}: let the window of entry close that long before records are "
        "read."
    ]
    if is_open:
        notes.append(
            "The study admits people until the day its records are read (no entry_until): whoever "
            f"entered less than {unit} {last:g} before counts as lost too early."
        )
    return Words(
        title="Measurement kept",
        key="kept",
        at="kept at",
        by="kept until",
        did="were kept",
        doing="leaving",
        mean="mean time kept",
        standing=f"At {{when}}, {{kept}} of {{who}} still gave {instrument} scores.",
        drawn=f"People who still gave {instrument} scores",
        axis="people kept, %, higher is better",
        better="right",
        clock=f"{unit}s since entry",
        notes=tuple(notes),
    )


def programme_words(unit: str) -> Words:
    """Of the end of use."""
    return Words(
        title="Use of the programme",
        key="kept",
        at="kept at",
        by="kept until",
        did="were kept",
        doing="leaving",
        mean="mean time kept",
        standing="By {when} from first use, {left} of {who} who started had left the programme "
        "and {completed} had completed it.",
        drawn="People who had not given up the programme",
        axis="people kept, %, higher is better",
        better="right",
        clock=f"{unit}s since first use",
        notes=(
            "Estimand: among people who started the programme, time from first to last use. "
            "'Kept' is Kaplan–Meier, where completing counts like being last seen; 'left' and "
            "'completed' are Aalen–Johansen incidences of the two ways to end. It knows only "
            "stops that the clinic recorded.",
        ),
        causes=(
            Cause("left", "left by", "People who had left the programme"),
            Cause("completed", "completed by", "People who had completed the programme"),
        ),
    )
