"""The link against a real fleet endpoint over TLS, and against all that can stand in its way."""

from __future__ import annotations

import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from flwr.app import Message

from cairn_client import link_daemon
from cairn_client.flower_private import Asked
from cairn_client.link_daemon import Backoff, LinkDaemon
from cairn_client.link_report import LinkStanding, link_standing
from cairn_client.link_trouble import trouble_of
from cairn_protocol.errors import InputError
from cairn_protocol.messages import LARGEST_MESSAGE, Refusal, decode
from cairn_server import fleet_gate
from cairn_server.coordinator import GridExchange
from cairn_server.fleet import FleetEndpoint
from fleet_nodes import Authority, authority
from link_bench import running, stand_in, write_link


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("team"))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(fleet_gate, "HOLD", 0.2)
    monkeypatch.setattr(link_daemon, "IDLE", 0.1)
    monkeypatch.setattr(link_daemon, "FIRST_WAIT", 0.05)
    logging.getLogger("cairn").propagate = True
    caplog.set_level(logging.INFO, logger="cairn.link")


@pytest.fixture
def fleet(team: Authority) -> Iterator[FleetEndpoint]:
    with FleetEndpoint(None, "127.0.0.1", 0, team.certificate, team.key) as endpoint:
        yield endpoint


def standing(clinic: Path, code: str, seconds: float = 10) -> LinkStanding:
    """Waits until the link says so."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        told = link_standing(clinic)
        if told and (told.code == code or told.state == code):
            return told
        time.sleep(0.02)
    raise AssertionError(link_standing(clinic))


def test_requests_reach_the_keeper_and_replies_come_back(
    fleet: FleetEndpoint, team: Authority, tmp_path: Path
) -> None:
    node = fleet.enrol(write_link(tmp_path, fleet.address, team.ca))
    exchange = GridExchange(fleet.grid("s"))
    with stand_in(tmp_path, lambda body: b"reply to " + body), running(LinkDaemon(tmp_path)):
        for turn in range(5):
            body = b"%d" % turn
            assert exchange("query.round", {node: body}, 10) == {node: b"reply to " + body}
        told = link_standing(tmp_path)
        assert told is not None
        assert told.state == "connected"
        assert told.alive
    assert standing(tmp_path, "stopped")


def test_a_message_of_another_type_never_reaches_the_keeper(
    fleet: FleetEndpoint, team: Authority, tmp_path: Path
) -> None:
    node = fleet.enrol(write_link(tmp_path, fleet.address, team.ca))
    heard: list[bytes] = []

    def keeper(body: bytes) -> bytes:
        heard.append(body)
        return b"never"

    with stand_in(tmp_path, keeper), running(LinkDaemon(tmp_path)):
        reply = GridExchange(fleet.grid("s"))("train", {node: b"x"}, 10)[node]
    refusal = decode(reply)
    assert isinstance(refusal, Refusal)
    assert refusal.code == "peer.message-type"
    assert heard == []


def test_megabytes_pass_both_ways(fleet: FleetEndpoint, team: Authority, tmp_path: Path) -> None:
    node = fleet.enrol(write_link(tmp_path, fleet.address, team.ca))
    body = bytes(range(256)) * 16384
    with stand_in(tmp_path, bytes), running(LinkDaemon(tmp_path)):
        assert GridExchange(fleet.grid("s"))("query.round", {node: body}, 30) == {node: body}


def test_a_keeper_that_comes_late_is_waited_for(
    fleet: FleetEndpoint,
    team: Authority,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    node = fleet.enrol(write_link(tmp_path, fleet.address, team.ca))
    replies: dict[int, bytes] = {}
    exchange = GridExchange(fleet.grid("s"))
    asking = threading.Thread(
        target=lambda: replies.update(exchange("query.open", {node: b"x"}, 20))
    )
    with running(LinkDaemon(tmp_path)):
        asking.start()
        told = standing(tmp_path, "input.keeper-unreachable")
        assert "cairn clinic run" in told.hint
        with stand_in(tmp_path, lambda body: b"late " + body):
            asking.join(20)
    assert replies == {node: b"late x"}
    assert caplog.text.count("input.keeper-unreachable") == 2, "once when it begins, once mended"


def test_a_reply_that_was_lost_is_asked_for_again(
    fleet: FleetEndpoint, team: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = fleet.enrol(write_link(tmp_path, fleet.address, team.ca))
    heard: list[bytes] = []
    push = link_daemon.Fleet.push
    failures = iter([True, True, False])

    def failing(self: link_daemon.Fleet, asked: object, reply: bytes) -> None:
        if next(failures, False):
            raise OSError("the line is cut")
        push(self, asked, reply)  # type: ignore[arg-type]

    def keeper(body: bytes) -> bytes:
        heard.append(body)
        return b"same"

    monkeypatch.setattr(link_daemon.Fleet, "push", failing)
    with stand_in(tmp_path, keeper), running(LinkDaemon(tmp_path)):
        assert GridExchange(fleet.grid("s"))("query.round", {node: b"x"}, 20) == {node: b"same"}
    assert heard == [b"x"] * 3


def test_a_server_that_restarts_is_found_again(team: Authority, tmp_path: Path) -> None:
    database = tmp_path / "flower.sqlite"
    clinic = tmp_path / "oak"
    with FleetEndpoint(database, "127.0.0.1", 0, team.certificate, team.key) as first:
        address = first.address
        node = first.enrol(write_link(clinic, address, team.ca))
        daemon = LinkDaemon(clinic)
        with stand_in(clinic, bytes), running(daemon):
            standing(clinic, "connected")
            assert GridExchange(first.grid("s"))("query.round", {node: b"1"}, 10)
            first.__exit__(None, None, None)
            standing(clinic, "server-not-running")
            with FleetEndpoint(database, *address, team.certificate, team.key) as second:
                exchange = GridExchange(second.grid("s"))
                assert exchange("query.round", {node: b"2"}, 20) == {node: b"2"}
        first._server = None


def test_a_reply_that_comes_too_late_does_not_break_the_connection(
    fleet: FleetEndpoint, team: Authority, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clinic = tmp_path / "oak"
    node = fleet.enrol(write_link(clinic, fleet.address, team.ca))
    withdrawn = threading.Event()

    def answer(body: bytes) -> bytes:
        if body == b"slow":
            withdrawn.wait(15)
        return body

    with stand_in(clinic, answer), running(LinkDaemon(clinic)):
        standing(clinic, "connected")
        exchange = GridExchange(fleet.grid("s"))
        assert exchange("query.round", {node: b"slow"}, 1.0) == {}, "taken back at its end"
        withdrawn.set()
        assert exchange("query.round", {node: b"next"}, 15) == {node: b"next"}
    said = [record.message for record in caplog.records]
    assert any("came too late" in line for line in said)
    assert not any("server-busy" in line for line in said)


Mend = Callable[[Path], None]


def trouble(clinic: Path, code: str) -> LinkStanding:
    with running(LinkDaemon(clinic)):
        told = standing(clinic, code)
    assert told.trouble
    assert told.hint
    return told


def test_a_revoked_link_says_so(fleet: FleetEndpoint, team: Authority, tmp_path: Path) -> None:
    fleet.revoke(fleet.enrol(write_link(tmp_path, fleet.address, team.ca)))
    assert "research team" in trouble(tmp_path, "not-enrolled").hint


def test_another_authority_is_refused(fleet: FleetEndpoint, tmp_path: Path) -> None:
    other = authority(tmp_path / "other")
    write_link(tmp_path / "oak", fleet.address, other.ca)
    trouble(tmp_path / "oak", "authority-differs")


def test_a_certificate_for_another_name_is_refused(tmp_path: Path) -> None:
    team = authority(tmp_path / "team", host="cairn.example.org")
    with FleetEndpoint(None, "127.0.0.1", 0, team.certificate, team.key) as fleet:
        write_link(tmp_path / "oak", fleet.address, team.ca)
        trouble(tmp_path / "oak", "host-name-differs")


@pytest.mark.parametrize(
    ("days", "code"), [(-10, "certificate-expired"), (10, "certificate-not-yet-valid")]
)
def test_a_certificate_out_of_its_time_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: int, code: str
) -> None:
    import datetime as real

    import fleet_nodes

    class Then(real.datetime):
        @classmethod
        def now(cls, tz: real.tzinfo | None = None) -> Then:
            return super().now(tz) + real.timedelta(days=days)  # type: ignore[return-value]

    with monkeypatch.context() as patch:
        patch.setattr(fleet_nodes.datetime, "datetime", Then)
        team = authority(tmp_path / "team")
    with FleetEndpoint(None, "127.0.0.1", 0, team.certificate, team.key) as fleet:
        write_link(tmp_path / "oak", fleet.address, team.ca)
        assert "clock" in trouble(tmp_path / "oak", code).trouble


@pytest.mark.parametrize("seconds", [3600, -3600])
def test_a_clock_that_is_off_by_an_hour_is_named(
    fleet: FleetEndpoint,
    team: Authority,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    seconds: int,
) -> None:
    from datetime import UTC, datetime, timedelta

    from flwr.supernode import node_auth_http_interceptor

    from cairn_client import link_trouble

    class Wrong(datetime):
        @classmethod
        def now(cls, tz: object = None) -> Wrong:
            return datetime.now(UTC) + timedelta(seconds=seconds)  # type: ignore[return-value]

    monkeypatch.setattr(node_auth_http_interceptor, "now", Wrong.now)
    monkeypatch.setattr(link_trouble, "datetime", Wrong)
    fleet.enrol(write_link(tmp_path, fleet.address, team.ca))
    told = trouble(tmp_path, "clock")
    assert ("ahead of" if seconds > 0 else "behind") in told.trouble


def test_nothing_that_listens_is_named(team: Authority, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = probe.getsockname()
    write_link(tmp_path, address, team.ca)
    trouble(tmp_path, "server-not-running")


def test_what_does_not_speak_tls_is_named(team: Authority, tmp_path: Path) -> None:
    with Server(lambda conn: conn.sendall(b"SSH-2.0-x\r\n")) as server:
        write_link(tmp_path, server.address, team.ca)
        trouble(tmp_path, "not-tls")


class Server:
    """A listener that does `what` with every connection, over TLS if it has a context."""

    def __init__(
        self, what: Callable[[socket.socket], None], context: ssl.SSLContext | None = None
    ) -> None:
        self._what = what
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address: tuple[str, int] = self._listener.getsockname()
        self.connections = 0
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            try:
                if self._context is not None:
                    connection = self._context.wrap_socket(connection, server_side=True)
                with connection:
                    self._what(connection)
            except OSError:
                connection.close()

    def __enter__(self) -> Server:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)


def tls(team: Authority) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(team.certificate, team.key)
    return context


def hear(connection: socket.socket) -> None:
    """Takes a whole request: what is left unread at the end of a connection would reset it."""
    heard = b""
    while b"\r\n\r\n" not in heard:
        if not (more := connection.recv(65536)):
            return
        heard += more
    front, rest = heard.split(b"\r\n\r\n", 1)
    told = [line for line in front.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    left = int(told[0].split(b":")[1]) - len(rest) if told else 0
    while left > 0 and (more := connection.recv(65536)):
        left -= len(more)


def saying(head: str, body: bytes = b"") -> Callable[[socket.socket], None]:
    def say(connection: socket.socket) -> None:
        hear(connection)
        connection.sendall(head.encode() + b"\r\n\r\n" + body)

    return say


@pytest.mark.parametrize(
    ("head", "body", "code"),
    [
        ("HTTP/1.1 200 OK\r\ncontent-length: 100", b"cut", "broken-off"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 1073741824", b"", "peer.response-size"),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked", b"", "peer.response-size"),
        (
            "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 3",
            b"abc",
            "peer.response-size",
        ),
        ("HTTP/1.1 200 OK\r\ncontent-length: 3", b"\xff\xff\xff", "not-a-cairn-server"),
        (
            "HTTP/1.1 307 Go\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0",
            b"",
            "peer.not-a-cairn-server",
        ),
        ("HTTP/1.1 404 No\r\ncontent-length: 0", b"", "not-a-cairn-server"),
        ("HTTP/1.1 413 No\r\ncontent-length: 0", b"", "message-too-large"),
        ("HTTP/1.1 503 No\r\ncontent-length: 0", b"", "server-busy"),
    ],
)
def test_a_server_that_says_nonsense_is_named(
    team: Authority, tmp_path: Path, head: str, body: bytes, code: str
) -> None:
    with Server(saying(head, body), tls(team)) as server:
        write_link(tmp_path, server.address, team.ca)
        trouble(tmp_path, code)


def test_a_server_that_refuses_is_not_stormed(
    team: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    with Server(saying("HTTP/1.1 503 No\r\ncontent-length: 0"), tls(team)) as server:
        write_link(tmp_path, server.address, team.ca)
        with running(LinkDaemon(tmp_path)):
            time.sleep(3)
        assert 2 <= server.connections <= 6


class Stop(threading.Event):
    """A stop that notes how long it was waited for, does not wait, and is set after some waits."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.waits: list[float] = []
        self._most = most

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(timeout or 0.0)
        if len(self.waits) >= self._most:
            self.set()
        return self.is_set()


