"""`totals_from_items`: questionnaires' totals recomputed from their items.

A total is the sum of all items. With `prorate = true` a missing answer counts as the mean of the
others, for at most two PHQ-9 items (never item 9) and one GAD-7 item. The sum wins over a total
that the clinic gives beside the items, and a disagreement is reported. Items themselves go no
further: item 9 in particular is part of a total and never a column.
"""

from __future__ import annotations

import polars as pl

from cairn_client.readers.findings import Findings
from cairn_client.readers.long_tables import once
from cairn_client.readers.mapping import Scores
from cairn_client.readers.raw import RawTable
from cairn_client.readers.scales import ITEM_SCALES, LOINC_ITEMS, ItemScale

_KEY = ["patient", "instrument", "time"]


def totals_from_items(
    items: pl.DataFrame,
    totals: pl.DataFrame,
    spec: Scores,
    raw: RawTable,
    findings: Findings,
) -> pl.DataFrame:
    """One row a total: those made from `items`, and those of `totals` without items."""
    made = [totals.head(0).select("row", *_KEY, "value")]
    for name in items["instrument"].unique(maintain_order=True).to_list():
        rows = items.filter(pl.col("instrument") == name)
        scale = ITEM_SCALES.get(name)
        if scale is None:
            findings.set_aside(
                rows,
                pl.lit(value=True),
                "items-unsupported",
                raw.file,
                column=raw.columns["item"],
                instrument=name,
            )
            continue
        rows = _checked(rows, name, scale, spec, raw, findings)
        made.append(_summed(rows, name, scale, spec, totals, raw, findings))
    sums = pl.concat(made)
    beside = totals.join(sums.select(*_KEY, made="value"), on=_KEY, how="left")
    differs = (pl.col("value") - pl.col("made")).abs() > 0.5
    findings.note(beside, differs, "total-disagrees", raw.file, column=raw.columns["value"])
    alone = beside.filter(pl.col("made").is_null()).select(sums.columns)
    return pl.concat([sums, alone])


def _checked(
    rows: pl.DataFrame,
    name: str,
    scale: ItemScale,
    spec: Scores,
    raw: RawTable,
    findings: Findings,
) -> pl.DataFrame:
    """Rows with a known item, `item` its number, and an answer within the scale, once each."""
    numbers = {str(i): i for i in range(1, scale.items + 1)}
    numbers |= LOINC_ITEMS.get(name, {})
    numbers |= {code: i for code, i in spec.items.items() if 1 <= i <= scale.items}
    item = pl.col("item").replace_strict(
        list(numbers), list(numbers.values()), default=None, return_dtype=pl.Int64
    )
    rows = rows.with_columns(number=item)
    rows = findings.set_aside(
        rows,
        pl.col("number").is_null(),
        "item-unknown",
        raw.file,
        column=raw.columns["item"],
        instrument=name,
        items=scale.items,
    )
    answer = pl.col("value")
    odd = ~answer.is_between(0, scale.highest) | (answer != answer.round())
    rows = findings.set_aside(
        rows,
        odd,
        "item-out-of-range",
        raw.file,
        column=raw.columns["value"],
        highest=scale.highest,
    )
    return once(rows, [*_KEY, "number"], ["value"], findings, raw.file, "value-twice")


def _summed(
    rows: pl.DataFrame,
    name: str,
    scale: ItemScale,
    spec: Scores,
    totals: pl.DataFrame,
    raw: RawTable,
    findings: Findings,
) -> pl.DataFrame:
    """row (of the first item), patient, instrument, time, value: totals that could be made."""
    needed = [pl.col("number").eq(i).any() for i in sorted(scale.never_missing)]
    groups = rows.group_by(_KEY, maintain_order=True).agg(
        row=pl.col("row").first(),
        total=pl.col("value").sum(),
        answered=pl.len(),
        needed=pl.all_horizontal(needed) if needed else pl.lit(value=True),
    )
    missing = scale.items - pl.col("answered")
    may_miss = scale.may_miss if spec.prorate else 0
    whole = (missing == 0) | ((missing <= may_miss) & pl.col("needed"))
    stated = totals.select(*_KEY, stated=pl.lit(value=True))
    groups = groups.join(stated, on=_KEY, how="left", maintain_order="left")
    has_total = pl.col("stated").is_not_null()
    column = raw.columns["item"]
    findings.note(groups, ~whole & has_total, "total-without-items", raw.file, column=column)
    findings.note(
        groups,
        ~whole & ~has_total,
        "items-incomplete",
        raw.file,
        column=column,
        instrument=name,
    )
    made = groups.filter(whole)
    findings.tallies["totals made from items"] += made.height
    prorated = made.filter(missing > 0).height
    if prorated:
        findings.tallies["totals pro-rated"] += prorated
    value = pl.col("total") * (scale.items / pl.col("answered"))
    return made.with_columns(value=value).select("row", *_KEY, "value")
