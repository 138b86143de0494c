"""`CsvFolder`: the raw tables of a folder of CSV files, of which only mapped columns are loaded."""

from __future__ import annotations

import codecs
from pathlib import Path

import polars as pl

from cairn_client.readers import header
from cairn_client.readers.damage import damage_of, says_who
from cairn_client.readers.findings import Findings
from cairn_client.readers.lines import Scan, records, scan
from cairn_client.readers.mapping import MAPPING_FILE, ClinicMapping
from cairn_client.readers.raw import Damage, RawTable
from cairn_client.readers.within import read_whole
from cairn_protocol.errors import InputError


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
        data, separator = self._text(file), self.mapping.separator
        scanned = scan(data, separator)
        places = header.places(name, file, scanned.header, columns)
        encoding, width = self.mapping.encoding, len(scanned.header)
        for code, lines in scanned.faults:
            findings.add(code, file, lines, encoding=encoding, width=width)
        frame = frame_of(scanned, separator, places)
        if not frame.height and not scanned.faults:
            findings.add("table-empty", file)
        damage = Damage()
        if says_who(name, columns):
            damage = damage_of(data, scanned, separator, places["patient"])
        return RawTable(file, frame, columns, damage=damage)

    def _text(self, file: str) -> bytes:
        """The file as UTF-8, undecodable bytes replaced by U+FFFD, line ends as they are."""
        data = read_whole(self.folder, file)
        encoding = self.mapping.encoding
        wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or looks_wide(data)
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
        return data.replace(b"\r", b"\n") if _ends_in_returns(data) else data


def frame_of(scanned: Scan, separator: str, places: dict[str, int]) -> pl.DataFrame:
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


# Both judge a file by its first line, which is no patient's: one patient's line break or NUL
# would otherwise decide how everybody's rows are read.
def _ends_in_returns(data: bytes) -> bool:
    """Whether lines end in a lone return, as on old Macs."""
    line = _first_line(data)
    return data[len(line) : len(line) + 1] == b"\r" and data[len(line) + 1 : len(line) + 2] != b"\n"


def _first_line(data: bytes) -> bytes:
    at = [i for i in (data.find(b"\r"), data.find(b"\n")) if i >= 0]
    return data[: min(at, default=len(data))]


def looks_wide(data: bytes) -> bool:
    """Whether `data` is UTF-16 without a mark: every second byte of its beginning is NUL."""
    head = _first_line(data[:4096])
    half = len(head) // 2
    return half > 3 and max(head[::2].count(0), head[1::2].count(0)) > 0.8 * half
