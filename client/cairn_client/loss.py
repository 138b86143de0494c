"""`Loss`: what an import would lose of what is kept. A half-exported file is the usual fault.

Somebody whom the files name and leave out, withdrawn above all, is not lost. Neither is a table
that grows elsewhere: patients are compared one by one, so files in which everybody has another
identifier lose everybody.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import polars as pl

from cairn_client.record_pack import TABLES, Kept
from cairn_protocol.errors import PolicyRefusal

FEW: Final = 2  # so many may go from a small clinic without a question


@dataclass(frozen=True)
class Loss:
    """Patients or rows of `table` that are kept now (`before`), and how many would go."""

    table: str
    before: int
    gone: int

    def beyond(self, share: float) -> bool:
        """Whether more than `share` of them would go."""
        return self.gone > max(share * self.before, FEW)

    def __str__(self) -> str:
        of = "patients" if self.table == "patients" else f"rows of {self.table}"
        return f"{self.gone:,} of {self.before:,} {of}"


def losses(before: Kept, after: Kept, left_out: pl.DataFrame) -> list[Loss]:
    """What `after` lacks of `before`, table by table; `left_out` (patient, why) is not lost."""
    old = before.records
    expected = old.patients["patient"]
    expected = expected.filter(~expected.is_in(left_out["patient"].implode()))
    missing = ~expected.is_in(after.records.patients["patient"].implode())
    found = [Loss("patients", expected.len(), int(missing.sum()))]
    stayed = old.only(expected)
    for table in TABLES[1:]:
        rows = getattr(stayed, table).height
        gone = max(rows - int(getattr(after.records, table).height), 0)
        found.append(Loss(table, rows, gone))
    return found


def check_loss(found: list[Loss], share: float) -> None:
    """Refuses an import that would lose more than `share` of something.

    Raises:
        PolicyRefusal: `policy.import-loss`.
    """
    large = [loss for loss in found if loss.beyond(share)]
    if not large:
        return
    everybody = any(loss.table == "patients" and loss.gone == loss.before for loss in large)
    raise PolicyRefusal(
        f"this import would lose {' and '.join(map(str, large))}",
        code="import-loss",
        why="none of the patients kept now is in the files: their identifiers may have changed"
        if everybody
        else "a file may have been exported in part",
        hint="look at the files and export them again; if they are right: "
        "`cairn clinic import --accept-loss`. Until then studies use what was imported before, "
        "without the patients whom these files leave out",
    )
