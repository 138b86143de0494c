"""Studies: those that were offered, one in plain words, and a person's decision on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from cairn_client.page.deciding import asked, decider
from cairn_client.page.refusals import Refused, no_such_page
from cairn_client.page.services import LEAVING
from cairn_client.page.site import Site, see_other
from cairn_protocol.errors import InputError
from cairn_protocol.proto import keeper_pb2 as pb
from cairn_protocol.proto import leaving_pb2 as leaving

DECISIONS: Final = {"approve": "approved", "refuse": "refused", "pause": "paused"}
STATES: Final = ("offered", "approved", "paused", "refused", "left")  # in the order of the list


@dataclass(frozen=True)
class Share:
    """What a study would take of its patients' budget, as shares of the cap's ρ."""

    before: float
    study: float

    @property
    def after(self) -> float:
        """What would be left."""
        return max(0.0, 1.0 - self.before - self.study)

    @property
    def fits(self) -> bool:
        """Whether all of it is left."""
        return self.before + self.study <= 1.0 + 1e-9


def routes(site: Site) -> APIRouter:
    """`/studies`, a page a study, decisions, and the pause of all."""
    router = APIRouter()

    @router.get("/studies")
    def studies(request: Request) -> Response:
        ordered = sorted(_offers(site), key=lambda s: (STATES.index(s.state), -s.offered_at))
        return site.page(request, "studies", now=site.now(), studies=ordered)

    @router.get("/studies/{study}")
    def study(request: Request, study: str) -> Response:
        view = _view(site, study)
        return site.page(
            request,
            "study",
            now=site.now(),
            view=view,
            share=share(view),
            asked=asked(site, request),
        )

    @router.get("/studies/{study}/leave")
    def leave_form(request: Request, study: str) -> Response:
        view = _view(site, study)
        return site.page(
            request, "leave", now=site.now(), line=view.line, asked=asked(site, request)
        )

    @router.post("/studies/{study}/leave")
    def leave(request: Request, study: str) -> Response:
        line, who = _view(site, study).line, decider(request)
        if request.state.form["typed"].strip() != line.name:
            raise Refused(400, _not_typed(line.name))
        site.ask(
            "LeaveStudy",
            leaving.LeaveStudyRequest(study=line.digest, session=who.session, person=who.person),
            leaving.LeaveStudyReply,
            LEAVING,
        )
        return see_other(f"/studies/{line.digest}")

    @router.post("/studies/{study}/{act}")
    def decide(request: Request, study: str, act: str) -> Response:
        if act not in DECISIONS:
            raise no_such_page()
        form, state, who = request.state.form, DECISIONS[act], decider(request)
        digest = _view(site, study).line.digest
        if state == "approved" and form["looked"] != "yes":
            raise Refused(400, _not_looked())
        decision = pb.Decision(
            study=digest,
            roster=form["roster"],  # as it was in view, not as it is now
            state=state,
            person=who.person,
            session=who.session,
        )
        site.ask("Decide", decision, pb.StudyLine)
        return see_other(f"/studies/{digest}")

    @router.get("/pause")
    def pause(request: Request) -> Response:
        running = [line for line in _offers(site) if line.state == "approved"]
        return site.page(
            request, "pause", now=site.now(), running=running, asked=asked(site, request)
        )

    @router.post("/pause")
    def pause_all(request: Request) -> Response:
        who = decider(request)
        for line in _offers(site):
            if line.state == "approved":
                decision = pb.Decision(
                    study=line.digest,
                    roster=_view(site, line.digest).roster_digest,
                    state="paused",
                    person=who.person,
                    session=who.session,
                )
                site.ask("Decide", decision, pb.StudyLine)
        return see_other("/studies")

    return router


def share(view: pb.StudyView) -> Share | None:
    """What the study would take; None where nothing is charged."""
    if not view.noised or not view.epsilon or not view.HasField("budget"):
        return None
    from cairn_privacy.accounting import rho_for  # noqa: PLC0415 - scipy, half a second

    budget = view.budget
    cap = rho_for(budget.cap_epsilon, budget.delta)
    return Share(1.0 - budget.left_share, rho_for(view.epsilon, view.delta) / cap)


def _offers(site: Site) -> list[pb.StudyLine]:
    return list(site.ask("Offers", pb.OffersRequest(), pb.OffersReply).studies)


def _view(site: Site, study: str) -> pb.StudyView:
    return site.ask("Show", pb.ShowRequest(study=study), pb.StudyView)


def _not_looked() -> InputError:
    return InputError(
        "nothing was decided",
        code="page-not-looked",
        why="the box 'I have looked at what leaves this clinic' was not ticked",
        hint="go back, look at the study, and tick it",
    )


def _not_typed(name: str) -> InputError:
    return InputError(
        "the study was not left",
        code="page-not-typed",
        why="what was typed is not its name",
        hint=f"go back and type {name}",
    )
