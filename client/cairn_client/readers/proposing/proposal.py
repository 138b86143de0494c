"""`propose`: mapping.toml for a folder of files, as far as the files themselves tell."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cairn_client.readers.imported import QUARANTINE_FILE
from cairn_client.readers.parquet_folder import SUFFIXES
from cairn_client.readers.proposing.dates import Order
from cairn_client.readers.proposing.refusals import no_scores, shared, trouble
from cairn_client.readers.proposing.roles import FileLook, TableName, understand
from cairn_client.readers.proposing.sampling import TEXT_SUFFIXES, sample
from cairn_client.readers.proposing.tables import write_patients, write_rows, write_scores
from cairn_client.readers.proposing.writing import Page, quoted
from cairn_protocol.errors import InputError

MOST_FILES: Final = 200
_SYNTHETIC: Final = "synthetic"


@dataclass(frozen=True)
class Proposal:
    """A mapping's text, what was recognised, and what a person has to check."""

    text: str
    found: tuple[str, ...]
    checks: tuple[str, ...]


def propose(folder: Path, only: str | None = None, order: Order | None = None) -> Proposal:
    """The mapping that the files in `folder` suggest.

    Args:
        only: the one file to look at; None: all CSV, TSV, text and Parquet files in the folder.
        order: whether the day or the month comes first, for dates that do not tell.

    Raises:
        InputError: no scores are found, they stand in columns side by side, or what is found
            cannot be read by any mapping; with what to do.
    """
    looked = [understand(sample(folder, file), order) for file in _files(folder, only)]
    tables = _chosen(looked)
    if "scores" not in tables:
        raise no_scores(looked)
    for found in tables.values():
        trouble(found)
    scores = tables["scores"]
    if "date" in scores.roles and "entry" not in _roles(tables.get("patients")):
        raise no_scores(looked, entry=True)
    page, forms = Page(), _forms(tables.values())
    _head(page, tables, forms)
    same = len(set(forms.values())) <= 1
    for name, found in tables.items():
        form = None if same else forms.get(found.sample.file)
        if name == "scores":
            write_scores(page, found, form)
        elif name == "patients":
            write_patients(page, found, form)
        else:
            write_rows(page, name, found, form)
    others = [f.sample.file for f in looked if f not in tables.values()]
    if others:
        page.say()
        page.say(f"Not recognised, and not used: {', '.join(others)}")
    lines = tuple(f"{f.sample.file} as [{name}]" for name, f in tables.items())
    return Proposal(page.text(), lines, tuple(page.checks))


def _files(folder: Path, only: str | None) -> list[str]:
    if only is not None:
        return [only]
    try:
        entries = sorted(p.name for p in folder.iterdir() if not p.name.startswith("."))
    except OSError as error:
        raise InputError(
            f"cannot look into {folder}", code="file-missing", why=error.strerror or "",
            hint="give the folder in which the clinic's exports lie",
        ) from None  # fmt: skip
    files = [
        name
        for name in entries
        if name.lower().endswith((*TEXT_SUFFIXES, *SUFFIXES)) and name != QUARANTINE_FILE
    ]
    if not files:
        raise InputError(
            f"{folder} holds no CSV or Parquet file",
            code="file-missing",
            hint="copy the clinic's exports there, or give --omop for a database; "
            "docs/clinic-data.md says what to export",
        )
    return files[:MOST_FILES]


def _chosen(looked: Iterable[FileLook]) -> dict[TableName, FileLook]:
    """The file for each table: the one with most rows where several could be."""
    order: tuple[TableName, ...] = ("scores", "patients", "engagement", "wearables")
    chosen: dict[TableName, FileLook] = {}
    for name in order:
        candidates = [f for f in looked if f.table == name]
        if candidates:
            chosen[name] = max(candidates, key=lambda f: f.sample.frame.height)
    return chosen


def _roles(found: FileLook | None) -> Iterable[str]:
    return found.roles if found is not None else ()


def _forms(tables: Iterable[FileLook]) -> dict[str, str]:
    """date_format by file, of files whose used dates are not written as 2024-01-31."""
    forms: dict[str, str] = {}
    for found in tables:
        used = {found.looks[c].form for c in found.roles.values() if found.looks[c].kind == "date"}
        if used:
            forms[found.sample.file] = used.pop() or ""
    return forms


def _head(page: Page, tables: dict[TableName, FileLook], forms: dict[str, str]) -> None:
    page.say("Proposed by `cairn clinic mapping new` from the files in this folder.")
    page.say("Lines marked CHECK are guesses: mend or confirm them. docs/clinic-data.md explains")
    page.say("every setting; `cairn clinic import --dry-run` says what the files give with it.")
    page.put("cairn", "1", "the version of this format")
    ids = tables["scores"].values("patient").drop_nulls()
    if ids.len() and ids.str.to_lowercase().str.starts_with(_SYNTHETIC).all():
        page.put("synthetic", "true", "the identifiers say so; every page then does, too")
    samples = [f.sample for f in tables.values()]
    encoding = shared("encoding", [(s.file, s.encoding) for s in samples if s.encoding])
    if encoding not in (None, "utf-8"):
        sure = encoding == "utf-16"
        page.put("encoding", quoted(str(encoding)), "the files are not UTF-8", "" if sure else
                 "whether letters such as ä and é come out right")  # fmt: skip
    separator = shared("separator", [(s.file, s.separator) for s in samples if s.separator])
    if separator not in (None, ","):
        page.put("separator", quoted(str(separator)), "with it most columns come out")
    numbers = ("value", "coverage")
    used = [
        (f.sample.file, f.looks[f.roles[r]].decimal)
        for f in tables.values() if f.sample.encoding for r in numbers if r in f.roles
    ]  # fmt: skip
    decimal = shared("decimal mark", [(file, mark) for file, mark in used if mark])
    if decimal == ",":
        page.put("decimal", '","', "numbers have a decimal comma")
    if len(set(forms.values())) == 1 and (form := next(iter(forms.values()))):
        page.put("date_format", quoted(form), "as the dates are written")
