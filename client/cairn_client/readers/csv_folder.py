"""`CsvFolder`: the raw tables of a folder of CSV files, of which only mapped columns are loaded."""

from __future__ import annotations

import codecs
import difflib
import re
from pathlib import Path
from typing import Final

import polars as pl

from cairn_client.readers.findings import Findings
from cairn_client.readers.lines import Fields, Scan, records, scan
from cairn_client.readers.mapping import MAPPING_FILE, ClinicMapping
from cairn_client.readers.raw import RawTable
from cairn_protocol.errors import InputError

LARGEST_FILE: Final = 2 << 30  # bytes
_LONGEST_NAME: Final = 64
_SEPARATORS: Final = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
_DATUM: Final = re.compile(r"[-+]?[\d.,/:\s-]*\d[\d.,/:\s-]*")


class CsvFolder:
    """The CSV files that a mapping names in `folder`, and none outside it."""

    def __init__(self, folder: Path, mapping: ClinicMapping) -> None:
        self.folder = folder
        self.mapping = mapping

    def table(self, name: str, findings: Findings) -> RawTable | None:
        """The raw table `name`; rows that are no records are set aside."""
        spec = self.mapping.tables().get(name)
        if spec is None:
            return None
        file, columns = spec.file, spec.columns()
        scanned = scan(self._text(file), self.mapping.separator)
        places = self._places(name, file, scanned.header, columns)
        encoding, width = self.mapping.encoding, len(scanned.header)
        for code, lines in scanned.faults:
            findings.add(code, file, lines, encoding=encoding, width=width)
        frame = _frame(scanned, self.mapping.separator, places)
        if not frame.height and not scanned.faults:
            findings.add("table-empty", file)
        return RawTable(file, frame, columns)

    def _text(self, file: str) -> bytes:
        """The file as UTF-8, undecodable bytes replaced by U+FFFD, line ends as they are."""
        data = self._bytes(file)
        encoding = self.mapping.encoding
        wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or _looks_wide(data)
        if wide and encoding != "utf-16":
            raise InputError(
                f"{file} is UTF-16",
                code="encoding-wrong",
                hint=f'set encoding = "utf-16" in {MAPPING_FILE}, or save the file as UTF-8',
            )
        data = data.removeprefix(codecs.BOM_UTF8)
        if encoding != "utf-8":
            data = data.decode(encoding, "replace").encode("utf-8", "replace")
        else:
            try:
                data.decode("utf-8")
            except UnicodeDecodeError:
                data = data.decode("utf-8", "replace").encode()
        if b"\r" in data and b"\n" not in data:
            data = data.replace(b"\r", b"\n")
        return data

    def _bytes(self, file: str) -> bytes:
        hint = f"check file = in {MAPPING_FILE}; files must lie in the clinic's folder"
        root = self.folder.resolve()
        try:
            path = (root / file).resolve()
            if not path.is_relative_to(root):
                raise InputError(f"{file} lies outside the folder", code="file-outside", hint=hint)
            if not path.is_file():
                raise InputError(f"there is no file {file}", code="file-missing", hint=hint)
            if path.stat().st_size > LARGEST_FILE:
                raise InputError(f"{file} is larger than 2 GiB", code="file-too-large", hint=hint)
            return path.read_bytes()
        except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: a loop of links
            why = getattr(error, "strerror", None) or "the name is not one a file can have"
            raise InputError(
                f"cannot read {file}", code="file-unreadable", why=why, hint=hint
            ) from None

    def _places(
        self, table: str, file: str, header: Fields, columns: dict[str, str]
    ) -> dict[str, int]:
        """Role → position in the header."""
        if not header:
            raise InputError(
                f"{file} has no header line",
                code="file-empty",
                hint=f"export it again, or leave [{table}] out of {MAPPING_FILE}",
            )
        missing = {role: c for role, c in columns.items() if c.strip() not in header}
        if missing:
            raise self._column_missing(table, file, header, missing)
        twice = sorted({c for c in columns.values() if header.count(c.strip()) > 1})
        if twice:
            raise InputError(
                f"{file} has more than one column called {', '.join(map(repr, twice))}",
                code="column-twice",
                hint="rename one of them in the file; only mapped columns must differ",
            )
        return {role: header.index(c.strip()) for role, c in columns.items()}

    def _column_missing(
        self, table: str, file: str, header: Fields, missing: dict[str, str]
    ) -> InputError:
        asked = ", ".join(map(repr, missing.values()))
        what = f"{file} has no column {asked}"
        code = "column-missing"
        if any(_like_data(name) for name in header):
            return InputError(
                what,
                code=code,
                why="its first line looks like data, not like column names, and is not shown",
                hint="add a header line with the names of the columns",
            )
        found = f"the columns found are {', '.join(map(repr, header))}"
        other = [s for s in _SEPARATORS if len(header) == 1 and s in header[0]]
        if other:
            sign = other[0].replace("\t", "\\t")
            return InputError(
                what,
                code=code,
                why=f"{found}; the file seems to use a {_SEPARATORS[other[0]]} between fields",
                hint=f'set separator = "{sign}" in {MAPPING_FILE}',
            )
        folded = {name.casefold(): name for name in header}
        lines = []
        for role, column in missing.items():
            close = difflib.get_close_matches(column.casefold().strip(), folded, 1, 0.6)
            place = f"[{table}]" if role in _FIXED_ROLES else "[patients.variables]"
            guess = folded[close[0]] if close else "…"
            lines.append(f'{place} {role} = "{guess}"')
        return InputError(
            what,
            code=code,
            why=found,
            hint=f"in {MAPPING_FILE}, mend {'; '.join(lines)}",
        )


