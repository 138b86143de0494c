"""Data: how ready the records are, what was imported when, and what was set aside and why."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from cairn_client.page.deciding import asked, decider, signed_in
from cairn_client.page.refusals import no_such_page
from cairn_client.page.services import RECORDS
from cairn_client.page.site import Site, load_anew, see_other
from cairn_protocol.errors import InputError
from cairn_protocol.proto import records_pb2 as pb

NOTHING: Final = "input.nothing-found"
REPORT_SECONDS: Final = 60.0
OF: Final = {"kept": pb.ATTEMPT_KEPT, "tried": pb.ATTEMPT_TRIED}


def routes(site: Site) -> APIRouter:
    """`/data`, imports that are started there, and `/quarantine`."""
    router = APIRouter()

    def run() -> pb.ImportRun:
        return site.ask("Run", pb.RunRequest(), pb.ImportRun, RECORDS)

    @router.get("/data")
    def data(request: Request, of: str = "kept") -> Response:
        attempt = _attempt(of)
        return site.page(
            request,
            "data",
            now=site.now(),
            of=of,
            quality=_quality(site, attempt),
            consent=_consent(site, attempt),
            imports=site.ask("Imports", pb.ImportsRequest(), pb.ImportsReply, RECORDS).imports,
            run=run(),
            asked=asked(site, request),
        )

    @router.get("/data/readiness.html")
    def report(request: Request, of: str = "kept") -> Response:
        token = request.state.session.token()
        asked_for = pb.ReadinessPageRequest(session=token, of=_attempt(of))
        reply = site.ask("ReadinessPage", asked_for, pb.ReadinessPageReply, RECORDS, REPORT_SECONDS)
        return Response(
            reply.html,
            media_type="text/html",
            headers={"content-disposition": 'attachment; filename="readiness.html"'},
        )

    @router.get("/parts/run")
    def running(request: Request) -> Response:
        now = run()
        return site.page(request, "data_run", run=now) if now.state == "running" else load_anew()

    @router.post("/data/look")
    def look(request: Request) -> Response:
        who = decider(request)
        wanted = pb.DryRunRequest(person=who.person, session=who.session)
        site.ask("DryRun", wanted, pb.ImportRun, RECORDS)
        return see_other("/data")

    @router.post("/data/import")
    def import_(request: Request) -> Response:
        who = decider(request)
        wanted = pb.ImportRequest(
            person=who.person,
            session=who.session,
            accept_loss=request.state.form["accept_loss"] == "yes",
        )
        site.ask("Import", wanted, pb.ImportRun, RECORDS)
        return see_other("/data")

    @router.get("/quarantine")
    def quarantine(request: Request, after: int = 0, of: str = "kept") -> Response:
        start = max(0, after)
        wanted = pb.QuarantineRequest(session=signed_in(request), after=start, of=_attempt(of))
        try:
            reply = site.ask("Quarantine", wanted, pb.QuarantineReply, RECORDS)
        except InputError as error:
            if error.code != NOTHING:
                raise
            reply = pb.QuarantineReply()
        end = start + len(reply.rows)
        return site.page(
            request,
            "quarantine",
            now=site.now(),
            of=of,
            rows=reply.rows,
            total=reply.total,
            start=start,
            older=end if end < reply.total else 0,
        )

    return router


def _attempt(of: str) -> pb.Attempt:
    if of not in OF:
        raise no_such_page()
    return OF[of]


def _quality(site: Site, of: pb.Attempt) -> pb.QualityReply | None:
    try:
        return site.ask("Quality", pb.QualityRequest(of=of), pb.QualityReply, RECORDS)
    except InputError as error:
        if error.code == NOTHING:
            return None
        raise


def _consent(site: Site, of: pb.Attempt) -> pb.ConsentReply | None:
    try:
        return site.ask("Consent", pb.ConsentRequest(of=of), pb.ConsentReply, RECORDS)
    except InputError as error:
        if error.code == NOTHING:
            return None
        raise
