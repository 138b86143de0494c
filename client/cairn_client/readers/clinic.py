"""`read_clinic`: a clinic's folder as `Records`, and what was found wrong in it.

    mapping.toml → source (raw long tables, text) → checks (the same for every source) → Import

Every check of a row looks at that row, at the same patient's other rows and at public constants:
removing a patient from the files changes nobody else's records.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import polars as pl

from cairn_client.readers.csv_folder import CsvFolder
from cairn_client.readers.findings import Findings, Import
from cairn_client.readers.long_tables import (
    Clock,
    known_patients,
    once,
    with_measures,
    with_time,
)
from cairn_client.readers.mapping import (
    ClinicMapping,
    Engagement,
    Wearables,
    known_instruments,
)
from cairn_client.readers.patients import check_patients
from cairn_client.readers.raw import RawTable, Source
from cairn_client.readers.scales import ENGAGEMENT_RANGES, WEARABLE_RANGES
from cairn_client.readers.scores import check_scores
from cairn_client.readers.values import with_number
from cairn_models.measures import Instrument
from cairn_models.records import ENGAGEMENT, PATIENT_COLUMNS, WEARABLES, Records
from cairn_protocol.study import CustomInstrument


def read_clinic(
    folder: Path, *, instruments: Iterable[Instrument | CustomInstrument] = ()
) -> Import:
    """The records in `folder`, each fault named with file, row and remedy, the faulty rows aside.

    Args:
        folder: holds `mapping.toml` and the files that it names.
        instruments: the study's own instruments beside Cairn's.

    Raises:
        InputError: the mapping, a file or a column is missing or cannot be used as a whole.
    """
    known = known_instruments(instruments)
    mapping = ClinicMapping.read(Path(folder), known)
    return read_source(CsvFolder(Path(folder), mapping), mapping, known)


def read_source(source: Source, mapping: ClinicMapping, known: dict[str, Instrument]) -> Import:
    """The import of any source of raw tables: all that follows the reading is here."""
    findings = Findings()
    clock = Clock(
        "month" if mapping.scores.month is not None else "week",
        mapping.earliest_week,
        mapping.latest_week,
        mapping.decimal,
    )
    raw = {name: source.table(name, findings) for name in mapping.tables()}
    patients = entries = None
    listed = raw.get("patients")
    if listed is not None and mapping.patients is not None:
        patients = check_patients(
            listed, mapping.patients, mapping.decimal, mapping.date_format, findings
        )
        entries = patients.select("patient", "entry")

    tables = {"scores": Records().scores}
    given = raw["scores"]
    if given is not None:
        tables["scores"] = check_scores(
            given, mapping.scores, known, entries, clock, mapping.date_format, findings
        )
    for name, spec in (("engagement", mapping.engagement), ("wearables", mapping.wearables)):
        table = raw.get(name)
        if table is not None and spec is not None:
            tables[name] = _check_measures(name, table, spec, entries, clock, mapping, findings)
    if patients is None:
        patients = _patients_of(tables.values())
    for name, table in raw.items():
        if table is not None:
            findings.tallies[f"{name} read"] = table.frame.height
    for name, frame in (("patients", patients), *tables.items()):
        findings.tallies[f"{name} kept"] = frame.height
    records = Records(patients, **tables, time_unit=clock.unit)
    return findings.finish(records, synthetic=mapping.synthetic)


def _check_measures(
    name: str,
    raw: RawTable,
    spec: Engagement | Wearables,
    entries: pl.DataFrame | None,
    clock: Clock,
    mapping: ClinicMapping,
    findings: Findings,
) -> pl.DataFrame:
    """`Records.engagement` or `Records.wearables`, sorted by patient, measure and time."""
    file, weekly = raw.file, isinstance(spec, Wearables)
    frame = known_patients(raw, entries, findings)
    frame = with_time(frame, raw, clock, spec.date_format or mapping.date_format, findings)
    frame = with_number(frame, "value", clock.decimal, findings, file, raw.columns["value"])
    ranges = WEARABLE_RANGES if weekly else ENGAGEMENT_RANGES
    frame = with_measures(frame, raw, name, spec.measures, ranges, findings)
    if not weekly:
        frame = once(
            frame, ["patient", "time", "measure"], ["value"], findings, file, "value-twice"
        )
        return frame.select(list(ENGAGEMENT)).sort("patient", "measure", "time")

    coverage = raw.columns["coverage"]
    frame = with_number(frame, "coverage", clock.decimal, findings, file, coverage)
    outside = ~pl.col("coverage").is_between(0, 1)
    frame = findings.set_aside(frame, outside, "coverage-out-of-range", file, column=coverage)
    week = pl.col("week")
    if "week" in raw.columns:
        broken = week != week.round()
        frame = findings.set_aside(
            frame, broken, "week-not-whole", file, column=raw.columns["week"]
        )
    frame = frame.with_columns(week.floor().cast(pl.Int64))
    said = ["value", "coverage"]
    frame = once(frame, ["patient", "week", "measure"], said, findings, file, "value-twice")
    return frame.select(list(WEARABLES)).sort("patient", "measure", "week")


def _patients_of(tables: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """Every patient who has a row, where there is no patients' file: arm and entry unknown."""
    named = pl.concat([table.select("patient") for table in tables]).unique().sort("patient")
    blank = [pl.lit(None, kind()).alias(c) for c, kind in PATIENT_COLUMNS.items() if c != "patient"]
    return named.with_columns(blank).select(list(PATIENT_COLUMNS))
