"""`Sample`: the beginning of a file as columns of text, and how the file is written."""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from cairn_client.readers.csv_folder import frame_of, looks_wide
from cairn_client.readers.lines import Scan, scan
from cairn_client.readers.parquet_folder import is_parquet, text_columns
from cairn_client.readers.within import within
from cairn_protocol.errors import InputError

BYTES: Final = 16 << 20  # of a file that are looked at
_TRIED: Final = 1 << 16  # bytes on which separators are tried
TEXT_SUFFIXES: Final = (".csv", ".tsv", ".txt")
_LETTERS: Final = frozenset("äöüßÄÖÜéèêëàâáçîïíôóûùúñåøæœ€’–")
_ONE_BYTE: Final = ("cp1252", "iso-8859-15", "mac-roman", "cp850")
_MARKS: Final = (",", ";", "\t", "|")


@dataclass(frozen=True)
class Sample:
    """A file's first rows.

    Args:
        file: its name within the folder.
        header: the columns' names in order.
        frame: (R, len(header)) text columns c0, c1, …; empty values null.
        encoding, separator: of a text file; None for Parquet.
    """

    file: str
    header: tuple[str, ...]
    frame: pl.DataFrame
    encoding: str | None = None
    separator: str | None = None

    def column(self, name: str) -> pl.Series:
        """The values of the first column called `name`."""
        return self.frame[f"c{self.header.index(name)}"]


def sample(folder: Path, file: str) -> Sample:
    """The beginning of `file` in `folder`.

    Raises:
        InputError: it cannot be read, is empty, or has no columns that can be told apart.
    """
    path = within(folder, file)
    if is_parquet(file):
        header, frame = text_columns(path, file)
        return Sample(file, header, frame)
    with path.open("rb") as stream:
        data = stream.read(BYTES)
        if stream.read(1):
            data = data[: data.rfind(b"\n") + 1]
    encoding, text = _decoded(data)
    separator, found = _split(text)
    if len(found.header) < 2:
        raise InputError(
            f"{file} has no header line with columns",
            code="file-empty",
            hint="export it as a table, with the columns' names in the first line",
        )
    places = {f"c{i}": i for i in range(len(found.header))}
    return Sample(file, found.header, frame_of(found, separator, places), encoding, separator)


def _decoded(data: bytes) -> tuple[str, bytes]:
    """The encoding's name as mapping.toml has it, and the text as UTF-8."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or looks_wide(data):
        return "utf-16", data.decode("utf-16", "replace").encode("utf-8", "replace")
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        best = max(_ONE_BYTE, key=lambda name: _likely(data, name))
        return best, data.decode(best, "replace").encode("utf-8", "replace")
    return "utf-8", data


def _likely(data: bytes, encoding: str) -> int:
    """How many letters of our languages the bytes make, less what is none; ties go to the first."""
    strange = [c for c in data[: 1 << 20].decode(encoding, "replace") if ord(c) > 127]
    return sum(1 if c in _LETTERS else -1 for c in strange)


def _split(text: bytes) -> tuple[str, Scan]:
    """The separator with which most columns come out, and the records."""
    head = text[:_TRIED]
    if len(text) > _TRIED:
        head = head[: head.rfind(b"\n") + 1]

    def columns(mark: str) -> tuple[int, int]:
        found = scan(head, mark)
        return len(found.header) if len(found.rows) or not found.faults else 0, len(found.rows)

    best = max(_MARKS, key=columns)
    return best, scan(text, best)
