"""A small OMOP database of made-up people, over any SQLAlchemy connection.

Concept ids here are arbitrary on purpose: real ones would let a hard-coded id pass.
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

CONCEPTS = [  # id, code, vocabulary, name, standard
    (9101, "44261-6", "LOINC", "PHQ-9 total score", "S"),
    (9102, "70274-6", "LOINC", "GAD-7 total score", "S"),
    (9103, "720433000", "SNOMED", "PHQ-9 score", None),  # maps to 9101
    (9104, "F", "Gender", "FEMALE", "S"),
    (9105, "M", "Gender", "MALE", "S"),
    (9106, "44250-9", "LOINC", "PHQ-9 item 1", "S"),
    (9107, "LA6569-3", "LOINC", "Several days", "S"),
    (9108, "DMHI", "Clinic", "App with guidance", "S"),
    (9109, "OP", "Visit", "Outpatient visit", "S"),
]
DDL = """
CREATE TABLE {p}concept (concept_id integer, concept_name varchar(255), domain_id varchar(20),
  vocabulary_id varchar(20), concept_class_id varchar(20), standard_concept varchar(1),
  concept_code varchar(50), valid_start_date date, valid_end_date date, invalid_reason varchar(1));
CREATE TABLE {p}concept_relationship (concept_id_1 integer, concept_id_2 integer,
  relationship_id varchar(20), valid_start_date date, valid_end_date date,
  invalid_reason varchar(1));
CREATE TABLE {p}person (person_id integer, gender_concept_id integer, year_of_birth integer,
  month_of_birth integer, day_of_birth integer, race_concept_id integer,
  ethnicity_concept_id integer, person_source_value varchar(50));
CREATE TABLE {p}measurement (measurement_id bigint, person_id integer,
  measurement_concept_id integer, measurement_date date, value_as_number numeric,
  value_as_concept_id integer, measurement_source_value varchar(50),
  measurement_source_concept_id integer);
CREATE TABLE {p}observation (observation_id bigint, person_id integer,
  observation_concept_id integer, observation_date date, value_as_number numeric,
  value_as_string varchar(60), value_as_concept_id integer, observation_source_value varchar(50),
  observation_source_concept_id integer);
CREATE TABLE {p}visit_occurrence (visit_occurrence_id integer, person_id integer,
  visit_concept_id integer, visit_start_date date, visit_source_value varchar(50),
  visit_source_concept_id integer);
CREATE TABLE {p}cohort (cohort_definition_id integer, subject_id integer, cohort_start_date date,
  cohort_end_date date);
CREATE TABLE {p}cohort_definition (cohort_definition_id integer,
  cohort_definition_name varchar(255));
CREATE TABLE {p}note (note_id integer, person_id integer, note_text text);
"""
COHORTS = [(1, "Waiting list"), (2, "Guided app"), (3, "Treatment as usual")]
SECRET_NOTE = "SECRET-NOTE"
PEOPLE = 12
MAPPING = """\
cairn = 1
synthetic = true
[omop]
url_file = "omop-url"
[omop.instruments]
PHQ-9 = ["LOINC:44261-6", "SNOMED:720433000"]
GAD-7 = ["LOINC:70274-6"]
WSAS = ["source:WSAS"]
[omop.entry]
cohort = "Waiting list"
[omop.arms]
dmhi_guided = { cohort = "Guided app" }
treatment_as_usual = { cohort = 3 }
[omop.variables]
sex = "gender"
age = "age"
"""


def fill(connection: sa.Connection, schema: str = "") -> None:
    """Make and fill the tables: `PEOPLE` people who entered, and one who never did."""
    p = f"{schema}." if schema else ""
    for statement in DDL.format(p=p).split(";"):
        if statement.strip():
            connection.exec_driver_sql(statement)

    def put(table: str, rows: list[tuple[object, ...]]) -> None:
        names = [f"a{i}" for i in range(len(rows[0]))]
        values = ", ".join(f":{name}" for name in names)
        insert = sa.text(f"INSERT INTO {p}{table} VALUES ({values})")
        connection.execute(insert, [dict(zip(names, row, strict=True)) for row in rows])

    put("concept", [(i, n, "Measurement", v, "", s, c, None, None, None)
                    for i, c, v, n, s in CONCEPTS])  # fmt: skip
    put("concept_relationship", [(9103, 9101, "Maps to", None, None, None)])
    put("cohort_definition", list(COHORTS))
    people = range(1, PEOPLE + 2)
    put("person", [(i, 9104 + i % 2, 1980 + i, 1, 1, 0, 0, f"SV{i:03}") for i in people])
    entered = [i for i in people if i <= PEOPLE]
    put("cohort", [(1, i, f"2024-01-{i:02}", None) for i in entered]
        + [(2 + i % 2, i, f"2024-01-{i:02}", None) for i in entered])  # fmt: skip
    put("visit_occurrence", [(i, i, 9109, f"2024-01-{i:02}", "OP", 0) for i in entered])
    put("measurement", [
        (100 + 10 * i + w, i, 9101, f"2024-02-{i + 7 * w:02}", 20 - i % 5 - w, None, "phq", 0)
        for i in people for w in range(2)
    ] + [(901, 1, 0, "2024-03-01", 13, None, "phq", 9103)])  # fmt: skip
    put("observation", [
        (10 + i, i, 9102, f"2024-02-{i:02}", i, "SECRET-TEXT", None, "SECRET-WORD", 0)
        for i in people
    ] + [(500, 1, 0, "2024-02-20", 18, None, None, "WSAS", 0),
         (501, 2, 9108, "2024-01-20", None, None, None, "APP", 0)])  # fmt: skip
    put("note", [(1, 1, SECRET_NOTE)])


def sqlite_database(path: Path) -> Path:
    """The database as an SQLite file."""
    engine = sa.create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        fill(connection)
    engine.dispose()
    return path


def write_clinic(folder: Path, url: str, mapping: str = MAPPING) -> Path:
    """A clinic's folder that reads the database at `url`."""
    (folder / "omop-url").write_text(url + "\n")
    (folder / "omop-url").chmod(0o600)
    (folder / "mapping.toml").write_text(mapping)
    return folder
