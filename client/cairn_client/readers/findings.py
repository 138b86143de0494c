"""`Finding`, `Findings`, `Import`: what reading a clinic's files brought, and what was set aside.

A finding says which file and row, a stable code, what is wrong and what to do. It never holds a
patient's value or identifier: row numbers lead to them, on the clinic's own machine only.
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cairn_client.readers.faults import FAULTS
from cairn_models.records import Records

MOST_FINDINGS: Final = 1000  # of one code in one file; counts and quarantine are always complete
QUARANTINE_FILE: Final = "quarantine.csv"
_SHOWN_ROWS: Final = 5


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

    @property
    def size(self) -> int:
        return max(1, len(self.rows))

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
                np.empty(0, np.int64) if rows is None else rows,
                column,
                code,
                fault.what.format(**filled),
                fault.remedy.format(**filled),
                fault.quarantined,
            )
        )

    def set_aside(
        self,
        frame: pl.DataFrame,
        where: pl.Expr,
        code: str,
        file: str,
        *,
        column: str | None = None,
        **words: object,
    ) -> pl.DataFrame:
        """`frame` without the rows `where`, which are noted; null counts as no."""
        mask = frame.select(where.fill_null(False).alias("fault"))["fault"]
        if not mask.any():
            return frame
        self.add(code, file, _rows(frame.filter(mask)), column=column, **words)
        return frame.filter(~mask)

    def note(
        self,
        frame: pl.DataFrame,
        where: pl.Expr,
        code: str,
        file: str,
        *,
        column: str | None = None,
        **words: object,
    ) -> None:
        """Note the rows `where` and keep them."""
        self.add(code, file, _rows(frame.filter(where)), column=column, **words)

    def finish(self, records: Records, *, synthetic: bool) -> Import:
        """The import, its findings by file, row and code."""
        left: Counter[tuple[str, str]] = Counter()
        findings: list[Finding] = []
        counts: Counter[str] = Counter()
        for group in self._groups:
            counts[group.code] += group.size
            room = MOST_FINDINGS - left[group.file, group.code]
            listed = group.findings(max(room, 0))
            left[group.file, group.code] += len(listed)
            findings += listed
        findings.sort(key=lambda f: (f.file, f.row or 0, f.code))
        aside = [
            pl.DataFrame({"row": g.rows}, schema={"row": pl.Int64}).with_columns(
                pl.lit(g.file).alias("file"), pl.lit(g.code).alias("code")
            )
            for g in self._groups
            if g.quarantined and len(g.rows)
        ]
        empty = pl.DataFrame(schema={"file": pl.String, "row": pl.Int64, "code": pl.String})
        quarantine = pl.concat([empty, *(f.select(empty.columns) for f in aside)])
        return Import(
            records=records,
            findings=tuple(findings),
            counts=dict(sorted(counts.items())),
            tallies=dict(sorted(self.tallies.items())),
            quarantine=quarantine.sort("file", "row", "code"),
            synthetic=synthetic,
        )


@dataclass(frozen=True)
class Import:
    """A clinic's records and what was found wrong with the rest.

    Args:
        records: what passed every check.
        findings: by file and row, at most `MOST_FINDINGS` of a code and file.
        counts: rows by code, complete.
        tallies: rows read and kept by table, duplicates dropped, totals pro-rated.
        quarantine: file, row, code of every row set aside, complete.
        synthetic: whether the mapping says that these are made-up patients.
    """

    records: Records
    findings: tuple[Finding, ...]
    counts: Mapping[str, int]
    tallies: Mapping[str, int]
    quarantine: pl.DataFrame
    synthetic: bool = False

    def summary(self) -> str:
        """Lines for a person: what was read, then each fault with its first rows and remedy."""
        kind = "synthetic patients" if self.synthetic else "patients"
        lines = [f"{len(self.records):,} {kind}"]
        lines += [f"  {name}: {count:,}" for name, count in self.tallies.items()]
        if not self.findings:
            return "\n".join([*lines, "No faults found."])
        groups: dict[tuple[str, str, str, str], list[Finding]] = {}
        for f in self.findings:
            groups.setdefault((f.file, f.code, f.what, f.remedy), []).append(f)
        for (file, code, what, remedy), found in groups.items():
            fate = "set aside" if found[0].quarantined else "noted"
            lines += ["", f"{file} · {code} · {fate}", f"  {what}"]
            rows = [f.row for f in found if f.row is not None]
            if rows:
                more = f" and {len(rows) - _SHOWN_ROWS:,} more" if len(rows) > _SHOWN_ROWS else ""
                plural = "row" if len(rows) == 1 else "rows"
                lines.append(f"  {plural} {', '.join(map(str, rows[:_SHOWN_ROWS]))}{more}")
            lines.append(f"  hint: {remedy}")
        lines += ["", "In all: " + ", ".join(f"{c} {n:,}" for c, n in self.counts.items())]
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values: counts, tallies and findings; no record."""
        return {
            "synthetic": self.synthetic,
            "patients": len(self.records),
            "tallies": dict(self.tallies),
            "counts": dict(self.counts),
            "quarantined": self.quarantine.height,
            "findings": [asdict(f) for f in self.findings],
        }

    def write_quarantine(self, folder: Path) -> Path:
        """The path of `quarantine.csv` in `folder`: file, row, code; readable by its owner only."""
        path = folder / QUARANTINE_FILE
        handle, name = tempfile.mkstemp(prefix=".quarantine-", dir=folder)  # mode 0600
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(self.quarantine.write_csv().encode())
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        return path


def _rows(frame: pl.DataFrame) -> NDArray[np.int64]:
    return frame["row"].to_numpy().astype(np.int64)
