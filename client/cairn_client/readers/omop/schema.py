"""The tables and columns of the common data model that may be read, and no other.

Not among them: note, note_nlp, any `value_as_string`, names, addresses and days of birth. A
`…_source_value` is compared in the database and comes out only where it equals a mapped word.
Source: OMOP CDM 5.4, https://ohdsi.github.io/CommonDataModel/cdm54.html.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

TABLES: Final[dict[str, tuple[str, ...]]] = {
    "concept": (
        "concept_id",
        "concept_name",
        "vocabulary_id",
        "concept_code",
        "standard_concept",
    ),
    "concept_relationship": ("concept_id_1", "concept_id_2", "relationship_id", "invalid_reason"),
    "cohort": ("cohort_definition_id", "subject_id", "cohort_start_date"),
    "cohort_definition": ("cohort_definition_id", "cohort_definition_name"),
    "person": (
        "person_id",
        "person_source_value",
        "year_of_birth",
        "gender_concept_id",
        "race_concept_id",
        "ethnicity_concept_id",
    ),
}


@dataclass(frozen=True)
class EventColumns:
    """How a table of events names what all of them have."""

    key: str
    date: str
    concept: str
    source_concept: str
    source_value: str


def _event(table: str, stem: str, date: str) -> EventColumns:
    return EventColumns(
        f"{table}_id",
        date,
        f"{stem}_concept_id",
        f"{stem}_source_concept_id",
        f"{stem}_source_value",
    )


EVENTS: Final[dict[str, EventColumns]] = {
    "measurement": _event("measurement", "measurement", "measurement_date"),
    "observation": _event("observation", "observation", "observation_date"),
    "visit_occurrence": _event("visit_occurrence", "visit", "visit_start_date"),
    "procedure_occurrence": _event("procedure_occurrence", "procedure", "procedure_date"),
    "drug_exposure": _event("drug_exposure", "drug", "drug_exposure_start_date"),
    "condition_occurrence": _event("condition_occurrence", "condition", "condition_start_date"),
    "device_exposure": _event("device_exposure", "device", "device_exposure_start_date"),
}
SCORED: Final = ("measurement", "observation")  # the tables that hold values
_VALUES: Final = ("value_as_number", "value_as_concept_id")


def columns_of(table: str) -> tuple[str, ...]:
    """The columns of `table` that Cairn may name in a statement."""
    if table in TABLES:
        return TABLES[table]
    event = EVENTS[table]
    named = (event.key, "person_id", event.date, event.concept, event.source_concept)
    return (*named, event.source_value, *(_VALUES if table in SCORED else ()))


def table_of(name: str, schema: str) -> sa.TableClause:
    """`name` as statements speak of it, with the columns that may be read."""
    columns: list[sa.ColumnClause[Any]] = [sa.column(c) for c in columns_of(name)]
    return sa.table(name, *columns, schema=schema or None)
