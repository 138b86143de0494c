"""What a request has to pass and what a reply carries, on every path that there is."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from cairn_client.page.entry import Entry, EntryKey
from cairn_client.page.guard import CSRF_HEADER, LARGEST_BODY, MOST_FIELDS, Guard
from cairn_client.page.pages import clinic_pages
from cairn_client.page.sessions import COOKIE, IDLE_SECONDS, LONGEST_SECONDS, Sessions
from html_page import Page

HOST = "127.0.0.1:8470"
ADDRESS = f"http://{HOST}"
OWN = {"origin": ADDRESS, "sec-fetch-site": "same-origin"}


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


class Opened:
    """A page whose keeper does not run: what is tested here needs none."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        (folder / "clinic.toml").write_text('name = "oak"\n')
        self.clock = Clock()
        self.key = EntryKey.fresh(ADDRESS)
        self.sessions = Sessions(self.clock)
        hosts = frozenset({HOST, "localhost:8470"})
        self.app = clinic_pages(folder, Entry(self.key), hosts, self.sessions)
        self.client = self.browser()

    def browser(self) -> TestClient:
        """One that has not been let in."""
        return TestClient(
            self.app, base_url=ADDRESS, follow_redirects=False, raise_server_exceptions=False
        )

    def enter(self) -> TestClient:
        client = self.browser()
        assert client.get(self.key.link().removeprefix(ADDRESS)).status_code == 303
        return client

    def csrf(self, client: TestClient) -> str:
        session = self.sessions.find(client.cookies[COOKIE], active=False)
        assert session is not None
        return session.csrf


def routes(app: Any) -> Iterator[tuple[str, str]]:
    """(method, path) of every page, with something in place of what a path takes."""
    assert isinstance(app, Guard)
    stack = list(app._app.routes)  # type: ignore[attr-defined]
    while stack:
        route = stack.pop()
        if isinstance(route, Route):
            path = re.sub(r"\{[^}]+\}", "x", route.path)
            yield from ((method, path) for method in route.methods or ())
        elif hasattr(route, "routes") and not isinstance(route, Mount):
            stack.extend(route.routes)
        elif hasattr(route, "original_router"):
            stack.extend(route.original_router.routes)


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Opened:
    return Opened(tmp_path_factory.mktemp("page") / "oak")


def refused(reply: Any, status: int, code: str) -> None:
    assert (reply.status_code, code in reply.text) == (status, True), reply.text[:2000]


def test_there_are_pages_and_acts(opened: Opened) -> None:
    found = set(routes(opened.app))
    assert {("GET", "/"), ("GET", "/enter"), ("POST", "/pause"), ("POST", "/close")} <= found
    assert not [path for _, path in found if "openapi" in path or "docs" in path]


def test_without_a_session_no_page_is_shown_and_nothing_is_done(opened: Opened) -> None:
    client = opened.browser()
    for method, path in routes(opened.app):
        if path != "/enter":
            reply = client.request(method, path, headers=OWN)
            assert reply.status_code == 401, path
            assert "policy.page-locked" in reply.text or method == "HEAD"
    forged = opened.browser()
    forged.cookies.set(COOKIE, "x" * 43)
    refused(forged.get("/"), 401, "policy.page-locked")


def test_a_link_opens_once_and_the_cookie_is_locked_away(opened: Opened) -> None:
    client, link = opened.browser(), opened.key.link().removeprefix(ADDRESS)
    first = client.get(link)
    assert (first.status_code, first.headers["location"]) == (303, "/")
    cookie = first.headers["set-cookie"]
    for part in ("HttpOnly", "SameSite=strict", "Path=/", "Max-Age="):
        assert part in cookie
    assert "Domain" not in cookie
    assert client.get("/").status_code == 200
    refused(opened.browser().get(link), 401, "policy.page-link")


