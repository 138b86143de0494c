"""Audit: what the keeper did and who decided what, newest first; and all of it as a file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from cairn_client.page.services import AUDIT
from cairn_client.page.site import Site
from cairn_protocol.proto import audit_pb2 as pb

SHOWN: Final = 50
HEADS: Final = "head"  # entries made for countersigning; they say nothing to a person


def routes(site: Site) -> APIRouter:
    """`/audit` and its export."""
    router = APIRouter()

    @router.get("/audit")
    def audit(request: Request, below: int = 0) -> Response:
        entries, standing = newest(site, max(0, below))
        return site.page(
            request,
            "audit",
            now=site.now(),
            entries=entries[:SHOWN],
            standing=standing,
            older=entries[SHOWN - 1].number if len(entries) > SHOWN else 0,
        )

    @router.get("/audit/log.jsonl")
    def export(request: Request) -> Response:
        from cairn_client.audit_log.export import Whose, verified, written  # noqa: PLC0415

        standing = _read(site, pb.AuditLogRequest(limit=1)).standing
        identity, team = bytes.fromhex(standing.identity), bytes.fromhex(standing.team)
        entries = ((entry.body, entry.hash) for entry in _entries(site))
        text = "".join(written(Whose(standing.clinic, identity, team), entries, _receipts(site)))
        verified(text)  # the keeper's word is checked like anybody's
        return Response(
            text,
            media_type="application/jsonl",
            headers={"content-disposition": 'attachment; filename="audit-log.jsonl"'},
        )

    return router


def newest(site: Site, below: int) -> tuple[list[pb.AuditEntry], pb.AuditStanding]:
    """One entry more than fits on a page, below a number (0: from the last), newest first."""
    found: list[pb.AuditEntry] = []
    while True:
        reply = _read(site, pb.AuditLogRequest(after=below, newest_first=True))
        found += [entry for entry in reply.entries if entry.kind != HEADS]
        if not reply.entries or len(found) > SHOWN or reply.entries[-1].number <= 1:
            return found[: SHOWN + 1], reply.standing
        below = reply.entries[-1].number


def _read(site: Site, request: pb.AuditLogRequest) -> pb.AuditLogReply:
    return site.ask("AuditLog", request, pb.AuditLogReply, AUDIT)


def _entries(site: Site) -> Iterator[pb.AuditEntry]:
    after = 0
    while entries := _read(site, pb.AuditLogRequest(after=after)).entries:
        yield from entries
        after = entries[-1].number


def _receipts(site: Site) -> Iterator[bytes]:
    after = 0
    while True:
        request = pb.AuditReceiptsRequest(after=after)
        receipts = site.ask("AuditReceipts", request, pb.AuditReceiptsReply, AUDIT).receipts
        if not receipts:
            return
        yield from receipts
        after += len(receipts)
