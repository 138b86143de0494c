"""Budget: what was spent on whom, for which study, and what is left; from the verified ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from cairn_client.page.site import Site
from cairn_protocol.proto import keeper_pb2 as pb

if TYPE_CHECKING:
    from cairn_privacy.ledger_view import LedgerView


def routes(site: Site) -> APIRouter:
    """`/budget` and the ledger as a file."""
    router = APIRouter()

    @router.get("/budget")
    def budget(request: Request) -> Response:
        return site.page(request, "budget", now=site.now(), ledger=view(site))

    @router.get("/budget/ledger.jsonl")
    def export(request: Request) -> Response:
        return Response(
            lines(site),
            media_type="application/jsonl",
            headers={"content-disposition": 'attachment; filename="ledger.jsonl"'},
        )

    return router


def lines(site: Site) -> str:
    """The whole ledger, part by part."""
    parts: list[str] = []
    while True:
        after = sum(part.count("\n") for part in parts)
        part = site.ask("Ledger", pb.LedgerRequest(after=after), pb.LedgerReply).lines
        if not part:
            return "".join(parts)
        parts.append(part)


def view(site: Site) -> LedgerView | None:
    """What the ledger says; None before the first study about patients.

    Raises:
        InputError: it does not hold together.
    """
    from cairn_privacy.accounting import rho_for  # noqa: PLC0415 - scipy, half a second
    from cairn_privacy.chain import verify_export  # noqa: PLC0415
    from cairn_privacy.ledger_view import LedgerView  # noqa: PLC0415

    text = lines(site)
    if not text:
        return None
    cap = rho_for(site.config.cap_epsilon, site.config.delta)
    return LedgerView.of(verify_export(text), cap_rho=cap)