class Refusing:
    """A server that always has something to ask and takes a reply only when `takes` says so."""

    def __init__(self, takes: Callable[[int], bool]) -> None:
        self._takes = takes
        self.pushed = 0

    def __call__(self, *_: object) -> Refusing:
        return self

    def activate(self) -> int:
        return 1

    def beat(self) -> None: ...

    def pull(self) -> Asked:
        return Asked("query.round", b"x", Message.__new__(Message), time.time() + 60)

    def push(self, asked: Asked, reply: bytes) -> None:
        self.pushed += 1
        if not self._takes(self.pushed):
            request = httpx.Request("POST", "https://server/")
            told = httpx.Response(500, request=request)
            raise httpx.HTTPStatusError("no", request=request, response=told)

    def close(self) -> None: ...


def waits(
    monkeypatch: pytest.MonkeyPatch, clinic: Path, team: Authority, server: Refusing, most: int
) -> list[float]:
    """How long the link waited, time after time."""
    write_link(clinic, ("127.0.0.1", 1), team.ca)
    monkeypatch.setattr(link_daemon, "Fleet", server)
    stop = Stop(most)
    daemon = LinkDaemon(clinic, stop)
    monkeypatch.setattr(daemon._keeper, "forward", bytes)
    daemon.run()
    return stop.waits


