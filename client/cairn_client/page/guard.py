"""`Guard`: what every request has to pass, and what every reply carries, whichever page it is.

    G1  The name that the browser used is one of this page's own (a foreign name that leads here is
        DNS rebinding).
    G2  What another site makes the browser ask is refused: nothing may be changed but from this
        page, and nothing may be embedded in another.
    G3  A body is a small form, read whole before anything is done.
    G4  Nothing but the way in and the static files is shown without a session.
    G5  Whatever changes something carries the session's own token.
    G6  Every reply forbids foreign content, framing, sniffing and keeping.
    G7  A fault that nobody foresaw is told by its type alone, to the person and in the log.

A route is guarded by being there: none has to remember to be.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cairn_client.page.refusals import Refused
from cairn_client.page.sessions import COOKIE, Session, Sessions
from cairn_protocol.errors import InputError, OurFault, PolicyRefusal

log = logging.getLogger("cairn.page")

LARGEST_BODY: Final = 16 * 1024
MOST_FIELDS: Final = 64
ENTER: Final = "/enter"
STATIC: Final = "/static/"
PARTS: Final = "/parts/"  # what the page itself asks for again and again
LOOKS: Final = ("GET", "HEAD")  # every other method changes something
CSRF_FIELD: Final = "csrf"
CSRF_HEADER: Final = "x-csrf"
POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",  # HTMX asks this page for its own parts
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
)
HEADERS: Final[Mapping[str, str]] = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
Refusal = Callable[[Request, Refused], Response]


@dataclass(frozen=True)
class Form:
    """The fields of a form; one that is missing is empty."""

    fields: Mapping[str, str]

    def __getitem__(self, name: str) -> str:
        return self.fields.get(name, "")


class Guard:
    """Wraps the pages. `hosts`: names and ports under which they may be asked for."""

    def __init__(
        self, app: ASGIApp, *, hosts: frozenset[str], sessions: Sessions, refusal: Refusal
    ) -> None:
        self._app, self._hosts, self._sessions, self._refusal = app, hosts, sessions, refusal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets a request pass, or answers it with a refusal."""
        if scope["type"] != "http":
            raise RuntimeError("the page speaks HTTP alone")
        begun = False

        async def guarded(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                _mark(MutableHeaders(raw=message["headers"]), scope["path"])
            await send(message)

        request = Request(scope, receive)
        request.state.session = None
        try:
            await self._check(request)
            await self._app(scope, _nothing_more(request), guarded)
        except Refused as refused:
            await self._refusal(request, refused)(scope, receive, guarded)
        except Exception as error:  # G7
            log.error("the page could not answer: %s", type(error).__name__)
            if not begun:
                told = Refused(500, unforeseen(error))
                await self._refusal(request, told)(scope, receive, guarded)

    async def _check(self, request: Request) -> None:
        headers, path = request.headers, request.url.path
        if headers.get("host", "") not in self._hosts:  # G1
            raise Refused(421, _foreign_host())
        _check_origin(headers, request.method, self._hosts)  # G2
        form = Form(parse_form(await _body(request)))  # G3
        cookie = request.cookies.get(COOKIE, "")
        active = not path.startswith(PARTS)
        session = self._sessions.find(cookie, active=active) if cookie else None
        request.state.session, request.state.form = session, form
        if session is None and path != ENTER and not path.startswith(STATIC):  # G4
            raise Refused(401, locked())
        if request.method not in LOOKS:
            _check_csrf(session, form, headers)  # G5


def unforeseen(error: Exception) -> OurFault:
    """A fault of Cairn's own, without its words, which may quote a record."""
    return OurFault(
        "Cairn met what it did not foresee",
        code="page-unforeseen",
        why=type(error).__name__,
        hint="try again; if it comes back, report it with this code and the lines of the log",
    )


def locked() -> PolicyRefusal:
    """Nobody has opened the page in this browser, or it was too long ago."""
    return PolicyRefusal(
        "this page is locked",
        code="page-locked",
        why="it opens with a link that is good once, and closes after an hour without use",
        hint="on this machine, get a new link with `cairn clinic page --link`",
    )


def parse_form(body: bytes) -> dict[str, str]:
    """The fields of a form as a browser sends it; of a field that comes twice, the last.

    Raises:
        Refused: it is none.
    """
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=MOST_FIELDS,
        )
    except ValueError:
        raise Refused(400, InputError("this is no form", code="page-form")) from None
    return dict(pairs)


def _check_origin(headers: Headers, method: str, hosts: frozenset[str]) -> None:
    """G2. `Origin` is `null` under our own referrer policy; then `Sec-Fetch-Site` has to say it."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin", "null")
    own = origin.removeprefix("http://") in hosts and origin.startswith("http://")
    if method in LOOKS:
        opened = headers.get("sec-fetch-mode") == "navigate"
        opened = opened and headers.get("sec-fetch-dest") == "document"
        if site in (None, "same-origin", "none") or opened:
            return
    elif (own and site in (None, "same-origin")) or (origin == "null" and site == "same-origin"):
        return
    raise Refused(
        403,
        PolicyRefusal(
            "another site asked for this",
            code="page-foreign-site",
            why="the browser says that the request does not come from this page",
            hint="open the page itself and do it there",
        ),
    )


def _check_csrf(session: Session | None, form: Form, headers: Headers) -> None:
    given = form[CSRF_FIELD] or headers.get(CSRF_HEADER, "")
    if session is None or not session.accepts(given):
        raise Refused(
            403,
            PolicyRefusal(
                "this form is not of this session",
                code="page-csrf",
                why="its token is missing or of an earlier session",
                hint="load the page again and repeat",
            ),
        )


async def _body(request: Request) -> bytes:
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > LARGEST_BODY:
            raise Refused(
                413,
                InputError(
                    "that is too large",
                    code="page-body",
                    why=f"a form may have {LARGEST_BODY // 1024} kB",
                    hint="shorten it",
                ),
            )
        parts.append(part)
    return b"".join(parts)


def _nothing_more(request: Request) -> Receive:
    """The body was read; what can still come is that the browser went away."""

    async def receive() -> Message:
        return await request.receive()

    return receive


def _mark(headers: MutableHeaders, path: str) -> None:
    for name, value in HEADERS.items():  # G6
        headers[name] = value
    headers["cache-control"] = "no-cache" if path.startswith(STATIC) else "no-store"


def _foreign_host() -> PolicyRefusal:
    return PolicyRefusal(
        "this page has another name",
        code="page-host",
        why="the browser asked for it under a name that is not this machine's own",
        hint="open it with the link that `cairn clinic page` printed",
    )
