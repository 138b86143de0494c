"""`Gate`: what stands before Flower on the fleet's port. It imports nothing of Flower.

G1 Only the endpoints of a link exist; everything else is 404.
G2 Who asks is known before a body is read: an enrolled key, its signature over a fresh time.
G3 A body says its length, is within the limit, and all bodies together are within four limits.
G4 An empty pull is held until there is something or `HOLD` is over, so that links need not hurry.
G5 A node that activates itself is told everything again that it has not answered; a pull that was
   held for an earlier link of it ends.
"""

from __future__ import annotations

import asyncio
import json
import logging
from base64 import b64decode
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final, Protocol

Scope = MutableMapping[str, Any]
Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

PREFIX: Final = "/v1/fleet/"
ENDPOINTS: Final = frozenset(
    PREFIX + name
    for name in (
        "activate-node",
        "deactivate-node",
        "send-node-heartbeat",
        "pull-messages",
        "push-messages",
        "pull-object",
        "push-object",
        "confirm-message-received",
    )
)
HOLD: Final = 2.0  # seconds that an empty pull waits
SLOWEST: Final = 60.0  # seconds between two parts of a body
BEHIND: Final = 300.0  # seconds that a node's clock may be behind; both as in Flower
AHEAD: Final = 5.0  # seconds that it may be ahead

log = logging.getLogger("cairn.fleet")


class Roster(Protocol):
    """What the gate asks of the fleet; all may block."""

    def node_of(self, public_key: bytes) -> int | None: ...
    def signed_by(self, public_key: bytes, message: bytes, signature: bytes) -> bool: ...
    def seen(self, node: int) -> None: ...
    def activated(self, node: int) -> None: ...
    def heard(self) -> None: ...


