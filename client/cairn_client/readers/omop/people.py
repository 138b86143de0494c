"""`read_people`: person, date of entry, arm and variables of those who ever entered."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import polars as pl
import sqlalchemy as sa

from cairn_client.readers.omop.concepts import Concepts, holds
from cairn_client.readers.omop.mapping import Omop, OmopEvent
from cairn_client.readers.omop.schema import EVENTS
from cairn_client.readers.omop.session import Session
from cairn_client.readers.omop.text import days
from cairn_client.readers.omop.wire import Table
from cairn_protocol.errors import InputError


def read_people(session: Session, concepts: Concepts, decimal: str) -> Table:
    """Raw patients: `row` is person_id.

    Entry is a person's first such event. An arm is the one whose first event on or after the entry
    comes first; where two come on one day, none is known.
    """
    omop = session.omop
    assert omop.entry is not None, "the mapping was checked"  # noqa: S101
    entry = _firsts(session, concepts, omop.entry).rename({"day": "entry"})
    frame = entry
    if omop.arms:
        frame = frame.join(_arms(session, concepts, omop, entry), on="row", how="left")
        if omop.arm_otherwise is not None:
            frame = frame.with_columns(
                pl.when(pl.col("several").fill_null(value=False))
                .then(None)
                .otherwise(pl.col("arm").fill_null(omop.arm_otherwise))
                .alias("arm")
            )
        frame = frame.drop("several")
    facts = _persons(session, omop)
    frame = frame.join(facts, on="row", how="inner")
    for name, fact in omop.variables.items():
        if fact == "age":
            age = pl.col("entry").str.slice(0, 4).cast(pl.Int64, strict=False) - pl.col(name)
            frame = frame.with_columns(age.cast(pl.String).alias(name))
    roles = ["patient", "entry", *(["arm"] if omop.arms else []), *omop.variables]
    return Table(frame.select("row", *roles).sort("row"))


def patients_by_id(session: Session) -> pl.DataFrame:
    """row i64 and patient: every person's identifier as the mapping names it."""
    return _persons(session, session.omop.model_copy(update={"variables": {}}))


def _persons(session: Session, omop: Omop) -> pl.DataFrame:
    """row, patient, and a column a variable: text, but the year of birth i64."""
    person = session.table("person")
    columns = [person.c.person_id, person.c[omop.patient].label("identifier")]
    columns += [
        person.c["year_of_birth" if fact == "age" else f"{fact}_concept_id"].label(name)
        for name, fact in omop.variables.items()
    ]
    chunks = list(session.chunks(sa.select(*columns)))
    rows = [row for chunk in chunks for row in chunk]
    schema = {"row": pl.Int64, "patient": pl.String} | dict.fromkeys(omop.variables, pl.Int64)
    frame = pl.DataFrame(
        [(row[0], None if row[1] is None else str(row[1]), *row[2:]) for row in rows],
        schema=schema,
        orient="row",
    )
    for name, fact in omop.variables.items():
        if fact != "age":
            words = _names(session, frame[name].drop_nulls().unique().to_list())
            frame = frame.with_columns(
                pl.col(name).replace_strict(words, default=None, return_dtype=pl.String)
                if words
                else pl.lit(None, pl.String).alias(name)
            )
    return frame


def _names(session: Session, ids: list[int]) -> dict[int, str]:
    """Names of concepts, in small letters; 0 is OMOP's 'no matching concept' and has none."""
    concept = session.table("concept")
    listed = sa.select(concept.c.concept_id, concept.c.concept_name).where(
        concept.c.concept_id.in_([i for i in ids if i])
    )
    return {int(number): str(name).lower() for number, name in session.rows(listed)}


def _firsts(session: Session, concepts: Concepts, event: OmopEvent) -> pl.DataFrame:
    """row, day: the first day of each person's events."""
    return _days(session, concepts, event).group_by("row").agg(pl.col("day").min())


def _arms(session: Session, concepts: Concepts, omop: Omop, entry: pl.DataFrame) -> pl.DataFrame:
    """row, arm, several: of those who had an arm's event on or after their entry."""
    parts = []
    for arm, event in omop.arms.items():
        found = _days(session, concepts, event).join(entry, on="row", how="inner")
        found = found.filter(pl.col("day") >= pl.col("entry"))
        firsts = found.group_by("row").agg(pl.col("day").min())
        parts.append(firsts.with_columns(arm=pl.lit(arm)))
    events = pl.concat(parts)
    earliest = events.filter(pl.col("day") == pl.col("day").min().over("row"))
    several = pl.col("arm").n_unique() > 1
    return earliest.group_by("row").agg(
        arm=pl.when(several).then(None).otherwise(pl.col("arm").first()), several=several
    )


def _days(session: Session, concepts: Concepts, event: OmopEvent) -> pl.DataFrame:
    """row, day: person_id and date of every such event, as text that sorts by time."""
    if event.table is None:
        cohort = session.table("cohort")
        number = _cohort_id(session, event.cohort)
        listed = sa.select(cohort.c.subject_id, cohort.c.cohort_start_date).where(
            cohort.c.cohort_definition_id == number
        )
    else:
        columns, table = EVENTS[event.table], session.table(event.table)
        listed = sa.select(table.c.person_id, table.c[columns.date])
        if event.concept is not None:
            ids, words = concepts.among([event.concept])
            listed = listed.where(holds(table, columns, ids, words))
    return _pairs(chunk for chunk in session.chunks(listed))


def _pairs(chunks: Iterable[list[Any]]) -> pl.DataFrame:
    schema = {"row": pl.Int64, "day": pl.String}
    frames = [pl.DataFrame(schema=schema)]
    for rows in chunks:
        people, dates = zip(*rows, strict=True)
        frames.append(pl.DataFrame({"row": people, "day": days(dates)}, schema=schema))
    return pl.concat(frames).drop_nulls()


def _cohort_id(session: Session, cohort: int | str | None) -> int:
    if isinstance(cohort, int):
        return cohort
    table = session.table("cohort_definition")
    listed = sa.select(table.c.cohort_definition_id).where(table.c.cohort_definition_name == cohort)
    found = session.rows(listed)
    if len(found) != 1:
        raise InputError(
            f"the database has {len(found)} cohorts called {cohort!r}",
            code="omop-cohort",
            hint="give the cohort's definition id, or its name as cohort_definition has it",
        )
    return int(found[0][0])
