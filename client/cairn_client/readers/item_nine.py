"""`item_nine`: answers above 0 to the ninth item of a PHQ-9, which asks about suicidal thoughts.

They are kept beside the records and never in them, so that no question can reach them; a named
clinician sees them (`cairn_client.returned`). A 0 is not kept: it must never be shown as
reassurance, for most suicides in a large study followed one.
"""

from __future__ import annotations

from typing import Final

import polars as pl

ITEM_NINE: Final = {"patient": pl.String, "time": pl.Float64, "value": pl.Int64}
INSTRUMENT: Final = "PHQ-9"
ITEM: Final = 9


def item_nine(answers: pl.DataFrame) -> pl.DataFrame:
    """`ITEM_NINE` of checked answers: instrument, patient, time, number of the item, value."""
    asked = (pl.col("instrument") == INSTRUMENT) & (pl.col("number") == ITEM)
    above = answers.filter(asked & (pl.col("value") > 0))
    return above.select(
        "patient", pl.col("time").cast(pl.Float64), pl.col("value").cast(pl.Int64)
    ).sort("patient", "time")


def no_item_nine() -> pl.DataFrame:
    """An empty one."""
    return pl.DataFrame(schema=ITEM_NINE)
