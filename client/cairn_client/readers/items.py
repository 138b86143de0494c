"""`totals_from_items`: questionnaires' totals recomputed from their items.

A total is the sum of all items. With `prorate = true` a missing answer counts as the mean of the
others, for at most two PHQ-9 items (never item 9) and one GAD-7 item. The sum wins over a total
that the clinic gives beside the items, and a disagreement is reported. Items themselves go no
further: item 9 in particular is part of a total and never a column (see `item_nine`).
"""

from __future__ import annotations

import polars as pl

from cairn_client.readers.item_nine import item_nine, no_item_nine
from cairn_client.readers.long_tables import once
from cairn_client.readers.mapping import Scores
from cairn_client.readers.raw import Sheet
from cairn_client.readers.scales import ITEM_SCALES, LOINC_ITEMS, ItemScale

_KEY = ["patient", "instrument", "time"]
_DIFFERENCE = 0.5  # points; pro-rated totals may have been rounded by the clinic's system


def totals_from_items(
    items: pl.DataFrame, totals: pl.DataFrame, spec: Scores, sheet: Sheet
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(row, patient, instrument, time, value: totals made from `items`, and `totals` without any;
    and `ITEM_NINE`, the answers above 0 to that item)."""
    made = [totals.head(0).select("row", *_KEY, "value")]
    nine = [no_item_nine()]
    for name in items["instrument"].unique(maintain_order=True).to_list():
        rows = items.filter(pl.col("instrument") == name)
        scale = ITEM_SCALES.get(name)
        if scale is None:
            everything = pl.lit(value=True)
            sheet.set_aside(rows, everything, "items-unsupported", "item", instrument=name)
            continue
        answers = _answers(rows, name, scale, spec, sheet)
        nine.append(item_nine(answers))
        groups = _groups(answers, scale)
        made.append(_totals(groups, scale, spec, totals, sheet))
    sums = pl.concat(made)
    beside = totals.join(sums.select(*_KEY, made="value"), on=_KEY, how="left")
    differs = (pl.col("value") - pl.col("made")).abs() > _DIFFERENCE
    sheet.note(beside, differs, "total-disagrees", "value")
    alone = beside.filter(pl.col("made").is_null()).select(sums.columns)
    return pl.concat([sums, alone]), pl.concat(nine)


def _answers(
    rows: pl.DataFrame, name: str, scale: ItemScale, spec: Scores, sheet: Sheet
) -> pl.DataFrame:
    """Rows with a known item, `number` its place, and an answer on the scale, once each."""
    numbers = {str(i): i for i in range(1, scale.items + 1)}
    numbers |= LOINC_ITEMS.get(name, {})
    numbers |= {code: i for code, i in spec.items.items() if 1 <= i <= scale.items}
    place = pl.col("item").replace_strict(
        list(numbers), list(numbers.values()), default=None, return_dtype=pl.Int64
    )
    rows = rows.with_columns(number=place)
    words = {"instrument": name, "items": scale.items, "highest": scale.highest}
    rows = sheet.set_aside(rows, pl.col("number").is_null(), "item-unknown", "item", **words)
    answer = pl.col("value")
    odd = ~answer.is_between(0, scale.highest) | (answer != answer.round())
    rows = sheet.set_aside(rows, odd, "item-out-of-range", "value", **words)
    return once(rows, [*_KEY, "number"], ["value"], "value-twice", sheet)


def _groups(answers: pl.DataFrame, scale: ItemScale) -> pl.DataFrame:
    """A row a questionnaire: `row` of its first item, `total`, `answered`, `essential` or not."""
    essential = [pl.col("number").eq(i).any() for i in sorted(scale.never_missing)]
    return answers.group_by(_KEY, maintain_order=True).agg(
        row=pl.col("row").first(),
        total=pl.col("value").sum(),
        answered=pl.len().cast(pl.Int64),
        essential=pl.all_horizontal([pl.lit(value=True), *essential]),
    )


def _totals(
    groups: pl.DataFrame, scale: ItemScale, spec: Scores, totals: pl.DataFrame, sheet: Sheet
) -> pl.DataFrame:
    """row, patient, instrument, time, value of the groups of which a total can be made."""
    missing = scale.items - pl.col("answered")
    may_miss = scale.may_miss if spec.prorate else 0
    whole = (missing == 0) | ((missing <= may_miss) & pl.col("essential"))
    stated = totals.select(*_KEY, stated=pl.lit(value=True))
    groups = groups.join(stated, on=_KEY, how="left", maintain_order="left")
    lacking, has_total = groups.filter(~whole), pl.col("stated").is_not_null()
    sheet.note(lacking, has_total, "total-without-items", "item")
    sheet.set_aside(lacking, ~has_total, "items-incomplete", "item")
    made = groups.filter(whole)
    sheet.findings.tallies["totals made from items"] += made.height
    sheet.findings.tallies["totals pro-rated"] += made.filter(missing > 0).height
    value = pl.col("total") * (scale.items / pl.col("answered"))
    return made.with_columns(value=value).select("row", *_KEY, "value")
