"""`AuditAdmin`: audit.proto's Audit; served on admin.sock only."""

from __future__ import annotations

from typing import Final

from cairn_client.audit_log.catching_up import CatchingUp
from cairn_client.audit_log.chain import Entry
from cairn_client.audit_log.log import AuditLog
from cairn_client.keeper import Keeper
from cairn_client.study_view import seconds
from cairn_protocol.proto import audit_pb2 as pb

SERVICE: Final = "cairn.keeper.v1.Audit"
AT_ONCE: Final = 1000


class AuditAdmin:
    """The methods; each takes a request and returns its reply."""

    def __init__(self, keeper: Keeper, audit: AuditLog, catching_up: CatchingUp) -> None:
        self._keeper, self._audit, self._catching_up = keeper, audit, catching_up

    def log(self, request: pb.AuditLogRequest) -> pb.AuditLogReply:
        """The next entries, or those before, and how far the log is countersigned."""
        self._catching_up()
        entries = self._audit.entries(
            request.after,
            min(request.limit or AT_ONCE, AT_ONCE),
            newest_first=request.newest_first,
            kinds=tuple(request.kinds),
        )
        standing = self._standing()
        return pb.AuditLogReply(
            entries=[_entry(entry, standing.covered) for entry in entries], standing=standing
        )

    def receipts(self, request: pb.AuditReceiptsRequest) -> pb.AuditReceiptsReply:
        """The next receipts."""
        found = self._audit.receipts(request.after, AT_ONCE)
        return pb.AuditReceiptsReply(receipts=[receipt.body for receipt in found])

    def _standing(self) -> pb.AuditStanding:
        team, covered = self._keeper.team(), self._audit.covered()
        standing = pb.AuditStanding(
            clinic=self._keeper.clinic.config.name,
            identity=self._keeper.identity.public.hex(),
            team=team.hex() if team else "",
            entries=self._audit.count,
            gaps=self._audit.gaps,
        )
        if covered is not None:
            receipt, entry = covered
            standing.covered, standing.receipt = entry.number, receipt.number
            standing.receipt_at, standing.head = receipt.at, receipt.head.hex()
        return standing


def _entry(entry: Entry, covered: int) -> pb.AuditEntry:
    return pb.AuditEntry(
        number=entry.number,
        at=seconds(entry.at),
        kind=entry.kind,
        words=entry.words,
        body=entry.text,
        hash=entry.hash.hex(),
        countersigned=entry.number <= covered,
    )
