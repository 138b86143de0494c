"""Damaged lines of tables that say whose records may be used, and whom they may name.

A line that is no record may be a withdrawal, or the tag of a sensitive programme. Everyone whom a
field of it names is out until it is mended: where a comma is lost or a quote left open, fields do
not stand where they should, and two rows may have become one. That somebody is named is not enough,
though. A short identifier is easily the same as another patient's number of weeks: a line in which
no known patient stands where the line's own should be stops the import.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np
import polars as pl

from cairn_client.readers.faults import FAULTS
from cairn_client.readers.lines import LONGEST_RECORD, Scan
from cairn_client.readers.raw import Damage, RawTable, Sheet
from cairn_client.readers.values import folded
from cairn_protocol.errors import InputError

_OF_PATIENTS: Final = frozenset({"sensitive", "consent_begins", "consent_ends"})
_SHOWN: Final = 5  # rows
_TEXTS: Final = {"row": pl.Int64, "text": pl.String, "last": pl.Boolean, "within": pl.Boolean}


def says_who(table: str, columns: Iterable[str]) -> bool:
    """Whether rows of `table`, which has `columns`, decide on all records of their patient."""
    return table == "consent" or (table == "patients" and not _OF_PATIENTS.isdisjoint(columns))


def damage_of(data: bytes, scanned: Scan, separator: str, place: int) -> Damage:
    """The damage in a CSV file; patients stand at `place`.

    Args:
        data: what was scanned.
    """
    lines = pl.DataFrame(
        [(r, code) for code, rows in scanned.faults if code != "rows-in-quotes" for r in rows],
        schema={"row": pl.Int64, "code": pl.String},
        orient="row",
    )
    if not lines.height and not scanned.spanning:
        return Damage()
    texts = pl.DataFrame(list(_texts(data, scanned, lines)), schema=_TEXTS, orient="row")
    fields = pl.col("text").str.replace_all('"', "", literal=True).str.split(separator)
    width, count, at = len(scanned.header), pl.col("fields").list.len(), pl.col("at")
    named = (
        texts.select("row", "last", "within", fields=fields)
        .with_columns(at=pl.int_ranges(count), count=count.cast(pl.Int64))
        .explode("fields", "at")
        .with_columns(patient=folded(pl.col("fields")))
        .filter(pl.col("patient") != "")
    )
    # An extra separator moves what follows it: a place is counted from either end of the line. The
    # last field of a file that breaks off may be the beginning of another patient's identifier.
    cut = pl.col("last") & (at == pl.col("count") - 1)
    own = ((at == place) | (at == place + pl.col("count") - width)) & ~cut
    named = named.with_columns(own=own)
    # Text that runs over several lines is no damage, unless a line in it looks like a row.
    named = named.filter(~pl.col("within") | (own & (pl.col("count") >= width)))
    # A line of separators and spaces says nothing; one that was not looked at may say anything.
    empty = ~pl.col("row").is_in(named["row"].implode()) & (pl.col("code") != "row-too-long")
    return Damage(lines.filter(~empty), named.select("row", "patient", "own"))


def _texts(
    data: bytes, scanned: Scan, lines: pl.DataFrame
) -> Iterator[tuple[int, str, bool, bool]]:
    """The damaged lines, and those within quotes, these with the row of their record."""
    ends = np.flatnonzero(np.frombuffer(data, np.uint8) == ord("\n"))

    def text(line: int) -> str:
        start = int(ends[line - 2]) + 1 if line > 1 else 0
        stop = int(ends[line - 1]) if line <= len(ends) else len(data)
        return data[start:stop].decode("utf-8", "replace")

    for row, code in lines.rows():
        if code != "row-too-long":
            yield row, text(row), row > len(ends), False
    for row, fields in scanned.spanning:
        for line in range(row + 1, row + 1 + sum(field.count("\n") for field in fields)):
            yield row, text(line), False, True


def damage_of_rows(frame: pl.DataFrame, code: str) -> Damage:
    """The damage where a source's fields are apart: rows (row, patient) have the fault `code`."""
    short = pl.col("patient").str.len_bytes() <= LONGEST_RECORD
    return Damage(
        frame.select("row", code=pl.lit(code)),
        frame.filter(short).select(
            "row", patient=folded(pl.col("patient")), own=pl.lit(value=True)
        ),
    )


def named_in_damage(tables: Iterable[tuple[RawTable, Sheet]]) -> pl.Series:
    """Patients whom damaged lines name; the lines are noted.

    Raises:
        InputError: a damaged line does not say whose it is.
    """
    tables = list(tables)
    hurt = [(t, s) for t, s in tables if t.damage.lines.height or t.damage.named.height]
    if not hurt:
        return pl.Series([], dtype=pl.String)
    known = pl.concat([t.frame.select(folded(pl.col("patient").unique())) for t, _ in tables])
    out = []
    for table, sheet in hurt:
        damage = table.damage
        found = damage.named.join(known, on="patient", how="semi")
        told = found.filter("own")["row"]
        unsaid = damage.lines.filter(~pl.col("row").is_in(told.implode()))
        if unsaid.height:
            raise _refusal(unsaid.sort("row"), sheet)
        sheet.note(found, pl.lit(value=True), "consent-damaged")
        out.append(found["patient"])
    return pl.concat(out).unique()


def _refusal(unsaid: pl.DataFrame, sheet: Sheet) -> InputError:
    file, rows = next(sheet.in_files(unsaid["row"].to_numpy()))
    shown = ", ".join(map(str, rows[:_SHOWN].tolist()))
    more = f" and {len(rows) - _SHOWN:,} more" if len(rows) > _SHOWN else ""
    code = unsaid["code"][0]
    return InputError(
        f"{file} is damaged in row{'s' if len(rows) > 1 else ''} {shown}{more}",
        code="consent-damaged",
        why="such a line may be a withdrawal of consent or the tag of a sensitive programme, and "
        "it names nobody whom the files know where its patient should stand",
        hint=f"mend the line; {code}: {FAULTS[code].remedy}",
    )
