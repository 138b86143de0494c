"""`Store`: what the research team's server must not forget. One transaction a method.

What a method wrote is on disk when it returns (`synchronous=FULL`, `synchronous_commit=on`), so
the server may be killed at any time. SQLite by default, PostgreSQL by URL. Several processes may
use one store: a command revokes a clinic while the server runs. In either system transactions come
one after the other, so that what one has read still holds when it writes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from sqlalchemy import URL, Connection, Engine, Select, func, insert, select, update
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, NoSuchModuleError

from cairn_protocol.enrolment.statements import JoinClaim
from cairn_protocol.errors import CairnError, InputError, OurFault
from cairn_server import store_tables as t
from cairn_server.enrolling import enrol
from cairn_server.journal import Unavailable
from cairn_server.store_systems import engine_of
from cairn_server.store_tables import (
    Clinic,
    RunState,
    StoredEvent,
    StoredRun,
    StoredStanding,
    StoredStudy,
    StoredToken,
)

Row = TypeVar("Row")


class Store:
    """Use `Store.open` or `Store.open_file`; safe to share between threads; close it at the end."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        try:
            with self.transaction() as connection:
                _check_schema(connection)
        except BaseException:
            engine.dispose()
            raise

    @classmethod
    def open(cls, url: str | URL) -> Self:
        """The store at an SQLAlchemy URL; its tables are made on first use.

        Raises:
            InputError: `input.store-url`, `input.store-unavailable`, `input.store-newer`.
        """
        try:
            engine = engine_of(url)
        except (ArgumentError, NoSuchModuleError, ModuleNotFoundError, ValueError) as error:
            raise InputError(
                "the store's address in server.toml cannot be used",
                code="store-url",
                why=str(error),
                hint='"" for a file, or postgresql://user:password@host/database with the extra '
                "cairn-federated[postgres] installed",
            ) from None
        return cls(engine)

    @classmethod
    def open_file(cls, path: Path) -> Self:
        """The SQLite store in `path`, made with mode 0600."""
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        return cls.open(URL.create("sqlite", database=str(path)))

    def close(self) -> None:
        """Give back every connection."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    # clinics and tokens

    def add_token(self, token: StoredToken) -> None:
        """Keep a new token.

        Raises:
            InputError: `input.name-enrolled`: the clinic is enrolled and not revoked.
        """
        with self.transaction() as c:
            known = _one(c, Clinic, select(t.clinics).where(t.clinics.c.name == token.clinic))
            if known and known.state == "enrolled":
                raise InputError(
                    f"{token.clinic} is enrolled already",
                    code="name-enrolled",
                    why=f"it joined on {known.enrolled_at:%Y-%m-%d}",
                    hint="choose another name; if the clinic lost its keys, "
                    f"`cairn server revoke {token.clinic}` first",
                )
            c.execute(insert(t.tokens).values(**vars(token)))

    def tokens(self) -> tuple[StoredToken, ...]:
        """Every token, oldest first."""
        return self._all(StoredToken, select(t.tokens).order_by(t.tokens.c.made_at))

    def withdraw_tokens(self, clinic: str, now: datetime) -> int:
        """How many tokens of `clinic` nobody had used; they end now."""
        unused = (t.tokens.c.clinic == clinic, t.tokens.c.used_at.is_(None))
        alive = t.tokens.c.expires > now
        with self.transaction() as c:
            return c.execute(update(t.tokens).where(*unused, alive).values(expires=now)).rowcount

    def enrol(
        self, claim: JoinClaim, *, now: datetime, enrol_node: Callable[[bytes], int]
    ) -> Clinic:
        """The clinic of a verified `claim`, enrolled against its token, which is then used.

        The same clinic may repeat it. `enrol_node` is called inside the transaction: where it
        fails, the token stays unused.

        Raises:
            InputError: see `cairn_server.enrolling`.
        """
        with self.transaction() as c:
            return enrol(c, claim, now, enrol_node)

    def clinics(self) -> tuple[Clinic, ...]:
        """Every clinic that ever joined, by name."""
        return self._all(Clinic, select(t.clinics).order_by(t.clinics.c.name))

    def clinic(self, name: str) -> Clinic | None:
        """The clinic called `name`."""
        return self._first(Clinic, select(t.clinics).where(t.clinics.c.name == name))

    def clinic_of(self, identity: bytes) -> Clinic | None:
        """The clinic with this public key."""
        return self._first(Clinic, select(t.clinics).where(t.clinics.c.identity == identity))

    def revoke(self, name: str) -> Clinic:
        """The clinic, revoked: on no later roster, and refused from now on. May be repeated.

        Raises:
            InputError: `input.clinic-unknown`.
        """
        with self.transaction() as c:
            where = t.clinics.c.name == name
            c.execute(update(t.clinics).where(where).values(state="revoked"))
            clinic = _one(c, Clinic, select(t.clinics).where(where))
            if clinic is None:
                raise InputError(
                    f"no clinic called {name} has joined",
                    code="clinic-unknown",
                    hint="`cairn server roster` lists them",
                )
            return clinic

    def seen(self, name: str, at: datetime) -> None:
        """Note that a clinic was heard of; an older time changes nothing."""
        later = (t.clinics.c.last_seen.is_(None)) | (t.clinics.c.last_seen < at)
        with self.transaction() as c:
            c.execute(update(t.clinics).where(t.clinics.c.name == name, later).values(last_seen=at))

    # studies and standings

    def add_study(self, study: StoredStudy) -> StoredStudy:
        """Keep a study; where it is known, what is known comes back and nothing changes."""
        with self.transaction() as c:
            query = select(t.studies).where(t.studies.c.digest == study.digest)
            if known := _one(c, StoredStudy, query):
                return known
            c.execute(insert(t.studies).values(**vars(study)))
            return study

    def study(self, digest: bytes) -> StoredStudy | None:
        """The study with this digest."""
        return self._first(StoredStudy, select(t.studies).where(t.studies.c.digest == digest))

    def studies(self) -> tuple[StoredStudy, ...]:
        """Every study, oldest first."""
        return self._all(StoredStudy, select(t.studies).order_by(t.studies.c.added_at))

    def set_study(self, digest: bytes, *, state: str, roster: bytes | None = None) -> None:
        """Change a study's state and, where given, its roster."""
        values: dict[str, Any] = {"state": state} | ({} if roster is None else {"roster": roster})
        self._change(update(t.studies).where(t.studies.c.digest == digest).values(values))

    def put_standing(self, standing: StoredStanding) -> None:
        """Keep a clinic's last word on a study."""
        with self.transaction() as c:
            here = (t.standings.c.study == standing.study, t.standings.c.clinic == standing.clinic)
            if c.execute(update(t.standings).where(*here).values(**vars(standing))).rowcount == 0:
                c.execute(insert(t.standings).values(**vars(standing)))

    def standings(self, study: bytes) -> tuple[StoredStanding, ...]:
        """The clinics' last words on a study, by the clinic's name."""
        query = select(t.standings).where(t.standings.c.study == study)
        return self._all(StoredStanding, query.order_by(t.standings.c.clinic))

    # runs and their events

    def start_run(self, run: StoredRun, *, code: str = "") -> None:
        """Keep a new run; its study is from now on what the run is. `code`: what begins it."""
        with self.transaction() as c:
            c.execute(insert(t.runs).values(**vars(run)))
            if code:
                c.execute(insert(t.codes).values(run=run.run, code=code))
            here = t.studies.c.digest == run.study
            c.execute(update(t.studies).where(here).values(state=run.state))

    def end_run(self, run: bytes, *, state: RunState, reason: str, at: datetime) -> None:
        """Note how a run ended, and its study with it."""
        values = {"state": state, "reason": reason, "ended": at}
        study = select(t.runs.c.study).where(t.runs.c.run == run).scalar_subquery()
        with self.transaction() as c:
            _one_row(c.execute(update(t.runs).where(t.runs.c.run == run).values(values)).rowcount)
            c.execute(update(t.studies).where(t.studies.c.digest == study).values(state=state))

    def run(self, run: bytes) -> StoredRun | None:
        """The run with this id."""
        return self._first(StoredRun, select(t.runs).where(t.runs.c.run == run))

    def code_of(self, run: bytes) -> str:
        """The code that a run was begun with; "" where nobody wrote it down."""
        with self.transaction() as c:
            found = c.execute(select(t.codes.c.code).where(t.codes.c.run == run)).scalar()
        return found or ""

    def runs(
        self, *, study: bytes | None = None, state: RunState | None = None
    ) -> tuple[StoredRun, ...]:
        """Runs, oldest first: all, or those of a study, or in a state."""
        query = select(t.runs).order_by(t.runs.c.started)
        if study is not None:
            query = query.where(t.runs.c.study == study)
        if state is not None:
            query = query.where(t.runs.c.state == state)
        return self._all(StoredRun, query)

    def add_event(self, run: bytes, json: str, at: datetime) -> int:
        """The number of a new event of `run`."""
        with self.transaction() as c:
            last = c.execute(select(func.max(t.events.c.seq)).where(t.events.c.run == run)).scalar()
            seq = (last or 0) + 1
            c.execute(insert(t.events).values(run=run, seq=seq, at=at, json=json))
            return seq

    def events(self, run: bytes, *, after: int = 0) -> tuple[StoredEvent, ...]:
        """The events of a run whose number is above `after`, in order."""
        query = select(t.events).where(t.events.c.run == run, t.events.c.seq > after)
        return self._all(StoredEvent, query.order_by(t.events.c.seq))

    def _all(self, row: type[Row], query: Select[Any]) -> tuple[Row, ...]:
        with self.transaction() as c:
            return tuple(row(**found._mapping) for found in c.execute(query))

    def _first(self, row: type[Row], query: Select[Any]) -> Row | None:
        with self.transaction() as c:
            return _one(c, row, query)

    def _change(self, statement: Any) -> None:
        with self.transaction() as c:
            _one_row(c.execute(statement).rowcount)

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """One transaction; the database's own errors become ours."""
        try:
            with self._engine.begin() as connection:
                yield connection
        except CairnError:
            raise
        except IntegrityError as error:
            raise OurFault(
                "the store refused a row", code="store-integrity", why=type(error.orig).__name__
            ) from None
        except DBAPIError as error:
            raise Unavailable(
                "the server's store cannot be read or written",
                code="store-unavailable",
                why=" ".join(str(error.orig).split()),
                hint="check the disk's free space, the file's owner, or the database server",
            ) from None


def _one_row(count: int) -> None:
    if count != 1:
        raise OurFault("the store has no such row", code="store-row")


def _one(connection: Connection, row: type[Row], query: Select[Any]) -> Row | None:
    found = connection.execute(query).first()
    return None if found is None else row(**found._mapping)


def _check_schema(connection: Connection) -> None:
    t.METADATA.create_all(connection)
    version = connection.execute(select(t.schema.c.version)).scalar()
    if version is None:
        connection.execute(insert(t.schema).values(version=t.SCHEMA_VERSION))
    elif version != t.SCHEMA_VERSION:
        raise InputError(
            "the store was written by a newer version of Cairn",
            code="store-newer",
            why=f"its schema is {version}, this version knows {t.SCHEMA_VERSION}",
            hint="update Cairn on this server",
        )
