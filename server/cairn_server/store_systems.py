"""`engine_of`: the two systems that a store may be in, so that they behave alike.

A commit is on disk when it returns, and transactions come one after the other: whoever waits for
longer than `BUSY_SECONDS` for its turn is refused.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError

BUSY_SECONDS: Final = 10
TURN: Final = int.from_bytes(b"cairn.db")  # PostgreSQL's name of the lock on a transaction


def has_password(address: str) -> bool:
    """Whether an SQLAlchemy URL holds one; what is no URL holds none."""
    try:
        url = make_url(address)
    except (ArgumentError, ValueError):
        return False
    return url.password is not None or "password" in url.query


def engine_of(address: str | URL) -> Engine:
    """An engine that is used by nobody else yet.

    Raises:
        ArgumentError: no URL.
        ValueError: of another system.
        ModuleNotFoundError, NoSuchModuleError: its driver is not installed.
    """
    url = make_url(address)
    system = url.get_backend_name()
    if system == "sqlite":
        engine = create_engine(url)
        event.listen(engine, "connect", _durable_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    if system != "postgresql":
        raise ValueError(f"{system} is neither SQLite nor PostgreSQL")
    patience = {"connect_timeout": str(BUSY_SECONDS)}
    url = url.set(drivername="postgresql+psycopg", query={**patience, **url.query})
    # A ping before each use: a database server that was restarted is no trouble.
    engine = create_engine(url, pool_pre_ping=True)
    event.listen(engine, "connect", _durable_postgresql)
    event.listen(engine, "begin", _begin_postgresql)
    return engine


def _durable_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # transactions begin where `_begin_sqlite` says
    for pragma in (
        f"busy_timeout = {1000 * BUSY_SECONDS}",
        "journal_mode = WAL",
        "synchronous = FULL",
        "foreign_keys = ON",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    # IMMEDIATE: what is read at the start of a transaction still holds when it writes.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _durable_postgresql(connection: Any, _record: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SET lock_timeout = '{BUSY_SECONDS}s'")
        cursor.execute("SET synchronous_commit = on")  # whatever the server's default is
    connection.commit()


def _begin_postgresql(connection: Connection) -> None:
    # Until the transaction ends, also by the death of this process.
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({TURN})")
