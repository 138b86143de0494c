"""`date_form`: how a column writes its days; whether day or month comes first may be unknowable."""

from __future__ import annotations

from typing import Final, Literal

import polars as pl

Order = Literal["day-first", "month-first"]
MOSTLY: Final = 0.9  # of the filled values; the rest are findings of the import
_ISO: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ][0-9:.,+Zz -]*)?$"
_SPLIT: Final = (
    r"^([0-9]{1,2})([./-])([0-9]{1,2})[./-]([0-9]{4})( [0-9]{1,2}:[0-9]{2}(:[0-9]{2})?)?$"
)
_SHORT_YEAR: Final = r"^[0-9]{1,2}[./-][0-9]{1,2}[./-][0-9]{2}$"
_YEAR_FIRST: Final = {
    r"^[0-9]{4}/[0-9]{1,2}/[0-9]{1,2}$": "%Y/%m/%d",
    r"^[0-9]{4}\.[0-9]{1,2}\.[0-9]{1,2}$": "%Y.%m.%d",
    r"^(?:19[9]|20[0-9])[0-9](?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])$": "%Y%m%d",
    r"^[0-9]{1,2}-[A-Za-z]{3}-[0-9]{4}$": "%d-%b-%Y",
    r"^[0-9]{1,2} [A-Za-z]{3} [0-9]{4}$": "%d %b %Y",
}


class AmbiguousDates(Exception):
    """Days and months of a column cannot be told apart: no number in it is above 12."""


class ShortYears(Exception):
    """The column writes years with two digits."""


class MixedDates(Exception):
    """Some dates of the column begin with the day and some with the month."""


def date_form(values: pl.Series, order: Order | None = None) -> str | None:
    """The `date_format` of a column of text, "" for 2024-01-31; None where it holds no dates.

    Raises:
        AmbiguousDates: either order would do, and `order` is not given.
        ShortYears, MixedDates: no form reads the column.
    """
    filled = values.drop_nulls()
    if not filled.len():
        return None

    def mostly(pattern: str) -> bool:
        return bool(filled.str.contains(pattern).sum() >= MOSTLY * filled.len())

    if mostly(_ISO):
        return ""
    for pattern, form in _YEAR_FIRST.items():
        if mostly(pattern):
            return form
    if mostly(_SHORT_YEAR):
        raise ShortYears
    if not mostly(_SPLIT):
        return None
    parts = filled.str.extract_groups(_SPLIT).struct.unnest()
    first, second = (parts[name].cast(pl.Int64, strict=False) for name in ("1", "3"))
    mark = parts["2"].drop_nulls().mode()[0]
    day_first, month_first = bool((first > 12).any()), bool((second > 12).any())
    if day_first and month_first:
        raise MixedDates
    if not day_first and not month_first and mark != ".":  # points are written after days
        if order is None:
            raise AmbiguousDates
        month_first = order == "month-first"
    time = parts["5"].drop_nulls()
    clock = "" if time.len() * 2 < filled.len() else " %H:%M"
    if clock and parts["6"].drop_nulls().len() * 2 >= filled.len():
        clock = " %H:%M:%S"
    pair = ("%m", "%d") if month_first else ("%d", "%m")
    return f"{pair[0]}{mark}{pair[1]}{mark}%Y{clock}"
