"""`check_patients`: one usable row a patient."""

from __future__ import annotations

import polars as pl

from cairn_client.readers.long_tables import once, translated
from cairn_client.readers.mapping import NumberVariable, Patients
from cairn_client.readers.raw import RawTable, Sheet
from cairn_client.readers.scales import LONGEST_WORD
from cairn_client.readers.values import folded_word, number, with_day, with_patients
from cairn_models.records import PATIENT_COLUMNS


def check_patients(
    raw: RawTable, spec: Patients, decimal: str, date_format: str, sheet: Sheet
) -> pl.DataFrame:
    """`Records.patients`: patient, arm, entry and a column a variable, sorted by patient.

    A variable's type comes from the mapping, never from the data: were it inferred, one patient's
    cell would change the type of everybody's.
    """
    frame = with_patients(raw.frame, sheet)
    for role in ("entry", "discharge", "consent_begins", "consent_ends"):
        if role in sheet.columns:
            frame = with_day(frame, role, spec.date_format or date_format, sheet)
    if "entry" in sheet.columns and "discharge" in sheet.columns:
        backwards = pl.col("discharge") < pl.col("entry")
        frame = sheet.set_aside(frame, backwards, "discharge-before-entry", "discharge")
    if "consent_begins" in sheet.columns and "consent_ends" in sheet.columns:
        backwards = pl.col("consent_ends") < pl.col("consent_begins")
        frame = sheet.set_aside(frame, backwards, "consent-backwards", "consent_ends")
    if spec.arms:
        frame = _with_arms(frame, spec, sheet)
    for name, variable in spec.variables.items():
        is_number = isinstance(variable, NumberVariable) and variable.number
        frame = _with_variable(frame, name, decimal if is_number else None, sheet)
    absent = [
        pl.lit(None, kind()).alias(name)
        for name, kind in PATIENT_COLUMNS.items()
        if name not in frame.columns
    ]
    frame = frame.with_columns(absent)
    kept = [*PATIENT_COLUMNS, *spec.variables]
    said = [
        name
        for name in (*kept, "discharge", "consent_begins", "consent_ends")
        if name in frame.columns
    ]
    frame = once(frame, ["patient"], said, "patient-twice", sheet)
    return frame.select(kept).sort("patient")


def _with_arms(frame: pl.DataFrame, spec: Patients, sheet: Sheet) -> pl.DataFrame:
    """`frame` with `arm` in Cairn's names; blank stays blank, unknown words are set aside."""
    meanings = {folded_word(arm): arm for arm in spec.arms.values()}
    meanings |= {folded_word(word): arm for word, arm in spec.arms.items()}
    frame = frame.with_columns(__named=pl.col("arm").is_not_null())
    frame = translated(frame, "arm", meanings)
    unknown = pl.col("arm").is_null() & pl.col("__named")
    return sheet.set_aside(frame, unknown, "arm-unknown", "arm").drop("__named")


def _with_variable(
    frame: pl.DataFrame, name: str, decimal: str | None, sheet: Sheet
) -> pl.DataFrame:
    """`frame` with the variable as f64 (where a decimal mark is given) or short words."""
    text = pl.col(name)
    if decimal is not None:
        value, code = number(text, decimal), "variable-not-a-number"
    else:
        value = pl.when(text.str.len_chars() <= LONGEST_WORD).then(text)
        code = "variable-free-text"
    frame = frame.with_columns(value.alias("__value"))
    lost = text.is_not_null() & pl.col("__value").is_null()
    sheet.note(frame, lost, code, name, variable=name)
    return frame.with_columns(pl.col("__value").alias(name)).drop("__value")
