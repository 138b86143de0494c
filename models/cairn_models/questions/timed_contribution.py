"""What one patient adds to a question until an event, in words."""

from __future__ import annotations

from typing import Final

from cairn_models.contribution import MIXED, Contribution, listed, table
from cairn_models.life_table import Grid
from cairn_models.questions.timed_words import Words
from cairn_models.shaping import Shaping
from cairn_models.ways import Ways

WAYS: Final = {
    "left": "left",
    "completed": "completed",
    "deteriorated": "got reliably worse",
    "stepped_up": "moved to more intensive care",
    "therapy_started": "therapy began",
    "lost": "no longer measured",
}
LAST_SEEN: Final = "last seen"


def contribution(
    grid: Grid, shaping: Shaping, arms: tuple[str, ...], words: Words, unit: str
) -> Contribution:
    """In which interval, and how, the patient's course ended, in the slot of the patient's arm."""
    names = cell_names(grid.ends, grid.ways, unit)
    slots = tuple(table(arm, names, shaping) for arm in arms)
    mixed = any(slot.mix is not None for slot in slots)
    return Contribution(
        asked=f"{words.title}: how many people, by arm and time ({words.clock}), up to {unit} "
        f"{grid.ends[-1]:g}.",
        who=f"Patients in the arms {listed(arms)} whose records say when it began and when they "
        "were last seen. Everybody else adds zeros.",
        how=f"Each person is one of a table of people: own arm, and one of {len(names)} ways in "
        "which the course can have ended." + (f" {MIXED}" if mixed else ""),
        slots=slots,
    )


def cell_names(ends: tuple[float, ...], ways: Ways, unit: str) -> tuple[str, ...]:
    """Each cell of an arm's life table: interval by interval, way by way, then those beyond."""
    kinds = [WAYS[cause] for cause in ways.causes] + [LAST_SEEN] * ways.last_seen
    spans = zip((0.0, *ends), ends, strict=False)
    inside = [f"{kind}, {unit} {a:g} to {b:g}" for a, b in spans for kind in kinds]
    return (*inside, f"still there, or seen without it, beyond {unit} {ends[-1]:g}")
