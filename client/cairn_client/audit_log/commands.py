"""`Commands`: what people did through admin.sock, in the audit log before they get the reply.

It wraps every method of that socket. Decisions and verified members are taken over from the tables
that they stand in (`CatchingUp`); here is the rest: sign-ins, accounts, leaving, and who opened
what shows single patients, or sums of this clinic without noise. Of those the log has the person
and the view, never the patient. Where a clinic has no accounts nobody knows who opened a sum.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import grpc

from cairn_client.audit_log.bounded import Bounded
from cairn_client.audit_log.catching_up import CatchingUp
from cairn_client.audit_log.kinds import Event, event
from cairn_client.audit_log.log import AuditLog
from cairn_client.keeper_client import REFUSAL
from cairn_protocol.errors import CairnError
from cairn_protocol.messages import Refusal

_RESULTS: Final = "/cairn.keeper.v1.Results/"
_RECORDS: Final = "/cairn.keeper.v1.Records/"
_REVIEWERS: Final = "/cairn.keeper.v1.Reviewers/"
_LEAVING: Final = "/cairn.keeper.v1.Leaving/"
_OUTGOING: Final = "/cairn.keeper.v1.Outgoing/"
NOBODY: Final = "somebody without an account"
PERSONAL: Final[Mapping[str, str]] = {
    f"{_RESULTS}Patients": "the list of current patients",
    f"{_RESULTS}Course": "a patient's course",
    f"{_RESULTS}NotSeen": "the list of those not seen",
    f"{_RESULTS}Worse": "the list of those who worsened",
    f"{_RESULTS}Flags": "the list of those not on track",
    f"{_RESULTS}Acknowledge": "a flag, and acknowledged it",
    f"{_RECORDS}Quarantine": "the rows that were set aside",
}
OWN: Final[Mapping[str, str]] = {
    f"{_OUTGOING}Preview": "what this clinic would add to a study",
    f"{_RESULTS}OwnBeside": "this clinic's figures beside the pooled ones",
    f"{_RESULTS}TuneModel": "the fitting of a model to this clinic's patients",
    f"{_RECORDS}ReadinessPage": "the page on how ready the data are",
}
PersonOf = Callable[[str], str]
"""A session's token to the person who signed in under it; raises a refusal where nobody did."""


class Commands(grpc.ServerInterceptor):  # type: ignore[misc]  # grpc has no types
    """An interceptor for the server on admin.sock."""

    def __init__(self, audit: AuditLog, catching_up: CatchingUp, person_of: PersonOf) -> None:
        self._audit, self._catching_up, self._person_of = audit, catching_up, person_of
        self._wrong = Bounded(singly=20)

    def intercept_service(self, continuation: Any, details: Any) -> Any:
        """The method, recorded."""
        handler, method = continuation(details), details.method
        if handler is None or handler.unary_unary is None or not method.startswith("/cairn."):
            return handler

        def recorded(request: Any, context: grpc.ServicerContext) -> Any:
            person = self._person(request)  # before: it may end the session
            try:
                reply = handler.unary_unary(request, context)
            finally:
                self._failed(method, context)
            try:
                self._done(method, request, person)
            except CairnError as error:
                context.set_trailing_metadata(((REFUSAL, Refusal.of(error).to_bytes()),))
                context.abort(grpc.StatusCode.FAILED_PRECONDITION, error.code)
            return reply

        return grpc.unary_unary_rpc_method_handler(
            recorded,
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )

    def _done(self, method: str, request: Any, person: str) -> None:
        self._catching_up()
        if (happened := told(method, request, person)) is not None:
            self._audit.append(happened)

    def _failed(self, method: str, context: grpc.ServicerContext) -> None:
        """A sign-in that was refused, by code: what was typed may be a password."""
        if method == f"{_REVIEWERS}SignIn" and (refused := context.details()):
            code, times, write = self._wrong.count(_text(refused))
            if write:
                self._audit.append(event("not-signed-in", code=code, times=times))

    def _person(self, request: Any) -> str:
        session, person = getattr(request, "session", ""), getattr(request, "person", "")
        try:
            return self._person_of(session) if session else person
        except CairnError:
            return ""  # the method itself refuses


_TOLD: Final[Mapping[str, Callable[[Any, str], Event]]] = {
    f"{_REVIEWERS}SignIn": lambda asked, _: event("signed-in", person=asked.name),
    f"{_REVIEWERS}SignOut": lambda _, person: event("signed-out", person=person),
    f"{_REVIEWERS}AddReviewer": lambda asked, person: event(
        "account", act="made", person=asked.name, by=person or "whoever was first"
    ),
    f"{_REVIEWERS}RemoveReviewer": lambda asked, person: event(
        "account", act="taken away", person=asked.name, by=person
    ),
    f"{_REVIEWERS}ChangePassword": lambda asked, _: event(
        "account", act="given a new password", person=asked.name, by=asked.name
    ),
    f"{_RECORDS}Import": lambda _, person: event("import-asked", person=person or NOBODY),
    f"{_LEAVING}LeaveTeam": lambda _, person: event(
        "left", what="the research team and all its studies", person=person
    ),
}


def told(method: str, request: Any, person: str) -> Event | None:
    """What the log has to say of a command that was carried out; None: nothing of its own."""
    if method in PERSONAL:
        return event("patient-view", person=person, view=PERSONAL[method])
    if method in OWN:
        return event("own-view", person=person or NOBODY, view=OWN[method])
    tell = _TOLD.get(method)
    return tell(request, person) if tell else None


def _text(details: str | bytes) -> str:
    return details.decode("utf-8", "replace") if isinstance(details, bytes) else details
