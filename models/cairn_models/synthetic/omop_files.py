"""`write_clinic_omop`: a clinic's synthetic records as an OMOP CDM 5.4 database in one SQLite file.

Scores are measurements, the waiting list and each programme a cohort; who is in no programme's
cohort only waits. Concepts of questionnaires have ids above two billion, the range that OMOP
leaves to sites. Every person's source value begins with 'synthetic', and so says `cdm_source`.
"""

from __future__ import annotations

import datetime as dt
import os
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from cairn_models.records import Records
from cairn_models.synthetic.fhir_codes import QUESTIONNAIRES
from cairn_models.synthetic.people import AGE_WITHIN

DATABASE: Final = "cdm.sqlite"
URL_FILE: Final = "omop-url"
WAITING_LIST: Final = "Waiting list"
_PROGRAMMES: Final = {
    "dmhi_unguided": "Unguided app",
    "dmhi_guided": "Guided app",
    "self_help_book": "Self-help book",
}
_TABLES: Final = """
CREATE TABLE cdm_source (cdm_source_name TEXT, source_description TEXT, cdm_version TEXT);
CREATE TABLE concept (concept_id INTEGER PRIMARY KEY, concept_name TEXT, domain_id TEXT,
  vocabulary_id TEXT, concept_class_id TEXT, standard_concept TEXT, concept_code TEXT);
CREATE TABLE concept_relationship (concept_id_1 INTEGER, concept_id_2 INTEGER,
  relationship_id TEXT);
CREATE TABLE person (person_id INTEGER PRIMARY KEY, gender_concept_id INTEGER,
  year_of_birth INTEGER, race_concept_id INTEGER, ethnicity_concept_id INTEGER,
  person_source_value TEXT);
CREATE TABLE visit_occurrence (visit_occurrence_id INTEGER PRIMARY KEY, person_id INTEGER,
  visit_concept_id INTEGER, visit_start_date TEXT, visit_source_value TEXT,
  visit_source_concept_id INTEGER);
CREATE TABLE measurement (measurement_id INTEGER PRIMARY KEY, person_id INTEGER,
  measurement_concept_id INTEGER, measurement_date TEXT, value_as_number REAL,
  value_as_concept_id INTEGER, measurement_source_value TEXT,
  measurement_source_concept_id INTEGER);
CREATE TABLE observation (observation_id INTEGER PRIMARY KEY, person_id INTEGER,
  observation_concept_id INTEGER, observation_date TEXT, value_as_number REAL,
  value_as_concept_id INTEGER, observation_source_value TEXT,
  observation_source_concept_id INTEGER);
CREATE TABLE cohort_definition (cohort_definition_id INTEGER PRIMARY KEY,
  cohort_definition_name TEXT);
CREATE TABLE cohort (cohort_definition_id INTEGER, subject_id INTEGER, cohort_start_date TEXT,
  cohort_end_date TEXT);
"""
_OUTPATIENT: Final = 9202
_GENDERS: Final = {"male": (8507, "MALE"), "female": (8532, "FEMALE"), "other": (8521, "OTHER")}
_OF_A_SITE: Final = 2_000_000_001  # the first concept id of the range that is left to sites


def write_clinic_omop(records: Records, folder: Path | str) -> list[Path]:
    """The files written: the database, and one of mode 0600 that holds its URL.

    Args:
        records: one clinic's synthetic records; patients need an entry date. What the programme
            and wearables recorded is left out: OMOP has no place of its own for it.
        folder: made if absent; files of the same names are replaced.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    database, url = folder / DATABASE, folder / URL_FILE
    for file in (database, url):
        file.unlink(missing_ok=True)
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.executescript(_TABLES)
        for table, rows in _rows(records.times_in("week")).items():
            _insert(connection, table, rows)
    with os.fdopen(os.open(url, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as text:
        text.write(f"sqlite:///{DATABASE}\n")
    return [database, url]


def _insert(connection: sqlite3.Connection, table: str, rows: Iterable[tuple[Any, ...]]) -> None:
    for row in rows:
        marks = ", ".join("?" * len(row))
        connection.execute(f"INSERT INTO {table} VALUES ({marks})", row)  # noqa: S608


def _rows(records: Records) -> dict[str, list[tuple[Any, ...]]]:
    people = list(records.patients.iter_rows(named=True))
    number = {row["patient"]: i for i, row in enumerate(people, 1)}
    entry = {row["patient"]: row["entry"] for row in people}
    totals = {name: _OF_A_SITE + i for i, name in enumerate(QUESTIONNAIRES)}
    cohorts = {name: i for i, name in enumerate((WAITING_LIST, *_PROGRAMMES.values()), 1)}
    concepts: list[tuple[Any, ...]] = [
        (totals[name], form.total_text, "Measurement", "LOINC", "Survey", "S", form.total)
        for name, form in QUESTIONNAIRES.items()
    ]
    concepts += [(i, word, "Gender", "Gender", "Gender", "S", word[0])
                 for i, word in _GENDERS.values()]  # fmt: skip
    members = [(WAITING_LIST, row) for row in people]
    members += [(_PROGRAMMES[row["arm"]], row) for row in people if row["arm"] in _PROGRAMMES]
    scores = records.scores.select("patient", "time", "instrument", "value").sort(
        "patient", "time", "instrument"
    )
    return {
        "cdm_source": [("Cairn", "Synthetic: these records describe nobody.", "5.4")],
        "concept": concepts,
        "person": [_person(number[row["patient"]], row) for row in people],
        "visit_occurrence": [
            (i, i, _OUTPATIENT, entry[patient].isoformat(), "intake", 0)
            for patient, i in number.items()
        ],
        "measurement": [
            (i, number[patient], totals[name], _day(entry[patient], week), value, None, name, 0)
            for i, (patient, week, name, value) in enumerate(scores.iter_rows(), 1)
        ],
        "cohort_definition": [(i, name) for name, i in cohorts.items()],
        "cohort": [
            (cohorts[name], number[row["patient"]], row["entry"].isoformat(), None)
            for name, row in members
        ],
    }


def _person(number: int, row: dict[str, Any]) -> tuple[Any, ...]:
    gender, _ = _GENDERS.get(row.get("sex") or "", (0, ""))
    age = AGE_WITHIN.get(row.get("age_band") or "")
    born = None if age is None else row["entry"].year - age
    return number, gender, born, 0, 0, row["patient"]


def _day(entry: dt.date, weeks: float) -> str:
    return (entry + dt.timedelta(days=round(7 * weeks))).isoformat()
