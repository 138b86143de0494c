"""`check_patients`: one usable row a patient."""

from __future__ import annotations

import polars as pl

from cairn_client.readers.findings import Findings
from cairn_client.readers.long_tables import once, translated
from cairn_client.readers.mapping import NumberVariable, Patients
from cairn_client.readers.raw import RawTable
from cairn_client.readers.scales import LONGEST_WORD
from cairn_client.readers.values import folded_word, number, with_day, with_patients
from cairn_models.records import PATIENT_COLUMNS


def check_patients(
    raw: RawTable, spec: Patients, decimal: str, date_format: str, findings: Findings
) -> pl.DataFrame:
    """`Records.patients`: patient, arm, entry and a column a variable, sorted by patient.

    A variable's type comes from the mapping, never from the data: were it inferred, one patient's
    cell would change the type of everybody's.
    """
    file, columns = raw.file, raw.columns
    frame = with_patients(raw.frame, findings, file, columns["patient"])
    for role in ("entry", "discharge"):
        if role in columns:
            form = spec.date_format or date_format
            frame = with_day(frame, role, form, findings, file, columns[role])
    if "entry" in columns and "discharge" in columns:
        backwards = pl.col("discharge") < pl.col("entry")
        frame = findings.set_aside(
            frame, backwards, "discharge-before-entry", file, column=columns["discharge"]
        )
    if spec.arms:
        meanings = {folded_word(arm): arm for arm in spec.arms.values()}
        meanings |= {folded_word(word): arm for word, arm in spec.arms.items()}
        blank = frame["arm"].is_null()
        frame = translated(frame, "arm", meanings).with_columns(blank.alias("__blank"))
        unknown = pl.col("arm").is_null() & ~pl.col("__blank")
        frame = findings.set_aside(frame, unknown, "arm-unknown", file, column=columns["arm"]).drop(
            "__blank"
        )
    frame = _with_variables(frame, raw, spec, decimal, findings)
    absent = [
        pl.lit(None, kind()).alias(name)
        for name, kind in PATIENT_COLUMNS.items()
        if name not in frame.columns
    ]
    frame = frame.with_columns(absent)
    kept = [*PATIENT_COLUMNS, *spec.variables]
    said = [c for c in (*kept, "discharge") if c in frame.columns]
    frame = once(frame, ["patient"], said, findings, file, "patient-twice")
    return frame.select(kept).sort("patient")


def _with_variables(
    frame: pl.DataFrame, raw: RawTable, spec: Patients, decimal: str, findings: Findings
) -> pl.DataFrame:
    for name, variable in spec.variables.items():
        column = raw.columns[name]
        text = pl.col(name)
        if isinstance(variable, NumberVariable) and variable.number:
            frame = frame.with_columns(number(text, decimal).alias("__value"))
            code = "variable-not-a-number"
        else:
            short = pl.when(text.str.len_chars() <= LONGEST_WORD).then(text)
            frame = frame.with_columns(short.alias("__value"))
            code = "variable-free-text"
        lost = text.is_not_null() & pl.col("__value").is_null()
        findings.note(frame, lost, code, raw.file, column=column, variable=name)
        frame = frame.with_columns(pl.col("__value").alias(name)).drop("__value")
    return frame
