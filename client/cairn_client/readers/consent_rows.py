"""`consent_of`, `left_out`: from raw rows, who consents and whose records are tagged sensitive."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Final

import polars as pl

from cairn_client.readers.consent import LEFT_OUT, PERIODS, Consent
from cairn_client.readers.mapping import ClinicMapping, ConsentTable, Patients
from cairn_client.readers.raw import RawTable, Sheet
from cairn_client.readers.values import with_day, with_patients
from cairn_models.records import Records

_NOT_SENSITIVE: Final = ("", "-", "0", "f", "false", "n", "nein", "no", "non", "none")
Sheets = Mapping[str, tuple[RawTable, Sheet]]


def consent_of(sheets: Sheets, mapping: ClinicMapping, records: Records) -> Consent:
    """The periods that the mapping's table of consent says, or the patients' own rows."""
    if mapping.consent is not None:
        if "consent" not in sheets:
            return Consent(pl.DataFrame(schema=PERIODS))
        raw, sheet = sheets["consent"]
        return check_consent(raw, mapping.consent, mapping.date_format, sheet)
    if mapping.patients is None or "patients" not in sheets:
        return Consent()
    usable = records.patients["patient"]
    return consent_of_patients(sheets["patients"][0], mapping.patients, mapping.date_format, usable)


def left_out(
    sheets: Sheets, consent: Consent, records: Records, day: date, damaged: pl.Series
) -> pl.DataFrame:
    """patient, why of those whose records may not be used on `day`.

    Args:
        damaged: patients whom a damaged line names. Where the mapping names consent, `consent` has
            no period of theirs; where it does not, the line may tag a sensitive programme.
    """
    everyone = records.patients["patient"]
    out = pl.DataFrame(schema=LEFT_OUT)
    if "patients" in sheets:
        tagged = sensitive_patients(sheets["patients"][0])
        if consent.periods is None:
            tagged = pl.concat([tagged, damaged]).unique()
        tagged = tagged.filter(tagged.is_in(everyone.implode()))
        out = pl.DataFrame({"patient": tagged}).with_columns(why=pl.lit("sensitive programme"))
    return pl.concat([out, consent.by(others(records, out), day)]).sort("patient")


def others(records: Records, out: pl.DataFrame) -> pl.Series:
    """The patients who are not `out`."""
    everyone = records.patients["patient"]
    return everyone.filter(~everyone.is_in(out["patient"].implode()))


def check_consent(raw: RawTable, spec: ConsentTable, date_format: str, sheet: Sheet) -> Consent:
    """The periods of a table of consent, of patients all of whose rows can be read."""
    named = with_patients(raw.frame, sheet).with_row_index("__at")
    frame = named
    for role in ("begins", "ends"):
        if role in sheet.columns:
            frame = with_day(frame, role, spec.date_format or date_format, sheet)
        else:
            frame = frame.with_columns(pl.lit(None, pl.Date()).alias(role))
    backwards = pl.col("ends") < pl.col("begins")
    frame = sheet.set_aside(frame, backwards, "consent-backwards", "ends" if spec.ends else None)
    faulty = named.join(frame.select("__at"), on="__at", how="anti")["patient"].unique()
    given = pl.col("begins").is_not_null() if spec.begins else pl.lit(value=True)
    whole = frame.filter(~pl.col("patient").is_in(faulty.implode()))
    return Consent(whole.with_columns(given=given).select(list(PERIODS)))


def consent_of_patients(
    raw: RawTable, spec: Patients, date_format: str, usable: pl.Series
) -> Consent:
    """The periods that stand in the patients' own rows, of the `usable` patients.

    An end counts wherever it stands: in a repeated row of the patient that was set aside, too. What
    cannot be read in the first row was noted with that row, and the patient is not usable.
    """
    if spec.consent_begins is None and spec.consent_ends is None:
        return Consent()
    quiet = Sheet.unheard(raw)
    named = with_patients(raw.frame, quiet).with_row_index("__at")
    frame = named
    for role in ("consent_begins", "consent_ends"):
        if role in quiet.columns:
            frame = with_day(frame, role, spec.date_format or date_format, quiet)
        else:
            frame = frame.with_columns(pl.lit(None, pl.Date()).alias(role))
    faulty = named.join(frame.select("__at"), on="__at", how="anti")["patient"].unique()
    given = pl.col("begins").is_not_null() if spec.consent_begins else pl.lit(value=True)
    kept = pl.col("patient").is_in(usable.implode()) & ~pl.col("patient").is_in(faulty.implode())
    renamed = frame.filter(kept).rename({"consent_begins": "begins", "consent_ends": "ends"})
    return Consent(renamed.with_columns(given=given).select(list(PERIODS)))


def without_sensitive(raw: RawTable, sheet: Sheet) -> RawTable:
    """`raw` without the rows that are tagged as of a sensitive programme (42 CFR Part 2).

    Any word but a plain no is a tag, in whatever language it is.
    """
    if "sensitive" not in raw.columns:
        return raw
    frame = sheet.set_aside(raw.frame, _tagged(), "row-sensitive", "sensitive")
    return replace(raw, frame=frame)


def sensitive_patients(raw: RawTable) -> pl.Series:
    """Patients of whom any row of the patients' table is tagged so."""
    if "sensitive" not in raw.columns:
        return pl.Series([], dtype=pl.String)
    tagged = replace(raw, frame=raw.frame.filter(_tagged()))
    return with_patients(tagged.frame, Sheet.unheard(tagged))["patient"].unique()


def _tagged() -> pl.Expr:
    word = pl.col("sensitive").str.to_lowercase().str.strip_chars()
    return word.is_not_null() & ~word.is_in(list(_NOT_SENSITIVE))
