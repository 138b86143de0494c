"""`check_engagement`, `check_wearables`: Cairn's measures, in their public ranges, once each."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from cairn_client.readers.long_tables import Clock, known_patients, once, translated, with_time
from cairn_client.readers.mapping import Engagement, Wearables
from cairn_client.readers.raw import RawTable, Sheet
from cairn_client.readers.scales import ENGAGEMENT_RANGES, WEARABLE_RANGES
from cairn_client.readers.values import folded_word, with_number
from cairn_models.records import ENGAGEMENT, WEARABLES


def check_engagement(
    raw: RawTable,
    spec: Engagement,
    entries: pl.DataFrame | None,
    clock: Clock,
    sheet: Sheet,
) -> pl.DataFrame:
    """`Records.engagement`, sorted by patient, measure and time."""
    frame = known_patients(raw.frame, entries, sheet)
    frame = with_time(frame, clock, spec.date_format, sheet)
    frame = with_number(frame, "value", clock.decimal, sheet)
    frame = _with_measures(frame, spec.measures, ENGAGEMENT_RANGES, "engagement", sheet)
    frame = once(frame, ["patient", "measure", "time"], ["value"], "value-twice", sheet)
    return frame.select(list(ENGAGEMENT)).sort("patient", "measure", "time")


def check_wearables(
    raw: RawTable,
    spec: Wearables,
    entries: pl.DataFrame | None,
    clock: Clock,
    sheet: Sheet,
) -> pl.DataFrame:
    """`Records.wearables`, sorted by patient, measure and week; a date counts for its week."""
    frame = known_patients(raw.frame, entries, sheet)
    frame = with_time(frame, clock, spec.date_format, sheet)
    frame = with_number(frame, "value", clock.decimal, sheet)
    frame = _with_measures(frame, spec.measures, WEARABLE_RANGES, "wearables", sheet)
    frame = with_number(frame, "coverage", clock.decimal, sheet)
    outside = ~pl.col("coverage").is_between(0, 1)
    frame = sheet.set_aside(frame, outside, "coverage-out-of-range", "coverage")
    week = pl.col("week")
    if "week" in sheet.columns:
        frame = sheet.set_aside(frame, week != week.round(), "week-not-whole", "week")
    frame = frame.with_columns(week.floor().cast(pl.Int64))
    said = ["value", "coverage"]
    frame = once(frame, ["patient", "measure", "week"], said, "value-twice", sheet)
    return frame.select(list(WEARABLES)).sort("patient", "measure", "week")


def _with_measures(
    frame: pl.DataFrame,
    words: Mapping[str, str],
    ranges: Mapping[str, tuple[float, float]],
    table: str,
    sheet: Sheet,
) -> pl.DataFrame:
    """`frame` with `measure` in Cairn's names and `value` within the measure's public range."""
    measure = pl.col("measure")
    frame = sheet.set_aside(frame, measure.is_null(), "measure-missing", "measure")
    meanings = {folded_word(name): name for name in ranges}
    meanings |= {folded_word(word): name for word, name in words.items()}
    frame = translated(frame, "measure", meanings)
    known = next(iter(ranges))
    frame = sheet.set_aside(
        frame, measure.is_null(), "measure-unknown", "measure", table=table, known=known
    )
    for name, (lowest, highest) in ranges.items():
        outside = (measure == name) & ~pl.col("value").is_between(lowest, highest)
        limits = {"measure": name, "lowest": lowest, "highest": highest}
        frame = sheet.set_aside(frame, outside, "value-out-of-range", "value", **limits)
    return frame
