"""`spread_of`: what the columns of a wide table hold, by their names: instrument, item, visit.

`phq9_t1_3` is item 3 of the PHQ-9 of visit t1, `GAD7 week 4` a total four weeks after entry. A
number alone is an item where the numbers are those of all items, and otherwise says nothing.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cairn_client.readers.proposing.columns import Look
from cairn_client.readers.proposing.words import INSTRUMENT_WORDS
from cairn_client.readers.scales import ITEM_SCALES
from cairn_models.records import WEEKS_PER_MONTH

_NUMBER: Final = r"_?([0-9]{1,3})"
_WEEK: Final = re.compile(
    rf"(?<![a-z])(?:weeks?|wochen?|weken|semaines?|wk|w){_NUMBER}(?![0-9])"
    r"|(?<![0-9])([0-9]{1,3})_?(?:weeks?|wochen?|weken|semaines?|wk|w)(?![a-z])"
)
_MONTH: Final = re.compile(
    rf"(?<![a-z])(?:months?|monate?|maand(?:en)?|mois|mo|m){_NUMBER}(?![0-9])"
    r"|(?<![0-9])([0-9]{1,2})_?(?:months?|monate?|maand(?:en)?|mois|mo)(?![a-z])"
)
_VISIT: Final = re.compile(
    rf"(?<![a-z])(?:t|v|tp|mp|visite?|zeitpunkt|messung|meting|moment|session|time){_NUMBER}(?![0-9])"
)
_FIRST: Final = re.compile(
    r"(?<![a-z])(?:baseline|base|bl|pre|prae|intake|admission|aufnahme|opname|entree|debut)(?![a-z])"
)
_ITEM: Final = re.compile(
    rf"(?<![a-z])(?:item|i|q|question|frage|vraag|f){_NUMBER}(?![0-9])|(?<![a-z0-9])([0-9]{{1,2}})(?![a-z0-9])"
)
_AROUND: Final = re.compile(
    r"(?<![a-z])(?:total|score|sum|summe|summenwert|gesamt|gesamtwert|wert|totaal|somme|punkte)"
    r"(?:score|wert)?(?![a-z])"
)


@dataclass(frozen=True)
class SpreadColumn:
    """What one column of a wide table holds.

    Args:
        item: its number; None for a total.
        week: since entry; None: another column or the row says when.
        date: the column of the visit's date.
        sure: whether the week is written in the name, not taken for that of the first visit.
        letter: whether w or m alone says that the number counts weeks or months.
    """

    instrument: str
    item: int | None = None
    week: float | None = None
    date: str | None = None
    sure: bool = True
    letter: bool = False


@dataclass(frozen=True)
class Spread:
    """A wide table's columns, or why they cannot be told apart ("" where they can)."""

    columns: Mapping[str, SpreadColumn]
    trouble: str = ""


@dataclass(frozen=True)
class _Named:
    instrument: str
    visit: str
    week: float | None
    number: int | None


def spread_of(looks: Mapping[str, Look], taken: frozenset[str]) -> Spread | None:
    """How a table's columns are spread; None where fewer than two of them name an instrument.

    Args:
        looks: by column.
        taken: columns that have another role.
    """
    named = {
        name: found
        for name, how in looks.items()
        if how.kind == "number" and name not in taken and (found := _named(name)) is not None
    }
    if len(named) < 2:
        return None
    items = _items(named)
    dates = {
        visit: name
        for name, how in looks.items()
        if how.kind == "date" and name not in taken and (visit := _visit(_plain(name))[0])
    }
    visits = {found.visit for found in named.values()}
    dated = visits <= set(dates) and visits != {""}
    columns: dict[str, SpreadColumn] = {}
    for name, found in named.items():
        item = items.get(name)
        if found.number is not None and item is None:
            return Spread({}, f"the number in {name!r} may be an item or a visit")
        if visits == {""}:
            columns[name] = SpreadColumn(found.instrument, item)
        elif dated:
            columns[name] = SpreadColumn(found.instrument, item, date=dates[found.visit])
        elif found.week is not None:
            said = _WEEK.search(_rest(name)) or _MONTH.search(_rest(name))
            letter = said is not None and said[0].strip("_0123456789") in ("w", "m")
            columns[name] = SpreadColumn(
                found.instrument, item, found.week, sure=said is not None, letter=letter
            )
        else:
            return Spread({}, f"the name {name!r} does not say how many weeks after entry it was")
    return Spread(columns)


def _items(named: Mapping[str, _Named]) -> dict[str, int]:
    """The item's number of each column, of forms whose numbers are those of all items."""
    forms: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    for name, found in named.items():
        if found.number is not None:
            forms[found.instrument, found.visit][name] = found.number
    items: dict[str, int] = {}
    for (instrument, _), numbers in forms.items():
        scale = ITEM_SCALES.get(instrument)
        if scale is not None and sorted(numbers.values()) == list(range(1, scale.items + 1)):
            items |= numbers
    return items


def _named(name: str) -> _Named | None:
    instrument, rest = _instrument(_plain(name))
    if instrument is None:
        return None
    visit, week, rest = _visit(rest)
    rest = _AROUND.sub(" ", rest)
    number = _ITEM.search(rest)
    if number is None and re.search(r"[a-z0-9]{3,}", rest):
        return None  # a word that says something else, such as the date or the version of a form
    return _Named(instrument, visit, week, int(number[1] or number[2]) if number else None)


def _instrument(text: str) -> tuple[str | None, str]:
    """The instrument that a column's name begins with or holds, and the rest of the name."""
    for key, name in INSTRUMENT_WORDS.items():
        parts = re.fullmatch(r"([a-z]+)([0-9]*)", key)
        if parts is None:
            continue
        digits = rf"_*{parts[2]}(?![0-9])" if parts[2] else r"(?![a-z])"
        if found := re.search(rf"(?<![a-z]){'_?'.join(parts[1])}{digits}", text):
            return name, f"{text[: found.start()]} {text[found.end() :]}"
    return None, text


def _visit(text: str) -> tuple[str, float | None, str]:
    """The visit that a name says, its week where that is said, and the rest of the name."""
    for pattern, unit, weeks in ((_WEEK, "w", 1.0), (_MONTH, "m", WEEKS_PER_MONTH)):
        if found := pattern.search(text):
            number = int(found[1] or found[2])
            return f"{unit}{number}", round(number * weeks, 2), text.replace(found[0], " ", 1)
    if found := _VISIT.search(text):
        first = int(found[1]) == 0
        return f"t{int(found[1])}", 0.0 if first else None, text.replace(found[0], " ", 1)
    if found := _FIRST.search(text):
        return "first", 0.0, text.replace(found[0], " ", 1)
    return "", None, text


def _plain(name: str) -> str:
    """Lower-case letters without accents, digits and signs between them."""
    text = unicodedata.normalize("NFKD", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)).casefold()
    return "".join(c if c.isascii() and c.isalnum() else "_" for c in text if c.isascii())


def _rest(name: str) -> str:
    return _instrument(_plain(name))[1]
