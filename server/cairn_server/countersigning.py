"""`Countersigning`: has each clinic show the head of its audit log, and signs that it saw it.

A clinic is asked an hour after its newest receipt, and once a run has ended since; never while one
is on. Who does not answer, or answers what gets no receipt, is asked again after a wait that
doubles, up to an hour. A log that is not what it was is noted as an incident, once.  # SPEC 17
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from cairn_protocol.countersigning import broken_off, countersigned
from cairn_protocol.errors import CairnError, PeerFault
from cairn_protocol.identity import Identity
from cairn_protocol.messages import AuditHead, AuditReceipt, AuditRequest, Refusal, decode
from cairn_protocol.server_run import SMALL_REPLY
from cairn_server.exchange import Exchange
from cairn_server.store import Store
from cairn_server.store_audits import AuditIncident, AuditStore, StoredAudit
from cairn_server.store_tables import Clinic

log = logging.getLogger("cairn.server")
STAGE: Final = "query.audit"
SECONDS: Final = 5.0
EVERY: Final = timedelta(hours=1)
CONNECTED: Final = timedelta(seconds=90)  # a link that was not heard of for longer is away
AT_ONCE: Final = 32  # clinics that are asked together
CATCH_UP: Final = 100  # receipts that a restored server takes up again in one go
FIRST_WAIT, LONGEST_WAIT = 15.0, 3600.0
BROKEN_OFF: Final = "policy.audit-broken-off"
WATCHED: Final = ("peer.audit-", "peer.receipt-")  # refusals that are incidents


@dataclass
class _Tried:
    wait: float = FIRST_WAIT
    again: float = 0.0


class Countersigning:
    """For the clinics in `store`.

    Args:
        team: signs; asked for when there is something to sign.
        exchange: gives a way to exchange messages; called when there is something to send.
        last_seen: when a clinic's link was last heard of.
        stopping: whether the server is about to end.
        clock: seconds that only rise, and `now` the time; a test sets them.
    """

    def __init__(
        self,
        store: Store,
        team: Callable[[], Identity],
        exchange: Callable[[], Exchange],
        last_seen: Callable[[int], datetime | None],
        *,
        stopping: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store, self._audits = store, AuditStore(store)
        self._team, self._exchange = team, exchange
        self._last_seen, self._stopping = last_seen, stopping
        self._clock, self._now = clock, now
        self._tried: dict[bytes, _Tried] = {}

    def look(self) -> None:
        """One look: asks the clinics whose turn it is. Never raises a CairnError."""
        try:
            turn = self._turn()
            for _ in range(CATCH_UP):
                if not turn or self._stopping():
                    return
                turn = self._ask(turn)
        except CairnError as error:
            log.warning("audit logs cannot be countersigned: %s", error)

    def _turn(self) -> dict[int, Clinic]:
        """Who is asked now, by Flower's node."""
        if self._store.runs(state="running"):
            return {}
        ended = max((r.ended for r in self._store.runs() if r.ended), default=None)
        turn: dict[int, Clinic] = {}
        for clinic in self._store.clinics():
            tried = self._tried.setdefault(clinic.identity, _Tried())
            if (
                clinic.state == "enrolled"
                and self._clock() >= tried.again
                and self._connected(clinic.node)
                and self._due(clinic, ended)
            ):
                turn[clinic.node] = clinic
            if len(turn) == AT_ONCE:
                break
        return turn

    def _due(self, clinic: Clinic, ended: datetime | None) -> bool:
        last = self._audits.last(clinic.identity)
        if last is None or self._now() - last.at >= EVERY:
            return True
        return ended is not None and ended > last.at

    def _connected(self, node: int) -> bool:
        seen = self._last_seen(node)
        return seen is not None and datetime.now(UTC) - seen < CONNECTED

    def _ask(self, turn: Mapping[int, Clinic]) -> dict[int, Clinic]:
        """Those who have more heads than this server has receipts: it lost some."""
        asked: dict[int, AuditRequest] = {}
        newest: dict[int, AuditReceipt | None] = {}
        for node, clinic in turn.items():
            last = self._audits.last(clinic.identity)
            newest[node] = last.given if last else None
            number = last.number + 1 if last else 1
            asked[node] = AuditRequest(number, (last.given,) if last else ())
            self._wait(clinic)
        signed: dict[int, AuditReceipt] = {}
        further: dict[int, Clinic] = {}
        for node, reply in self._exchanged(asked).items():
            clinic = turn[node]
            if (shown := self._judged(clinic, asked[node], newest[node], reply)) is None:
                continue
            head, signed[node] = shown
            self._keep(clinic, head, signed[node])
            self._tried[clinic.identity] = _Tried()
            if head.last > head.number:
                further[node] = clinic
        handed = {n: AuditRequest(r.number, (r,)) for n, r in signed.items() if n not in further}
        for node, reply in self._exchanged(handed).items():
            self._judged(turn[node], handed[node], signed[node], reply)
        return further

    def _wait(self, clinic: Clinic) -> None:
        tried = self._tried[clinic.identity]
        tried.again = self._clock() + tried.wait
        tried.wait = min(2 * tried.wait, LONGEST_WAIT)

    def _exchanged(self, requests: Mapping[int, AuditRequest]) -> Mapping[int, bytes]:
        if not requests:
            return {}
        end = time.monotonic() + SECONDS
        bodies = {node: request.to_bytes() for node, request in requests.items()}
        return self._exchange()(STAGE, bodies, SECONDS, lambda _: 0.0 if self._stopping() else end)

    def _judged(
        self, clinic: Clinic, asked: AuditRequest, last: AuditReceipt | None, reply: bytes
    ) -> tuple[AuditHead, AuditReceipt] | None:
        """The head in a reply, and its receipt; None where there is none, for a reason noted."""
        try:
            message = decode(reply, SMALL_REPLY)
            if isinstance(message, Refusal):
                self._note(clinic, last, message.code)
                return None
            if not isinstance(message, AuditHead):
                raise PeerFault("this is no head of an audit log", code="audit-forged")
            at, team = int(self._now().timestamp()), self._team()
            own = clinic.identity
            return message, countersigned(asked, message, identity=own, last=last, at=at, team=team)
        except PeerFault as error:
            self._note(clinic, last, error.code)
            return None

    def _keep(self, clinic: Clinic, head: AuditHead, receipt: AuditReceipt) -> None:
        stored = (clinic.identity, receipt.number, clinic.name, head.body, receipt.body)
        self._audits.put(StoredAudit(*stored, self._now()))
        if broken_off(receipt):
            self._note(clinic, receipt, BROKEN_OFF)

    def _note(self, clinic: Clinic, last: AuditReceipt | None, code: str) -> None:
        number = last.number if last else 0
        if not code.startswith(WATCHED) and code != BROKEN_OFF:
            log.info("%s did not show its audit log: %s", clinic.name, code)
            return
        incident = AuditIncident(clinic.identity, number, code[:100], clinic.name, self._now())
        if self._audits.note(incident):
            log.warning("the audit log of %s is not what it was: %s", clinic.name, code)
