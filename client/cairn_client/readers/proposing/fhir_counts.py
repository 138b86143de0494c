"""`Sharing`: which words of an export are shared by how many patients, and which may be shown."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Hashable
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from cairn_client.readers.fhir.codes import LOINC, SNOMED
from cairn_client.readers.proposing.columns import FEWEST, MOST_WORDS, is_code

# Codes of these are a vocabulary's, however they look.
_PUBLIC: Final = (LOINC, SNOMED, "http://terminology.hl7.org/", "http://hl7.org/", "urn:oid:2.16.")
_SHORT: Final = re.compile(r"[0-9]{1,4}")
_ADDRESS: Final = re.compile(r"(?:https?://|urn:)[\w./:#~+-]{1,180}")
_LONG_NUMBER: Final = re.compile(r"[0-9]{5}")

Word = TypeVar("Word", bound=Hashable)


@dataclass
class Sharing(Generic[Word]):
    """Words, and the patients who have each."""

    of: dict[Word, set[str]] = field(default_factory=lambda: defaultdict(set))

    def add(self, word: Word, patient: str | None) -> None:
        """Note that the patient has the word."""
        if patient is not None:
            self.of[word].add(patient)

    def people(self, word: Word) -> int:
        """How many patients share it."""
        return len(self.of[word]) if word in self.of else 0

    def patients(self) -> set[str]:
        """Everybody who has any word."""
        return set().union(*self.of.values())

    def shared(self) -> list[tuple[Word, int]]:
        """Words of at least `FEWEST` patients, the most frequent first."""
        counted = [(word, len(who)) for word, who in self.of.items() if len(who) >= FEWEST]
        return sorted(counted, key=lambda pair: (-pair[1], str(pair[0])))


@dataclass
class Codes:
    """Codes by system, what they are called, and who has them."""

    sharing: Sharing[tuple[str, str]] = field(default_factory=Sharing)
    display: dict[tuple[str, str], str] = field(default_factory=dict)

    def add(self, system: str, code: str, display: str, patient: str | None) -> None:
        """Note a coding of a resource of the patient's."""
        self.sharing.add((system, code), patient)
        if display:
            self.display.setdefault((system, code), display)

    def systems(self) -> list[str]:
        """Systems, that of most patients first."""
        who: Sharing[str] = Sharing()
        for (system, _), patients in self.sharing.of.items():
            who.of[system] |= patients
        return [system for system, _ in who.shared()]

    def within(self, system: str, never: Collection[str] = ()) -> list[tuple[str, str, int]]:
        """(code, display, patients) of a system's codes that may be shown.

        None of a system with so many codes that they are no categories; none of `never`, which are
        the patients' identifiers.
        """
        mine = [word for word in self.sharing.of if word[0] == system]
        if len(mine) > MOST_WORDS:
            return []
        return [
            (code, self.display.get((where, code), ""), people)
            for (where, code), people in self.sharing.shared()
            if where == system and code.lower() not in never and may_be_shown(system, code)
        ]

    def withheld(self, system: str, never: Collection[str] = ()) -> int:
        """How many codes of a system may not be shown."""
        mine = sum(word[0] == system for word in self.sharing.of)
        return mine - len(self.within(system, never))


def may_be_shown(system: str, code: str) -> bool:
    """Whether a code that enough patients share looks like no identifier."""
    if system.startswith(_PUBLIC) or is_code(code) or _SHORT.fullmatch(code):
        return True
    return bool(_ADDRESS.fullmatch(code)) and not _LONG_NUMBER.search(code)
