"""Patient, and the resources that say a patient's arm and entry to the waiting list."""

from __future__ import annotations

from typing import Final

from cairn_client.readers.fhir.answers import number_text
from cairn_client.readers.fhir.elements import (
    Element,
    coded,
    codings,
    concepts,
    day,
    identifier_key,
    many,
    meaning,
    one,
    reference,
    text,
)
from cairn_client.readers.fhir.mapping import Fhir

_SAME_PERSON: Final = ("replaced-by", "replaces", "seealso")


def identifier(patient: Element, system: str) -> str | None:
    """The identifier of that system, a current one before an old one."""
    found = [i for i in many(patient.get("identifier")) if text(i.get("system")) == system]
    current = [i for i in found if i.get("use") != "old"]
    return next((value for i in current + found if (value := text(i.get("value")))), None)


def keys_of(patient: Element, url: str | None) -> list[str]:
    """Every form in which a reference may mean this patient."""
    keys = [f"Patient/{id_}"] if (id_ := text(patient.get("id"))) else []
    keys += [url] if url is not None and url.startswith("urn:") else []
    return keys + [
        identifier_key(text(i.get("system")), value)
        for i in many(patient.get("identifier"))
        if (value := text(i.get("value")))
    ]


def same_person(patient: Element) -> list[str]:
    """References to other records of the same person."""
    links = [x for x in many(patient.get("link")) if x.get("type") in _SAME_PERSON]
    return [key for x in links if (key := reference(x.get("other"))) is not None]


def fact(patient: Element, name: str) -> str | None:
    """A covariate: the birth date for an age, or a code."""
    if name in ("age", "age_band"):
        return text(patient.get("birthDate"))
    if name == "gender":
        return text(patient.get("gender"))
    if name == "language":
        spoken = many(patient.get("communication"))
        first = sorted(spoken, key=lambda c: c.get("preferred") is not True)[:1]
        return next((code for c in first for _, code in codings(c.get("language"))), None)
    return _extension(patient, name)


def _extension(element: Element, url: str) -> str | None:
    """The code, short word or number of an extension, or of the first part that holds one."""
    for extension in many(element.get("extension")):
        if text(extension.get("url")) != url:
            continue
        parts = [extension, *many(extension.get("extension"))]
        for part in parts:
            code = coded(one(part.get("valueCoding")))[1]
            code = code or next((c for _, c in codings(part.get("valueCodeableConcept"))), "")
            code = code or text(part.get("valueCode")) or ""
            if code:
                return code
        for name in ("valueString", "valueInteger", "valueDecimal"):
            if (word := number_text(extension.get(name))) is not None:
                return word
    return None


def arm_of(plan: Element, fhir: Fhir) -> str | None:
    """The clinic's word for the arm that a CarePlan stands for."""
    pairs = concepts(plan.get("category"))
    for name in ("instantiatesCanonical", "instantiatesUri"):
        written = plan.get(name)
        pairs += (
            [("", uri) for uri in written or () if text(uri)] if isinstance(written, list) else []
        )
    listed = meaning(pairs, {code: code for code in fhir.arms})
    if listed is not None or fhir.arm_system is None:
        return listed
    return next((code for system, code in pairs if system == fhir.arm_system), None)


def begins_wait(resource: Element, fhir: Fhir) -> bool:
    """Whether its codes are those that begin the wait."""
    pairs = concepts(
        *(resource.get(n) for n in ("category", "code", "type", "class", "serviceType"))
    )
    pairs += [coded(c) for c in many(resource.get("class")) if text(c.get("code"))]
    return not fhir.entry_codes or meaning(pairs, dict.fromkeys(fhir.entry_codes, True)) is True


def began_on(resource: Element) -> str | None:
    """The day on which a plan, an episode, a request or an encounter began."""
    if resource.get("resourceType") == "ServiceRequest":
        return day(resource.get("authoredOn"))
    period = one(resource.get("period")) or one(resource.get("actualPeriod"))
    return day(period.get("start"))
