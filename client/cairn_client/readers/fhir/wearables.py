"""`raw_wearables`: weeks since entry, as means over days, with the share of days that have data.

An Observation with a coverage component is a week's mean already. Others are days: values of one
day are averaged, then the days of each week.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from cairn_client.readers.raw import Sheet
from cairn_client.readers.scales import WEARABLE_RANGES

_WEEK: Final = ["patient", "measure", "week"]
_DECIMALS: Final = 6  # sums of one patient's days must not depend on how others' rows are laid out


def raw_wearables(days: pl.DataFrame, entries: pl.DataFrame, sheet: Sheet) -> pl.DataFrame:
    """row, patient, sensitive, date, measure, value, coverage, the numbers as text.

    Args:
        days: row, patient, sensitive, date, measure, amount, coverage.
        entries: patient, entry (text), one row a patient.
    """
    for name, (lowest, highest) in WEARABLE_RANGES.items():
        outside = (pl.col("measure") == name) & ~pl.col("amount").is_between(lowest, highest)
        limits = {"measure": name, "lowest": lowest, "highest": highest}
        days = sheet.set_aside(days, outside, "value-out-of-range", "value", **limits)
    days = days.join(entries, on="patient", how="left", maintain_order="left")
    begun = pl.col("entry").str.to_date("%Y-%m-%d", strict=False)
    day = pl.col("date").str.to_date("%Y-%m-%d", strict=False)
    days = days.with_columns(begun=begun, week=(day - begun).dt.total_days() // 7)
    daily = pl.col("coverage").is_null() & pl.col("week").is_not_null()
    daily &= pl.col("sensitive").is_null()
    weeks = (
        days.filter(daily)
        .group_by([*_WEEK, "date"], maintain_order=True)
        .agg(pl.col("amount").mean(), pl.col("row", "begun").first())
        .sort([*_WEEK, "date"])
        .group_by(_WEEK, maintain_order=True)
        .agg(
            pl.col("row").min(),
            pl.col("begun").first(),
            pl.col("amount").mean().round(_DECIMALS),
            coverage=pl.len() * (1 / 7),
        )
        .with_columns(
            date=(pl.col("begun") + pl.duration(days=7 * pl.col("week"))).dt.to_string("%Y-%m-%d"),
            sensitive=pl.lit(None, pl.String),
        )
    )
    columns = ["row", "patient", "sensitive", "date", "measure", "amount", "coverage"]
    rest = days.filter(~daily).with_columns(pl.col("coverage").fill_null(1 / 7))
    return (
        pl.concat([rest.select(columns), weeks.select(columns)])
        .sort("row", maintain_order=True)
        .select(
            *columns[:5],
            value=pl.col("amount").cast(pl.String),
            coverage=pl.col("coverage").cast(pl.String),
        )
    )
