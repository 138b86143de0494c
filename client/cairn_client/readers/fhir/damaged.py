"""`may_be_consent`, `whom_it_names`: what a line tells that cannot be parsed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Final

import polars as pl

from cairn_client.readers.fhir.elements import LONGEST_TEXT, identifier_key, reference, text
from cairn_client.readers.fhir.identity import UNRESOLVED
from cairn_client.readers.fhir.parsing import kind_at_first
from cairn_client.readers.raw import Damage
from cairn_client.readers.values import folded

_NAMED_KIND: Final = re.compile(rb'"resourceType"\s*:\s*"([A-Za-z]{1,60})')
_LONGEST: Final = 6 * LONGEST_TEXT  # characters, were each an escape
_PATIENTS: Final = ("Patient/", "urn:", "identifier:")


def may_be_consent(data: bytes, file: str) -> bool:
    """Whether a damaged line of `file` may be a Consent, or may hold one.

    A line that names another kind first is of that kind. One that begins like a resource and names
    no kind at all may have lost it: some servers write the kind after the patient.
    """
    first = kind_at_first(data)
    if first is not None:
        return first in ("Consent", "Bundle")
    kinds = set(_NAMED_KIND.findall(data))  # of a line that breaks off, perhaps a beginning
    if any(b"Consent".startswith(k) for k in kinds) or "consent" in file.lower():
        return True
    return not kinds and data.lstrip().startswith(b"{")


def whom_it_names(data: bytes) -> set[str]:
    """References that a damaged line holds whole, as `elements.reference` writes them.

    Text between two quotes is whole, wherever the damage is; what follows the last one may be the
    beginning of another patient's number, and is left out.
    """
    strings = data.decode("utf-8", "replace").replace("\\/", "/").split('"')[:-1]
    found = {key for s in strings if (key := reference({"reference": _plain(s)})) is not None}
    found |= set(_identifiers(strings))
    return {key for key in found if key.startswith(_PATIENTS)}


def _identifiers(strings: list[str]) -> Iterator[str]:
    """Each identifier's value with the system before it, with that behind it, and with none."""
    parts = [
        (key, _plain(value))
        for key, colon, value in zip(strings, strings[1:], strings[2:], strict=False)
        if key in ("system", "value") and colon.strip() == ":"
    ]
    for at, (key, value) in enumerate(parts):
        if key == "value" and (named := text(value)) is not None:
            yield identifier_key(None, named)
            for other, system in parts[max(at - 1, 0) : at + 2]:
                if other == "system":
                    yield identifier_key(text(system), named)


def _plain(written: str) -> str:
    """A short JSON string without its escapes, where they are whole."""
    if "\\" not in written or len(written) > _LONGEST:
        return written
    try:
        value = str(json.loads(f'"{written}"'))
        value.encode()  # half a character cannot be written
    except ValueError:
        return written
    return value


def damage_in(lines: pl.DataFrame) -> Damage:
    """The damage in an export; a reference to a patient whom it lacks names nobody.

    Args:
        lines: row, code, patient: one row a reference in a damaged line, or one without a patient.
    """
    known = pl.col("patient").is_not_null() & ~pl.col("patient").str.starts_with(UNRESOLVED)
    named = lines.filter(known).select(
        "row", patient=folded(pl.col("patient")), own=pl.lit(value=True)
    )
    return Damage(lines.select("row", "code").unique(maintain_order=True), named)
