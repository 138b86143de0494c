"""`Decider`: in whose name something is done: who signed in, or, without accounts, who says so."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request

from cairn_client.page.refusals import Refused
from cairn_client.page.site import Site
from cairn_protocol.errors import InputError, PolicyRefusal


@dataclass(frozen=True)
class Decider:
    """What goes into a request: a session's token, or a name that nobody proves."""

    session: str
    person: str


@dataclass(frozen=True)
class Asked:
    """What a form has to ask: `accounts` where only who signed in may send it."""

    accounts: bool
    signed_in: bool

    @property
    def may(self) -> bool:
        """Whether the form can be sent at all."""
        return self.signed_in or not self.accounts


def asked(site: Site, request: Request) -> Asked:
    """What a form on this page has to ask of the person."""
    signed_in = request.state.session.reviewer() is not None
    return Asked(accounts=signed_in or site.accounts(), signed_in=signed_in)


def decider(request: Request) -> Decider:
    """Whose decision this form is.

    Raises:
        Refused: nobody signed in, and nobody is named.
    """
    token = request.state.session.token()
    person = request.state.form["person"].strip()
    if not token and not person:
        raise Refused(
            400,
            InputError(
                "nothing was done",
                code="page-person",
                why="it is kept with the name of who decides, and none was given",
                hint="go back and write your name, or sign in",
            ),
        )
    return Decider(token, "" if token else person)


def signed_in(request: Request) -> str:
    """The token of who signed in.

    Raises:
        PolicyRefusal: nobody did.
    """
    token: str = request.state.session.token()
    if not token:
        raise PolicyRefusal(
            "this needs a reviewer who has signed in",
            code="session-needed",
            why="it is about single patients",
            hint="sign in with an account of this clinic; the first is made on this machine with "
            "`cairn clinic reviewer add NAME`",
        )
    return token