def test_a_push_that_always_fails_is_tried_ever_more_seldom(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, team: Authority
) -> None:
    """Though each pull before it brings a message."""
    server = Refusing(lambda pushed: False)
    waited = waits(monkeypatch, tmp_path, team, server, 12)
    assert all(30 <= wait <= 60 for wait in waited[8:]), waited


def test_a_reply_that_is_taken_ends_the_growing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, team: Authority
) -> None:
    server = Refusing(lambda pushed: pushed == 11)
    waited = waits(monkeypatch, tmp_path, team, server, 13)
    assert waited[9] >= 30
    assert max(waited[10:12]) < 1


class Beaten:
    """A server whose answers to heartbeats are given; the last one again and again."""

    def __init__(self, *good: bool) -> None:
        self._good = list(good)
        self.beats = 0

    def beat(self) -> None:
        self.beats += 1
        if not (self._good.pop(0) if len(self._good) > 1 else self._good[0]):
            raise OSError("the line is cut")


@pytest.mark.parametrize("good", [(False, True), (True, False)])
def test_a_heartbeat_that_fails_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, good: tuple[bool, bool]
) -> None:
    monkeypatch.setattr(link_daemon, "BEAT_SECONDS", 0.005)
    server = Beaten(*good)
    beats = link_daemon._Beats(server)  # type: ignore[arg-type]
    end = time.monotonic() + 5
    while server.beats < 4:
        assert time.monotonic() < end
        time.sleep(0.005)
    beats.end()
    if good[-1]:
        beats.check()  # what was mended meanwhile costs no connection
    else:
        with pytest.raises(OSError, match="cut"):
            beats.check()


