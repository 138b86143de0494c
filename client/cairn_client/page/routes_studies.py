"""Studies: those that were offered, one in plain words, and a person's decision on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from cairn_client.page.refusals import Refused, no_such_page
from cairn_client.page.site import Site, see_other
from cairn_protocol.errors import InputError, PolicyRefusal
from cairn_protocol.proto import keeper_pb2 as pb

DECISIONS: Final = {"approve": "approved", "refuse": "refused", "pause": "paused"}
STATES: Final = ("offered", "approved", "paused", "refused")  # in the order of the list


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
        offers = site.ask("Offers", pb.OffersRequest(), pb.OffersReply).studies
        ordered = sorted(offers, key=lambda s: (STATES.index(s.state), -s.offered_at))
        return site.page(request, "studies", now=site.now(), studies=ordered)

    @router.get("/studies/{study}")
    def study(request: Request, study: str) -> Response:
        view = _view(site, study)
        return site.page(request, "study", now=site.now(), view=view, share=share(view))

    @router.post("/studies/{study}/{act}")
    def decide(request: Request, study: str, act: str) -> Response:
        if act not in DECISIONS:
            raise no_such_page()
        form, state = request.state.form, DECISIONS[act]
        view = _view(site, study)
        if state == "approved":
            _check_approvable(view, looked=form["looked"] == "yes")
        decision = pb.Decision(
            study=view.line.digest,
            roster=form["roster"],
            state=state,
            person=_person(form["person"]),
        )
        site.ask("Decide", decision, pb.StudyLine)
        return see_other(f"/studies/{view.line.digest}")

    @router.get("/pause")
    def pause(request: Request) -> Response:
        offers = site.ask("Offers", pb.OffersRequest(), pb.OffersReply).studies
        running = [line for line in offers if line.state == "approved"]
        return site.page(request, "pause", now=site.now(), running=running)

    @router.post("/pause")
    def pause_all(request: Request) -> Response:
        person = _person(request.state.form["person"])
        for line in site.ask("Offers", pb.OffersRequest(), pb.OffersReply).studies:
            if line.state == "approved":
                view = _view(site, line.digest)
                decision = pb.Decision(
                    study=line.digest, roster=view.roster_digest, state="paused", person=person
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


def _view(site: Site, study: str) -> pb.StudyView:
    return site.ask("Show", pb.ShowRequest(study=study), pb.StudyView)


def _person(name: str) -> str:
    if not name.strip():
        raise Refused(
            400,
            InputError(
                "nothing was decided",
                code="page-person",
                why="a decision is kept with the name of who made it",
                hint="go back and write your name",
            ),
        )
    return name.strip()


def _check_approvable(view: pb.StudyView, *, looked: bool) -> None:
    if view.obstacle:
        raise PolicyRefusal(
            "this clinic could not answer the study",
            code="study-unanswerable",
            why=view.obstacle,
            hint=view.remedy or "the research team has to change it, or this clinic its settings",
        )
    if not looked:
        raise Refused(
            400,
            InputError(
                "nothing was decided",
                code="page-not-looked",
                why="the box 'I have looked at what leaves this clinic' was not ticked",
                hint="go back, look at the study, and tick it",
            ),
        )
