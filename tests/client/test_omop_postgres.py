"""The same clinic out of PostgreSQL as out of SQLite, read-only, in time, without its password."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

import postgres_server
from cairn_client.readers import read_clinic
from cairn_client.readers.mapping import ClinicMapping
from cairn_client.readers.omop.address import address
from cairn_client.readers.omop.session import open_session
from cairn_protocol.errors import InputError
from clinic_files import frames
from omop_database import MAPPING, fill, sqlite_database, write_clinic

pytestmark = pytest.mark.skipif(bool(postgres_server.why_not()), reason=postgres_server.why_not())
PASSWORD = "hunter2%3A%40SECRET"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with postgres_server.server() as folder:
        engine = sa.create_engine(f"postgresql+psycopg://owner@/postgres?host={folder}")
        with engine.begin() as connection:
            connection.exec_driver_sql("CREATE SCHEMA cdm")
            fill(connection, "cdm")
            connection.exec_driver_sql("CREATE ROLE reader LOGIN PASSWORD 'hunter2:@SECRET'")
            connection.exec_driver_sql("GRANT USAGE ON SCHEMA cdm TO reader")
            connection.exec_driver_sql("GRANT SELECT ON ALL TABLES IN SCHEMA cdm TO reader")
            connection.exec_driver_sql("REVOKE ALL ON cdm.note FROM reader")
        engine.dispose()
        yield f"postgresql://reader:{PASSWORD}@/postgres?host={folder}"


def with_schema(folder: Path, url: str) -> Path:
    return write_clinic(folder, url, MAPPING.replace("[omop]\n", '[omop]\nschema = "cdm"\n'))


def test_both_systems_give_the_same_records(url: str, tmp_path: Path) -> None:
    other = tmp_path / "sqlite"
    other.mkdir()
    write_clinic(other, f"sqlite:///{sqlite_database(tmp_path / 'cdm.sqlite')}")
    there = read_clinic(with_schema(tmp_path, url))
    assert there.findings == ()
    assert frames(there) == frames(read_clinic(other))


def test_nothing_can_be_written_even_by_the_owner(url: str, tmp_path: Path) -> None:
    omop = ClinicMapping.parse(
        with_schema(tmp_path, url.replace(f"reader:{PASSWORD}", "owner"))
    ).omop
    assert omop is not None
    with (
        pytest.raises(InputError, match="read-only"),
        open_session(address(tmp_path, omop), omop) as session,
    ):
        session.connection.exec_driver_sql("DELETE FROM cdm.person")


def test_a_statement_ends_in_time(url: str, tmp_path: Path) -> None:
    omop = ClinicMapping.parse(with_schema(tmp_path, url)).omop
    assert omop is not None
    short = omop.model_copy(update={"time_limit": 1})
    with (
        pytest.raises(InputError) as caught,
        open_session(address(tmp_path, short), short) as session,
    ):
        session.connection.exec_driver_sql("SELECT pg_sleep(30)")
    assert caught.value.code == "input.omop-time"


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        (PASSWORD, "SECRET-wrong", "omop-refused"),
        ("/postgres", "/nowhere", "omop-refused"),
        ("host=/tmp", "host=/tmp/nowhere", "omop-unreachable"),
    ],
)
def test_a_refusal_says_why_and_shows_nothing(
    old: str, new: str, code: str, url: str, tmp_path: Path
) -> None:
    assert old in url
    with pytest.raises(InputError) as caught:
        read_clinic(with_schema(tmp_path, url.replace(old, new, 1)))
    assert caught.value.code == f"input.{code}"
    assert "SECRET" not in str(caught.value) + caught.value.hint


def test_a_table_that_may_not_be_read_is_said(url: str, tmp_path: Path) -> None:
    owner = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:").replace(
        f"reader:{PASSWORD}", "owner"))  # fmt: skip
    with owner.begin() as connection:
        connection.exec_driver_sql("REVOKE SELECT ON cdm.measurement FROM reader")
    try:
        with pytest.raises(InputError) as caught:
            read_clinic(with_schema(tmp_path, url))
        assert caught.value.code == "input.omop-refused"
    finally:
        with owner.begin() as connection:
            connection.exec_driver_sql("GRANT SELECT ON cdm.measurement TO reader")
        owner.dispose()
