"""Which of nine courses a patient took, by the NHS Talking Therapies rules of reliable change.

First and last totals are compared on every scale that the study names, PHQ-9 and GAD-7 as a rule:

- *caseness*: the first total is at or above the caseness threshold on at least one scale;
- *recovery*: at caseness first, and last below the threshold on every scale;
- *reliable improvement*: at least one scale fell by its reliable change or more, and none rose by
  as much; *reliable deterioration*: the same with fell and rose exchanged. Whoever improved on one
  and worsened on another did neither;
- *reliable recovery*: recovery and reliable improvement together.

Improvement and deterioration are counted among all who were assessed; both recoveries among those
at caseness first. Someone may recover and deteriorate (PHQ-9 10 → 9, GAD-7 0 → 4). Thresholds are
whole numbers and so are the totals on a form: pro-rated totals are rounded first, halves up.

Source: NHS England, NHS Talking Therapies manual, 'outcomes'; Gyani et al. 2013, Behav Res Ther
51:597, which counts reliable deterioration alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cairn_models.measures import Instrument

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

COURSES: Final = 9  # 3 × (well first, still at caseness, recovered) + (worse, same, better)
_STATE: Final = np.arange(COURSES) // 3
_TURN: Final = np.arange(COURSES) % 3
_NOT_A_CASE, _STILL_A_CASE, _RECOVERED = range(3)
_WORSE, _SAME, _BETTER = range(3)


@dataclass(frozen=True)
class Outcome:
    """One rate: the courses that count as having it, among the courses that are counted.

    `phrase` completes 'people had …'; `typical` is its public rate for planning, from NHS guided
    computerised self-help 2024-25 (14,316 courses).
    """

    name: str
    phrase: str
    having: Mask
    counted: Mask
    is_good: bool
    typical: float

    @property
    def label(self) -> str:
        """The outcome's name in words."""
        return self.name.replace("_", " ")

    @property
    def of_cases(self) -> bool:
        """Whether only people at caseness first are counted."""
        return not bool(self.counted.all())


_EVERYBODY: Final = np.ones(COURSES, dtype=np.bool_)
_CASES: Final = _STATE != _NOT_A_CASE
OUTCOMES: Final = {
    outcome.name: outcome
    for outcome in (
        Outcome(
            "reliable_improvement",
            "reliably improved",
            _TURN == _BETTER,
            _EVERYBODY,
            is_good=True,
            typical=0.475,
        ),
        Outcome(
            "reliable_deterioration",
            "reliably deteriorated",
            _TURN == _WORSE,
            _EVERYBODY,
            is_good=False,
            typical=0.07,
        ),
        Outcome(
            "recovery",
            "recovered",
            _STATE == _RECOVERED,
            _CASES,
            is_good=True,
            typical=0.418,
        ),
        Outcome(
            "reliable_recovery",
            "reliably recovered",
            (_STATE == _RECOVERED) & (_TURN == _BETTER),
            _CASES,
            is_good=True,
            typical=0.363,
        ),
    )
}


def has_thresholds(instrument: Instrument) -> bool:
    """Whether caseness and reliable change are known for `instrument`."""
    return instrument.caseness is not None and instrument.reliable_change is not None


def courses(first: Array, last: Array, scales: Sequence[Instrument]) -> NDArray[np.int64]:
    """(N,) the course, 0 to 8, of each patient.

    Args:
        first: (N, scales) totals in points, all there.
        last: (N, scales) likewise.
        scales: what each column measures; higher is worse, and `has_thresholds`.
    """
    caseness = np.array([scale.caseness for scale in scales], dtype=np.float64)
    reliable = np.array([scale.reliable_change for scale in scales], dtype=np.float64)
    before, after = _as_on_a_form(first), _as_on_a_form(last)
    fell = (before - after >= reliable).any(axis=1)
    rose = (after - before >= reliable).any(axis=1)
    was_case = (before >= caseness).any(axis=1)
    is_case = (after >= caseness).any(axis=1)
    turn = np.where(fell & ~rose, _BETTER, np.where(rose & ~fell, _WORSE, _SAME))
    state = np.where(was_case, np.where(is_case, _STILL_A_CASE, _RECOVERED), _NOT_A_CASE)
    return np.asarray(3 * state + turn, dtype=np.int64)


def _as_on_a_form(totals: Array) -> Array:
    return np.floor(totals + 0.5)
