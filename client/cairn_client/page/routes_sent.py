"""What left, upload by upload; and what would leave for a study, before anything does."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from cairn_client.page.services import OUTGOING
from cairn_client.page.site import Site
from cairn_protocol.proto import outgoing_pb2 as pb

PREVIEW_SECONDS: Final = 600.0  # over many patients
SHOWN: Final = 200  # uploads on a page


def routes(site: Site) -> APIRouter:
    """`/sent`, and the preview of a study."""
    router = APIRouter()

    @router.get("/sent")
    def sent(request: Request, older: int = 0) -> Response:
        reply = site.ask("Sent", pb.SentRequest(), pb.SentReply, OUTGOING)
        newest = list(reversed(reply.uploads))
        start = max(0, older)
        return site.page(
            request,
            "sent",
            now=site.now(),
            uploads=newest[start : start + SHOWN],
            older=start + SHOWN if len(newest) > start + SHOWN else 0,
            total=len(newest),
            size=sum(upload.bytes for upload in newest),
        )

    def preview(request: Request, study: str, template: str) -> Response:
        asked = pb.PreviewRequest(study=study, session=request.state.session.token())
        reply = site.ask("Preview", asked, pb.PreviewReply, OUTGOING, PREVIEW_SECONDS)
        now = site.now() if template == "preview_whole" else None
        return site.page(request, template, now=now, preview=reply)

    @router.get("/studies/{study}/preview")
    def waiting(request: Request, study: str) -> Response:
        return site.page(request, "preview", now=site.now(), study=study)

    @router.get("/studies/{study}/preview/now")
    def whole(request: Request, study: str) -> Response:
        return preview(request, study, "preview_whole")

    @router.get("/parts/preview/{study}")
    def part(request: Request, study: str) -> Response:
        return preview(request, study, "preview_part")

    return router
