"""`scores_in_observation`, `day_in_observation`: what an Observation measured (R4, R5)."""

from __future__ import annotations

import math
import re
from datetime import date, datetime, timedelta
from typing import Final, NamedTuple

from cairn_client.readers.fhir.answers import NOTHING, score_of, value_of
from cairn_client.readers.fhir.codes import COUNTED_STEPS, LOINC, STEPS_OF_SOME_TIME, UNITS
from cairn_client.readers.fhir.dictionary import Dictionary
from cairn_client.readers.fhir.elements import (
    Element,
    coded,
    codings,
    day,
    many,
    one,
    reference,
    text,
)
from cairn_client.readers.fhir.responses import Scored

_COVERAGE: Final = "coverage"
_MOMENT: Final = re.compile(
    r"(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:T(?P<clock>[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?)"
    r"(?P<zone>Z|[+-][0-9]{2}:[0-9]{2})?)?"
)


class Measured(NamedTuple):
    """A wearable's value, in Cairn's unit, and the share of days that it stands for, if given."""

    measure: str
    value: float
    coverage: float | None


def taken_on(observation: Element) -> str | None:
    """The day on which it was taken; the first one of a period."""
    for name in ("effectiveDateTime", "effectiveInstant"):
        if name in observation:
            return day(observation[name])
    return day(one(observation.get("effectivePeriod")).get("start"))


def derived_from(observation: Element) -> str:
    """The response that an Observation was made of, "" where none is named."""
    for source in many(observation.get("derivedFrom")):
        key = reference(source)
        if key is not None and key.startswith("QuestionnaireResponse/"):
            return key
    return ""


def scores_in_observation(
    observation: Element, pairs: list[tuple[str, str]], dictionary: Dictionary
) -> tuple[list[Scored], list[str], bool]:
    """Items and totals, of its own and in components; faults; whether it is of a known kind."""
    scores, faults, known = [], [], False
    own = _panel(pairs, dictionary)
    for element in (observation, *many(observation.get("component"))):
        named = pairs if element is observation else codings(element.get("code"))
        place = dictionary.place(named)
        if place is None and element is observation and own is not None:
            place, known = (own, None), True
        if place is None:
            continue
        known = True
        value = score_of(element, dictionary.answers)
        if value.text is not None:
            scores.append(Scored(*place, value.text))
        if value.fault is not None:
            faults.append(value.fault)
    return scores, faults, known


def members(observation: Element) -> list[str]:
    """The Observations that a panel consists of, as references."""
    found = (reference(m) for m in many(observation.get("hasMember")))
    return [key for key in found if key is not None]


def day_in_observation(
    observation: Element, pairs: list[tuple[str, str]], measure: str
) -> Measured | str | None:
    """What a wearable measured, the code of a fault, or None where there is no value."""
    value = value_of(observation, {})
    if value is NOTHING:
        return None
    if value.text is None:
        return value.fault
    unit = UNITS[measure].get(value.unit)
    if unit is None and value.unit in COUNTED_STEPS and measure == "steps":
        unit = 1.0 if _of_one_day(observation, pairs) else None
    if unit is None:
        return "unit-unknown"
    try:
        amount = float(value.text) * unit
    except ValueError:
        return "number-unreadable"
    if not math.isfinite(amount):
        return "number-not-finite"
    return Measured(measure, amount, _coverage(observation))


def _panel(pairs: list[tuple[str, str]], dictionary: Dictionary) -> str | None:
    return next((n for s, c in pairs if (n := dictionary.panels.get(f"{s}|{c}"))), None)


def _of_one_day(observation: Element, pairs: list[tuple[str, str]]) -> bool:
    """Whether a count of steps is that of one day: by its code, or by its period."""
    if (LOINC, STEPS_OF_SOME_TIME) not in pairs:
        return True
    period = one(observation.get("effectivePeriod"))
    begins = _MOMENT.fullmatch(text(period.get("start")) or "")
    ends = _MOMENT.fullmatch(text(period.get("end")) or "")
    if begins is None or ends is None or not _midnight(begins["clock"]):
        return False
    if begins["zone"] and ends["zone"] and not _about_a_day(begins[0], ends[0]):
        return False
    if begins["day"] == ends["day"]:  # a period includes its end, so a day alone is a whole one
        return ends["clock"] is None or ends["clock"].startswith("23:59")
    next_day = ends["clock"] is not None and _midnight(ends["clock"])
    return next_day and _next_day(begins["day"]) == ends["day"]


def _midnight(clock: str | None) -> bool:
    """Whether a time of day is 00:00, with its seconds if it has any; no time counts as that."""
    return clock is None or not clock.strip("0:.")


def _about_a_day(begins: str, ends: str) -> bool:
    """Whether so much time passes; the zone differs where the clocks are changed."""
    try:
        passed = datetime.fromisoformat(ends) - datetime.fromisoformat(begins)
    except (ValueError, OverflowError):
        return False
    return timedelta(hours=22) < passed < timedelta(hours=26)


def _next_day(written: str) -> str:
    try:
        return (date.fromisoformat(written) + timedelta(days=1)).isoformat()
    except (ValueError, OverflowError):
        return ""


def _coverage(observation: Element) -> float | None:
    """The share of days in a component called coverage, where a value is a week's mean."""
    for component in many(observation.get("component")):
        concept = one(component.get("code"))
        codes = {coded(c)[1] for c in many(concept.get("coding"))}
        if text(concept.get("text")) != _COVERAGE and _COVERAGE not in codes:
            continue
        share = value_of(component, {})
        try:
            amount = float(share.text or "nan")
        except ValueError:
            return math.nan
        return amount / 100 if share.unit == "%" else amount
    return None
