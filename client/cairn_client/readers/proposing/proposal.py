"""`propose`: mapping.toml for a folder of files, as far as the files themselves tell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cairn_client.readers.fhir.files import ExportFolder
from cairn_client.readers.imported import QUARANTINE_FILE
from cairn_client.readers.parquet_folder import SUFFIXES
from cairn_client.readers.proposing.dates import Order
from cairn_client.readers.proposing.fhir_looking import look_at_export
from cairn_client.readers.proposing.fhir_places import fhir_in
from cairn_client.readers.proposing.of_fhir import FhirPart, check_fhir, write_fhir
from cairn_client.readers.proposing.refusals import dates_differ, no_scores, shared, trouble
from cairn_client.readers.proposing.roles import FileLook, TableName, understand
from cairn_client.readers.proposing.sampling import TEXT_SUFFIXES, sample
from cairn_client.readers.proposing.tables import (
    write_consent,
    write_patients,
    write_rows,
    write_scores,
)
from cairn_client.readers.proposing.writing import Page, quoted
from cairn_models.measures import INSTRUMENTS
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
        only: the one file to look at; None: all CSV, TSV, text, Parquet and FHIR files in the
            folder, and FHIR files in a folder of it.
        order: whether the day or the month comes first, for dates that do not tell.

    Raises:
        InputError: no scores are found, or what is found cannot be read by any mapping; with what
            to do.
    """
    export = fhir_in(folder, only)
    files = _files(folder, only, alone=export is None)
    looked = [understand(sample(folder, file), order) for file in files]
    tables = _chosen(looked)
    if export is not None:  # it has these, whatever else lies there
        tables.pop("scores", None)
        tables.pop("patients", None)
    elif "scores" not in tables:
        raise no_scores(looked)
    for found in tables.values():
        trouble(found)
    dated = export is None and _dated(tables["scores"])
    if dated and "entry" not in _roles(tables.get("patients")):
        raise no_scores(looked, entry=True)
    part = _export_part(folder, export, tables) if export is not None else None
    page, forms = Page(), forms_of(tables.values())
    made_up = _made_up(tables, part)
    _head(page, tables, forms, made_up=made_up)
    if part is not None:
        write_fhir(page, part)
    same = len(set(forms.values())) <= 1
    for name, found in tables.items():
        _write(page, name, found, None if same else forms.get(found.sample.file), tables)
    if part is None:
        _who_consents(page, tables, made_up=made_up)
    others = [f.sample.file for f in looked if f not in tables.values()]
    if others:
        page.say()
        page.say(f"Not recognised, and not used: {', '.join(others)}")
    lines = [f"{f.sample.file} as [{name}]" for name, f in tables.items()]
    lines = [f"the FHIR files in {export} as [fhir]"] * (export is not None) + lines
    return Proposal(page.text(), tuple(lines), tuple(page.checks))


def _write(
    page: Page,
    name: TableName,
    found: FileLook,
    form: str | None,
    tables: Mapping[TableName, FileLook],
) -> None:
    match name:
        case "scores":
            write_scores(page, found, form)
        case "patients":
            write_patients(page, found, form, consent_beside="consent" in tables)
        case "consent":
            write_consent(page, found, form)
        case _:
            write_rows(page, name, found, form)


def consent_in(folder: Path, order: Order | None = None) -> FileLook | None:
    """The table of consent that lies in `folder`, beside a database; None: there is none.

    Raises:
        InputError: its dates cannot be read.
    """
    files = _files(folder, None, alone=False)
    found = _chosen(understand(sample(folder, file), order) for file in files).get("consent")
    if found is not None:
        trouble(found)
    return found


def _export_part(folder: Path, export: str, tables: Mapping[TableName, FileLook]) -> FhirPart:
    look = look_at_export(ExportFolder(folder, export).files(), INSTRUMENTS)
    patients = {
        patient for found in tables.values() for patient in found.values("patient").drop_nulls()
    }
    part = FhirPart(export, look, patients, consent_beside="consent" in tables)
    check_fhir(part)
    return part


def _files(folder: Path, only: str | None, *, alone: bool) -> list[str]:
    """The tables to look at; some there must be where they are `alone`."""
    if only is not None:
        return [only] if alone else []
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
    if not files and alone:
        raise InputError(
            f"{folder} holds no CSV, Parquet or FHIR file",
            code="file-missing",
            hint="copy the clinic's exports there, or give --omop for a database; "
            "docs/clinic-data.md says what to export",
        )
    return files[:MOST_FILES]


