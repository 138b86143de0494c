"""`ReceivedStore`: which clinic has which findings, in its own signed word."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import insert, select, update

from cairn_server import store_tables as t
from cairn_server.store import Store


@dataclass(frozen=True)
class StoredReceived:
    """A clinic's last `Received` of a study, whole; `findings` is the digest that it names."""

    study: bytes
    clinic: str
    findings: bytes
    message: bytes
    at: datetime


class ReceivedStore:
    """The receipts in a server's store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def put(self, received: StoredReceived) -> None:
        """Keep a clinic's last word on what it has."""
        with self._store.transaction() as c:
            here = (t.received.c.study == received.study, t.received.c.clinic == received.clinic)
            if c.execute(update(t.received).where(*here).values(**vars(received))).rowcount == 0:
                c.execute(insert(t.received).values(**vars(received)))

    def of(self, study: bytes) -> dict[str, StoredReceived]:
        """What the clinics of a study have, by the clinic's name."""
        query = select(t.received).where(t.received.c.study == study).order_by(t.received.c.clinic)
        with self._store.transaction() as c:
            rows = [StoredReceived(**row._mapping) for row in c.execute(query)]
        return {row.clinic: row for row in rows}
