"""`read_clinic`: a clinic's folder as `Records`, and what was found wrong in it.

    mapping.toml → source (raw long tables, text) → checks (the same for every source) → Import

Every check of a row looks at that row, at the same patient's other rows and at public constants:
removing a patient from the files changes nobody else's records. The one exception is a damaged line
that may be a withdrawal: whom else it names is out, too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import date
from pathlib import Path

import polars as pl

from cairn_client.readers.clinic_files import ClinicFiles
from cairn_client.readers.consent_rows import (
    Sheets,
    consent_of,
    left_out,
    others,
    without_sensitive,
)
from cairn_client.readers.damage import named_in_damage
from cairn_client.readers.fhir.source import with_fhir
from cairn_client.readers.findings import Findings
from cairn_client.readers.imported import Import
from cairn_client.readers.item_nine import no_item_nine
from cairn_client.readers.long_tables import Clock
from cairn_client.readers.mapping import MAPPING_FILE, ClinicMapping, known_instruments
from cairn_client.readers.measures import check_engagement, check_wearables
from cairn_client.readers.omop.source import with_omop
from cairn_client.readers.patients import check_patients
from cairn_client.readers.raw import Sheet, Source
from cairn_client.readers.scores import check_scores
from cairn_client.readers.wide import long_of
from cairn_models.measures import Instrument
from cairn_models.records import PATIENT_COLUMNS, Records
from cairn_protocol.study import CustomInstrument


def read_clinic(
    folder: Path,
    *,
    instruments: Iterable[Instrument | CustomInstrument] = (),
    day: date | None = None,
    brought: Collection[str] = (),
) -> Import:
    """The records in `folder`, each fault named with file, row and remedy, the faulty rows aside.

    Args:
        folder: holds `mapping.toml` and the files that it names.
        instruments: the study's own instruments beside Cairn's.
        day: on which consent must stand; None: today.
        brought: names of instruments that other studies are known to bring.

    Raises:
        InputError: the mapping, a file or a column is missing or cannot be used as a whole.
    """
    known = known_instruments(instruments)
    mapping = ClinicMapping.parse(Path(folder))
    source: Source = ClinicFiles(Path(folder), mapping)
    if mapping.omop is not None:
        mapping, source = with_omop(Path(folder), mapping, source)
    if mapping.fhir is not None:
        mapping, source = with_fhir(Path(folder), mapping, source, known)
    return read_source(source, mapping, known, day, brought)


def read_source(
    source: Source,
    mapping: ClinicMapping,
    known: Mapping[str, Instrument],
    day: date | None = None,
    brought: Collection[str] = (),
) -> Import:
    """The import of any source of raw tables: all that follows the reading is here."""
    findings = Findings()
    elsewhere = mapping.named_instruments() - set(known)
    listed = ", ".join(sorted(known))
    for name in sorted(elsewhere - set(brought)):
        findings.add("instrument-of-a-study", MAPPING_FILE, instrument=name, known=listed)
    raw = {name: source.table(name, findings) for name in mapping.tables()}
    if mapping.scores is not None and mapping.scores.wide and (wide := raw["scores"]) is not None:
        raw["scores"], long = long_of(wide, mapping.scores, mapping.decimal)
        mapping = mapping.model_copy(update={"scores": long})
    sheets = {
        name: (table, Sheet(table.file, table.columns, findings, table.stretches))
        for name, table in raw.items()
        if table is not None
    }
    damaged = named_in_damage(sheets.values())
    for name, (table, sheet) in sheets.items():
        findings.tallies[f"{name} rows read"] = table.frame.height
        if name != "patients":
            sheets[name] = (without_sensitive(table, sheet), sheet)
    records, nine = _checked(sheets, mapping, known, elsewhere)
    consent = consent_of(sheets, mapping, records).without(damaged)
    out = left_out(sheets, consent, records, day or date.today(), damaged)
    if out.height:
        records = records.only(others(records, out))
        nine = nine.filter(pl.col("patient").is_in(records.patients["patient"].implode()))
    for name in sheets:
        if name != "consent":
            findings.tallies[f"{name} rows kept"] = getattr(records, name).height
    for why, count in out["why"].value_counts().rows():
        findings.tallies[f"patients left out: {why}"] = count
    return Import(
        records=records,
        findings=findings.listed(),
        counts=findings.counts(),
        tallies={name: n for name, n in sorted(findings.tallies.items()) if n},
        quarantine=findings.quarantine(),
        synthetic=mapping.synthetic,
        consent=consent.of(records.patients["patient"]),
        left_out=out,
        item_nine=nine,
    )


def _checked(
    sheets: Sheets,
    mapping: ClinicMapping,
    known: Mapping[str, Instrument],
    elsewhere: Collection[str],
) -> tuple[Records, pl.DataFrame]:
    clock = Clock(
        "month" if mapping.scores is not None and mapping.scores.month is not None else "week",
        mapping.earliest_week,
        mapping.latest_week,
        mapping.decimal,
        mapping.date_format,
    )
    patients = entries = None
    if mapping.patients is not None and "patients" in sheets:
        raw, sheet = sheets["patients"]
        patients = check_patients(
            raw, mapping.patients, mapping.decimal, mapping.date_format, sheet
        )
        entries = patients.select("patient", "entry")

    empty = Records()
    scores, engagement, wearables = empty.scores, empty.engagement, empty.wearables
    nine = no_item_nine()
    if mapping.scores is not None and "scores" in sheets:
        raw, sheet = sheets["scores"]
        scores, nine = check_scores(
            raw,
            mapping.scores,
            known,
            entries,
            clock=clock,
            sheet=sheet,
            elsewhere=elsewhere,
        )
    if mapping.engagement is not None and "engagement" in sheets:
        raw, sheet = sheets["engagement"]
        engagement = check_engagement(raw, mapping.engagement, entries, clock, sheet)
    if mapping.wearables is not None and "wearables" in sheets:
        raw, sheet = sheets["wearables"]
        wearables = check_wearables(raw, mapping.wearables, entries, clock, sheet)
    if patients is None:
        patients = _patients_of(scores, engagement, wearables)
    return Records(patients, scores, engagement, wearables, clock.unit), nine


def _patients_of(*tables: pl.DataFrame) -> pl.DataFrame:
    """Every patient who has a row, where there is no patients' file: arm and entry unknown."""
    named = pl.concat([table.select("patient") for table in tables]).unique().sort("patient")
    blank = [
        pl.lit(None, kind()).alias(name)
        for name, kind in PATIENT_COLUMNS.items()
        if name != "patient"
    ]
    return named.with_columns(blank).select(list(PATIENT_COLUMNS))
