"""An OMOP database read as a clinic: what comes out, what is never read, what is refused."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from cairn_client.readers import read_clinic
from cairn_client.readers.mapping import ClinicMapping
from cairn_client.readers.omop import schema
from cairn_client.readers.omop.address import address
from cairn_client.readers.omop.importer import main, read_omop
from cairn_client.readers.omop.mapping import Omop
from cairn_client.readers.omop.session import open_session
from cairn_client.readers.omop.source import run_importer
from cairn_client.readers.omop.wire import Reply, read_reply
from cairn_client.readers.scales import LOINC_ITEMS
from cairn_protocol.errors import InputError
from clinic_files import said
from omop_database import PEOPLE, SECRET_NOTE, sqlite_database, write_clinic


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sqlite_database(tmp_path_factory.mktemp("omop") / "cdm.sqlite")


@pytest.fixture
def clinic(tmp_path: Path, database: Path) -> Path:
    return write_clinic(tmp_path, f"sqlite:///{database}")


@pytest.fixture(autouse=True)
def without_a_process(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read in this process: starting one takes a second. Tests with `process` start it."""
    if "process" not in request.fixturenames:
        monkeypatch.setattr(
            "cairn_client.readers.omop.source.ask_importer", lambda folder, _: in_process(folder)
        )


@pytest.fixture
def process() -> None:
    """The test starts the importer as a process."""


def remap(folder: Path, old: str, new: str) -> Path:
    text = (folder / "mapping.toml").read_text()
    assert old in text
    (folder / "mapping.toml").write_text(text.replace(old, new))
    return folder


def in_process(folder: Path) -> Reply:
    mapping = ClinicMapping.parse(folder)
    assert mapping.omop is not None
    people = mapping.patients is None
    return read_omop(folder, mapping.omop, people=people, decimal=mapping.decimal)


def refusal(folder: Path) -> InputError:
    with pytest.raises(InputError) as caught:
        in_process(folder)
    assert caught.value.hint
    assert "SECRET" not in str(caught.value) + caught.value.hint
    return caught.value


# What comes out


@pytest.mark.usefixtures("process")
def test_a_database_is_read_as_patients_and_scores(clinic: Path) -> None:
    imported = read_clinic(clinic)
    assert imported.findings == ()
    records = imported.records
    first = records.patients.row(0, named=True)
    assert {k: str(v) for k, v in first.items()} == {
        "patient": "1",
        "arm": "treatment_as_usual",
        "entry": "2024-01-01",
        "sex": "male",
        "age": "43.0",
    }
    assert records.patients.height == PEOPLE
    assert dict(records.scores["instrument"].value_counts().rows()) == {
        "PHQ-9": 2 * PEOPLE + 1,
        "GAD-7": PEOPLE,
        "WSAS": 1,
    }
    assert imported.tallies["scores of people who never entered"] == 3
    assert records.scores.filter(patient="1", instrument="PHQ-9")["time"].to_list() == [
        pytest.approx(days / 7) for days in (31, 38, 60)
    ]


def test_a_second_import_is_the_same(clinic: Path) -> None:
    first, second = in_process(clinic), in_process(clinic)
    for name, table in first.tables.items():
        assert table.frame.equals(second.tables[name].frame)


def test_a_removed_person_changes_nobody_else(clinic: Path, database: Path, tmp_path: Path) -> None:
    copy = tmp_path / "without.sqlite"
    copy.write_bytes(database.read_bytes())
    with sqlite3.connect(copy) as connection:
        for table, column in (
            ("person", "person_id"), ("measurement", "person_id"), ("observation", "person_id"),
            ("cohort", "subject_id"), ("visit_occurrence", "person_id"),
        ):  # fmt: skip
            connection.execute(f"DELETE FROM {table} WHERE {column} = 1")
    everyone = read_clinic(clinic).records.without("1")
    remaining = read_clinic(write_clinic(tmp_path, f"sqlite:///{copy}")).records
    for name in ("patients", "scores"):
        assert getattr(everyone, name).equals(getattr(remaining, name))