class Refused(Exception):
    """A request that goes no further: status, code, detail."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail = status, code, detail


class Gate:
    """An ASGI application before `application`.

    Args:
        roster: who is enrolled, and who is told what happens.
        most: bytes in one body.
    """

    def __init__(self, application: Application, roster: Roster, most: int) -> None:
        self._application, self._roster, self._most = application, roster, most
        self._held_bytes = 0
        self._bells: dict[int, asyncio.Event] = {}
        self._links: dict[int, int] = {}  # how often a link of the node has activated it
        self._loop: asyncio.AbstractEventLoop | None = None

    def ring(self, node: int) -> None:
        """Answer that node's held pull now. From any thread."""
        if self._loop is not None:
            with suppress(RuntimeError):  # the server has stopped
                self._loop.call_soon_threadsafe(self._bell(node).set)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        self._loop = asyncio.get_running_loop()
        path, method = scope["path"], scope["method"]
        try:
            if path == "/health" and method in {"GET", "HEAD"}:
                await _answer(send, 200, b"")
            elif path in ENDPOINTS and method == "POST":
                await self._fleet(scope, receive, send)
            else:
                raise Refused(404, "path", "there is no such thing here")
        except Refused as refused:
            log.info("refused %s: %s", path if path in ENDPOINTS else "a path", refused.code)
            body = json.dumps({"code": refused.code, "detail": refused.detail}).encode()
            await _answer(send, refused.status, body, close=True)

    async def _fleet(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.decode("latin-1"): value for name, value in scope["headers"]}
        # Of two headers of one name Flower would read the first, this the last: pass on one.
        scope["headers"] = [(name.encode("latin-1"), value) for name, value in headers.items()]
        node = await self._authenticate(headers)  # G2
        length = self._length(headers)  # G3
        self._held_bytes += length
        try:
            body = await self._body(receive, length)
            self._roster.seen(node)
            await self._serve(node, scope, body, receive, send)
        finally:
            self._held_bytes -= length

    async def _authenticate(self, headers: dict[str, bytes]) -> int:
        unknown = Refused(401, "key", "this node is not enrolled, or its signature is wrong")
        try:
            public_key = b64decode(headers["flwr-public-key"], validate=True)
            signature = b64decode(headers["flwr-signature"], validate=True)
            stamp = headers["flwr-timestamp"]
            said = datetime.fromisoformat(stamp.decode("ascii"))
            behind = (datetime.now(UTC) - said).total_seconds()
        except (KeyError, ValueError, TypeError):
            raise unknown from None
        node = await asyncio.to_thread(self._roster.node_of, public_key)
        if node is None or not self._roster.signed_by(public_key, stamp, signature):
            raise unknown
        if not -AHEAD < behind < BEHIND:
            how = f"{abs(behind):.0f} s {'behind' if behind > 0 else 'ahead of'} the server's"
            raise Refused(401, "clock", f"this node's clock is {how}; set it right")
        return node

    def _length(self, headers: dict[str, bytes]) -> int:
        told = headers.get("content-length", b"")
        if not told.isdigit():
            raise Refused(411, "length", "a body says its length")
        if len(told) > 18 or int(told) > self._most:
            raise Refused(413, "size", f"a body has at most {self._most} bytes")
        if self._held_bytes + int(told) > 4 * self._most:
            raise Refused(503, "busy", "too much at once; come back in a few seconds")
        return int(told)

    async def _body(self, receive: Receive, length: int) -> bytes:
        body, more = bytearray(), True
        while more:
            try:
                event = await asyncio.wait_for(receive(), SLOWEST)
            except TimeoutError:
                raise Refused(408, "slow", "the body did not come") from None
            if event["type"] != "http.request":
                raise Refused(400, "cut", "the body ended early")
            body += event.get("body", b"")
            if len(body) > length:
                raise Refused(413, "size", "more came than was said")
            more = event.get("more_body", False)
        return bytes(body)

    async def _serve(
        self, node: int, scope: Scope, body: bytes, receive: Receive, send: Send
    ) -> None:
        what = scope["path"].removeprefix(PREFIX)
        if what == "deactivate-node":  # the fleet waits for every node until a deadline
            await _answer(send, 200, b"", kind=b"application/protobuf")
            return
        left = asyncio.ensure_future(receive())  # completes when the node hangs up
        status, sent = 0, 0
        unread: list[Event] = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Event:
            return unread.pop() if unread else await left

        async def count(event: Event) -> None:
            nonlocal status, sent
            status = event.get("status", status)
            sent += len(event.get("body", b""))
            await send(event)

        try:
            if what == "pull-messages" and not await self._hold(node, left):
                return
            if what == "activate-node":
                self._links[node] = self._links.get(node, 0) + 1
            await self._application(scope, replay, count)
            if what == "pull-messages" and status == 200 and sent:
                self._bell(node).set()  # there may be more than one
            elif what == "activate-node" and status == 200:
                await asyncio.to_thread(self._roster.activated, node)  # G5
            elif what in {"push-messages", "push-object"}:
                self._roster.heard()
        finally:
            left.cancel()

    async def _hold(self, node: int, left: asyncio.Future[Event]) -> bool:
        """Wait for something to pull; False if the node hung up meanwhile.

        A message is delivered once, so it must not go to a link that another has replaced.
        """
        bell, link = self._bell(node), self._links.get(node)
        rung = asyncio.ensure_future(bell.wait())
        try:
            both: set[asyncio.Future[Any]] = {rung, left}
            await asyncio.wait(both, timeout=HOLD, return_when=asyncio.FIRST_COMPLETED)
        finally:
            rung.cancel()
        if link != self._links.get(node):
            raise Refused(409, "replaced", "another link of this node has come")
        bell.clear()
        return not left.done()

    def _bell(self, node: int) -> asyncio.Event:
        bell = self._bells.get(node)
        if bell is None:
            bell = self._bells.setdefault(node, asyncio.Event())
            bell.set()
        return bell


async def _answer(
    send: Send, status: int, body: bytes, *, kind: bytes = b"application/json", close: bool = False
) -> None:
    headers = [(b"content-type", kind), (b"content-length", b"%d" % len(body))]
    if close:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
