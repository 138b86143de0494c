"""`fault_rows`: what was wrong in the files, by file and kind; rows by line, no value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import polars as pl

from cairn_client.readers import Import
from cairn_client.readers.findings import MOST_FINDINGS

SHOWN_ROWS: Final = 12


@dataclass(frozen=True)
class FaultRows:
    """One kind of fault in one file: how many rows, the first of them, what to do."""

    file: str
    code: str
    column: str
    what: str
    remedy: str
    count: int
    rows: str
    aside: bool

    def without_rows(self) -> FaultRows:
        """For somebody who may not see which rows."""
        return replace(self, rows="")


def fault_rows(read: Import) -> tuple[FaultRows, ...]:
    """Faults by file and kind, those that cost most rows first."""
    found = []
    keys = ["file", "code", "column", "reason", "remedy"]
    for key, rows in read.quarantine.group_by(keys, maintain_order=True):
        file, code, column, what, remedy = ("" if part is None else str(part) for part in key)
        listed = rows["row"].sort().to_list()
        found.append(
            FaultRows(file, code, column, what, remedy, len(listed), _rows(listed), aside=True)
        )
    noted = pl.DataFrame(
        [
            (f.file, f.code, f.column or "", f.what, f.remedy, f.row)
            for f in read.findings
            if not f.quarantined
        ],
        schema=dict.fromkeys(keys, pl.String) | {"row": pl.Int64},
        orient="row",
    )
    for key, rows in noted.group_by(keys, maintain_order=True):
        file, code, column, what, remedy = map(str, key)
        listed = rows["row"].drop_nulls().to_list()
        cut = len(listed) >= MOST_FINDINGS
        count = max(read.counts.get(code, 0), 1) if cut else rows.height
        found.append(FaultRows(file, code, column, what, remedy, count, _rows(listed), aside=False))
    return tuple(sorted(found, key=lambda f: (not f.aside, -f.count, f.file, f.code)))


def _rows(rows: Sequence[int]) -> str:
    more = len(rows) - SHOWN_ROWS
    return ", ".join(map(str, rows[:SHOWN_ROWS])) + (f" and {more:,} more" if more > 0 else "")