def test_findings_name_the_table_and_its_key(clinic: Path, database: Path, tmp_path: Path) -> None:
    copy = tmp_path / "faulty.sqlite"
    copy.write_bytes(database.read_bytes())
    with sqlite3.connect(copy) as connection:
        connection.execute("UPDATE measurement SET value_as_number = 99 WHERE measurement_id = 110")
        connection.execute(
            "UPDATE observation SET value_as_number = NULL WHERE observation_id = 12"
        )
    imported = read_clinic(write_clinic(tmp_path, f"sqlite:///{copy}"))
    assert imported.quarantine.select("file", "row", "code").rows() == [
        ("measurement", 110, "score-out-of-range"),
        ("observation", 12, "number-missing"),
    ]


def test_identifiers_may_be_the_clinics_own_and_patients_a_file(clinic: Path) -> None:
    remap(clinic, "[omop]\n", '[omop]\npatient = "person_source_value"\n')
    with (clinic / "mapping.toml").open("a") as mapping:
        mapping.write('[patients]\nfile = "p.csv"\npatient = "id"\nentry = "in"\n')
    (clinic / "p.csv").write_text("id,in\nsv001,2024-01-15\n")
    imported = read_clinic(clinic)
    assert imported.records.patients["patient"].to_list() == ["sv001"]
    assert imported.records.scores.height == 5
    assert set(imported.counts) == {"patient-unknown"}


def test_arms_of_events_count_from_the_entry(clinic: Path) -> None:
    arms = '{ table = "observation", concept = "Clinic:DMHI" }'
    text = (clinic / "mapping.toml").read_text()
    text = text.replace('{ cohort = "Guided app" }', arms).replace(
        "treatment_as_usual = { cohort = 3 }\n", ""
    )
    text = text.replace("[omop]\n", '[omop]\narm_otherwise = "waiting"\n')
    (clinic / "mapping.toml").write_text(text)
    frame = in_process(clinic).tables["patients"].frame
    assert dict(frame.select("patient", "arm").rows())["2"] == "dmhi_guided"
    assert frame["arm"].to_list().count("waiting") == PEOPLE - 1


def test_two_arms_on_one_day_are_no_arm(clinic: Path) -> None:
    remap(clinic, "cohort = 3", 'cohort = "Waiting list"')
    frame = in_process(clinic).tables["patients"].frame
    assert frame.filter(patient="1")["arm"].to_list() == ["treatment_as_usual"]
    assert frame.filter(patient="2")["arm"].to_list() == [None]


def test_items_become_totals(clinic: Path, database: Path, tmp_path: Path) -> None:
    copy = tmp_path / "items.sqlite"
    copy.write_bytes(database.read_bytes())
    with sqlite3.connect(copy) as connection:
        connection.execute("DELETE FROM measurement")
        for i, code in enumerate(LOINC_ITEMS["PHQ-9"]):
            connection.execute("DELETE FROM concept WHERE concept_code = ?", (code,))
            connection.execute(
                "INSERT INTO concept (concept_id, vocabulary_id, concept_code, standard_concept)"
                " VALUES (?, 'LOINC', ?, 'S')", (8000 + i, code)
            )  # fmt: skip
            connection.execute(
                "INSERT INTO measurement VALUES (?, 1, ?, '2024-02-01', NULL, 9107, NULL, 0)",
                (i + 1, 8000 + i),
            )
    write_clinic(tmp_path, f"sqlite:///{copy}")
    remap(tmp_path, "[omop]\n", "[omop]\nitems = true\n")
    scores = read_clinic(tmp_path).records.scores.filter(instrument="PHQ-9")
    assert scores["value"].to_list() == [9.0]


