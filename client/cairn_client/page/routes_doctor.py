"""Doctor: what is wrong at this clinic, why, and what to do."""

from __future__ import annotations

import threading

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from cairn_client.page.refusals import Refused
from cairn_client.page.site import Site
from cairn_protocol.errors import PolicyRefusal

STEP_SECONDS = 2.0


def routes(site: Site) -> APIRouter:
    """`/doctor`, which opens at once, and its findings, which take seconds."""
    router = APIRouter()
    turn = threading.Lock()

    def findings(request: Request, template: str) -> Response:
        from cairn_client.doctor import examine  # noqa: PLC0415 - polars, TLS; only when asked

        if not turn.acquire(blocking=False):
            raise Refused(429, _busy())
        try:
            report = examine(site.folder, seconds=STEP_SECONDS)
        finally:
            turn.release()
        now = site.now() if template == "doctor_whole" else None
        return site.page(request, template, now=now, report=report)

    @router.get("/doctor")
    def doctor(request: Request) -> Response:
        sees = (site.folder / ".cairn").exists()
        return site.page(request, "doctor", now=site.now(), sees=sees)

    @router.get("/doctor/findings")
    def whole(request: Request) -> Response:
        return findings(request, "doctor_whole")

    @router.get("/parts/doctor")
    def part(request: Request) -> Response:
        return findings(request, "doctor_findings")

    return router


def _busy() -> PolicyRefusal:
    return PolicyRefusal(
        "the doctor looks already",
        code="page-doctor",
        why="it was asked a moment ago, perhaps in another window",
        hint="wait some seconds and ask again",
    )
