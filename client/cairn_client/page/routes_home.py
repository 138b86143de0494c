"""Home: how the clinic stands, at a glance; it refreshes itself."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from cairn_client.page.site import Now, Site, load_anew
from cairn_client.page.standing import Level
from cairn_protocol.proto import keeper_pb2 as pb


def routes(site: Site) -> APIRouter:
    """`/` and the parts of it that the page asks for again."""
    router = APIRouter()

    @router.get("/")
    def home(request: Request) -> Response:
        now = site.now()
        return site.page(request, "home", now=now, headline=headline(now), last=last_study(now))

    @router.get("/parts/home")
    def cards(request: Request) -> Response:
        now = site.now()
        return site.page(
            request, "home_cards", now=now, headline=headline(now), last=last_study(now)
        )

    @router.get("/parts/standing")
    def chip(request: Request, seen: str = "", signed_in: bool = False) -> Response:
        if signed_in and request.state.session.reviewer() is None:
            return load_anew()  # what only they may see does not stay on the screen
        now = site.now()
        if now.whole.word == seen:  # nothing new to read out
            return Response(status_code=204)
        return site.page(request, "chip", now=now)

    return router


def headline(now: Now) -> str:
    """The one thing to know."""
    if now.whole.level is Level.BAD or now.status is None or not now.status.team_fingerprint:
        return now.whole.what
    waiting = sum(line.state == "offered" for line in now.status.studies)
    if waiting:
        return (
            "One study waits for your decision."
            if waiting == 1
            else f"{waiting} studies wait for your decision."
        )
    if now.whole.level is Level.LOOK:
        return now.whole.what
    return "All is in order." if now.status.studies else "Ready, and no study was offered yet."


def last_study(now: Now) -> pb.StudyLine | None:
    """The study of the last round, where the keeper still knows it."""
    if now.status is None or not now.status.HasField("last"):
        return None
    digest = now.status.last.study
    return next((line for line in now.status.studies if line.digest == digest), None)
