"""`StoreJournal`: a run's journal in the server's store, so that a killed server carries on."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
from sqlalchemy import Table, func, insert, select

from cairn_protocol.errors import InputError, PeerFault
from cairn_protocol.mark import Mark
from cairn_protocol.messages import RoundRecord
from cairn_server import store_tables as t
from cairn_server.journal import Incident, Total
from cairn_server.store import Store


class StoreJournal:
    """The journal of the run with id `run`, which the store holds; see `cairn_server.journal`."""

    def __init__(self, store: Store, run: bytes) -> None:
        self._store, self._run = store, run

    def next_setup(self) -> int:
        """A number that was never given before, written before it is given."""
        with self._store.transaction() as c:
            number = self._count(c, t.setups)
            c.execute(insert(t.setups).values(run=self._run, number=number))
            return number

    def next_attempt(self, question: str, round_: int) -> int:
        """A number that was never given before, written before it is given."""
        here = (t.attempts.c.question == question, t.attempts.c.round == round_)
        with self._store.transaction() as c:
            number = self._count(c, t.attempts, *here)
            values = {"run": self._run, "question": question, "round": round_, "number": number}
            c.execute(insert(t.attempts).values(**values))
            return number

    def attempts(self, question: str) -> int:
        """Attempts so far at all rounds of `question`."""
        with self._store.transaction() as c:
            return self._count(c, t.attempts, t.attempts.c.question == question)

    def retries(self, question: str, round_: int) -> int | None:
        """Attempts beyond the first in the run, if this round was attempted; else None."""
        here = (t.attempts.c.question == question, t.attempts.c.round == round_)
        with self._store.transaction() as c:
            if not self._count(c, t.attempts, *here):
                return None
            return self._count(c, t.attempts, t.attempts.c.number > 0)

    def opened(self, question: str, round_: int, total: Total, record: RoundRecord) -> None:
        """Keep an opened sum with its record."""
        with self._store.transaction() as c:
            values = {
                "run": self._run,
                "question": question,
                "round": round_,
                "total": total.astype("<i8").tobytes(),
                "record": record.body,
                "seq": self._count(c, t.sums),
            }
            c.execute(insert(t.sums).values(**values))

    def total(self, question: str, round_: int) -> Total | None:
        """An opened sum."""
        query = select(t.sums.c.total).where(
            t.sums.c.run == self._run, t.sums.c.question == question, t.sums.c.round == round_
        )
        with self._store.transaction() as c:
            found = c.execute(query).scalar()
        return None if found is None else np.frombuffer(found, dtype="<i8").astype(np.int64)

    def records(self) -> list[RoundRecord]:
        """The records of all sums that were opened, in order.

        Raises:
            InputError: `input.run-older`: an earlier version of Cairn wrote them.
        """
        query = select(t.sums.c.record).where(t.sums.c.run == self._run).order_by(t.sums.c.seq)
        with self._store.transaction() as c:
            found = c.execute(query).scalars().all()
        try:
            return [RoundRecord.from_body(body) for body in found]
        except PeerFault:
            raise InputError(
                "this run was begun by an earlier version of Cairn and cannot be carried on",
                code="run-older",
                why="its rounds were recorded under an earlier protocol",
                hint="sign and offer a new study; what was charged stays charged",
            ) from None

    def marks(self) -> list[Mark]:
        """Where clinics stood at the end of other runs, oldest first."""
        last = (
            select(t.sums.c.run, func.max(t.sums.c.seq).label("seq"))
            .where(t.sums.c.run != self._run)
            .group_by(t.sums.c.run)
            .subquery()
        )
        query = (
            select(t.sums.c.record)
            .join(last, (t.sums.c.run == last.c.run) & (t.sums.c.seq == last.c.seq))
            .join(t.runs, t.runs.c.run == t.sums.c.run)
            .order_by(t.runs.c.started)
        )
        with self._store.transaction() as c:
            found = c.execute(query).scalars().all()
        marks = []
        for body in found:
            with suppress(PeerFault):
                marks += [upload.mark for upload in RoundRecord.from_body(body).uploads]
        return marks

    def letters(self, draw: Callable[[], dict[str, str]]) -> dict[str, str]:
        """The arms' letters in this run: what was drawn when they were first asked for."""
        table = t.letters
        query = select(table.c.arm, table.c.letter).where(table.c.run == self._run)
        with self._store.transaction() as c:
            found = c.execute(query.order_by(table.c.seq)).all()
            if found:
                return {row.arm: row.letter for row in found}
            drawn = draw()
            for seq, (arm, letter) in enumerate(drawn.items()):
                values = {"run": self._run, "seq": seq, "arm": arm, "letter": letter}
                c.execute(insert(table).values(**values))
            return drawn

    def note(self, incident: Incident) -> None:
        """Keep an incident."""
        with self._store.transaction() as c:
            seq = self._count(c, t.incidents)
            c.execute(insert(t.incidents).values(run=self._run, seq=seq, **vars(incident)))

    def incidents(self) -> list[Incident]:
        """All incidents, in order."""
        columns = t.incidents.c.kind, t.incidents.c.clinic, t.incidents.c.text
        query = select(*columns).where(t.incidents.c.run == self._run)
        with self._store.transaction() as c:
            found = c.execute(query.order_by(t.incidents.c.seq)).all()
        return [Incident(**row._mapping) for row in found]

    def _count(self, connection: Any, table: Table, *where: Any) -> int:
        query = select(func.count()).select_from(table).where(table.c.run == self._run, *where)
        return int(connection.execute(query).scalar() or 0)
