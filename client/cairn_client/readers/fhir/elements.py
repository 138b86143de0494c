"""What stands in an element of a parsed resource. Each function is total: whatever type a hostile
or broken export gives an element, the answer is the empty one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeVar

Element = dict[str, Any]
Meant = TypeVar("Meant")
_REFERENCE: Final = re.compile(
    r"(?:^|/)([A-Z][A-Za-z]{2,40})/([^/|#?]{1,128})(?:/_history/[^/]*)?$"
)
_CONDITIONAL: Final = re.compile(r"[A-Z][A-Za-z]{2,40}\?identifier=([^&]*?)(?:\||%7C)([^&|]+)")
_DAY: Final = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:$|T)")
LONGEST_TEXT: Final = 300  # characters of a code, a date or a number


def text(value: object) -> str | None:
    """A short string, spaces around it dropped; None for anything else."""
    if not isinstance(value, str) or len(value) > LONGEST_TEXT:
        return None
    return value.strip() or None


def one(value: object) -> Element:
    """An object; {} for anything else."""
    return value if isinstance(value, dict) else {}


def many(value: object) -> list[Element]:
    """The objects of an array; [] for anything else. A lone object counts as an array of one."""
    if isinstance(value, list):
        return [e for e in value if isinstance(e, dict)]
    return [value] if isinstance(value, dict) else []


def codings(concept: object) -> list[tuple[str, str]]:
    """(system, code) of each coding of a CodeableConcept, or of R5's CodeableReference."""
    element = one(concept)
    if "concept" in element:
        element = one(element["concept"])
    return [coded(c) for c in many(element.get("coding")) if text(c.get("code"))]


def coded(coding: Element) -> tuple[str, str]:
    """(system, code) of a Coding, "" where there is none."""
    return text(coding.get("system")) or "", text(coding.get("code")) or ""


def concepts(*values: object) -> list[tuple[str, str]]:
    """The codings of concepts and of arrays of concepts."""
    return [pair for value in values for concept in many(value) for pair in codings(concept)]


def meaning(pairs: Iterable[tuple[str, str]], known: Mapping[str, Meant]) -> Meant | None:
    """What the first known coding means; `known` has keys `system|code` or `code`."""
    for system, code in pairs:
        for key in (f"{system}|{code}", code):
            if key in known:
                return known[key]
    return None


def day(value: object) -> str | None:
    """The calendar day of a date or dateTime as it is written; other text as it stands."""
    written = text(value)
    if written is None:
        return None
    match = _DAY.match(written)
    return match[1] if match else written


def reference(value: object) -> str | None:
    """Whom a Reference means: `Kind/id`, a `urn:…`, or `identifier:system|value`."""
    element = one(value)
    written = text(element.get("reference"))
    if written is not None and written.startswith("urn:"):
        return written
    if written is not None and (match := _REFERENCE.search(written)):
        return f"{match[1]}/{match[2]}"
    if written is not None and (match := _CONDITIONAL.fullmatch(written)):
        return identifier_key(match[1], match[2])
    identifier = one(element.get("identifier"))
    named = text(identifier.get("value"))
    return identifier_key(text(identifier.get("system")), named) if named else None


def identifier_key(system: str | None, value: str) -> str:
    """The form in which identifiers stand beside references."""
    return f"identifier:{system or ''}|{value}"
