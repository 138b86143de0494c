"""`RawTable`: a source's rows as text, before any check. The seam between sources and checks.

A reader (CSV here; others can follow) turns a source into raw long tables; the checks are the same
for all of them and speak of a table through its `Sheet`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cairn_client.readers.findings import Findings

SPREAD: Final = "__column"  # of a table that was wide: in which column each value stood


@dataclass(frozen=True)
class Stretch:
    """Rows after `offset`, until the next stretch's, are those of `file`, counted from there."""

    file: str
    offset: int


_LINES: Final = {"row": pl.Int64, "code": pl.String}
_NAMED: Final = {"row": pl.Int64, "patient": pl.String, "own": pl.Boolean}


@dataclass(frozen=True)
class Damage:
    """Lines that are no records, of a table that says whose records may be used.

    Args:
        lines: row, code of each: what is wrong with it.
        named: row, patient, own: what may be a patient's identifier in a line, folded, and whether
            it stands where the line's patient does.
    """

    lines: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=_LINES))
    named: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=_NAMED))


@dataclass(frozen=True)
class RawTable:
    """Rows as text.

    Args:
        file: the file's name as findings show it.
        frame: (R, 1 + roles) `row` i64, the line in the file, and a string column a role;
            spaces around values dropped, empty ones null.
        columns: role → the clinic's name of the column, for findings.
        stretches: by offset, where the rows are of more than one file; () where they are of `file`.
        damage: lines that may say that somebody's records may not be used; empty of other tables.
    """

    file: str
    frame: pl.DataFrame
    columns: Mapping[str, str]
    stretches: tuple[Stretch, ...] = ()
    damage: Damage = field(default_factory=Damage)


class Source(Protocol):
    """Where raw tables come from."""

    def table(self, name: str, findings: Findings) -> RawTable | None:
        """The raw table `name` ("patients", "scores", …), or None where there is none.

        Raises:
            InputError: the file or a column is missing or cannot be used as a whole.
        """
        ...


@dataclass(frozen=True)
class Sheet:
    """One file under check: faults found in its rows are noted under its name and columns."""

    file: str
    columns: Mapping[str, str]
    findings: Findings
    stretches: tuple[Stretch, ...] = ()

    @classmethod
    def unheard(cls, raw: RawTable) -> Sheet:
        """A sheet whose findings nobody sees, for a second look at what was checked before."""
        return cls(raw.file, raw.columns, Findings(), raw.stretches)

    def set_aside(
        self,
        frame: pl.DataFrame,
        where: pl.Expr,
        code: str,
        role: str | None = None,
        **words: object,
    ) -> pl.DataFrame:
        """`frame` without the rows `where`, which are noted; null counts as no."""
        mask = frame.select(where.fill_null(value=False).alias("fault"))["fault"]
        if not mask.any():
            return frame
        self._add(frame.filter(mask), code, role, words)
        return frame.filter(~mask)

    def note(
        self,
        frame: pl.DataFrame,
        where: pl.Expr,
        code: str,
        role: str | None = None,
        **words: object,
    ) -> None:
        """Note the rows `where` and keep them."""
        self._add(frame.filter(where), code, role, words)

    def _add(
        self, frame: pl.DataFrame, code: str, role: str | None, words: Mapping[str, object]
    ) -> None:
        for column, found in self._by_column(frame, role):
            rows = found["row"].to_numpy().astype(np.int64)
            for file, lines in self.in_files(rows):
                self.findings.add(code, file, lines, column=column, **words)

    def _by_column(
        self, frame: pl.DataFrame, role: str | None
    ) -> Iterator[tuple[str | None, pl.DataFrame]]:
        """The rows by the clinic's column in which `role` stands: in a wide table, several."""
        if role == "value" and SPREAD in frame.columns:
            for (column,), rows in frame.group_by(SPREAD, maintain_order=True):
                yield str(column), rows
        else:
            yield None if role is None else self.columns[role], frame

    def in_files(self, rows: NDArray[np.int64]) -> Iterator[tuple[str, NDArray[np.int64]]]:
        """The files in which `rows` stand, and the lines there."""
        if not self.stretches:
            yield self.file, rows
            return
        offsets = np.array([s.offset for s in self.stretches], np.int64)
        home = np.searchsorted(offsets, rows, "left") - 1
        for i in np.unique(home).tolist():
            stretch = self.stretches[i]
            yield stretch.file, rows[home == i] - stretch.offset
