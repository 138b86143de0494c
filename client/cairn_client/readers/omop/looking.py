"""`look_at`: what a database holds that a mapping could name, in counts of people.

For `cairn clinic mapping new`: no date, identifier or value of anybody is among it, and no count
below `FEWEST` people.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from cairn_client.readers.omop.address import address
from cairn_client.readers.omop.concepts import Concepts, holds
from cairn_client.readers.omop.mapping import Omop, OmopEvent
from cairn_client.readers.omop.schema import EVENTS, SCORED
from cairn_client.readers.omop.session import Session, open_session
from cairn_client.readers.omop.wire import Reply

FEWEST: Final = 5  # people
SYNTHETIC: Final = "synthetic"  # how the identifiers of made-up people begin
# Codes of totals that were checked against the vocabularies.
TOTALS: Final[dict[str, tuple[str, ...]]] = {
    "PHQ-9": ("LOINC:44261-6", "SNOMED:720433000"),
    "GAD-7": ("LOINC:70274-6", "SNOMED:445455005"),
    "CORE-10": ("SNOMED:718583008",),
    "PHQ-4": ("LOINC:70272-0",),
    "AUDIT-C": ("LOINC:75626-2",),
    "PCL-5": ("LOINC:101698-9",),
}


def look_at(url_file: str, schema: str = "") -> Reply:
    """`seen`: instruments (code → people), cohorts (name → people), visits, persons, synthetic.

    Args:
        url_file: a file of mode 0600 that holds the database's URL.
        schema: where the tables lie; empty: the database's default.
    """
    path = Path(url_file).absolute()
    omop = Omop(
        url_file=path.name,
        schema=schema,
        instruments=dict(TOTALS),
        entry=OmopEvent(table="visit_occurrence"),
    )
    with open_session(address(path.parent, omop), omop) as session:
        found, _ = Concepts.known(session, omop.concepts())
        seen = {
            "instruments": _instruments(session, found),
            "cohorts": _cohorts(session),
            "visits": _people(session, "visit_occurrence")
            if session.has("visit_occurrence")
            else 0,
            "person_source_value": _has_source_values(session),
            "synthetic": _synthetic(session),
        }
    return Reply(seen=seen)


def _instruments(session: Session, found: Concepts) -> dict[str, int]:
    """People by code, of the codes that have some."""
    counts: dict[str, int] = {}
    for written, ids in found.ids.items():
        people = 0
        for name in SCORED:
            table = session.table(name)
            where = holds(table, EVENTS[name], sorted(ids), [])
            listed = sa.select(sa.func.count(table.c.person_id.distinct())).where(where)
            people += int(session.rows(listed)[0][0])
        if people >= FEWEST:
            counts[written] = people
    return counts


def _cohorts(session: Session) -> dict[str, int]:
    """People by the name of their cohort; names are the clinic's own titles, not patients' data."""
    if not (session.has("cohort") and session.has("cohort_definition")):
        return {}
    cohort, named = session.table("cohort"), session.table("cohort_definition")
    people: Any = sa.func.count(cohort.c.subject_id.distinct())
    listed = (
        sa.select(named.c.cohort_definition_name, people)
        .join_from(cohort, named, cohort.c.cohort_definition_id == named.c.cohort_definition_id)
        .group_by(named.c.cohort_definition_name)
    )
    counts = {str(name): int(count) for name, count in session.rows(listed)}
    return {name: count for name, count in sorted(counts.items()) if count >= FEWEST}


def _people(session: Session, name: str) -> int:
    table = session.table(name)
    listed = sa.select(sa.func.count(table.c.person_id.distinct()))
    return int(session.rows(listed)[0][0])


def _has_source_values(session: Session) -> bool:
    person = session.table("person")
    return int(session.rows(sa.select(sa.func.count(person.c.person_source_value)))[0][0]) > 0


def _synthetic(session: Session) -> bool:
    """Whether everybody's source value says that they are made up."""
    named = session.table("person").c.person_source_value
    others = sa.select(sa.func.count()).where(named.is_(None) | named.notlike(f"{SYNTHETIC}%"))
    return _has_source_values(session) and int(session.rows(others)[0][0]) == 0
