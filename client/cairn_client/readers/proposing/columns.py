"""What a column's values are like, and which of its words may be shown."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

import polars as pl

from cairn_client.readers.proposing.dates import (
    AmbiguousDates,
    MixedDates,
    Order,
    ShortYears,
    date_form,
)
from cairn_client.readers.scales import LONGEST_WORD

FEWEST: Final = 5  # patients who share a word, before it is shown
MOST_WORDS: Final = 40  # different ones; more of them are no categories
Kind = Literal["date", "number", "words", "text", "empty"]
_NUMBER: Final = r"^[+-]?[0-9]+(?:[.,][0-9]+)?$"
_CODE: Final = re.compile(r"(?=.*[^\W\d_])[\w .,:/&+()'-]{1,48}")
_LONG_NUMBER: Final = re.compile(r"[0-9]{5}|[0-9]+[./-][0-9]+[./-][0-9]+")


@dataclass(frozen=True)
class Look:
    """One column: what it holds, how its dates are written, which decimal mark its numbers have."""

    kind: Kind
    form: str | None = None
    decimal: str | None = None
    whole: bool = True
    trouble: Literal["ambiguous", "short-years", "mixed"] | None = None


def look(values: pl.Series, order: Order | None) -> Look:
    """What the text column `values` holds."""
    filled = values.drop_nulls()
    if not filled.len():
        return Look("empty")
    if (dates := _dates(filled, order)) is not None:
        return dates
    if filled.str.contains(_NUMBER).sum() >= 0.95 * filled.len():
        marks = {m for m in ",." if filled.str.contains(m, literal=True).any()}
        return Look("number", decimal=marks.pop() if len(marks) == 1 else None, whole=not marks)
    short = bool((filled.str.len_chars() <= LONGEST_WORD).all())
    return Look("words" if short and filled.n_unique() <= MOST_WORDS else "text")


def _dates(filled: pl.Series, order: Order | None) -> Look | None:
    """The look of a column of dates; None for another."""
    try:
        form = date_form(filled, order)
    except AmbiguousDates:
        return Look("date", trouble="ambiguous")
    except ShortYears:
        return Look("date", trouble="short-years")
    except MixedDates:
        return Look("date", trouble="mixed")
    return None if form is None else Look("date", form)


@dataclass(frozen=True)
class Shown:
    """Words of a column that may be shown, most frequent first, and how many more there are."""

    words: tuple[str, ...]
    withheld: int


def shown(values: pl.Series, patients: pl.Series) -> Shown:
    """Words that look like codes and that at least `FEWEST` patients share.

    Args:
        values, patients: columns of the same file, row by row.
    """
    pairs = pl.DataFrame({"word": values, "patient": patients}).drop_nulls()
    counts = (
        pairs.group_by("word")
        .agg(pl.col("patient").n_unique().alias("n"))
        .sort(["n", "word"], descending=[True, False])
    )
    if counts.height > MOST_WORDS:
        return Shown((), counts.height)
    identifiers = set(pairs["patient"].str.to_lowercase().unique().to_list())
    words = tuple(
        word
        for word, n in counts.rows()
        if n >= FEWEST and is_code(word) and word.lower() not in identifiers
    )
    return Shown(words, counts.height - len(words))


def is_code(word: str) -> bool:
    """Whether it looks like a code: letters in it, not long, no date and no long number."""
    return bool(_CODE.fullmatch(word)) and not _LONG_NUMBER.search(word)
