"""`refuse`: what no kind of question may tell, said before a study asks anybody.

A *minimum* or *maximum* is one person's value, and noise that hides one person hides all of it.
*One clinic's* result needs that clinic's own sum, which nobody ever sees: masks cancel in the sum
over clinics alone, and the noise that protects patients is shared out over them. What names a
clinic is seen from its name alone: from any part of it, however written (`clinic_id`, `Site`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from cairn_protocol.errors import InputError
from cairn_protocol.study import QuestionSpec

EXTREMES: Final = frozenset(
    {"minimum", "maximum", "min", "max", "lowest", "highest", "smallest", "largest", "extremes"}
)
PLACES: Final = frozenset(
    {"clinic", "clinics", "site", "sites", "centre", "centres", "center", "centers"}
)
ELSE: Final = frozenset({"arms", "reference", "strata"})
"""Settings whose texts may hold any name: of arms, and of strata, which are only told together."""
WORD: Final = re.compile(r"\w+")
LETTERS: Final = re.compile(r"[^\W\d_]+")
HUMP: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")  # where `siteCode` divides


def refuse(spec: QuestionSpec) -> None:
    """Nothing, if the question's kind and settings name neither an extreme nor a clinic.

    Raises:
        InputError: they do; it says why that cannot be told and what can be asked instead.
    """
    for word in (spec.kind, *_words(spec.settings)):
        if word.casefold() in EXTREMES:
            raise InputError(
                f"question {spec.name!r} asks for an extreme ({word!r}), which cannot be told",
                code="question-extreme",
                why="the smallest or largest value is that of one person, and noise that hides "
                "one person hides it",
                hint='ask for quantiles instead: kind = "describe", parts = ["quartiles"]',
            )
        if names_a_place(word):
            raise InputError(
                f"question {spec.name!r} asks by clinic ({word!r}), which cannot be told",
                code="question-one-clinic",
                why="no clinic's own numbers ever leave it: only the sum over clinics is opened",
                hint="ask it of all clinics together, or by a variable of patients; a variable "
                "that is something else needs another name",
            )


def names_a_place(name: str) -> bool:
    """Whether a part of `name` is a word for a clinic, in capitals or not."""
    return any(part.casefold() in PLACES for part in LETTERS.findall(HUMP.sub(" ", name)))


def _words(settings: Mapping[str, Any]) -> Iterator[str]:
    """Every setting's name, and the words of every text among the settings but those in `ELSE`."""
    for name, value in settings.items():
        yield name
        if name not in ELSE:
            yield from _in(value)


def _in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield from WORD.findall(value)
    elif isinstance(value, Mapping):
        yield from _words(value)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _in(one)
