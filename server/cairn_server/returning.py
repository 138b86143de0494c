"""`Returning`: carries findings to each clinic of a study until it has them.

Only clinics that stand by the study (approved, or paused) and are enrolled are asked, and only
while they are connected. Each is asked again after a wait that doubles, up to an hour; once it has
signed that it has these very findings it is not asked any more.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cairn_protocol.errors import CairnError
from cairn_protocol.findings import Findings, Received
from cairn_protocol.identity import verify
from cairn_protocol.messages import Refusal, decode
from cairn_protocol.roster import RosterEntry, SignedRoster
from cairn_protocol.server_run import SMALL_REPLY
from cairn_server.exchange import Exchange
from cairn_server.returned import read, ready
from cairn_server.store import Store
from cairn_server.store_received import ReceivedStore, StoredReceived
from cairn_server.store_tables import StoredStudy

log = logging.getLogger("cairn.server")
STAGE: Final = "query.results"
SECONDS: Final = 5.0  # for a clinic to take a small file in
SLOWEST: Final = 1 << 20  # bytes a second that a clinic's line carries at least
AT_ONCE: Final = 4  # clinics that are asked together
FIRST_WAIT, LONGEST_WAIT = 5.0, 3600.0
CONNECTED: Final = timedelta(seconds=90)  # a link that was not heard of for longer is away
STANDS_BY: Final = ("approved", "paused")


@dataclass
class _Tried:
    findings: bytes
    wait: float
    again: float


class Returning:
    """What lies in `folder` (of `returned.give_back`), to the clinics.

    Args:
        exchange: gives a way to exchange messages; called when there is something to send.
        last_seen: when a clinic's link was last heard of.
        stopping: whether the server is about to end, so that nobody is waited for.
        clock: seconds that only rise; a test sets it.
    """

    def __init__(
        self,
        store: Store,
        folder: Path,
        exchange: Callable[[], Exchange],
        last_seen: Callable[[int], datetime | None],
        *,
        stopping: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._received = ReceivedStore(store)
        self._folder = folder
        self._exchange = exchange
        self._last_seen = last_seen
        self._stopping = stopping
        self._clock = clock
        self._tried: dict[tuple[bytes, str], _Tried] = {}
        self._read: dict[bytes, tuple[tuple[int, int], Findings]] = {}

    def carry(self) -> None:
        """One look: asks at most `AT_ONCE` clinics whose turn it is. Never raises a CairnError."""
        for digest, path in ready(self._folder):
            try:
                study = self._store.study(digest)
                if study is not None and self._one(study, path):
                    return
            except CairnError as error:
                log.warning("findings in %s cannot be given back: %s", path, error)

    def _one(self, study: StoredStudy, path: Path) -> bool:
        """Whether any clinic was asked."""
        stamp = path.stat()
        known = self._read.get(study.digest)
        if known is None or known[0] != (stamp.st_ino, stamp.st_mtime_ns):
            known = ((stamp.st_ino, stamp.st_mtime_ns), read(path))
            self._read = {study.digest: known}  # one at a time in memory
        findings = known[1]
        turn = self._turn(study, findings)
        if not turn:
            return False
        body = findings.to_bytes()
        seconds = SECONDS + len(turn) * len(body) / SLOWEST
        end = time.monotonic() + seconds
        replies = self._exchange()(
            STAGE, dict.fromkeys(turn, body), seconds, lambda _: 0.0 if self._stopping() else end
        )
        for node, entry in turn.items():
            tried = self._tried[study.digest, entry.clinic]
            tried.again = self._clock() + tried.wait
            tried.wait = min(2 * tried.wait, LONGEST_WAIT)
            if node in replies:
                self._keep(study, findings, entry, replies[node])
        return True

    def _turn(self, study: StoredStudy, findings: Findings) -> dict[int, RosterEntry]:
        """Who is asked now, by Flower's node."""
        has = self._received.of(study.digest)
        said = {s.clinic: s.state for s in self._store.standings(study.digest)}
        turn: dict[int, RosterEntry] = {}
        for entry in SignedRoster.from_body(study.roster).roster.entries:
            clinic = self._store.clinic_of(entry.identity)
            got = has.get(entry.clinic)
            if (
                clinic is None
                or clinic.state != "enrolled"
                or said.get(entry.clinic) not in STANDS_BY
                or (got is not None and got.findings == findings.digest)
            ):
                continue
            key = (study.digest, entry.clinic)
            tried = self._tried.get(key)
            if tried is None or tried.findings != findings.digest:
                tried = self._tried[key] = _Tried(findings.digest, FIRST_WAIT, self._clock())
            if self._clock() >= tried.again and self._connected(clinic.node):
                turn[clinic.node] = entry
            if len(turn) == AT_ONCE:
                break
        return turn

    def _connected(self, node: int) -> bool:
        seen = self._last_seen(node)
        return seen is not None and datetime.now(UTC) - seen < CONNECTED

    def _keep(
        self, study: StoredStudy, findings: Findings, entry: RosterEntry, reply: bytes
    ) -> None:
        try:
            message = decode(reply, SMALL_REPLY)
        except CairnError as error:
            log.warning("%s answered findings with what cannot be read: %s", entry.clinic, error)
            return
        if isinstance(message, Refusal):
            log.warning("%s did not take findings: %s", entry.clinic, message.code)
            return
        told = (study.digest, findings.digest, entry.identity)
        if (
            not isinstance(message, Received)
            or (message.study, message.findings, message.identity) != told
            or not verify(entry.identity, "received", message.signed, message.signature)
        ):
            log.warning("%s did not sign what it answered to findings", entry.clinic)
            return
        now = datetime.now(UTC)
        self._received.put(
            StoredReceived(study.digest, entry.clinic, findings.digest, message.body, now)
        )
