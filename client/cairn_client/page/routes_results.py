"""Results: what came back from studies, the clinic's own beside the pooled; and single courses.

A patient's identifier stands in no address and no title, which a browser keeps: a page of a patient
is addressed by a handle that means something in one session alone.
"""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from cairn_client.page.deciding import asked, signed_in
from cairn_client.page.refusals import Refused, no_such_page
from cairn_client.page.services import RESULTS
from cairn_client.page.site import Site, see_other
from cairn_protocol.errors import InputError
from cairn_protocol.proto import results_pb2 as pb

OWN_SECONDS: Final = 120.0
TUNE_SECONDS: Final = 600.0
LISTS: Final = {
    "current": ("Patients", "Current patients"),
    "worse": ("Worse", "Reliably worse than at first"),
    "not-seen": ("NotSeen", "Not seen for four weeks"),
}


def routes(site: Site) -> APIRouter:
    """`/results`, a page a study, `/courses` and a page a person."""
    router = APIRouter()

    def own_beside(request: Request, study: str) -> pb.OwnBesideReply:
        wanted = pb.OwnBesideRequest(study=study, session=request.state.session.token())
        return site.ask("OwnBeside", wanted, pb.OwnBesideReply, RESULTS, OWN_SECONDS)

    @router.get("/results")
    def results(request: Request) -> Response:
        reply = site.ask("Results", pb.ResultsRequest(), pb.ResultsReply, RESULTS)
        return site.page(request, "results", now=site.now(), reply=reply)

    @router.get("/results/{study}")
    def result(request: Request, study: str) -> Response:
        reply = site.ask("Results", pb.ResultsRequest(study=study), pb.ResultsReply, RESULTS)
        return site.page(request, "result", now=site.now(), reply=reply, asked=asked(site, request))

    @router.get("/parts/own/{study}")
    def own(request: Request, study: str) -> Response:
        return site.page(request, "result_own", own=own_beside(request, study))

    @router.get("/results/{study}/own")
    def own_whole(request: Request, study: str) -> Response:
        return site.page(
            request, "result_own_whole", now=site.now(), own=own_beside(request, study)
        )

    @router.post("/results/{study}/tune")
    def tune(request: Request, study: str) -> Response:
        wanted = pb.TuneModelRequest(
            study=study,
            question=request.state.form["question"],
            session=request.state.session.token(),
        )
        tuned = site.ask("TuneModel", wanted, pb.TuneModelReply, RESULTS, TUNE_SECONDS)
        return site.page(request, "tuned", now=site.now(), tuned=tuned, study=study)

    @router.get("/courses")
    def courses(request: Request, which: str = "current") -> Response:
        if which not in LISTS:
            raise no_such_page()
        session, method = signed_in(request), LISTS[which][0]
        wanted = pb.NotSeenRequest if which == "not-seen" else pb.PersonsRequest
        reply = site.ask(method, wanted(session=session), pb.PersonsReply, RESULTS, OWN_SECONDS)
        return site.page(
            request,
            "courses",
            now=site.now(),
            reply=reply,
            which=which,
            lists=LISTS,
            handle=request.state.session.handle,
        )

    @router.get("/courses/flags")
    def flags(request: Request) -> Response:
        wanted = pb.PersonsRequest(session=signed_in(request))
        reply = site.ask("Flags", wanted, pb.FlagsReply, RESULTS, OWN_SECONDS)
        handle = request.state.session.handle
        return site.page(request, "flags", now=site.now(), reply=reply, lists=LISTS, handle=handle)

    @router.post("/courses/flags/{flag}")
    def acknowledge(request: Request, flag: str) -> Response:
        wanted = pb.AcknowledgeRequest(session=signed_in(request), flag=flag)
        site.ask("Acknowledge", wanted, pb.Flag, RESULTS, OWN_SECONDS)
        return see_other("/courses/flags")

    @router.get("/courses/of/{handle}")
    def course(request: Request, handle: str) -> Response:
        session, patient = signed_in(request), request.state.session.patient(handle)
        if patient is None:
            raise Refused(404, _no_handle())
        wanted = pb.CourseRequest(session=session, patient=patient)
        reply = site.ask("Course", wanted, pb.CourseReply, RESULTS, OWN_SECONDS)
        return site.page(request, "course", now=site.now(), reply=reply)

    return router


def _no_handle() -> InputError:
    return InputError(
        "this address stands for nobody any more",
        code="page-handle",
        why="a patient's page has an address for one sign-in alone",
        hint="open it again from the list",
    )