@pytest.mark.parametrize("written", [19723, 1704067200.0, "2024-01-01", "2024-01-01 13:00:00"])
def test_dates_of_sqlite_are_days_seconds_or_text(
    written: object, clinic: Path, database: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "dates.sqlite"
    copy.write_bytes(database.read_bytes())
    with sqlite3.connect(copy) as connection:
        connection.execute("UPDATE cohort SET cohort_start_date = ?", (written,))
    frame = in_process(write_clinic(tmp_path, f"sqlite:///{copy}")).tables["patients"].frame
    assert set(frame["entry"]) == {"2024-01-01"}


# What is never read, written or shown


def test_no_statement_names_notes_or_free_text(
    clinic: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    statements: list[str] = []

    def hear(*args: object) -> None:
        statements.append(str(args[2]).lower())

    sa.event.listen(sa.Engine, "before_cursor_execute", hear)
    try:
        reply = in_process(clinic)
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", hear)
    asked = "\n".join(s for s in statements if "pragma" not in s)
    assert "measurement" in asked
    for word in ("note", "value_as_string", "month_of_birth", "day_of_birth"):
        assert word not in asked
    assert not any(table.startswith("note") for table in (*schema.TABLES, *schema.EVENTS))
    everything = "".join(table.frame.write_csv() for table in reply.tables.values())
    for secret in (SECRET_NOTE, "SECRET-TEXT", "SECRET-WORD"):
        assert secret not in everything


def test_the_database_cannot_be_written(clinic: Path, database: Path) -> None:
    before = database.read_bytes()
    mapping = ClinicMapping.parse(clinic).omop
    assert mapping is not None
    with (
        pytest.raises(InputError),
        open_session(address(clinic, mapping), mapping) as session,
    ):
        session.connection.exec_driver_sql("DELETE FROM person")
    assert database.read_bytes() == before


def test_it_ends_in_time(clinic: Path) -> None:
    mapping = ClinicMapping.parse(clinic).omop
    assert mapping is not None
    short = mapping.model_copy(update={"time_limit": 1})
    # Far longer than a second, but not endless: without a time limit it ends, and the test fails.
    count = "SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 50000000"
    long = f"WITH RECURSIVE c(n) AS ({count}) SELECT max(n) FROM c"
    with (
        pytest.raises(InputError) as caught,
        open_session(address(clinic, short), short) as session,
    ):
        session.connection.exec_driver_sql(long)
    assert caught.value.code == "input.omop-time"


def test_an_importer_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cairn_client.readers.omop.source.GRACE", 0.2)
    with pytest.raises(InputError) as caught:
        run_importer([sys.executable, "-c", "import time; time.sleep(60)"], 0)
    assert caught.value.code == "input.omop-broken-off"


def test_an_importer_that_writes_nonsense_is_refused() -> None:
    for text in ("", "nonsense", "{}", '{"tables": [{"name": "scores", "bytes": 9999999999999}]}'):
        with pytest.raises(InputError) as caught:
            run_importer([sys.executable, "-c", f"print({text!r})"], 5)
        assert caught.value.code == "input.omop-broken-off"


@pytest.mark.usefixtures("process")
def test_a_password_is_in_no_message_argument_or_output(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    secret = "hunter2-SECRET"
    urls = (
        f"postgresql://cairn:{secret}@127.0.0.1:1/cdm",
        f"mysql://cairn:{secret}@127.0.0.1/cdm",
        f"postgresql://cairn:{secret}@127.0.0.1:port/cdm",
        f"{secret}",
    )
    for url in urls:
        write_clinic(tmp_path, url)
        with pytest.raises(InputError) as caught:
            in_process(tmp_path) if url != urls[0] else read_clinic(tmp_path)
        shown = f"{caught.value} {caught.value.hint} {caught.value.__context__!r}"
        assert secret not in shown
        assert "127.0.0.1" not in shown
    out, err = capfd.readouterr()
    assert secret not in out + err


# What is refused, each with a remedy


def test_others_may_not_read_the_address(clinic: Path) -> None:
    (clinic / "omop-url").chmod(0o640)
    assert refusal(clinic).code == "input.omop-address-open"
    (clinic / "omop-url").unlink()
    assert refusal(clinic).code == "input.omop-address"


def test_a_password_in_the_mapping_is_refused(clinic: Path) -> None:
    remap(clinic, 'url_file = "omop-url"', 'url = "postgresql://me:SECRET@host/db"')
    assert refusal(clinic).code == "input.omop-password"


@pytest.mark.usefixtures("process")
def test_the_address_may_come_from_the_environment(
    clinic: Path, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remap(clinic, 'url_file = "omop-url"', 'url_env = "CAIRN_TEST_URL"')
    assert refusal(clinic).code == "input.omop-address"
    monkeypatch.setenv("CAIRN_TEST_URL", f"sqlite:///{database}")
    assert read_clinic(clinic).records.patients.height == PEOPLE


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("LOINC:44261-6", "LOINC:0-0", "omop-concept-unknown"),
        ('"LOINC:70274-6"', '"SNOMED:720433000"', "omop-concept-shared"),
        ('"Waiting list"', '"No such list"', "omop-cohort"),
        ("[omop]\n", '[omop]\nschema = "elsewhere"\n', "omop-table-missing"),
    ],
)
def test_what_the_database_lacks_is_named(old: str, new: str, code: str, clinic: Path) -> None:
    assert refusal(remap(clinic, old, new)).code == f"input.{code}"


def test_a_missing_column_is_named(clinic: Path, database: Path, tmp_path: Path) -> None:
    copy = tmp_path / "old.sqlite"
    copy.write_bytes(database.read_bytes())
    with sqlite3.connect(copy) as connection:
        connection.execute("ALTER TABLE measurement DROP COLUMN measurement_source_concept_id")
    error = refusal(write_clinic(tmp_path, f"sqlite:///{copy}"))
    assert error.code == "input.omop-column-missing"
    assert "measurement_source_concept_id" in error.what


@pytest.mark.parametrize("content", [b"SECRET" * 1000, None])
def test_no_database_is_refused(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "x.sqlite").write_bytes(content)
    assert refusal(write_clinic(tmp_path, "sqlite:///x.sqlite")).code == "input.omop-unreachable"
    assert (tmp_path / "x.sqlite").exists() is (content is not None)


@pytest.mark.parametrize(
    "change",
    [
        {"url": "sqlite:///x"},
        {"arms": {"waiting": {"table": "note", "concept": "a:b"}}},
        {"arms": {"waiting": {"table": "observation"}}},
        {"arms": {"waiting": {"cohort": 1, "table": "observation"}}},
        {"instruments": {"PHQ-9": ["44261-6"]}},
        {"instruments": {"PHQ-9": []}},
        {"prorate": True},
        {"password": "x"},
        {"socket": "s", "user": "u"},
    ],
)
def test_a_mapping_that_cannot_be_meant_is_refused(change: dict[str, object]) -> None:
    good = {"url_file": "u", "instruments": {"PHQ-9": ["LOINC:44261-6"]}, "entry": {"cohort": 1}}
    Omop.model_validate(good)
    with pytest.raises(ValueError, match="validation error"):
        Omop.model_validate(good | change)


# The process


@pytest.fixture
def service(clinic: Path) -> Iterator[Path]:
    """A socket behind which an importer starts for each connection, as systemd does it."""
    path = clinic / "import.sock"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    command = [sys.executable, "-P", "-m", "cairn_client.readers.omop.importer", str(clinic)]

    def serve() -> None:
        link, _ = listener.accept()
        with link:
            subprocess.run(command, stdin=link, stdout=link, check=False, timeout=60)

    thread = threading.Thread(target=serve)
    thread.start()
    yield path
    thread.join(60)
    listener.close()


@pytest.mark.usefixtures("process")
def test_the_importer_may_stand_behind_a_socket(service: Path) -> None:
    remap(service.parent, "[omop]\n", '[omop]\nsocket = "import.sock"\n')
    assert read_clinic(service.parent).records.patients.height == PEOPLE


@pytest.mark.usefixtures("process")
def test_nobody_at_the_socket_is_said(clinic: Path) -> None:
    remap(clinic, "[omop]\n", '[omop]\nsocket = "import.sock"\n')
    with pytest.raises(InputError) as caught:
        read_clinic(clinic)
    assert caught.value.code == "input.omop-socket"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts a process as another user")
@pytest.mark.usefixtures("process")
def test_another_user_cannot_read_an_address_that_is_ours(clinic: Path) -> None:
    remap(clinic, "[omop]\n", '[omop]\nuser = "nobody"\n')
    with pytest.raises(InputError):  # nobody may not even enter the test's folder
        read_clinic(clinic)
    remap(clinic, 'user = "nobody"', 'user = "no-such-user"')
    with pytest.raises(InputError) as caught:
        read_clinic(clinic)
    assert caught.value.code == "input.omop-user"


def test_a_refusal_comes_through_the_process(clinic: Path, tmp_path: Path) -> None:
    remap(clinic, "LOINC:44261-6", "LOINC:0-0")
    with (tmp_path / "reply").open("wb") as stream:
        assert main([str(clinic)], stream) == 2
    assert "refusal" in json.loads((tmp_path / "reply").read_text())
    with (tmp_path / "reply").open("rb") as stream, pytest.raises(InputError) as caught:
        read_reply(stream)
    assert caught.value.code == "input.omop-concept-unknown"
    assert "LOINC:0-0" in caught.value.what


def test_nothing_that_is_said_holds_a_patient(clinic: Path) -> None:
    remap(clinic, "[omop]\n", '[omop]\npatient = "person_source_value"\n')
    assert "sv0" not in said(read_clinic(clinic)).lower()
