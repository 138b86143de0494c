"""T1, `pulls`: how far each hostile patient moves a clinic's sum, with the noise off.

Exact: norms are of integers, so what is above the bound is a fault and no chance. What it cannot
show is a patient whom nobody thought of; that no such patient exists is proved in
docs/privacy-accounting.md §1, for rows that depend on their own patient alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from cairn_protocol.errors import CairnError

Steps = NDArray[np.int64]
Cohort = TypeVar("Cohort")
State = TypeVar("State")
RECORDS: Final = "records"
BLIND: Final = 0.5  # of the bound: a largest pull below it has tested nothing


@dataclass(frozen=True)
class Pull:
    """How far `patient`, by `way`, moved the sum over the clinic `background` at `state`.

    `share` is in bounds: 1 is all that is allowed, infinite where the clinic stopped answering.
    """

    way: str
    patient: str
    background: str
    state: str
    share: float
    within: bool


@dataclass(frozen=True)
class Source(Generic[Cohort, State]):
    """A way in which patients reach a sum.

    Args:
        way: its name; `RECORDS` goes through the question's own code.
        total: a clinic's clamped integer sum without noise, by its cohort and the public state.
        joined: two cohorts as one clinic's.
        backgrounds: clinics without a hostile patient, by name.
        patients: one hostile patient each, by name.
        states: public states by name; the server chooses the later ones of a question.
    """

    way: str
    total: Callable[[Cohort, State], Steps]
    joined: Callable[[Cohort, Cohort], Cohort]
    backgrounds: Mapping[str, Cohort]
    patients: Mapping[str, Cohort]
    states: Mapping[str, State]


def pulls(source: Source[Cohort, State], grid: int) -> Iterator[Pull]:
    """Every hostile patient over every background at every state; S = `grid` is allowed."""
    for place, background in source.backgrounds.items():
        before = {name: source.total(background, state) for name, state in source.states.items()}
        for who, patient in source.patients.items():
            clinic = source.joined(background, patient)
            for name, state in source.states.items():
                try:
                    squared = _squared(source.total(clinic, state), before[name])
                except CairnError:  # silence tells that the patient is there
                    yield Pull(source.way, who, place, name, math.inf, within=False)
                    continue
                share = math.sqrt(squared) / grid
                yield Pull(source.way, who, place, name, share, within=squared <= grid**2)


def _squared(after: Steps, before: Steps) -> int:
    return sum(z * z for z in (after - before).tolist())
