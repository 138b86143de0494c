"""`Session`: a database read in one transaction, which cannot write and ends in time."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection
from sqlalchemy.exc import DBAPIError, NoSuchModuleError, SQLAlchemyError

from cairn_client.readers.omop.mapping import Omop
from cairn_client.readers.omop.schema import columns_of, table_of
from cairn_protocol.errors import InputError

CHUNK: Final = 50_000  # rows at a time
_STEPS: Final = 10_000  # of SQLite's machine between looks at the clock
_CONNECT_SECONDS: Final = 10


@dataclass(frozen=True)
class Session:
    """Statements over the tables of `schema`, streamed."""

    connection: Connection
    omop: Omop

    def schema_of(self, table: str) -> str:
        """The database schema in which `table` lies."""
        if table.startswith("concept"):
            return self.omop.vocabulary_schema or self.omop.schema_
        if table.startswith("cohort"):
            return self.omop.cohort_schema or self.omop.schema_
        return self.omop.schema_

    def has(self, table: str) -> bool:
        """Whether the database has `table`."""
        schema = self.schema_of(table) or None
        return sa.inspect(self.connection).has_table(table, schema=schema)

    def table(self, name: str) -> sa.TableClause:
        """`name`, which is there with all the columns that Cairn may read.

        Raises:
            InputError: the table or a column of it is missing.
        """
        schema = self.schema_of(name)
        if not self.has(name):
            raise InputError(
                f"the database has no table {name}"
                + (f" in the schema {schema}" if schema else ""),
                code="omop-table-missing",
                hint="set schema (vocabulary_schema for concept, cohort_schema for cohort) in "
                "[omop]; the user also needs the right to read it",
            )
        found = sa.inspect(self.connection).get_columns(name, schema=schema or None)
        lacking = sorted(set(columns_of(name)) - {c["name"].lower() for c in found})
        if lacking:
            raise InputError(
                f"the table {name} has no column {', '.join(lacking)}",
                code="omop-column-missing",
                why="Cairn reads the common data model 5.4",
                hint="let a view of that name in a schema of its own add the column (null will do)",
            )
        return table_of(name, schema)

    def chunks(self, statement: sa.Select[Any]) -> Iterator[list[tuple[Any, ...]]]:
        """The rows of `statement`, at most `CHUNK` at a time."""
        streamed = self.connection.execution_options(stream_results=True, yield_per=CHUNK)
        for rows in streamed.execute(statement).partitions():
            yield [tuple(row) for row in rows]

    def rows(self, statement: sa.Select[Any]) -> list[tuple[Any, ...]]:
        """All rows of a statement with few."""
        return [row for chunk in self.chunks(statement) for row in chunk]


@contextmanager
def open_session(url: URL, omop: Omop) -> Iterator[Session]:
    """A read-only session, over when `omop.time_limit` is.

    Raises:
        InputError: whatever the database or its driver says no to, in plain words.
    """
    try:
        engine = _sqlite(url, omop.time_limit) if url.drivername == "sqlite" else _postgres(url)
        with engine.connect() as connection:
            if url.drivername == "sqlite":
                connection.exec_driver_sql("BEGIN")
            else:
                for setting in ("statement_timeout", "lock_timeout"):
                    limit = f"SET LOCAL {setting} = {int(omop.time_limit) * 1000}"
                    connection.exec_driver_sql(limit)
            yield Session(connection, omop)
            connection.rollback()
    except ImportError:
        raise InputError(
            "PostgreSQL cannot be read without its driver",
            code="omop-driver",
            hint="pip install 'cairn-federated[omop]'",
        ) from None
    except (SQLAlchemyError, sqlite3.Error, OSError, UnicodeError) as error:
        raise in_words(error) from None


def _sqlite(url: URL, seconds: int) -> sa.Engine:
    until = time.monotonic() + seconds

    def connect() -> sqlite3.Connection:
        place = Path(str(url.database)).as_uri() + "?mode=ro"
        found = sqlite3.connect(place, uri=True, isolation_level=None, timeout=_CONNECT_SECONDS)
        found.execute("PRAGMA query_only = ON")
        found.set_progress_handler(lambda: time.monotonic() > until, _STEPS)
        return found

    return sa.create_engine("sqlite://", creator=connect, poolclass=sa.NullPool)


def _postgres(url: URL) -> sa.Engine:
    return sa.create_engine(
        url,
        poolclass=sa.NullPool,
        connect_args={"connect_timeout": _CONNECT_SECONDS},
        execution_options={"postgresql_readonly": True, "isolation_level": "REPEATABLE READ"},
    )


_BY_STATE: Final = {
    "28": ("refused", "the user or the password is not accepted", "mend the URL"),
    "3D": ("refused", "there is no database of that name", "mend the URL"),
    "42501": ("refused", "the user may not read a table that is needed",
              "grant it SELECT on person, the tables that the mapping names, and concept"),
    "57014": ("time", "it took longer than time_limit", "raise time_limit in [omop], or let the "
              "database's people add an index on the tables' concept columns"),
    "55P03": ("time", "a table stayed locked", "try again when nobody loads the database"),
    "25006": ("refused", "the transaction is read-only", "report this: Cairn never writes"),
}  # fmt: skip


# What comes without a state: SQLite's, and libpq's while connecting (where the server is English).
_BY_WORDS: Final = {
    "password authentication failed": "28P01",
    '" does not exist': "3D000",
    "interrupted": "57014",
}


def in_words(error: Exception) -> InputError:
    """A driver's error in our words: its own may hold an address, a user or a value."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    state = str(getattr(cause, "sqlstate", None) or "")
    text = str(cause)
    state = next((code for words, code in _BY_WORDS.items() if words in text), state)
    if isinstance(error, NoSuchModuleError):
        raise ImportError
    for prefix, (code, why, hint) in _BY_STATE.items():
        if state.startswith(prefix):
            return InputError("the database was not read", code=f"omop-{code}", why=why, hint=hint)
    if isinstance(cause, sqlite3.DatabaseError):
        why = "it is no SQLite file, damaged, locked, or its user may not read it"
    elif not state:
        why = "no server answers at the address, or it refuses the user or the password"
    else:
        why = f"the server says no (SQLSTATE {state})"
    return InputError(
        "the database cannot be reached or read",
        code="omop-unreachable",
        why=why,
        hint="try the same URL with psql (or sqlite3) as the user who runs the import",
    )
