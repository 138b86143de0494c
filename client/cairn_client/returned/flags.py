"""`flags_of`: whose last score lies above what the model expected; by day, each with its basis.

**Not on track**: the last score of a scale is above the 80 % band that the model gave for that week
from scores of earlier weeks, from as long before as it may foretell. One in ten who are on track
would be flagged by chance. A flag asks a named reviewer to look at the person's notes; it says
nothing about what to do, and no flag says nothing at all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Final

from cairn_client.returned.acknowledged import Acknowledgement
from cairn_client.returned.persons import Nine, Person, by_day, day_of

if TYPE_CHECKING:
    from cairn_client.returned.expected import Expectations, Expected  # imports torch
    from cairn_models.export.card import Scale

DEFINITION: Final = (
    "Not on track: the last score is above the 80 % band that the model expected for that week "
    "from earlier scores. About one in ten people who are on track is flagged by chance; who is "
    "not flagged may be unwell all the same."
)
ASK: Final = (
    "A named reviewer is asked to look at this person's notes, and to acknowledge having done so."
)


@dataclass(frozen=True)
class Flag:
    """A score that is above what was expected; `day` is that of the score."""

    id: str
    patient: str
    scale: str
    day: date | None
    week: float
    value: float
    low: float
    high: float
    basis: str
    nine: Nine | None
    acknowledged: Acknowledgement | None = None


def flags_of(
    expected: Expectations,
    persons: Iterable[Person],
    study: bytes,
    acknowledged: dict[str, Acknowledgement],
) -> list[Flag]:
    """Every flag, the last assessed first."""
    found = (
        flag
        for person in persons
        for scale in expected.scales
        for flag in _flag(expected, person, scale, study, acknowledged)
    )
    return by_day(found, newest_first=True)


def _flag(
    expected: Expectations,
    person: Person,
    scale: Scale,
    study: bytes,
    acknowledged: dict[str, Acknowledgement],
) -> Iterator[Flag]:
    seen = expected.seen(person.patient, scale)
    if not seen or expected.missing(person.patient):
        return
    last = seen[-1]
    told = expected.for_week(person.patient, scale, last.week)
    if told is None or told.bands is None or not last.value > told.bands[1]:
        return
    time = expected.time_of(person.patient, scale, last.week)
    name = _id(study, person.patient, scale.name, last.week, last.value)
    yield Flag(
        id=name,
        patient=person.patient,
        scale=scale.name,
        day=day_of(person.entered, time),
        week=time,
        value=last.value,
        low=told.bands[0],
        high=told.bands[1],
        basis=_basis(told, person, last.value),
        nine=person.nine,
        acknowledged=acknowledged.get(name),
    )


def _basis(told: Expected, person: Person, value: float) -> str:
    low, high = (told.bands or (0.0, 0.0))[:2]
    arm = f" in the arm {person.arm!r}" if person.arm else ""
    return (
        f"{told.scale} {value:g} in week {told.week}; from the scores until week {told.origin}"
        f"{arm} the model expected {low:.1f} to {high:.1f} (80 % band) for that week"
    )


def _id(study: bytes, patient: str, scale: str, week: int, value: float) -> str:
    parts = (patient, scale, str(week), f"{value:g}")
    text = "".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.blake2b(text.encode(), key=study[:32], digest_size=8).hexdigest()
