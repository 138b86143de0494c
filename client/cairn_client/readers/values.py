"""Text to identifiers, numbers and days, a column at a time; what cannot be read is set aside."""

from __future__ import annotations

import unicodedata
from typing import Final

import polars as pl

from cairn_client.readers.raw import Sheet
from cairn_client.readers.scales import EARLIEST_ENTRY, LATEST_ENTRY, LONGEST_IDENTIFIER

_INVISIBLE: Final = r"[\p{Z}\p{C}]"
_PLAIN: Final = {
    ".": r"^[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?$",
    ",": r"^[+-]?(?:[0-9]+,?[0-9]*|,[0-9]+)(?:[eE][+-]?[0-9]{1,3})?$",
}
_OTHER_MARK: Final = {
    ".": ("decimal-comma", r"^[+-]?[0-9]*,[0-9]+$"),
    ",": ("decimal-point", r"^[+-]?[0-9]*\.[0-9]+$"),
}
_THOUSANDS: Final = r"^[+-]?[0-9]{1,3}(?:[ .,'’\x{a0}\x{202f}][0-9]{3})+(?:[.,][0-9]+)?$"
_NOT_FINITE: Final = r"^(?i)[+-]?(?:nan|inf|infinity)$"
_ISO_DAY: Final = r"^([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[T ][0-9:.,+Zz -]*)?$"


def folded(column: pl.Expr) -> pl.Expr:
    """Identifiers merged over case, compatibility forms (NFKC) and spaces, inner ones too.

    Spaces and invisible characters go altogether: to take two spellings of one patient for two
    patients would halve that patient's privacy, the reverse costs a row.
    """
    once = column.str.normalize("NFKC").str.to_lowercase().str.replace_all(_INVISIBLE, "")
    return once.str.normalize("NFKC").str.to_lowercase().str.normalize("NFKC")


def folded_word(word: str) -> str:
    """A clinic's word for an arm, an instrument or a measure, merged over case and outer spaces."""
    return unicodedata.normalize("NFKC", word).casefold().strip()


def with_patients(frame: pl.DataFrame, sheet: Sheet) -> pl.DataFrame:
    """`frame` with `patient` folded; rows that name none are set aside."""
    names = frame.select(pl.col("patient").unique())
    names = names.with_columns(folded(pl.col("patient")).alias("__merged"))
    frame = frame.join(names, on="patient", how="left", maintain_order="left", nulls_equal=True)
    frame = frame.with_columns(patient=pl.col("__merged")).drop("__merged")
    patient = pl.col("patient")
    nameless = patient.is_null() | (patient == "")
    frame = sheet.set_aside(frame, nameless, "patient-missing", "patient")
    endless = patient.str.len_chars() > LONGEST_IDENTIFIER
    return sheet.set_aside(frame, endless, "patient-too-long", "patient")


def number(text: pl.Expr, decimal: str) -> pl.Expr:
    """f64, null where `text` is not a plain finite number with this decimal mark."""
    plain = pl.when(text.str.contains(_PLAIN[decimal])).then(text)
    value = plain.str.replace(",", ".", literal=True).cast(pl.Float64, strict=False) + 0.0
    return pl.when(value.is_finite()).then(value)


def with_number(
    frame: pl.DataFrame, role: str, decimal: str, sheet: Sheet, missing: str = "number-missing"
) -> pl.DataFrame:
    """`frame` with the text column `role` as f64; other rows are set aside, each by its fault."""
    text = pl.col(role)
    frame = sheet.set_aside(frame, text.is_null(), missing, role)
    frame = frame.with_columns(number(text, decimal).alias("__number"))
    if frame["__number"].null_count():
        unread = pl.col("__number").is_null()
        mark, form = _OTHER_MARK[decimal]
        for code, fault in (
            ("number-not-finite", text.str.contains(_NOT_FINITE)),
            ("number-not-finite", text.str.contains(_PLAIN[decimal])),  # 1e999
            ("thousand-separator", text.str.contains(_THOUSANDS)),
            (mark, text.str.contains(form)),
            ("number-unreadable", pl.lit(value=True)),
        ):
            frame = sheet.set_aside(frame, unread & fault, code, role)
    return frame.with_columns(pl.col("__number").alias(role)).drop("__number")


def with_day(frame: pl.DataFrame, role: str, date_format: str, sheet: Sheet) -> pl.DataFrame:
    """`frame` with the text column `role` as a date; null stays null, the unreadable go."""
    text = pl.col(role)
    frame = frame.with_columns(_day(text, date_format).alias("__day"))
    unread = text.is_not_null() & pl.col("__day").is_null()
    frame = sheet.set_aside(frame, unread, "date-unreadable", role)
    odd = ~pl.col("__day").is_between(EARLIEST_ENTRY, LATEST_ENTRY)
    frame = sheet.set_aside(frame, odd, "date-implausible", role)
    return frame.with_columns(pl.col("__day").alias(role)).drop("__day")


def _day(text: pl.Expr, date_format: str) -> pl.Expr:
    if not date_format:
        return text.str.extract(_ISO_DAY, 1).str.to_date("%Y-%m-%d", strict=False)
    if "%H" in date_format or "%T" in date_format:
        return text.str.to_datetime(date_format, strict=False, time_unit="us").dt.date()
    return text.str.to_date(date_format, strict=False)
