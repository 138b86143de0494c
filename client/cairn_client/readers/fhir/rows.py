"""`Rows`: a table that grows row by row, of which only a bounded part is ever Python values."""

from __future__ import annotations

from typing import Final

import polars as pl

_HELD: Final = 50_000  # rows


class Rows:
    """Rows of fixed columns, collected into one frame."""

    def __init__(self, **columns: type[pl.DataType]) -> None:
        self._schema = columns
        self._held: list[tuple[object, ...]] = []
        self._parts: list[pl.DataFrame] = []

    def add(self, *row: object) -> None:
        """One row, in the columns' order."""
        self._held.append(row)
        if len(self._held) >= _HELD:
            self._settle()

    def frame(self) -> pl.DataFrame:
        """All rows, in the order in which they came."""
        self._settle()
        return pl.concat(self._parts) if self._parts else pl.DataFrame(schema=self._schema)

    def _settle(self) -> None:
        if self._held:
            self._parts.append(pl.DataFrame(self._held, schema=self._schema, orient="row"))
            self._held = []