@pytest.mark.parametrize(
    ("status", "code", "patient"),
    [
        (401, "not-enrolled", True),
        (403, "server-refuses", True),
        (409, "replaced", True),
        (412, "server-busy", False),
        (503, "server-busy", False),
    ],
)
def test_only_who_is_not_known_is_told_to_join_again(status: int, code: str, patient: bool) -> None:
    request = httpx.Request("POST", "https://server/")
    response = httpx.Response(status, request=request)
    told = trouble_of(httpx.HTTPStatusError("no", request=request, response=response), "server:1")
    assert (told.code, told.patient) == (code, patient)
    assert ("join" in told.hint) == (code == "not-enrolled")


def test_waits_grow_to_a_cap_and_differ() -> None:
    backoff = Backoff()
    waits = [backoff.next(patient=False) for _ in range(20)]
    assert 0.25 <= waits[0] <= 0.5
    assert all(30 <= wait <= 60 for wait in waits[10:])
    assert len(set(waits[10:])) > 5
    patient = Backoff()
    assert patient.next(patient=True) >= 2.5
    assert max(patient.next(patient=True) for _ in range(20)) > 150


def test_a_clinic_that_has_not_joined_is_told_how(tmp_path: Path) -> None:
    (tmp_path / "link").mkdir()
    with pytest.raises(InputError) as caught:
        LinkDaemon(tmp_path)
    assert caught.value.code == "input.not-joined"


def test_the_largest_response_holds_the_largest_message() -> None:
    from cairn_client.flower_private import LARGEST_RESPONSE

    assert LARGEST_RESPONSE > LARGEST_MESSAGE
