"""`Dictionary`: what a code means, Cairn's own codes and the clinic's in one place."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

from cairn_client.readers.fhir.codes import (
    ITEMS,
    LOINC,
    PANELS,
    SNOMED,
    SNOMED_TOTALS,
    TOTALS,
    WEARABLES,
)
from cairn_client.readers.fhir.elements import meaning
from cairn_client.readers.fhir.mapping import Fhir

Place = tuple[str, str | None]  # an instrument, and the number of its item; None: its total
_SUFFIX: Final = re.compile(r"(?:^|[^0-9])([0-9]{3,7}-[0-9])$")
_NAMED: Final = re.compile(
    r"(?:.*/)?(?:(PHQ)\.|(PHQ-?9)[._/]|(GAD)\.|(GAD-?7)[._/])([1-9])", re.IGNORECASE
)
_ITEMS_OF: Final = {"PHQ-9": 9, "GAD-7": 7}
# Short forms share their items' codes with the long ones: they are known by the questionnaire or by
# their total, and then their items are not taken for an unfinished long form.
SHORT_FORMS: Final = {"PHQ-2": frozenset({"PHQ-9"}), "PHQ-4": frozenset({"PHQ-9", "GAD-7"})}


@dataclass(frozen=True)
class Dictionary:
    """Codes by `system|code` or `code`.

    Args:
        places: instruments' items and totals.
        panels: instruments' panels, which hold items.
        answers: the clinic's own answers, as numbers.
        questionnaires: canonical address → instrument.
        wearables: Cairn's measures.
    """

    places: dict[str, Place]
    panels: dict[str, str]
    answers: dict[str, str]
    questionnaires: dict[str, str]
    wearables: dict[str, str]

    @classmethod
    def of(cls, fhir: Fhir, known: Collection[str]) -> Dictionary:
        """Cairn's codes of the `known` instruments, and those that the mapping adds."""
        places: dict[str, Place] = {f"{LOINC}|{code}": place for code, place in ITEMS.items()}
        places |= {f"{LOINC}|{c}": (name, None) for c, name in TOTALS.items() if name in known}
        places |= {f"{SNOMED}|{c}": (n, None) for c, n in SNOMED_TOTALS.items() if n in known}
        places |= {code: (name, None) for code, name in fhir.codes.items()}
        for code, written in fhir.items.items():
            name, number = written.split("/")
            places[code] = (name, number)
        return cls(
            places=places,
            panels={f"{LOINC}|{code}": name for code, name in PANELS.items()},
            answers={code: f"{value:.15g}" for code, value in fhir.answers.items()},
            questionnaires={
                **{f"{LOINC}/q/{code}": name for code, name in PANELS.items()},
                **fhir.questionnaires,
            },
            wearables={f"{LOINC}|{c}": m for c, m in WEARABLES.items()} if fhir.wearables else {},
        )

    def place(self, pairs: Iterable[tuple[str, str]]) -> Place | None:
        """The item or total that these codings name."""
        return meaning(pairs, self.places)

    def place_of_link(self, link: str, definition: str) -> Place | None:
        """The item or total that a linkId names, by itself, its end or its form; or a definition.

        `/44250-9`, `phq9.44250-9` and `PHQ.1` are one item.
        """
        for written in (link, definition):
            if written in self.places:
                return self.places[written]
            if end := _SUFFIX.search(written):
                found = self.places.get(f"{LOINC}|{end[1]}")
                if found is not None:
                    return found
        if named := _NAMED.fullmatch(link):
            name = "PHQ-9" if named[1] or named[2] else "GAD-7"
            if int(named[5]) <= _ITEMS_OF[name]:
                return name, named[5]
        return None

    def questionnaire(self, canonical: str) -> str | None:
        """The instrument of a questionnaire's canonical address, its version left off."""
        return self.questionnaires.get(canonical) or self.questionnaires.get(
            canonical.split("|", maxsplit=1)[0]
        )
