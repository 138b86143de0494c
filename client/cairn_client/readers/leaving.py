"""`read_leaving`: who of those that are kept is out by files of which others cannot be read.

Of the patients' file only the columns that say so are read, so that no other fault of it keeps
anybody in.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Final

import polars as pl

from cairn_client.readers.clinic import read_source
from cairn_client.readers.clinic_files import ClinicFiles
from cairn_client.readers.consent import LEFT_OUT
from cairn_client.readers.fhir.source import with_fhir
from cairn_client.readers.findings import Findings
from cairn_client.readers.mapping import ClinicMapping, Patients, known_instruments
from cairn_client.readers.raw import RawTable, Source
from cairn_protocol.errors import InputError

_OTHERS: Final = ("scores", "engagement", "wearables", "omop", "fhir")


@dataclass(frozen=True)
class Leaving:
    """patient, why of those who are out; `whole`: whether every file that says so was read."""

    left_out: pl.DataFrame
    whole: bool


def read_leaving(folder: Path, kept: pl.Series, day: date | None = None) -> Leaving:
    """Who is out on `day` (None: today) by the patients' file and that of consent in `folder`.

    Args:
        kept: patients who are taken for those of the clinic where no file can say who these are.

    Raises:
        InputError: the mapping cannot be used.
    """
    mapping = ClinicMapping.parse(folder)
    known = known_instruments(())
    reduced = mapping.model_copy(update={"patients": _who_is_out(mapping.patients)})
    source: Source = ClinicFiles(folder, reduced)
    if mapping.fhir is not None:
        mapping, source = with_fhir(folder, mapping, source, known)
    people = _who_is_out(mapping.patients)
    tables = {
        "patients": _table(source, "patients") if people is not None else None,
        "consent": _table(source, "consent") if mapping.consent is not None else None,
    }
    unread = [people is not None and _says(people) and tables["patients"] is None]
    unread += [mapping.consent is not None and tables["consent"] is None]
    listed = tables["patients"]
    if people is None or listed is None:
        people = Patients(file="the records that are kept", patient="patient")
        rows = pl.DataFrame({"patient": kept}).with_row_index("row")
        listed = RawTable(people.file, rows.cast({"row": pl.Int64}), people.columns())
    columns = people.columns()
    listed = replace(listed, frame=listed.frame.select("row", *columns), columns=columns)
    if tables["consent"] is None and not _says(people):
        return Leaving(pl.DataFrame(schema=LEFT_OUT), whole=not any(unread))
    consent = mapping.consent if tables["consent"] is not None else None
    told = {**dict.fromkeys(_OTHERS), "patients": people, "consent": consent}
    held = _Held({**tables, "patients": listed})
    read = read_source(held, mapping.model_copy(update=told), known, day)
    return Leaving(read.left_out, whole=not any(unread))


@dataclass(frozen=True)
class _Held:
    """Tables that were read before."""

    tables: dict[str, RawTable | None]

    def table(self, name: str, findings: Findings) -> RawTable | None:
        return self.tables[name]


def _table(source: Source, name: str) -> RawTable | None:
    try:
        return source.table(name, Findings())
    except InputError:
        return None


def _who_is_out(spec: Patients | None) -> Patients | None:
    """The patients' table with no other columns than those that may leave somebody out."""
    if spec is None:
        return None
    return Patients(
        file=spec.file,
        patient=spec.patient,
        sensitive=spec.sensitive,
        date_format=spec.date_format,
        consent_begins=spec.consent_begins,
        consent_ends=spec.consent_ends,
    )


def _says(spec: Patients) -> bool:
    return any((spec.sensitive, spec.consent_begins, spec.consent_ends))
