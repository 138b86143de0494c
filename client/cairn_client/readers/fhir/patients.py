"""`raw_patients`, `raw_consent`: one row a patient out of Patient, CarePlan and the like."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import polars as pl

from cairn_client.readers.fhir.consents import ALWAYS
from cairn_client.readers.fhir.identity import UNRESOLVED, Identity
from cairn_client.readers.raw import Sheet
from cairn_client.readers.values import folded

_DAY: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
AGE_BANDS: Final = {15: "0-15", 25: "16-25", 35: "26-35", 50: "36-50", 65: "51-65"}
OLDEST_BAND: Final = "66+"


def raw_patients(
    people: pl.DataFrame,
    who: Identity,
    plans: pl.DataFrame,
    entries: pl.DataFrame,
    *,
    variables: Mapping[str, str],
    sheet: Sheet,
) -> pl.DataFrame:
    """row, patient, sensitive, arm, entry and a column a variable, all text but `row`.

    Args:
        people: number, row, sensitive, fact0, fact1, … in the order of `variables`.
        plans: row, patient, arm, start. The first plan's arm counts.
        entries: patient, start. The first start counts.
    """
    records = people.join(who.people, on="number", how="left", maintain_order="left")
    anyone = pl.col("sensitive").drop_nulls().first().over("first")
    records = records.with_columns(sensitive=anyone).filter(pl.col("number") == pl.col("first"))
    plans = plans.with_columns(start=_day("start")).sort(
        "start", nulls_last=True, maintain_order=True
    )
    other = pl.col("arm") != pl.col("arm").first().over("patient")
    sheet.note(plans, other, "arm-twice", "arm")
    arms = plans.group_by("patient", maintain_order=True).agg(pl.col("arm").first())
    begun = first_days(entries)
    frame = records.join(arms, on="patient", how="left", maintain_order="left")
    frame = frame.join(begun, on="patient", how="left", maintain_order="left")
    columns = [
        _variable(fact, f"fact{i}").alias(name) for i, (name, fact) in enumerate(variables.items())
    ]
    return frame.select("row", "patient", "sensitive", "arm", "entry", *columns)


def first_days(entries: pl.DataFrame) -> pl.DataFrame:
    """patient, entry: the first day of a patient's starts; what cannot be read where none can."""
    return entries.group_by("patient", maintain_order=True).agg(
        entry=pl.coalesce(_day("start").min(), pl.col("start").drop_nulls().first())
    )


def raw_consent(
    consents: pl.DataFrame, everyone: pl.DataFrame, *, unless_refused: bool, sheet: Sheet
) -> pl.DataFrame:
    """row, patient, begins, ends: one row a Consent, and an open one a patient without need of it.

    A patient with a Consent that cannot be read has none, which leaves them out.

    Args:
        consents: row, patient, begins, ends, unclear.
        everyone: row, patient.
    """
    lost = pl.col("patient").str.starts_with(UNRESOLVED) | pl.col("patient").is_null()
    rows = sheet.set_aside(consents, lost, "consent-unresolved", "patient")
    unclear = rows.filter("unclear").select(folded(pl.col("patient")))["patient"]
    rows = sheet.set_aside(rows, pl.col("unclear"), "consent-unclear", "consent")
    rows = rows.select("row", "patient", "begins", "ends")
    if unless_refused:
        open_ = everyone.filter(pl.col("patient").is_not_null()).select(
            "row", "patient", begins=pl.lit(ALWAYS), ends=pl.lit(None, pl.String)
        )
        rows = pl.concat([rows, open_])
    if unclear.is_empty():
        return rows
    return rows.filter(~folded(pl.col("patient")).is_in(unclear.implode()))


def _day(column: str) -> pl.Expr:
    """A whole date, else null: dates written so sort as they follow each other."""
    return pl.when(pl.col(column).str.contains(_DAY)).then(pl.col(column))


def _variable(fact: str, column: str) -> pl.Expr:
    if fact not in ("age", "age_band"):
        return pl.col(column)
    age = _age(pl.col(column), pl.col("entry"))
    if fact == "age":
        return age.cast(pl.String)
    band: pl.Expr = pl.lit(OLDEST_BAND)
    for oldest, name in reversed(AGE_BANDS.items()):
        band = pl.when(age <= oldest).then(pl.lit(name)).otherwise(band)
    return pl.when(age.is_not_null()).then(band)


def _age(born: pl.Expr, entry: pl.Expr) -> pl.Expr:
    """Whole years at entry; by years alone where the birth date is only a year."""
    years = entry.str.slice(0, 4).cast(pl.Int64, strict=False)
    years = years - born.str.slice(0, 4).cast(pl.Int64, strict=False)
    before = (entry.str.slice(5) < born.str.slice(5)) & (born.str.len_chars() > len("2000"))
    return years - before.cast(pl.Int64)
