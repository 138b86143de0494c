"""`AuditStore`: the newest receipt for each clinic's audit log, and what was amiss with any.

A head commits to all that the log held before it, so that of receipts which continue each other
the newest is enough. The last one before a break is kept: it proves what the log no longer holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import delete, func, insert, select

from cairn_protocol.countersigning import NOT_CONTINUED
from cairn_protocol.messages import AuditReceipt
from cairn_server import store_tables as t
from cairn_server.store import Store

MOST_INCIDENTS: Final = 1000  # of one clinic


@dataclass(frozen=True)
class StoredAudit:
    """A head that a clinic showed (`AuditHead.body`) with the team's `AuditReceipt.body`."""

    identity: bytes
    number: int
    clinic: str
    head: bytes
    receipt: bytes
    at: datetime

    @property
    def given(self) -> AuditReceipt:
        """The receipt."""
        return AuditReceipt.from_body(self.receipt)


@dataclass(frozen=True)
class AuditIncident:
    """A code of SPEC 17, or `policy.audit-broken-off`; `number` is that of the newest receipt."""

    identity: bytes
    number: int
    code: str
    clinic: str
    at: datetime


class AuditStore:
    """The audits in a server's store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def put(self, audit: StoredAudit) -> None:
        """Keeps a receipt, in place of the one that it continues."""
        given = audit.given
        with self._store.transaction() as c:
            if given.previous != NOT_CONTINUED:
                here = (t.audits.c.identity == audit.identity, t.audits.c.number < given.number)
                before = select(func.max(t.audits.c.number)).where(*here)
                newest = c.execute(before).scalar()
                c.execute(delete(t.audits).where(*here, t.audits.c.number == newest))
            c.execute(insert(t.audits).values(**vars(audit)))

    def last(self, identity: bytes) -> StoredAudit | None:
        """The newest of the clinic with this public key."""
        found = self.of(identity)
        return found[-1] if found else None

    def of(self, identity: bytes) -> list[StoredAudit]:
        """The last before each break, and the newest, in order."""
        query = select(t.audits).where(t.audits.c.identity == identity).order_by(t.audits.c.number)
        with self._store.transaction() as c:
            return [StoredAudit(**row._mapping) for row in c.execute(query)]

    def note(self, incident: AuditIncident) -> bool:
        """Whether this is the first of its code behind that receipt; only then it is kept."""
        table = t.audit_incidents
        whose = table.c.identity == incident.identity
        same = (whose, table.c.number == incident.number, table.c.code == incident.code)
        with self._store.transaction() as c:
            known = c.execute(select(func.count()).select_from(table).where(*same)).scalar()
            count = c.execute(select(func.count()).select_from(table).where(whose)).scalar() or 0
            if known or count >= MOST_INCIDENTS:
                return False
            c.execute(insert(table).values(**vars(incident)))
            return True

    def incidents(self, identity: bytes) -> list[AuditIncident]:
        """What was amiss with a clinic's log, in order."""
        table = t.audit_incidents
        query = select(table).where(table.c.identity == identity).order_by(table.c.at)
        with self._store.transaction() as c:
            return [AuditIncident(**row._mapping) for row in c.execute(query)]
