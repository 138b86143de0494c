"""`clinic_pages`: the pages as one application, behind their guard."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from cairn_client.page import (
    routes_audit,
    routes_budget,
    routes_data,
    routes_doctor,
    routes_entry,
    routes_home,
    routes_results,
    routes_reviewers,
    routes_sent,
    routes_studies,
)
from cairn_client.page.entry import Entry
from cairn_client.page.guard import STATIC, Guard, unforeseen
from cairn_client.page.refusals import Refused, no_such_page
from cairn_client.page.sessions import Attempts, Sessions
from cairn_client.page.site import Place, Site
from cairn_protocol.errors import CairnError, InputError

FILES: Final = Path(__file__).parent / "static"
PLACES: Final = (
    Place("/", "Home"),
    Place("/studies", "Studies"),
    Place("/sent", "What left"),
    Place("/budget", "Budget"),
    Place("/results", "Results"),
    Place("/data", "Data"),
    Place("/quarantine", "Quarantine"),
    Place("/audit", "Audit"),
    Place("/doctor", "Doctor"),
)


def clinic_pages(
    folder: Path, entry: Entry, hosts: frozenset[str], sessions: Sessions | None = None
) -> ASGIApp:
    """The pages of the clinic in `folder`, which whoever `entry` admits may open.

    Args:
        hosts: names with ports under which a browser may ask for them.

    Raises:
        InputError: the folder is no clinic's.
    """
    site, sessions = Site(folder, PLACES), sessions or Sessions()
    app = bare()
    app.include_router(routes_entry.routes(site, sessions, entry, Attempts(10, 60.0)))
    app.include_router(routes_reviewers.routes(site, Attempts(10, 60.0)))
    for part in (
        routes_home,
        routes_studies,
        routes_sent,
        routes_budget,
        routes_results,
        routes_data,
        routes_audit,
        routes_doctor,
    ):
        app.include_router(part.routes(site))
    app.mount(STATIC.rstrip("/"), StaticFiles(directory=FILES))
    _tell_refusals(app, site)
    return Guard(app, hosts=hosts, sessions=sessions, refusal=site.refusal)


def bare() -> FastAPI:
    """An application without what FastAPI adds of its own: no schema, no pages about itself."""
    return FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)


def _tell_refusals(app: FastAPI, site: Site) -> None:
    def refused(request: Request, error: Exception) -> Response:
        if isinstance(error, Refused):
            return site.refusal(request, error)
        if isinstance(error, CairnError):
            return site.refusal(request, Refused.of(error))
        return site.refusal(request, Refused(500, unforeseen(error)))

    def no_page(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 404
        if status == 404:
            return site.refusal(request, no_such_page())
        fault = InputError("the page does not do that", code="page-method", hint="see the menu")
        return site.refusal(request, Refused(status, fault))

    for kind in (Refused, CairnError, Exception):
        app.add_exception_handler(kind, refused)
    app.add_exception_handler(HTTPException, no_page)
