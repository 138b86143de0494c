"""`RawTable`: a source's rows as text, before any check. The seam between sources and checks.

A reader (CSV here; others can follow) turns a source into raw long tables; `checks` does the rest,
the same for all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import polars as pl

from cairn_client.readers.findings import Findings


@dataclass(frozen=True)
class RawTable:
    """Rows as text.

    Args:
        file: the file's name as findings show it.
        frame: (R, 1 + roles) `row` i64, the line in the file, and a string column a role;
            spaces around values dropped, empty ones null.
        columns: role → the clinic's name of the column, for findings.
    """

    file: str
    frame: pl.DataFrame
    columns: Mapping[str, str]


class Source(Protocol):
    """Where raw tables come from."""

    def table(self, name: str, findings: Findings) -> RawTable | None:
        """The raw table `name` ("patients", "scores", …), or None where there is none.

        Raises:
            InputError: the file or a column is missing or cannot be used as a whole.
        """
        ...
