"""Signing in as a reviewer, and out."""

from __future__ import annotations

import re
import time
from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from cairn_client.page.refusals import Refused
from cairn_client.page.routes_entry import too_many
from cairn_client.page.services import REVIEWERS
from cairn_client.page.sessions import Attempts, Reviewer
from cairn_client.page.site import Site, see_other
from cairn_protocol.errors import CairnError
from cairn_protocol.proto import reviewers_pb2 as pb

OWN_PATH: Final = re.compile(r"/(?!/)[A-Za-z0-9/_-]{0,200}")


def routes(site: Site, attempts: Attempts) -> APIRouter:
    """`/sign-in` and `/sign-out`."""
    router = APIRouter()

    @router.get("/sign-in")
    def form(request: Request, back: str = "/") -> Response:
        return site.page(
            request, "sign_in", now=site.now(), back=own_path(back), accounts=site.accounts()
        )

    @router.post("/sign-in")
    def sign_in(request: Request) -> Response:
        if not attempts.allowed():
            raise Refused(429, too_many())
        asked = request.state.form
        try:
            session = site.ask(
                "SignIn",
                pb.SignInRequest(name=asked["name"], password=asked["password"]),
                pb.Session,
                REVIEWERS,
            )
        except CairnError:
            attempts.failed()
            raise
        holds = max(0.0, session.expires_at - time.time())
        request.state.session.sign_in(Reviewer(session.person, session.token, holds))
        return see_other(own_path(asked["back"]))

    @router.post("/sign-out")
    def sign_out(request: Request) -> Response:
        end(site, request)
        return see_other("/")

    return router


def end(site: Site, request: Request) -> None:
    """Nobody is signed in any more, here and at the keeper."""
    token = request.state.session.token()
    request.state.session.sign_out()
    if token:
        site.ask("SignOut", pb.SignOutRequest(session=token), pb.SignOutReply, REVIEWERS)


def own_path(path: str) -> str:
    """A path of this page; of anything else, its beginning."""
    return path if OWN_PATH.fullmatch(path) else "/"
