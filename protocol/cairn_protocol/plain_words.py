"""`hidden_words`: what of a study's words a screen would not show as they stand.

People approve what they read. A control sequence could write over it, a mark of direction turn it
round, a line break in a title look like a line of the program's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

LONG: Final = frozenset({"purpose", "insist", "formula"})  # texts that may have lines


def hidden_words(document: Any, place: str = "") -> Iterator[str]:
    """A sentence for each text, key or value, with a character that is not shown as itself."""
    match document:
        case dict():
            for key, value in document.items():
                yield from _in_text(str(key), place or "the settings", lines=False)
                yield from hidden_words(value, f"{place}.{key}" if place else str(key))
        case list() | tuple():
            for value in document:
                yield from hidden_words(value, place)
        case str():
            yield from _in_text(document, place, lines=place.rpartition(".")[2] in LONG)


def _in_text(text: str, place: str, *, lines: bool) -> Iterator[str]:
    for character in text:
        if not (character.isprintable() or (lines and character in "\n\t")):
            shown = "".join(c if c.isprintable() else "?" for c in place)
            yield f"{shown} holds a character that is not shown, U+{ord(character):04X}"
            return
