"""`Finding`, and `Findings`, which collects them while tables are checked.

A finding says which file and row, a stable code, what is wrong and what to do. It never holds a
patient's value or identifier: row numbers lead to them, on the clinic's own machine only.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cairn_client.readers.faults import FAULTS

MOST_FINDINGS: Final = 1000  # of one code in one file; `counts` and `quarantine` are complete


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault. `row` is the 1-based line in the file, or None for the file as a whole."""

    file: str
    row: int | None
    column: str | None
    code: str
    what: str
    remedy: str
    quarantined: bool


QUARANTINE: Final = {
    "file": pl.String,
    "row": pl.Int64,
    "column": pl.String,
    "code": pl.String,
    "reason": pl.String,
    "remedy": pl.String,
}


@dataclass(frozen=True)
class _Group:
    """Rows of one file with the same fault."""

    file: str
    rows: NDArray[np.int64]  # empty: the file as a whole
    column: str | None
    code: str
    what: str
    remedy: str
    quarantined: bool

    def findings(self, most: int) -> list[Finding]:
        shared = (self.column, self.code, self.what, self.remedy, self.quarantined)
        if not len(self.rows):
            return [Finding(self.file, None, *shared)]
        return [Finding(self.file, row, *shared) for row in np.sort(self.rows)[:most].tolist()]


class Findings:
    """Collects faults while tables are checked."""

    def __init__(self) -> None:
        self._groups: list[_Group] = []
        self.tallies: Counter[str] = Counter()

    def add(
        self,
        code: str,
        file: str,
        rows: NDArray[np.int64] | None = None,
        *,
        column: str | None = None,
        **words: object,
    ) -> None:
        """Note that `rows` of `file` have the fault `code`; `words` fill in its sentences.

        `rows` None: the file as a whole. Nothing is noted for an empty array.
        """
        if rows is not None and not len(rows):
            return
        fault = FAULTS[code]
        filled = {"file": file, "column": column, **words}
        self._groups.append(
            _Group(
                file,
                np.empty(0, np.int64) if rows is None else np.unique(rows),
                column,
                code,
                fault.what.format(**filled),
                fault.remedy.format(**filled),
                fault.quarantined,
            )
        )

    def listed(self) -> tuple[Finding, ...]:
        """Findings by file, row and code, at most `MOST_FINDINGS` of a code and file."""
        left: Counter[tuple[str, str]] = Counter()
        findings: list[Finding] = []
        for group in self._groups:
            place = group.file, group.code
            some = group.findings(max(MOST_FINDINGS - left[place], 0))
            left[place] += len(some)
            findings += some
        return tuple(sorted(findings, key=lambda f: (f.file, f.row or 0, f.code)))

    def counts(self) -> dict[str, int]:
        """Rows by code, complete."""
        counts: Counter[str] = Counter()
        for group in self._groups:
            counts[group.code] += max(1, len(group.rows))
        return dict(sorted(counts.items()))

    def quarantine(self) -> pl.DataFrame:
        """file, row, column, code, reason, remedy of every row set aside, complete."""
        parts = [pl.DataFrame(schema=QUARANTINE)]
        parts += [
            pl.select(
                file=pl.lit(g.file),
                row=pl.Series(g.rows),
                column=pl.lit(g.column, pl.String()),
                code=pl.lit(g.code),
                reason=pl.lit(g.what),
                remedy=pl.lit(g.remedy),
            )
            for g in self._groups
            if g.quarantined and len(g.rows)
        ]
        return pl.concat(parts).sort("file", "row", "code")
