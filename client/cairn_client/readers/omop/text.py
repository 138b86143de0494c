"""What drivers return, as the text that a file would hold."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any, Final

_EPOCH: Final = date(1970, 1, 1)
_MOST_DAYS: Final = 200_000  # a count of days ends in 2517; anything larger is seconds
_DAY: Final = 86_400


def days(values: Iterable[Any]) -> list[str | None]:
    """Dates as 2024-01-31, of date, text, or SQLite's numbers (days or seconds since 1970)."""
    return [None if value is None else _day(value) for value in values]


def number_text(values: Iterable[Any], decimal: str = ".") -> list[str | None]:
    """Numbers as text with this decimal mark."""
    written = [None if value is None else str(value) for value in values]
    if decimal == ".":
        return written
    return [None if text is None else text.replace(".", decimal) for text in written]


def _day(value: Any) -> str:
    if isinstance(value, date):
        return f"{value:%Y-%m-%d}"
    if isinstance(value, int | float):
        if not abs(value) < 1e12:
            return "?"
        whole = int(value // _DAY) if abs(value) > _MOST_DAYS else int(value)
        try:
            return f"{_EPOCH + timedelta(days=whole):%Y-%m-%d}"
        except OverflowError:
            return "?"
    return str(value)[:10]
