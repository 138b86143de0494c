"""Checks that scores, engagement and wearables share: patient, time, measure, repeated rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from cairn_client.readers.findings import Findings
from cairn_client.readers.raw import RawTable
from cairn_client.readers.values import folded_word, with_day, with_number, with_patients
from cairn_models.records import WEEKS_PER_MONTH, TimeUnit


@dataclass(frozen=True)
class Clock:
    """How time is read: the unit of the records and the public window in weeks since entry."""

    unit: TimeUnit
    earliest_week: float
    latest_week: float
    decimal: str


def known_patients(raw: RawTable, entries: pl.DataFrame | None, findings: Findings) -> pl.DataFrame:
    """The raw rows with `patient` folded, of patients in `entries` (patient, entry) where given."""
    column = raw.columns["patient"]
    frame = with_patients(raw.frame, findings, raw.file, column)
    if entries is None:
        return frame
    frame = frame.join(
        entries.with_columns(listed=pl.lit(value=True)),
        on="patient",
        how="left",
        maintain_order="left",
    )
    unlisted = pl.col("listed").is_null()
    return findings.set_aside(frame, unlisted, "patient-unknown", raw.file, column=column).drop(
        "listed"
    )


def with_time(
    frame: pl.DataFrame, raw: RawTable, clock: Clock, date_format: str, findings: Findings
) -> pl.DataFrame:
    """`frame` with `time` f64 in the clock's unit, within the public window."""
    if "date" in raw.columns:
        column = raw.columns["date"]
        missing = pl.col("date").is_null()
        frame = findings.set_aside(frame, missing, "time-missing", raw.file, column=column)
        frame = with_day(frame, "date", date_format, findings, raw.file, column)
        undated = pl.col("entry").is_null()
        frame = findings.set_aside(frame, undated, "entry-missing", raw.file, column=column)
        days = (pl.col("date") - pl.col("entry")).dt.total_days()
        frame = frame.with_columns(week=days / 7)
    else:
        role = "week" if "week" in raw.columns else "month"
        column = raw.columns[role]
        frame = with_number(
            frame, role, clock.decimal, findings, raw.file, column, missing="time-missing"
        )
        if role == "month":
            frame = frame.with_columns(week=pl.col("month") * WEEKS_PER_MONTH)
    early, late = clock.earliest_week, clock.latest_week
    frame = findings.set_aside(
        frame,
        pl.col("week") < early,
        "time-before-entry",
        raw.file,
        column=column,
        weeks=-early,
    )
    frame = findings.set_aside(
        frame, pl.col("week") > late, "time-too-late", raw.file, column=column, weeks=late
    )
    if clock.unit == "week":
        time = pl.col("week")
    else:
        time = pl.col("month") if "month" in raw.columns else pl.col("week") / WEEKS_PER_MONTH
    return frame.with_columns(time=time)


def with_measures(
    frame: pl.DataFrame,
    raw: RawTable,
    table: str,
    words: Mapping[str, str],
    ranges: Mapping[str, tuple[float, float]],
    findings: Findings,
) -> pl.DataFrame:
    """`frame` with `measure` in Cairn's names and `value` within the measure's public range."""
    column = raw.columns["measure"]
    frame = findings.set_aside(
        frame, pl.col("measure").is_null(), "measure-missing", raw.file, column=column
    )
    meanings = {folded_word(name): name for name in ranges}
    meanings |= {folded_word(word): name for word, name in words.items()}
    frame = translated(frame, "measure", meanings)
    frame = findings.set_aside(
        frame,
        pl.col("measure").is_null(),
        "measure-unknown",
        raw.file,
        column=column,
        table=table,
        known=next(iter(ranges)),
    )
    for measure, (lowest, highest) in ranges.items():
        outside = (pl.col("measure") == measure) & ~pl.col("value").is_between(lowest, highest)
        frame = findings.set_aside(
            frame,
            outside,
            "value-out-of-range",
            raw.file,
            column=raw.columns["value"],
            measure=measure,
            lowest=lowest,
            highest=highest,
        )
    return frame


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
    frame: pl.DataFrame,
    key: list[str],
    said: list[str],
    findings: Findings,
    file: str,
    conflict: str,
) -> pl.DataFrame:
    """The first row of each `key`: repeats that say the same are noted, others set aside."""
    repeated = frame.select(pl.struct(key).is_duplicated().alias("r"))["r"]
    if not repeated.any():
        return frame
    several = frame.filter(repeated)
    first = pl.int_range(pl.len()).over(key) == 0
    same = pl.all_horizontal(
        pl.col(name).eq_missing(pl.col(name).first().over(key)) for name in said
    )
    several = several.with_columns(first.alias("__first"), same.alias("__same"))
    again = ~pl.col("__first")
    findings.note(several, again & pl.col("__same"), "duplicate-row", file)
    findings.note(several, again & ~pl.col("__same"), conflict, file)
    dropped = several.filter(again).select("row")
    return frame.join(dropped, on="row", how="anti", maintain_order="left")
