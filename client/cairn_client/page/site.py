"""`Site`: what every page needs: the clinic's keeper, its link's note, and the templates."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, TypeVar

from google.protobuf.message import Message
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from cairn_client.clinic_config import ClinicConfig
from cairn_client.keeper_client import ADMIN, KeeperClient
from cairn_client.link_report import LinkStanding, link_standing
from cairn_client.page import words
from cairn_client.page.drawings import drawing
from cairn_client.page.guard import CSRF_FIELD, CSRF_HEADER
from cairn_client.page.refusals import Refused
from cairn_client.page.services import REVIEWERS
from cairn_client.page.sessions import Session
from cairn_client.page.standing import Standing, of_link, standing
from cairn_client.sockets import Sockets
from cairn_protocol.errors import CairnError
from cairn_protocol.proto import keeper_pb2 as pb
from cairn_protocol.proto import reviewers_pb2 as reviewers

ReplyT = TypeVar("ReplyT", bound=Message)
CALL_SECONDS: Final = 20.0
LOCKED: Final = 401


@dataclass(frozen=True)
class Place:
    """A line of the menu."""

    path: str
    title: str


@dataclass(frozen=True)
class Now:
    """How the clinic stands at this moment; `status` is None where the keeper does not answer."""

    status: pb.StatusReply | None
    link: LinkStanding | None
    whole: Standing
    connection: Standing


class Site:
    """The pages of the clinic in `folder`.

    Raises:
        InputError: the folder is no clinic's.
    """

    def __init__(self, folder: Path, places: Iterable[Place]) -> None:
        self.folder = folder
        self.config = ClinicConfig.read(folder)
        self.places = tuple(places)
        self._socket = Sockets(folder).admin

    def ask(
        self,
        method: str,
        request: Message,
        reply: type[ReplyT],
        service: str = ADMIN,
        seconds: float = CALL_SECONDS,
    ) -> ReplyT:
        """The keeper's reply.

        Raises:
            CairnError: the keeper's refusal, or that it does not answer.
        """
        with KeeperClient(self._socket) as keeper:
            return keeper.admin(method, request, reply, seconds, service)

    def now(self) -> Now:
        """How the clinic stands; never raises for a keeper that is away."""
        link, status, fault = link_standing(self.folder), None, None
        try:
            status = self.ask("Status", pb.StatusRequest(), pb.StatusReply)
        except CairnError as error:
            fault = error
        whole = standing(status, fault, link)
        joined = status is None or bool(status.team_fingerprint)
        return Now(status, link, whole, of_link(link) if joined else whole)

    def accounts(self) -> bool:
        """Whether this clinic has reviewers' accounts, so that a decision needs one."""
        reply = self.ask(
            "Reviewers", reviewers.ReviewersRequest(), reviewers.ReviewersReply, REVIEWERS
        )
        return bool(reply.reviewers)

    def page(
        self,
        request: Request,
        template: str,
        *,
        status_code: int = 200,
        now: Now | None = None,
        **values: Any,
    ) -> HTMLResponse:
        """A whole page, or a part of one, from its template.

        Args:
            now: for the sign at the top; None leaves it out until the page asks for it.
        """
        session: Session | None = request.state.session
        text = (
            _environment()
            .get_template(f"{template}.html.j2")
            .render(
                clinic=self.config.name,
                synthetic=self.config.data == "synthetic",
                version=version("cairn-federated"),
                places=self.places,
                path=request.url.path,
                csrf=session.csrf if session else "",
                csrf_field=CSRF_FIELD,
                csrf_header=CSRF_HEADER,
                reviewer=session.reviewer() if session else None,
                locked=session is None,
                now=now,
                **values,
            )
        )
        return HTMLResponse(text, status_code)

    def refusal(self, request: Request, refused: Refused) -> Response:
        """The page that says why there is none; to a page that asked for a part of itself, a part.

        One whose session has ended is told to load itself anew, so that it does not stay in sight.
        """
        if not is_part(request):
            return self.page(request, "refused", status_code=refused.status, error=refused.error)
        if refused.status == LOCKED:
            return load_anew()
        return self.page(request, "refused_part", error=refused.error)


def is_part(request: Request) -> bool:
    """Whether HTMX asks, for a part of the page that is open."""
    return "hx-request" in request.headers


def load_anew() -> Response:
    """What makes HTMX load the whole page again."""
    return Response(status_code=204, headers={"hx-refresh": "true"})


def see_other(path: str) -> RedirectResponse:
    """The page to show after something was done, so that loading again does nothing twice."""
    return RedirectResponse(path, status_code=303)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("cairn_client.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["draw"] = drawing
    for name in words.FILTERS:
        environment.filters[name] = getattr(words, name)
    return environment
