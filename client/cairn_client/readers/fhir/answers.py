"""`value_of`: the number in a `value[x]`, as text; `UNREADABLE` faults name what stands there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cairn_client.readers.fhir.codes import ANSWERS, LOINC, ORDINAL_URLS
from cairn_client.readers.fhir.elements import Element, coded, many, one, text

_SCALARS: Final = ("valueInteger", "valueDecimal", "valueString")
_OF_SCORES: Final = frozenset({"", "1", "score", "points", "point"})


@dataclass(frozen=True, slots=True)
class Value:
    """A value: its text, or the code of the fault; both None where nothing stands there.

    `unit` is the UCUM code of a quantity, "" where it has none.
    """

    text: str | None = None
    fault: str | None = None
    unit: str = ""


NOTHING: Final = Value()


def value_of(element: Element, local: Mapping[str, str]) -> Value:
    """What stands in `element`'s value[x]; `local` has the clinic's own answer codes."""
    for name in _SCALARS:
        if name in element:
            return _scalar(element[name])
    if "valueQuantity" in element:
        return _quantity(one(element["valueQuantity"]))
    if "valueCoding" in element:
        return _answer([one(element["valueCoding"])], local)
    if "valueCodeableConcept" in element:
        return _answer(many(one(element["valueCodeableConcept"]).get("coding")), local)
    return NOTHING


def score_of(element: Element, local: Mapping[str, str]) -> Value:
    """`value_of` of a score or an answer, whose unit is that of a score."""
    value = value_of(element, local)
    if value.unit.startswith("{") or value.unit in _OF_SCORES:
        return value
    return Value(fault="unit-unknown")


def number_text(value: object) -> str | None:
    """A JSON number, or a string, as text; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        # Python refuses to print endless integers; no quantity here needs more than a double.
        return str(value) if abs(value) < 10**18 else "1e999"
    return repr(value) if isinstance(value, float) else text(value)


def _scalar(value: object) -> Value:
    written = number_text(value)
    return Value(fault="value-unusable") if written is None else Value(written)


def _quantity(quantity: Element) -> Value:
    if not quantity or quantity.get("value") is None:
        return NOTHING
    if "comparator" in quantity:
        return Value(fault="value-not-exact")
    written = number_text(quantity["value"])
    if written is None:
        return Value(fault="value-unusable")
    return Value(written, unit=text(quantity.get("code")) or text(quantity.get("unit")) or "")


def _answer(found: list[Element], local: Mapping[str, str]) -> Value:
    for coding in found:
        system, code = coded(coding)
        for key in (f"{system}|{code}", code):
            if key in local:
                return Value(local[key])
        if code in ANSWERS and system in (LOINC, ""):
            return Value(ANSWERS[code])
    for coding in found:
        for extension in many(coding.get("extension")):
            if text(extension.get("url")) in ORDINAL_URLS:
                return _scalar(extension.get("valueDecimal"))
    return Value(fault="answer-unknown") if found else NOTHING
