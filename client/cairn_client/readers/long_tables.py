"""Checks that scores, engagement and wearables share: patient, time, words, repeated rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import polars as pl

from cairn_client.readers.raw import Sheet
from cairn_client.readers.values import folded_word, with_day, with_number, with_patients
from cairn_models.records import WEEKS_PER_MONTH, TimeUnit

MONTHS_PER_WEEK: Final = 1 / WEEKS_PER_MONTH


@dataclass(frozen=True)
class Clock:
    """How time is read: the unit of the records and the public window in weeks since entry."""

    unit: TimeUnit
    earliest_week: float
    latest_week: float
    decimal: str
    date_format: str


def known_patients(frame: pl.DataFrame, entries: pl.DataFrame | None, sheet: Sheet) -> pl.DataFrame:
    """`frame` with `patient` folded, of patients in `entries` (patient, entry) where given."""
    frame = with_patients(frame, sheet)
    if entries is None:
        return frame
    listed = entries.with_columns(__listed=pl.lit(value=True))
    frame = frame.join(listed, on="patient", how="left", maintain_order="left")
    frame = sheet.set_aside(frame, pl.col("__listed").is_null(), "patient-unknown", "patient")
    return frame.drop("__listed")


def with_time(frame: pl.DataFrame, clock: Clock, date_format: str, sheet: Sheet) -> pl.DataFrame:
    """`frame` with `week` since entry and `time` in the clock's unit, in the public window."""
    role = next(role for role in ("date", "week", "month") if role in sheet.columns)
    week = pl.col("week")
    if role == "date":
        frame = sheet.set_aside(frame, pl.col("date").is_null(), "time-missing", "date")
        frame = with_day(frame, "date", date_format or clock.date_format, sheet)
        frame = sheet.set_aside(frame, pl.col("entry").is_null(), "entry-missing", "date")
        frame = frame.with_columns(week=_weeks((pl.col("date") - pl.col("entry")).dt.total_days()))
    else:
        frame = with_number(frame, role, clock.decimal, sheet, missing="time-missing")
        if role == "month":
            frame = frame.with_columns(week=pl.col("month") * WEEKS_PER_MONTH)
    early, late = clock.earliest_week, clock.latest_week
    frame = sheet.set_aside(frame, week < early, "time-before-entry", role, weeks=-early)
    frame = sheet.set_aside(frame, week > late, "time-too-late", role, weeks=late)
    if clock.unit == role:
        return frame.with_columns(time=pl.col(role))
    return frame.with_columns(time=week if clock.unit == "week" else week * MONTHS_PER_WEEK)


def _weeks(days: pl.Expr) -> pl.Expr:
    # Never a division: polars divides a column of one row and a column of many by different
    # instructions, so a patient's last bit would tell how many others there are. A product is
    # rounded alike; whole weeks stay whole.
    return (days // 7).cast(pl.Float64) + (days % 7).cast(pl.Float64) * (1 / 7)


def translated(frame: pl.DataFrame, role: str, meanings: Mapping[str, str]) -> pl.DataFrame:
    """`frame` with the words of `role` replaced by what their folded form means, else null."""
    words = frame[role].unique().drop_nulls().to_list()
    meant = pl.DataFrame(
        {role: words, "__meaning": [meanings.get(folded_word(w)) for w in words]},
        schema={role: pl.String, "__meaning": pl.String},
    )
    frame = frame.join(meant, on=role, how="left", maintain_order="left")
    return frame.with_columns(pl.col("__meaning").alias(role)).drop("__meaning")


def once(
    frame: pl.DataFrame, key: list[str], said: list[str], conflict: str, sheet: Sheet
) -> pl.DataFrame:
    """The first row of each `key`: repeats that say the same are noted, others set aside."""
    repeated = frame.select(pl.struct(key).is_duplicated().alias("__repeated"))["__repeated"]
    if not repeated.any():
        return frame
    first = pl.int_range(pl.len()).over(key) == 0
    same = pl.all_horizontal(
        pl.col(name).eq_missing(pl.col(name).first().over(key)) for name in said
    )
    # Not by `row`: one line of a file may hold several rows, such as a form's answers.
    frame = frame.with_row_index("__at")
    again = frame.filter(repeated).with_columns(__first=first, __same=same)
    again = again.filter(~pl.col("__first"))
    sheet.note(again, pl.col("__same"), "duplicate-row")
    sheet.note(again, ~pl.col("__same"), conflict)
    kept = frame.join(again.select("__at"), on="__at", how="anti", maintain_order="left")
    return kept.drop("__at")
