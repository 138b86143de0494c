"""`counting`: which resources count, where an export holds a resource more than once."""

from __future__ import annotations

from collections import Counter

import polars as pl


def counting(resources: pl.DataFrame, tallies: Counter[str]) -> pl.DataFrame:
    """number, row, key, sensitive of the resources that count.

    Of several versions of one resource (several exports in one folder) the latest counts, the first
    of those that were changed at one moment; it may take an earlier one back: entered in error. A
    resource that a Bundle deletes counts no more.
    """
    deleted = resources.filter(pl.col("fate") == "deleted").select("key")
    kept = resources.filter(pl.col("fate") != "deleted")
    kept = kept.join(deleted, on="key", how="anti", maintain_order="left")
    again = kept.filter(pl.col("key").is_not_null() & pl.col("key").is_duplicated())
    if again.height:
        moment = pl.col("stamp").str.replace(r"[Zz]$", "+00:00")
        latest = (
            again.with_columns(
                moment=moment.str.to_datetime(
                    "%Y-%m-%dT%H:%M:%S%.f%:z", strict=False, time_unit="us"
                )
            )
            .sort(["moment", "number"], descending=[True, False], nulls_last=True)
            .unique("key", keep="first")
        )
        older = again.join(latest, on="number", how="anti")
        tallies["earlier versions of a resource"] += older.height
        kept = kept.join(older, on="number", how="anti", maintain_order="left")
    return kept.filter(pl.col("fate") == "used").select("number", "row", "key", "sensitive")