_FIXED_ROLES: Final = frozenset(
    {"patient", "week", "month", "date", "arm", "entry", "discharge"}
) | {*("instrument", "item", "value", "measure", "coverage")}


def _frame(scanned: Scan, separator: str, places: dict[str, int]) -> pl.DataFrame:
    """`row` and a trimmed string column a role; rows without any mapped value are left out."""
    wanted = sorted(set(places.values()))
    names = [f"at{i}" for i in wanted]
    body = _parsed(scanned, separator, wanted, names)
    body = body.with_columns(pl.Series("row", scanned.rows, dtype=pl.Int64))
    if scanned.spanning:
        rest = pl.DataFrame(
            [[*(fields[i] for i in wanted), line] for line, fields in scanned.spanning],
            schema=dict.fromkeys(names, pl.String) | {"row": pl.Int64},
            orient="row",
        )
        body = pl.concat([body, rest]).sort("row")
    trimmed = pl.col(names).str.strip_chars()
    body = body.with_columns(pl.when(trimmed != "").then(trimmed).name.keep())
    body = body.filter(~pl.all_horizontal(pl.col(names).is_null()))
    return body.select("row", **{role: pl.col(f"at{i}") for role, i in places.items()})


def _parsed(scanned: Scan, separator: str, wanted: list[int], names: list[str]) -> pl.DataFrame:
    """The wanted columns of the body, (len(scanned.rows), len(wanted)) strings."""
    schema = dict.fromkeys(names, pl.String)
    if not len(scanned.rows):
        return pl.DataFrame(schema=schema)
    fast = pl.read_csv(
        scanned.body,
        has_header=False,
        columns=wanted,
        separator=separator,
        infer_schema=False,
    )
    if fast.height == len(scanned.rows):
        fast.columns = names
        return fast
    rows = [[fields[i] for i in wanted] for fields in records(scanned, separator)]
    return pl.DataFrame(rows, schema=schema, orient="row")


def _like_data(name: str) -> bool:
    return not name or len(name) > _LONGEST_NAME or _DATUM.fullmatch(name) is not None


def _looks_wide(data: bytes) -> bool:
    """Whether `data` is UTF-16 without a mark: every second byte of its beginning is NUL."""
    head = data[:4096]
    half = len(head) // 2
    return half > 3 and max(head[::2].count(0), head[1::2].count(0)) > 0.8 * half
