"""`ParquetFolder`: the raw tables of Parquet files, of which only mapped columns are read.

Types become the text that a CSV file of the same clinic would hold, so that the checks are the
same: dates in the mapping's form, numbers with its decimal mark, yes and no as 1 and 0. How a value
is written depends on that value and the column's type in the file's schema, never on other rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from cairn_client.readers import header
from cairn_client.readers.damage import damage_of_rows, says_who
from cairn_client.readers.findings import Findings
from cairn_client.readers.lines import LONGEST_RECORD
from cairn_client.readers.mapping import ClinicMapping
from cairn_client.readers.raw import Damage, RawTable
from cairn_client.readers.within import within
from cairn_protocol.errors import InputError

SUFFIXES: Final = (".parquet", ".pq")
MOST_ROWS: Final = 50_000_000  # a small file can claim any number of equal rows
_WHOLE: Final = float(2**53)  # beyond it, floats skip whole numbers
_ISO_DAY: Final = "%Y-%m-%d"
_LOOKED_AT: Final = 500_000  # rows, where a mapping is proposed


def is_parquet(file: str) -> bool:
    """Whether a file's name says that it is Parquet."""
    return file.lower().endswith(SUFFIXES)


class ParquetFolder:
    """The Parquet files that a mapping names in `folder`. Rows are counted from 1."""

    def __init__(self, folder: Path, mapping: ClinicMapping) -> None:
        self.folder = folder
        self.mapping = mapping

    def table(self, name: str, findings: Findings) -> RawTable | None:
        """The raw table `name`; rows that are damaged text are set aside.

        Raises:
            InputError: no such file or column, not Parquet, or a mapped column is nested.
        """
        spec = self.mapping.tables().get(name)
        if spec is None:
            return None
        file, columns = spec.file, spec.columns()
        path = within(self.folder, file)
        try:
            scan = pl.scan_parquet(path, glob=False)
            schema = scan.collect_schema()
            places = header.places(name, file, tuple(n.strip() for n in schema), columns)
            form = spec.date_format or self.mapping.date_format or _ISO_DAY
            named = list(schema.items())
            writer = _Writer(file, form, self.mapping.decimal)
            roles = {role: writer.text(*named[i]) for role, i in places.items()}
            if scan.select(pl.len()).collect().item() > MOST_ROWS:
                raise InputError(
                    f"{file} has more than {MOST_ROWS:,} rows",
                    code="file-too-large",
                    hint="export only what studies need, or split the table by year",
                )
            frame = scan.select(**roles).with_row_index("row", offset=1).collect()
        except (pl.exceptions.PolarsError, OSError, BaseExceptionGroup):
            raise _damaged(file) from None
        frame = frame.with_columns(pl.col("row").cast(pl.Int64))
        if not frame.height:
            findings.add("table-empty", file)
        frame, damage = self._trimmed(file, frame, list(roles), findings)
        return RawTable(
            file, frame, columns, damage=damage if says_who(name, columns) else Damage()
        )

    def _trimmed(
        self, file: str, frame: pl.DataFrame, roles: list[str], findings: Findings
    ) -> tuple[pl.DataFrame, Damage]:
        """`frame` without damaged rows and rows of nothing; spaces dropped, empty text null."""
        found = []
        text = pl.col(roles)
        for code, fault in (
            ("row-too-long", pl.any_horizontal(text.str.len_bytes() > LONGEST_RECORD)),
            ("nul-byte", pl.any_horizontal(text.str.contains("\0", literal=True))),
        ):
            where = frame.select(fault.fill_null(value=False).alias("fault"))["fault"]
            findings.add(code, file, frame.filter(where)["row"].to_numpy())
            found.append(damage_of_rows(frame.filter(where), code))
            frame = frame.filter(~where)
        trimmed = text.str.strip_chars()
        frame = frame.with_columns(pl.when(trimmed != "").then(trimmed).name.keep())
        damage = Damage(pl.concat([d.lines for d in found]), pl.concat([d.named for d in found]))
        return frame.filter(~pl.all_horizontal(text.is_null())).select("row", *roles), damage


@dataclass(frozen=True)
class _Writer:
    """Writes a file's typed columns as the text that the mapping expects."""

    file: str
    date_format: str
    decimal: str

    def text(self, column: str, kind: pl.DataType) -> pl.Expr:
        """The column as text.

        Raises:
            InputError: it holds lists, records or bytes rather than one value a row.
        """
        values = pl.col(column)
        if kind.is_nested() or isinstance(kind, pl.Binary | pl.Object | pl.Time | pl.Duration):
            raise InputError(
                f"{self.file} holds {_shown(kind)} in the column {column!r}",
                code="column-nested",
                why="Cairn reads columns of one text, number, date or yes/no a row",
                hint="write one row a value when you export (in pandas or polars: explode, then "
                "unnest), or map another column",
            )
        if isinstance(kind, pl.Date | pl.Datetime):
            if isinstance(kind, pl.Datetime):
                values = values.dt.replace_time_zone(None)
            return values.cast(pl.Datetime("us")).dt.strftime(self.date_format)
        if isinstance(kind, pl.Boolean):
            return values.cast(pl.Int8).cast(pl.String)
        if kind.is_float():
            return self._marked(_plain_float(values.cast(pl.Float64)))
        text = values.cast(pl.String)
        return self._marked(text) if kind.is_decimal() else text

    def _marked(self, text: pl.Expr) -> pl.Expr:
        return text if self.decimal == "." else text.str.replace(".", self.decimal, literal=True)


def _plain_float(values: pl.Expr) -> pl.Expr:
    """Floats as text; whole ones without a point, as identifiers and codes are written.

    What is not a number is what pandas writes for an empty cell.
    """
    values = values.fill_nan(None)
    whole = (values == values.round()) & (values.abs() < _WHOLE)
    return (
        pl.when(whole)
        .then(values.cast(pl.Int64, strict=False).cast(pl.String))
        .otherwise(values.cast(pl.String))
    )


def _shown(kind: pl.DataType) -> str:
    return {
        "List": "lists",
        "Array": "lists",
        "Struct": "records",
        "Binary": "bytes",
        "Time": "times of day",
        "Duration": "durations",
    }.get(type(kind).__name__, "objects")


def text_columns(path: Path, file: str) -> tuple[tuple[str, ...], pl.DataFrame]:
    """The names of a file's columns and its first rows as text c0, c1, …; nested columns null.

    Raises:
        InputError: it is not Parquet.
    """
    try:
        scan = pl.scan_parquet(path, glob=False)
        schema = scan.collect_schema()
        writer = _Writer(file, _ISO_DAY, ".")
        columns = {}
        for i, (name, kind) in enumerate(schema.items()):
            try:
                columns[f"c{i}"] = writer.text(name, kind)
            except InputError:
                columns[f"c{i}"] = pl.lit(None, pl.String)
        return tuple(n.strip() for n in schema), scan.head(_LOOKED_AT).select(**columns).collect()
    except (pl.exceptions.PolarsError, OSError):
        raise _damaged(file) from None


def _damaged(file: str) -> InputError:
    return InputError(
        f"{file} cannot be read as Parquet",
        code="file-unreadable",
        why="it is damaged, encrypted, or another kind of file under this name",
        hint="export it again, or export CSV and name that file in mapping.toml",
    )
