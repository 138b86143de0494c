"""The way in and out: a link that was printed becomes a cookie, once."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from cairn_client.page.entry import Entry
from cairn_client.page.guard import ENTER
from cairn_client.page.refusals import Refused
from cairn_client.page.sessions import COOKIE, LONGEST_SECONDS, Attempts, Sessions
from cairn_client.page.site import Site, see_other
from cairn_protocol.errors import PolicyRefusal


def routes(site: Site, sessions: Sessions, entry: Entry, attempts: Attempts) -> APIRouter:
    """`/enter` and `/leave`."""
    router = APIRouter()

    @router.get(ENTER)
    def enter(request: Request, link: str = "") -> Response:
        if not attempts.allowed():
            raise Refused(429, too_many())
        if not entry.admits(link):
            attempts.failed()
            raise Refused(401, _spent())
        reply = see_other("/")
        reply.set_cookie(
            COOKIE,
            sessions.begin(),
            max_age=int(LONGEST_SECONDS),
            httponly=True,
            samesite="strict",
            path="/",
        )
        return reply

    @router.post("/close")
    def close(request: Request) -> Response:
        sessions.end(request.cookies.get(COOKIE, ""))
        request.state.session = None
        reply = site.page(request, "closed")
        reply.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
        return reply

    return router


def too_many() -> PolicyRefusal:
    """Somebody, or a program, tries again and again."""
    return PolicyRefusal(
        "too many attempts",
        code="page-attempts",
        why="ten may fail in a minute",
        hint="wait a minute",
    )


def _spent() -> PolicyRefusal:
    return PolicyRefusal(
        "this link opens nothing",
        code="page-link",
        why="it was used already, or is older than ten minutes",
        hint="on this machine, get a new one with `cairn clinic page --link`",
    )
