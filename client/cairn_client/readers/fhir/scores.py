"""`raw_scores`: each questionnaire's items and total once, however often they were exported.

One PHQ-9 may stand in a response, in a panel of Observations and in an Observation of its total.
What they say alike is one score. Items of two different forms of one day are never put together:
those of the first form count.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

import polars as pl

from cairn_client.readers.raw import Sheet

_FORM: Final = ["patient", "instrument", "date"]


def with_forms(scores: pl.DataFrame, panels: pl.DataFrame, inside: pl.DataFrame) -> pl.DataFrame:
    """`scores`, each with the form and the day of its questionnaire.

    A panel's members have the panel's, and what was derived from a response has the response's.

    Args:
        scores: number, date, form, response and others.
        panels: member, panel_form, panel_date.
        inside: number, member: the resources that are members.
    """
    panels = panels.unique("member", keep="first", maintain_order=True)
    homes = inside.join(panels, on="member").select("number", "panel_form", "panel_date")
    joined = scores.join(homes, on="number", how="left", maintain_order="left")
    own = pl.when(pl.col("form") != "").then(pl.col("form"))
    joined = joined.with_columns(
        form=pl.coalesce(own, "panel_form", pl.lit("")), date=pl.coalesce("panel_date", "date")
    )
    # One system writes the response's time in UTC and its total's in local time: near midnight
    # they differ by a day, and one questionnaire would be two.
    answered = joined.filter("response").unique("form", keep="first", maintain_order=True)
    joined = joined.join(
        answered.select("form", answered_on="date"), on="form", how="left", maintain_order="left"
    )
    return joined.with_columns(date=pl.coalesce("answered_on", "date"))


def raw_scores(scores: pl.DataFrame, sheet: Sheet, tallies: Counter[str]) -> pl.DataFrame:
    """row, patient, sensitive, date, instrument, item, value.

    Args:
        scores: those and `form`, `response`, `number`; `patient` resolved.
    """
    ordered = scores.sort(["response", "number"], descending=[True, False], maintain_order=True)
    number = pl.col("value").cast(pl.Float64, strict=False).cast(pl.String)
    ordered = ordered.with_columns(
        said=pl.coalesce(number, "value"),
        label=pl.col("sensitive").is_null(),
        first=pl.col("form")
        .filter(pl.col("item").is_not_null() & (pl.col("form") != ""))
        .first()
        .over(_FORM),
    )
    once = ordered.unique([*_FORM, "item", "said", "label"], keep="first", maintain_order=True)
    tallies["scores said more than once, merged"] += ordered.height - once.height
    strange = (
        pl.col("item").is_not_null() & (pl.col("form") != "") & (pl.col("form") != pl.col("first"))
    )
    once = sheet.set_aside(once, strange, "value-twice", "value")
    return once.select("row", "patient", "sensitive", "date", "instrument", "item", "value")