def test_a_session_ends_without_use_and_after_a_day_of_use(opened: Opened) -> None:
    client, begun = opened.enter(), opened.clock.now
    opened.clock.now += IDLE_SECONDS - 1
    assert client.get("/").status_code == 200
    opened.clock.now += IDLE_SECONDS - 1
    assert client.get("/parts/home").status_code == 200, "still open"
    opened.clock.now += 2
    refused(client.get("/"), 401, "policy.page-locked")  # what refreshes itself is no use
    client, begun = opened.enter(), opened.clock.now
    while opened.clock.now < begun + LONGEST_SECONDS:
        assert client.get("/").status_code == 200
        opened.clock.now += IDLE_SECONDS / 2
    refused(client.get("/"), 401, "policy.page-locked")


def test_locking_the_page_ends_the_session(opened: Opened) -> None:
    client = opened.enter()
    cookie = client.cookies[COOKIE]
    token = opened.csrf(client)
    assert client.post("/close", data={"csrf": token}, headers=OWN).status_code == 200
    client.cookies.set(COOKIE, cookie)
    refused(client.get("/"), 401, "policy.page-locked")


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1", "127.0.0.1:80", "localhost.evil.example:8470", "[::1]:8470", ""],
)
def test_another_name_for_this_page_is_refused(opened: Opened, host: str) -> None:
    client = opened.enter()
    reply = client.get("/", headers={"host": host})
    refused(reply, 421, "policy.page-host")
    assert "Pause" not in reply.text
    assert client.get("/", headers={"host": "localhost:8470"}).status_code == 200


FOREIGN = [
    {"origin": "http://evil.example"},
    {"origin": "http://127.0.0.1:9000"},
    {"origin": f"https://{HOST}"},
    {"origin": "null"},
    {},
    {"origin": ADDRESS, "sec-fetch-site": "cross-site"},
    {"origin": ADDRESS, "sec-fetch-site": "same-site"},
    {"origin": "http://evil.example", "sec-fetch-site": "same-origin"},
    {"sec-fetch-site": "none"},
]


@pytest.mark.parametrize("headers", FOREIGN)
def test_nothing_is_done_that_another_site_asks(opened: Opened, headers: dict[str, str]) -> None:
    client = opened.enter()
    token = opened.csrf(client)
    for method, path in routes(opened.app):
        if method == "POST":
            reply = client.post(path, data={"csrf": token}, headers=headers)
            refused(reply, 403, "policy.page-foreign-site")


@pytest.mark.parametrize(
    "headers", [OWN, {"origin": "null", "sec-fetch-site": "same-origin"}, {"origin": ADDRESS}]
)
def test_the_page_itself_may_ask(opened: Opened, headers: dict[str, str]) -> None:
    client = opened.enter()
    reply = client.post("/close", data={"csrf": opened.csrf(client)}, headers=headers)
    assert reply.status_code == 200


