"""`scores_in_response`: the items and totals that a QuestionnaireResponse answers (R4, R5)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from cairn_client.readers.fhir.answers import NOTHING, Value, score_of
from cairn_client.readers.fhir.dictionary import SHORT_FORMS, Dictionary, Place
from cairn_client.readers.fhir.elements import Element, many, text

MOST_ANSWERS: Final = 2000  # in one response; a longer form is none of ours


class Scored(NamedTuple):
    """One item (or total, `item` None) and its value as text."""

    instrument: str
    item: str | None
    value: str


def scores_in_response(
    response: Element, dictionary: Dictionary
) -> tuple[list[Scored], list[str], bool]:
    """What was answered, the codes of faults, and whether the form is one that Cairn knows."""
    form = dictionary.questionnaire(text(response.get("questionnaire")) or "")
    read = [
        (place, value)
        for link, definition, value in _answered(response, dictionary)
        if (place := _placed(dictionary, form, link, definition)) is not None
    ]
    stated = {name for (name, item), _ in read if item is None}
    covered = {
        long for short, longs in SHORT_FORMS.items() if short in {form, *stated} for long in longs
    } - stated
    kept = [(place, value) for place, value in read if not (place[1] and place[0] in covered)]
    scores = [Scored(*place, value.text) for place, value in kept if value.text is not None]
    faults = [value.fault for _, value in kept if value.fault is not None]
    return scores, faults, bool(read) or form is not None


def _placed(dictionary: Dictionary, form: str | None, link: str, definition: str) -> Place | None:
    place = dictionary.place_of_link(link, definition)
    if place is not None and place[1] is not None and form == "PHQ-8" and place[0] == "PHQ-9":
        return (form, place[1]) if int(place[1]) <= 8 else None
    return place


def _answered(response: Element, dictionary: Dictionary) -> Iterator[tuple[str, str, Value]]:
    """linkId, definition and value of each answered item, groups and nested items included."""
    waiting = many(response.get("item"))[::-1]
    left = MOST_ANSWERS
    while waiting and left:
        left -= 1
        item = waiting.pop()
        answers = many(item.get("answer"))
        nested = [*many(item.get("item")), *(i for a in answers for i in many(a.get("item")))]
        waiting += nested[::-1]
        if not answers:
            continue
        value = score_of(answers[0], dictionary.answers)
        if len(answers) > 1:
            value = Value(fault="value-unusable")
        if value is not NOTHING:
            yield text(item.get("linkId")) or "", text(item.get("definition")) or "", value
