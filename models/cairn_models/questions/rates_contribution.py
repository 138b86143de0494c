"""What one patient adds to a "rates" question, in words."""

from __future__ import annotations

from itertools import product
from typing import Final

import numpy as np

from cairn_models.contribution import MIXED, Contribution, listed, table
from cairn_models.questions.rates_estimates import Frame
from cairn_models.rates_table import RatesTable

STATES: Final = ("below caseness at first", "at caseness and still so", "recovered")
TURNS: Final = ("reliably worse", "no reliable change", "reliably better")


def contribution(frame: Frame, rates: RatesTable) -> Contribution:
    """The patient's course, in the slot of the patient's arm and level."""
    scales = listed(tuple(scale.name for scale in frame.scales))
    groups = [", ".join(filter(None, g)) for g in product(frame.arms, frame.levels or ("",))]
    cells = cell_names(rates)
    outcomes = listed(tuple(outcome.label for outcome in frame.outcomes))
    by = f", by {frame.by}" if frame.by else ""
    return Contribution(
        asked=f"In each arm{by}, the share of people with {outcomes} by week {frame.week:g}, on "
        f"{scales}.",
        who=f"Patients in the arms {listed(frame.arms)} with a score on {scales} at the start and "
        f"one within {frame.window:g} weeks of week {frame.week:g}. Everybody else adds zeros.",
        how="Each person is one of a table of people: own group, and which of these courses was "
        f"taken: {'; '.join(cells)}." + (f" {MIXED}" if rates.shaped else ""),
        slots=tuple(table(group, cells, rates.shaping) for group in groups),
    )


def cell_names(rates: RatesTable) -> tuple[str, ...]:
    """What the courses of each cell have in common, in words."""
    return tuple(_cell(np.flatnonzero(rates.place == cell)) for cell in range(rates.cells))


def _cell(courses: np.ndarray[tuple[int], np.dtype[np.intp]]) -> str:
    states, turns = sorted(set(courses // 3)), sorted(set(courses % 3))
    if len(states) * len(turns) != len(courses):
        return ", or ".join(f"{STATES[c // 3]} and {TURNS[c % 3]}" for c in courses)
    parts = []
    if len(states) < len(STATES):
        parts.append(listed(tuple(STATES[s] for s in states), "or"))
    if len(turns) < len(TURNS):
        parts.append(listed(tuple(TURNS[t] for t in turns), "or"))
    return ", ".join(parts) or "any course"
