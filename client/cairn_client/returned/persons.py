"""Who is a patient here, who was not seen for long, whose scores worsened: each list by a day.

A list is ordered by a day and, within one, by identifier. Nothing here can order it by a score, a
risk or a prediction, and nothing says which patient to see first.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Final, Protocol, TypeVar

import numpy as np
import polars as pl

from cairn_client.record_pack import Kept
from cairn_models.measures import INSTRUMENTS
from cairn_models.records import WEEKS_PER_MONTH, Records
from cairn_models.reliable_change import OUTCOMES, courses

NOT_SEEING: Final = ("offered",)  # what a service does without the patient
SCALES: Final = tuple(INSTRUMENTS[name] for name in ("PHQ-9", "GAD-7"))
UNSEEN_DAYS: Final = 28


class Dated(Protocol):
    """Something about a patient that has a day, or none that is known."""

    @property
    def patient(self) -> str: ...
    @property
    def day(self) -> date | None: ...


DatedT = TypeVar("DatedT", bound=Dated)


@dataclass(frozen=True)
class Nine:
    """An answer above 0 to PHQ-9 item 9."""

    day: date | None
    answer: int


@dataclass(frozen=True)
class Person:
    """A patient of this clinic; days are None where the records do not give them.

    `day` is what the list that holds it is ordered by, `why` what puts the person there. `nine` is
    the last answer to item 9 that was above 0, where there is any.
    """

    patient: str
    arm: str
    entered: date | None
    seen: date | None
    day: date | None
    why: str = ""
    nine: Nine | None = None


def by_day(found: Iterable[DatedT], *, newest_first: bool) -> list[DatedT]:
    """In the order of days, those without one last; within a day by identifier."""

    def key(one: Dated) -> tuple[bool, int, str]:
        day = one.day.toordinal() if one.day else 0
        return one.day is None, -day if newest_first else day, one.patient

    return sorted(found, key=key)


def day_of(entered: date | None, week: float) -> date | None:
    """The day so many weeks after entry."""
    if entered is None or not math.isfinite(week) or abs(week) > 5_000:
        return None
    return entered + timedelta(days=round(7 * week))


def patients(kept: Kept) -> list[Person]:
    """Every patient, the last entered first."""
    records = kept.records.times_in("week")
    seen, nine = _last_seen(records), _nine(kept)
    found = []
    for patient, arm, entered in records.patients.select("patient", "arm", "entry").rows():
        last = day_of(entered, seen[patient]) if patient in seen else None
        above = nine.get(patient)
        found.append(
            Person(
                patient=patient,
                arm=arm or "",
                entered=entered,
                seen=last,
                day=entered,
                nine=above and Nine(day_of(entered, above[0]), above[1]),
            )
        )
    return by_day(found, newest_first=True)


def not_seen(kept: Kept, days: int, today: date) -> list[Person]:
    """Who was not seen for `days` days or more, the longest ago first.

    Seen is a score, or any use of or contact in the programme. Whoever was never seen counts from
    entry; without a date of entry nobody can be told, and nobody is listed.
    """
    found = []
    for person in patients(kept):
        last = person.seen or person.entered
        if last is not None and (today - last).days >= days:
            since = "last seen" if person.seen else "never seen; entered"
            found.append(replace(person, day=last, why=f"{since} {(today - last).days} days ago"))
    return by_day(found, newest_first=False)


def worse(kept: Kept) -> list[Person]:
    """Whose last scores are reliably worse than the first, the last assessed first.

    As NHS Talking Therapies count it: PHQ-9 rose by 6 or GAD-7 by 4, and neither fell by as much.
    """
    everybody = {person.patient: person for person in patients(kept)}
    scores = kept.records.times_in("week").scores
    changes = _first_and_last(scores)
    found = []
    for patient, scales in changes.items():
        person = everybody.get(patient)
        turned = [name for name, (first, last, _) in scales.items() if _rose(name, first, last)]
        if person is None or not turned or not _deteriorated(scales):
            continue
        told = [f"{name} {scales[name][0]:g} at first, {scales[name][1]:g} last" for name in turned]
        week = max(scales[name][2] for name in turned)
        found.append(replace(person, day=day_of(person.entered, week), why="; ".join(told)))
    return by_day(found, newest_first=True)


Scales = Mapping[str, tuple[float, float, float]]
"""First score, last score and the week of the last, by scale."""


def _first_and_last(scores: pl.DataFrame) -> dict[str, dict[str, tuple[float, float, float]]]:
    names = [scale.name for scale in SCALES]
    ordered = (
        scores.filter(pl.col("instrument").is_in(names))
        .sort("patient", "instrument", "time")
        .group_by("patient", "instrument", maintain_order=True)
        .agg(
            pl.col("value").first().alias("first"),
            pl.col("value").last().alias("last"),
            pl.col("time").last(),
            pl.len().alias("n"),
        )
        .filter(pl.col("n") > 1)
    )
    found: dict[str, dict[str, tuple[float, float, float]]] = {}
    for patient, name, first, last, time, _ in ordered.rows():
        found.setdefault(patient, {})[name] = (first, last, time)
    return found


def _deteriorated(scales: Scales) -> bool:
    measured = [scale for scale in SCALES if scale.name in scales]
    first, last = (np.array([[scales[s.name][k] for s in measured]]) for k in (0, 1))
    course = courses(first, last, measured)[0]
    return bool(OUTCOMES["reliable_deterioration"].having[course])


def _rose(name: str, first: float, last: float) -> bool:
    least = INSTRUMENTS[name].reliable_change
    return least is not None and math.floor(last + 0.5) - math.floor(first + 0.5) >= least


def _last_seen(records: Records) -> dict[str, float]:
    """The week of the last score or of the last thing that the patient took part in."""
    took_part = ~pl.col("measure").is_in(NOT_SEEING) & (pl.col("value") > 0)
    rows = pl.concat(
        [
            records.scores.select("patient", "time"),
            records.engagement.filter(took_part).select("patient", "time"),
        ]
    )
    last = rows.filter(pl.col("time").is_finite()).group_by("patient").agg(pl.col("time").max())
    return dict(last.rows())


def _nine(kept: Kept) -> dict[str, tuple[float, int]]:
    """The week and the answer of each patient's last answer above 0 to item 9."""
    factor = 1.0 if kept.records.time_unit == "week" else WEEKS_PER_MONTH
    rows = kept.item_nine.filter(pl.col("value") > 0).sort("patient", "time")
    return {patient: (factor * time, value) for patient, time, value in rows.rows()}