def test_a_page_is_not_embedded_elsewhere_but_may_be_linked_to(opened: Opened) -> None:
    client = opened.enter()
    for site in ("cross-site", "same-site"):
        for mode, dest in (("no-cors", "image"), ("cors", "empty"), ("navigate", "iframe")):
            headers = {"sec-fetch-site": site, "sec-fetch-mode": mode, "sec-fetch-dest": dest}
            refused(client.get("/", headers=headers), 403, "policy.page-foreign-site")
        top = {"sec-fetch-site": site, "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
        assert client.get("/", headers=top).status_code == 200


def test_nothing_is_done_without_the_sessions_own_token(opened: Opened) -> None:
    client, other = opened.enter(), opened.enter()
    for method, path in routes(opened.app):
        if method != "POST":
            continue
        for given in ({}, {"csrf": ""}, {"csrf": "x" * 43}, {"csrf": opened.csrf(other)}):
            refused(client.post(path, data=given, headers=OWN), 403, "policy.page-csrf")
        header = {**OWN, CSRF_HEADER: opened.csrf(other)}
        refused(client.post(path, headers=header), 403, "policy.page-csrf")
    header = {**OWN, CSRF_HEADER: opened.csrf(client)}
    assert client.post("/close", headers=header).status_code == 200


def test_every_form_and_every_htmx_request_carries_the_token(opened: Opened) -> None:
    client = opened.enter()
    text = client.get("/").text
    token = opened.csrf(client)
    forms = re.findall(r"<form.*?</form>", text, flags=re.DOTALL)
    assert forms
    assert all(f'name="csrf" value="{token}"' in form for form in forms)
    assert f'hx-headers=\'{{"{CSRF_HEADER}": "{token}"}}\'' in text


def test_a_large_body_and_a_strange_one_are_refused(opened: Opened) -> None:
    client = opened.enter()
    for path in ("/close", "/pause", "/nowhere"):
        reply = client.post(path, content=b"a" * (LARGEST_BODY + 1), headers=OWN)
        refused(reply, 413, "input.page-body")
    many = "&".join(f"a{i}=1" for i in range(MOST_FIELDS + 1))
    for body in (many.encode(), b"person=%ff", "person=é".encode()):
        refused(client.post("/close", content=body, headers=OWN), 400, "input.page-form")

    parts = (b"a" * 4096 for _ in range(100))  # without saying beforehand how much it will be
    refused(client.post("/close", content=parts, headers=OWN), 413, "input.page-body")


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_no_other_method(opened: Opened, method: str) -> None:
    client = opened.enter()
    refused(client.request(method, "/", headers=OWN), 403, "policy.page-csrf")
    own = {**OWN, CSRF_HEADER: opened.csrf(client)}
    refused(client.request(method, "/", headers=own), 405, "input.page-method")
    refused(client.request(method, "/", headers={"origin": "null"}), 403, "policy.page-foreign")


def test_every_reply_forbids_what_the_page_does_not_do(opened: Opened) -> None:
    client = opened.enter()
    paths = [path for method, path in routes(opened.app) if method == "GET"]
    replies = [client.get(path) for path in [*paths, "/nothing", "/static/page.css"]]
    replies += [client.get("/", headers={"host": "evil.example"}), opened.browser().get("/")]
    for reply in replies:
        policy = dict(
            part.split(" ", 1) for part in reply.headers["content-security-policy"].split("; ")
        )
        assert policy == {
            "default-src": "'none'",
            "script-src": "'self'",
            "style-src": "'self'",
            "img-src": "'self'",
            "connect-src": "'self'",
            "form-action": "'self'",
            "frame-ancestors": "'none'",
            "base-uri": "'none'",
        }
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["referrer-policy"] == "no-referrer"
        static = reply.url.path.startswith("/static/")
        assert reply.headers["cache-control"] == ("no-cache" if static else "no-store")
        assert "server" not in reply.headers
        assert "access-control-allow-origin" not in reply.headers


def test_pages_hold_no_script_no_style_and_no_foreign_address(opened: Opened) -> None:
    client = opened.enter()
    paths = [path for method, path in routes(opened.app) if method == "GET"]
    texts = [client.get(path).text for path in [*paths, "/nothing"] if path != "/enter"]
    texts += [opened.browser().get("/").text, opened.browser().get("/enter").text]
    for text in texts:
        if "<html" in text:
            assert Page(text).faults == []


def test_attempts_to_get_in_are_counted(tmp_path: Path) -> None:
    fresh = Opened(tmp_path / "ash")
    client = fresh.browser()
    codes = [client.get("/enter?link=guess").status_code for _ in range(12)]
    assert codes == [401] * 10 + [429] * 2
    refused(client.get("/enter?link=guess"), 429, "policy.page-attempts")


def test_a_keeper_that_is_away_is_told_plainly(opened: Opened) -> None:
    client = opened.enter()
    home = client.get("/")
    assert home.status_code == 200
    for words in ("The keeper does not answer", "What to do", "cairn clinic run", "systemctl"):
        assert words in home.text
    refused(client.get("/studies"), 503, "input.keeper-unreachable")
    refused(client.get("/nothing"), 404, "input.page-none-here")


def test_a_fault_is_told_by_its_type_alone(
    opened: Opened, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object, **__: object) -> Response:
        raise ValueError("could not parse 'Zwyrtek'")

    client = opened.enter()
    monkeypatch.setattr("cairn_client.page.site.link_standing", broken)
    monkeypatch.setattr(logging.getLogger("cairn"), "propagate", True)
    reply = client.get("/")
    refused(reply, 500, "internal.page-unforeseen")
    assert "ValueError" in reply.text
    assert "Zwyrtek" not in reply.text + caplog.text
    assert "Traceback" not in reply.text
    assert "the page could not answer: ValueError" in caplog.text
