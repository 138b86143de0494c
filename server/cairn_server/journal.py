"""`Journal`: what a run must remember to go on after its process was killed.

Every sum that was opened is kept, so a question's state is rebuilt by replaying sums, never by
asking again; every attempt is counted before it is asked, so none is repeated under one number.
Sums that were opened are releases already: keeping them reveals nothing more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from cairn_protocol.errors import InputError
from cairn_protocol.mark import Mark
from cairn_protocol.messages import RoundRecord

Total = NDArray[np.int64]


class Unavailable(InputError):
    """What is remembered cannot be read or written now; it says nothing of the run."""


@dataclass(frozen=True)
class Incident:
    """What the research team should know of one clinic; `text` is a sentence without its name.

    `kind`: it "left" the run for good, or is "blamed" for shares that were not as promised.
    """

    kind: Literal["left", "blamed"]
    clinic: str
    text: str


class Journal(Protocol):
    """One run's memory. Every method that records is durable when it returns."""

    def next_setup(self) -> int:
        """The number of a new set-up of keys, from 0; never given twice."""
        ...

    def next_attempt(self, question: str, round_: int) -> int:
        """The number of a new attempt at a round, from 0; never given twice."""
        ...

    def attempts(self, question: str) -> int:
        """Attempts so far at all rounds of a question: what its clinics may have charged."""
        ...

    def retries(self, question: str, round_: int) -> int | None:
        """Attempts beyond the first in the whole run, if this round was attempted; else None."""
        ...

    def opened(self, question: str, round_: int, total: Total, record: RoundRecord) -> None:
        """Remember the sum of a finished round and the record that the next one follows."""
        ...

    def total(self, question: str, round_: int) -> Total | None:
        """The sum of a finished round; None if it is not finished."""
        ...

    def records(self) -> list[RoundRecord]:
        """The records of all finished rounds, in the order in which they were opened."""
        ...

    def marks(self) -> list[Mark]:
        """Where clinics stood at the end of other runs, oldest first."""
        ...

    def letters(self, draw: Callable[[], dict[str, str]]) -> dict[str, str]:
        """The arms' letters in this run: what was drawn when they were first asked for."""
        ...

    def note(self, incident: Incident) -> None:
        """Remember an incident."""
        ...

    def incidents(self) -> list[Incident]:
        """All incidents, in order."""
        ...


class MemoryJournal:
    """A journal that dies with its process: for the embedded engine and tests."""

    def __init__(self) -> None:
        self._setups = 0
        self._attempts: dict[tuple[str, int], int] = {}
        self._totals: dict[tuple[str, int], Total] = {}
        self._records: list[RoundRecord] = []
        self._incidents: list[Incident] = []
        self._letters: dict[str, str] | None = None

    def next_setup(self) -> int:
        self._setups += 1
        return self._setups - 1

    def next_attempt(self, question: str, round_: int) -> int:
        number = self._attempts.get((question, round_), 0)
        self._attempts[question, round_] = number + 1
        return number

    def attempts(self, question: str) -> int:
        return sum(n for (name, _), n in self._attempts.items() if name == question)

    def retries(self, question: str, round_: int) -> int | None:
        if (question, round_) not in self._attempts:
            return None
        return sum(self._attempts.values()) - len(self._attempts)

    def opened(self, question: str, round_: int, total: Total, record: RoundRecord) -> None:
        self._totals[question, round_] = total
        self._records.append(record)

    def total(self, question: str, round_: int) -> Total | None:
        return self._totals.get((question, round_))

    def records(self) -> list[RoundRecord]:
        return list(self._records)

    def marks(self) -> list[Mark]:
        return []

    def letters(self, draw: Callable[[], dict[str, str]]) -> dict[str, str]:
        if self._letters is None:
            self._letters = draw()
        return self._letters

    def note(self, incident: Incident) -> None:
        self._incidents.append(incident)

    def incidents(self) -> list[Incident]:
        return list(self._incidents)
