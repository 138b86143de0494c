"""`long_of`: a table with a column for each questionnaire, item or visit, as one row a score.

An empty cell is a questionnaire that was not filled in: no row, and no finding.
"""

from __future__ import annotations

import polars as pl

from cairn_client.readers.mapping import Scores, WideColumn
from cairn_client.readers.raw import SPREAD, RawTable

_FIXED = ("row", "patient", "sensitive", "week", "month", "date")


def long_of(raw: RawTable, spec: Scores, decimal: str) -> tuple[RawTable, Scores]:
    """The same scores in long form, row by row and column by column, and what their columns are.

    Args:
        decimal: the mark that the mapping's numbers have.
    """
    parts = [
        _one(raw.frame, number, name, column, decimal)
        for number, (name, column) in enumerate(spec.wide.items())
    ]
    frame = pl.concat(parts).sort("row", maintain_order=True)
    days = sorted({column.date for column in spec.wide.values() if column.date is not None})
    weeks = any(column.week is not None for column in spec.wide.values())
    items = any(column.item is not None for column in spec.wide.values())
    long = Scores(
        file=spec.file,
        patient=spec.patient,
        sensitive=spec.sensitive,
        date_format=spec.date_format,
        week="week of the column" if weeks else spec.week,
        month=spec.month,
        date=" or ".join(days)[:200] or spec.date,
        instrument="the column's name",
        value="value",
        item="item" if items else None,
        prorate=spec.prorate and items,
    )
    kept = ["row", *long.columns(), SPREAD]
    return RawTable(raw.file, frame.select(kept), long.columns(), raw.stretches), long


def _one(
    frame: pl.DataFrame, number: int, name: str, column: WideColumn, decimal: str
) -> pl.DataFrame:
    """The rows that one column has a value in."""
    fixed = [c for c in _FIXED if c in frame.columns]
    told = {
        "instrument": pl.lit(column.name),
        "item": pl.lit(column.item, pl.String()),
        "value": pl.col(f"wide{number}"),
        SPREAD: pl.lit(name),
    }
    if column.week is not None:
        told["week"] = pl.lit(f"{column.week:.15g}".replace(".", decimal))
    if column.date is not None:
        told["date"] = pl.col(f"day{number}")
    return frame.filter(pl.col(f"wide{number}").is_not_null()).select(*fixed, **told)