def _chosen(files: Iterable[FileLook]) -> dict[TableName, FileLook]:
    """The file for each table: the one with most rows where several could be."""
    order: tuple[TableName, ...] = ("scores", "patients", "consent", "engagement", "wearables")
    looked, chosen = list(files), dict[TableName, FileLook]()
    for name in order:
        candidates = [f for f in looked if f.table == name]
        if candidates:
            chosen[name] = max(candidates, key=lambda f: f.sample.frame.height)
    wide = [f for f in looked if "patient" in f.roles and _readable(f)]
    if "scores" not in chosen and wide:  # a file of patients may hold their scores, too
        scores = max(wide, key=lambda f: f.sample.frame.height)
        chosen = {"scores": scores, **chosen}
    return chosen


def _readable(found: FileLook) -> bool:
    """Whether the file is wide, and its names or another column say when each value was."""
    if found.spread is None or found.spread.trouble:
        return False
    timed = any(c.week is not None or c.date for c in found.spread.columns.values())
    return timed or bool({"date", "week", "month"} & set(found.roles))


def _dated(scores: FileLook) -> bool:
    if scores.spread is None:
        return "date" in scores.roles
    columns = scores.spread.columns.values()
    return any(c.date for c in columns) or (
        "date" in scores.roles and not any(c.week is not None for c in columns)
    )


def _roles(found: FileLook | None) -> Iterable[str]:
    return found.roles if found is not None else ()


def forms_of(tables: Iterable[FileLook]) -> dict[str, str]:
    """date_format by file, of files whose used dates are not written as 2024-01-31."""
    forms: dict[str, str] = {}
    for found in tables:
        used = {found.looks[c].form for c in found.used if found.looks[c].kind == "date"}
        if len(used) > 1:
            raise dates_differ(found.sample.file)
        if used:
            forms[found.sample.file] = used.pop() or ""
    return forms


def _who_consents(page: Page, tables: Mapping[TableName, FileLook], *, made_up: bool) -> None:
    roles = {role for found in tables.values() for role in found.roles}
    if made_up or {"consent_begins", "consent_ends"} & roles:
        return
    page.say()
    page.check(
        "no column says who consents: everybody in the files counts as consenting. Export only "
        "those who do, or add the day on which each consent begins and ends"
    )


def _made_up(tables: Mapping[TableName, FileLook], part: FhirPart | None) -> bool:
    """Whether every patient is called synthetic."""
    if part is not None:
        return part.look.synthetic == len(part.look.people)
    ids = tables["scores"].values("patient").drop_nulls()
    return bool(ids.len() and ids.str.to_lowercase().str.starts_with(_SYNTHETIC).all())


def _head(
    page: Page, tables: dict[TableName, FileLook], forms: dict[str, str], *, made_up: bool
) -> None:
    page.say("Proposed by `cairn clinic mapping new` from the files in this folder.")
    page.say("Lines marked CHECK are guesses: mend or confirm them. docs/clinic-data.md explains")
    page.say("every setting; `cairn clinic import --dry-run` says what the files give with it.")
    page.put("cairn", "1", "the version of this format")
    if made_up:
        page.put("synthetic", "true", "the patients say so; every page then does, too")
    write_settings(page, tables, forms)


def write_settings(page: Page, tables: Mapping[TableName, FileLook], forms: dict[str, str]) -> None:
    """How the files are written: encoding, separator, decimal mark, dates, where not as usual."""
    samples = [f.sample for f in tables.values()]
    encoding = shared("encoding", [(s.file, s.encoding) for s in samples if s.encoding])
    if encoding not in (None, "utf-8"):
        sure = encoding == "utf-16"
        page.put("encoding", quoted(str(encoding)), "the files are not UTF-8", "" if sure else
                 "whether letters such as ä and é come out right")  # fmt: skip
    separator = shared("separator", [(s.file, s.separator) for s in samples if s.separator])
    if separator not in (None, ","):
        page.put("separator", quoted(str(separator)), "with it most columns come out")
    used = [
        (f.sample.file, f.looks[column].decimal)
        for f in tables.values() if f.sample.encoding for column in f.numbers
    ]  # fmt: skip
    decimal = shared("decimal mark", [(file, mark) for file, mark in used if mark])
    if decimal == ",":
        page.put("decimal", '","', "numbers have a decimal comma")
    if len(set(forms.values())) == 1 and (form := next(iter(forms.values()))):
        page.put("date_format", quoted(form), "as the dates are written")
