"""`counting`: which resources count, where an export holds a resource more than once."""

from __future__ import annotations

from collections import Counter

import polars as pl


def counting(resources: pl.DataFrame, tallies: Counter[str]) -> pl.DataFrame:
    """number, row, key, sensitive of the resources that count.

    Of several versions of one resource (several exports in one folder) the latest counts; it may
    take an earlier one back: entered in error. The latest is told by `stamp`, else by `version`;
    where neither tells, the version that takes most back counts, and of equals the one that was
    read last. A resource that a Bundle deletes counts no more.

    Args:
        resources: number (the order of reading), row, key, stamp, version, back (how much it takes
            back), fate, sensitive.
        tallies: earlier versions are counted there.
    """
    deleted = resources.filter(pl.col("fate") == "deleted").select("key")
    kept = resources.filter(pl.col("fate") != "deleted")
    kept = kept.join(deleted, on="key", how="anti", maintain_order="left")
    again = kept.filter(pl.col("key").is_not_null() & pl.col("key").is_duplicated())
    if again.height:
        moment = pl.col("stamp").str.replace(r"[Zz]$", "+00:00")
        moment = moment.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%:z", strict=False, time_unit="us")
        latest = again.with_columns(moment=moment)
        for order in ("moment", "version"):
            # A version without it is neither earlier nor later than the others.
            last = pl.col(order) == pl.col(order).max().over("key")
            latest = latest.filter(last.fill_null(value=True))
        latest = latest.sort("back", "number", descending=True).unique("key", keep="first")
        older = again.join(latest, on="number", how="anti")
        tallies["earlier versions of a resource"] += older.height
        kept = kept.join(older, on="number", how="anti", maintain_order="left")
    return kept.filter(pl.col("fate") == "used").select("number", "row", "key", "sensitive")
