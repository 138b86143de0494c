"""Audit: what the keeper did and who decided what, newest first; and all of it as a file."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter
from google.protobuf.message import Message
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
        from cairn_client.audit_log.fetch import ReplyT, fetched  # noqa: PLC0415

        def ask(method: str, wanted: Message, reply: type[ReplyT]) -> ReplyT:
            return site.ask(method, wanted, reply, AUDIT)

        text = fetched(ask)
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
