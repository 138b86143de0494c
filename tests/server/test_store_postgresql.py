"""What only PostgreSQL does: turns by a lock, a server that goes and comes, a password to keep."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from cairn_protocol.errors import InputError
from cairn_server import store_systems
from cairn_server.store import Store
from cairn_server.store_tables import StoredStudy

STUDY = StoredStudy(b"d" * 32, "effect", b"", b"", "signed", datetime(2026, 3, 4, tzinfo=UTC))


def test_what_was_said_to_be_written_is_on_disk(database: Callable[[], str]) -> None:
    address = database()
    owner = sa.create_engine(address.replace("postgresql", "postgresql+psycopg"))
    with owner.begin() as connection:
        name = connection.exec_driver_sql("SELECT current_database()").scalar()
        connection.exec_driver_sql(f"ALTER DATABASE {name} SET synchronous_commit = off")
    owner.dispose()
    with Store.open(address) as store, store.transaction() as connection:
        assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"


def test_two_processes_may_open_a_new_store_at_once(database: Callable[[], str]) -> None:
    address, opened = database(), []
    both = threading.Barrier(4)

    def one() -> None:
        both.wait(10)
        with Store.open(address) as store:
            store.add_study(STUDY)
            opened.append(store.studies())

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert opened == 4 * [(STUDY,)]


def test_whoever_does_not_come_to_its_turn_is_told(
    database: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_systems, "BUSY_SECONDS", 1)
    address = database()
    with Store.open(address) as store, Store.open(address) as other:
        with store.transaction(), pytest.raises(InputError) as told:
            other.studies()
        assert told.value.code == "input.store-unavailable"
        assert "lock timeout" in told.value.why
        assert other.studies() == (), "its turn has come"


def test_a_database_server_that_was_restarted_is_no_trouble(database: Callable[[], str]) -> None:
    address = database()
    with Store.open(address) as store, Store.open(address) as other:
        store.add_study(STUDY)
        others = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
        others += "WHERE datname = current_database() AND pid != pg_backend_pid()"
        with other.transaction() as connection:
            assert connection.exec_driver_sql(others).scalar() == 1
        assert store.studies() == (STUDY,)


def test_a_database_that_is_not_there_is_told_without_the_password() -> None:
    with pytest.raises(InputError) as told:
        Store.open("postgresql://team:hunter2@/cairn?host=/nowhere/to/be/found")
    error = told.value
    assert error.code == "input.store-unavailable"
    assert "/nowhere/to/be/found" in error.why
    assert "\n" not in error.why
    assert "hunter2" not in f"{error} {error.why} {error.hint} {error.__cause__!r}"


def test_without_the_driver_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> None:
        raise ModuleNotFoundError("No module named 'psycopg'")

    monkeypatch.setattr(store_systems, "create_engine", missing)
    with pytest.raises(InputError, match="store-url") as told:
        Store.open("postgresql://team:hunter2@/cairn")
    assert "psycopg" in told.value.why
    assert "cairn-federated[postgres]" in told.value.hint
    assert "hunter2" not in str(told.value)
