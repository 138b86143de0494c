"""Who gets nothing from the fleet endpoint: strangers, the revoked, liars, floods."""

from __future__ import annotations

import socket
import ssl
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from flwr.app import ArrayRecord, Message, RecordDict
from flwr.app.message import remove_content_from_message
from flwr.common.serde import message_to_proto
from flwr.proto.fleet_pb2 import (
    PullMessagesRequest,
    PushMessagesRequest,
    RegisterNodeFleetRequest,
    UnregisterNodeFleetRequest,
)
from flwr.proto.heartbeat_pb2 import SendNodeHeartbeatRequest
from flwr.proto.message_pb2 import ConfirmMessageReceivedRequest, ObjectTree, PullObjectRequest
from flwr.proto.run_pb2 import GetRunRequest
from flwr.supercore.inflatable.inflatable_object import get_object_tree
from flwr.supercore.primitives.asymmetric import sign_message
from flwr.supercore.protobuf.translation import PROTOBUF_REQUEST_TYPES
from flwr.superlink.main import create_app

from cairn_protocol.envelope import RECORD, unwrap
from cairn_protocol.errors import OurFault
from cairn_server import fleet_gate, fleet_grid
from cairn_server.coordinator import GridExchange
from cairn_server.fleet import FleetEndpoint
from cairn_server.fleet_gate import ENDPOINTS
from fleet_nodes import Authority, FakeLink, authority, record, reply_of

LARGEST = 2**20
PROTOBUF = "application/protobuf"


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("team"))


@pytest.fixture
def fleet(team: Authority, monkeypatch: pytest.MonkeyPatch) -> Iterator[FleetEndpoint]:
    monkeypatch.setattr(fleet_gate, "HOLD", 0.1)
    files = (team.certificate, team.key)
    with FleetEndpoint(None, "127.0.0.1", 0, *files, largest=LARGEST) as endpoint:
        yield endpoint


@pytest.fixture
def oak(fleet: FleetEndpoint, team: Authority) -> Iterator[FakeLink]:
    node = enrolled(fleet, team)
    yield node
    node.client.close()


@pytest.fixture
def elm(fleet: FleetEndpoint, team: Authority) -> Iterator[FakeLink]:
    node = enrolled(fleet, team)
    yield node
    node.client.close()


def enrolled(fleet: FleetEndpoint, team: Authority) -> FakeLink:
    node = FakeLink(fleet.address, team.ca)
    fleet.enrol(node.public_key)
    node.activate()
    return node


def refused(status: int, call: Callable[..., object], *arguments: object) -> str:
    """The refusal's code; fails if `call` is not refused with that status."""
    with pytest.raises(httpx.HTTPStatusError) as caught:
        call(*arguments)
    assert caught.value.response.status_code == status, caught.value.response.text
    return str(caught.value.response.json().get("code"))


def asked(fleet: FleetEndpoint, node: FakeLink, body: bytes = b"?") -> tuple[str, Message]:
    """A question to a node: its id for the server, and the message as the node pulled it."""
    grid = fleet.grid("s")
    message = Message(record(body), node.node.node_id, "query", ttl=60.0)
    (identifier,) = grid.push_messages([message])
    for _ in range(50):
        if pulled := node.pull():
            return identifier, pulled
    raise AssertionError("nothing came")


def everything(node: FakeLink, other: FakeLink) -> Iterator[Callable[[], object]]:
    """Every call of a link, in `node`'s clothes, for the node of `other`."""
    client, theirs = node.client, other.node
    yield lambda: client.PullMessages(PullMessagesRequest(node=theirs))
    yield lambda: client.PushMessages(PushMessagesRequest(node=theirs))
    yield lambda: client.SendNodeHeartbeat(
        SendNodeHeartbeatRequest(node=theirs, heartbeat_interval=30)
    )
    yield lambda: client.PullObject(PullObjectRequest(node=theirs, object_id="0" * 64))
    yield lambda: client.ConfirmMessageReceived(
        ConfirmMessageReceivedRequest(node=theirs, message_object_id="0" * 64)
    )


# Who is not enrolled


def test_a_stranger_gets_nothing(fleet: FleetEndpoint, team: Authority, oak: FakeLink) -> None:
    stranger = FakeLink(fleet.address, team.ca)
    assert refused(401, stranger.activate) == "key"
    for call in everything(stranger, oak):
        assert refused(401, call) == "key"


def test_a_revoked_node_gets_nothing(fleet: FleetEndpoint, oak: FakeLink, elm: FakeLink) -> None:
    asked(fleet, oak)
    fleet.revoke(oak.node.node_id)
    assert refused(401, oak.activate) == "key"
    for call in everything(oak, oak):
        assert refused(401, call) == "key"
    assert elm.pull() is None  # the others go on


def test_no_key_and_a_broken_signature(
    fleet: FleetEndpoint, oak: FakeLink, team: Authority
) -> None:
    url = f"https://127.0.0.1:{fleet.address[1]}/v1/fleet/pull-messages"
    context = ssl.create_default_context(cadata=team.ca.decode())
    body = PullMessagesRequest(node=oak.node).SerializeToString()
    now = datetime.now(UTC).isoformat()
    good = headers(oak, now)
    assert httpx.post(url, content=body, headers=good, verify=context).status_code == 200
    later = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
    for bad in (
        {},
        {**good, "flwr-timestamp": later},
        {**good, "flwr-signature": good["flwr-signature"][:-8] + "AAAAAA=="},
        {**good, "flwr-signature": "%"},
        {**good, "flwr-timestamp": "yesterday"},
        {**good, "flwr-timestamp": now.removesuffix("+00:00")},  # a time without a zone
        {**good, "flwr-public-key": ""},
    ):
        answer = httpx.post(
            url, content=body, headers={**bad, "content-type": PROTOBUF}, verify=context
        )
        assert (answer.status_code, answer.json()["code"]) == (401, "key"), bad


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_clock_off_by_an_hour_is_told_so(
    fleet: FleetEndpoint, oak: FakeLink, team: Authority, hours: int
) -> None:
    url = f"https://127.0.0.1:{fleet.address[1]}/v1/fleet/pull-messages"
    context = ssl.create_default_context(cadata=team.ca.decode())
    wrong = headers(oak, (datetime.now(UTC) + timedelta(hours=hours)).isoformat())
    answer = httpx.post(url, content=b"", headers=wrong, verify=context)
    assert (answer.status_code, answer.json()["code"]) == (401, "clock")
    assert ("ahead of" if hours > 0 else "behind") in answer.json()["detail"]


def headers(node: FakeLink, timestamp: str) -> dict[str, str]:
    return {
        "content-type": PROTOBUF,
        "flwr-public-key": b64encode(node.public_key).decode(),
        "flwr-timestamp": timestamp,
        "flwr-signature": b64encode(sign_message(node.keys[0], timestamp.encode())).decode(),
    }


# TLS


def test_a_link_of_another_authority_does_not_connect(
    fleet: FleetEndpoint, oak: FakeLink, tmp_path: Path
) -> None:
    other = FakeLink(fleet.address, authority(tmp_path).ca, keys=oak.keys)
    with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
        other.activate()


def test_a_certificate_for_another_host_is_refused(tmp_path: Path) -> None:
    elsewhere = authority(tmp_path, "cairn.example.org")
    with FleetEndpoint(None, "127.0.0.1", 0, elsewhere.certificate, elsewhere.key) as fleet:
        node = FakeLink(fleet.address, elsewhere.ca)
        fleet.enrol(node.public_key)
        with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
            node.activate()


def test_nothing_older_than_tls_1_3(fleet: FleetEndpoint, team: Authority) -> None:
    old = ssl.create_default_context(cadata=team.ca.decode())
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with (
        socket.create_connection(fleet.address, 5) as plain,
        pytest.raises(ssl.SSLError),
    ):
        old.wrap_socket(plain, server_hostname="127.0.0.1")


def test_plain_http_is_not_spoken(fleet: FleetEndpoint) -> None:
    with pytest.raises(httpx.TransportError):
        httpx.get(f"http://127.0.0.1:{fleet.address[1]}/health", timeout=5)


# What else Flower would serve


def flowers_paths() -> set[tuple[str, str]]:
    """Every method and path of Flower's own SuperLink, of whatever API."""
    listed = {
        (method, path)
        for path, methods in create_app().openapi()["paths"].items()
        for method in map(str.upper, methods)
    }
    return listed | set(PROTOBUF_REQUEST_TYPES)


def test_only_a_links_endpoints_exist(fleet: FleetEndpoint, oak: FakeLink, team: Authority) -> None:
    """Asked over the wire, by an enrolled node with a good signature."""
    context = ssl.create_default_context(cadata=team.ca.decode())
    paths = flowers_paths()
    kinds = {path.split("/")[2] for _, path in paths if path.startswith("/v1/")}
    assert {"control", "runtime", "fleet"} <= kinds
    open_paths = set()
    url = f"https://127.0.0.1:{fleet.address[1]}"
    with httpx.Client(verify=context, base_url=url) as client:
        more = [("GET", "/docs"), ("GET", "/openapi.json"), ("GET", "/"), ("GET", "/v1/fleet/")]
        for method, path in [*sorted(paths), *more]:
            proof = headers(oak, datetime.now(UTC).isoformat())
            if client.request(method, path, headers=proof, content=b"").status_code != 404:
                open_paths.add(path)
        for path in ENDPOINTS:
            assert client.get(path).status_code == 404
    assert open_paths == ENDPOINTS | {"/health"}


def test_no_node_registers_itself(oak: FakeLink, team: Authority, fleet: FleetEndpoint) -> None:
    stranger = FakeLink(fleet.address, team.ca)
    register = RegisterNodeFleetRequest(public_key=stranger.public_key)
    assert refused(404, stranger.client.RegisterNode, register) == "path"
    leave = UnregisterNodeFleetRequest(node_id=oak.node.node_id)
    assert refused(404, oak.client.UnregisterNode, leave) == "path"
    assert refused(404, oak.client.GetRun, GetRunRequest(node=oak.node, run_id=1)) == "path"


# Enrolled, and lying


def test_no_node_asks_for_another(oak: FakeLink, elm: FakeLink) -> None:
    for call in everything(elm, oak):
        refused(401, call)  # Flower's own node authentication


def test_no_node_answers_for_another(fleet: FleetEndpoint, oak: FakeLink, elm: FakeLink) -> None:
    """elm knows the id of oak's message, and says that it is oak."""
    identifier, message = asked(fleet, oak)
    assert refused(403, elm.push, reply_of(b"forged", message)) == "node"
    own = reply_of(b"forged", message)
    own.metadata.__dict__["_src_node_id"] = elm.node.node_id
    assert refused(410, elm.push, own) == "late"
    oak.push(reply_of(b"true", message))
    (reply,) = fleet.grid("s").pull_messages([identifier])
    assert unwrap(reply.content.config_records.get(RECORD)) == b"true"


def test_what_a_reply_says_of_itself_does_not_count(
    fleet: FleetEndpoint, oak: FakeLink, elm: FakeLink
) -> None:
    """elm answers what it was asked; inside, the object claims to be oak's answer."""
    to_oak, for_oak = asked(fleet, oak)
    to_elm, for_elm = asked(fleet, elm)
    elm.push(reply_of(b"", for_elm), inner=reply_of(b"forged", for_oak))
    (reply,) = fleet.grid("s").pull_messages([to_oak, to_elm])
    assert reply.metadata.src_node_id == elm.node.node_id
    assert reply.metadata.reply_to_message_id == to_elm


def test_no_node_speaks_as_the_server(fleet: FleetEndpoint, oak: FakeLink, elm: FakeLink) -> None:
    order = Message(record(b"obey"), oak.node.node_id, "query", ttl=60.0)
    order.metadata.__dict__["_run_id"] = fleet.grid("s").run.run_id
    assert refused(403, elm.push, order) == "node"
    assert oak.pull() is None


def test_no_node_reads_or_deletes_what_another_was_sent(
    fleet: FleetEndpoint, oak: FakeLink, elm: FakeLink
) -> None:
    grid = fleet.grid("s")
    grid.push_messages([Message(record(b"?"), oak.node.node_id, "query", ttl=60.0)])
    response = oak.client.PullMessages(PullMessagesRequest(node=oak.node))
    tree, run = response.message_object_trees[0], grid.run.run_id
    theirs = PullObjectRequest(node=elm.node, run_id=run, object_id=tree.object_id)
    assert refused(410, elm.client.PullObject, theirs) == "late"
    gone = ConfirmMessageReceivedRequest(
        node=elm.node, run_id=run, message_object_id=tree.object_id
    )
    assert refused(410, elm.client.ConfirmMessageReceived, gone) == "late"
    own = PullObjectRequest(node=oak.node, run_id=run, object_id=tree.object_id)
    assert oak.client.PullObject(own).object_available


def test_replayed_and_second_replies_change_nothing(fleet: FleetEndpoint, oak: FakeLink) -> None:
    identifier, message = asked(fleet, oak)
    first = reply_of(b"first", message)
    oak.push(first)
    oak.push(reply_of(b"second", message), parts=0)
    oak.push(first, parts=0)
    (reply,) = fleet.grid("s").pull_messages([identifier])
    assert unwrap(reply.content.config_records.get(RECORD)) == b"first"
    assert refused(410, oak.push, reply_of(b"third", message)) == "late"
    assert fleet._state.counts() == (0, 0, 0)


@pytest.mark.parametrize("content", [RecordDict(), RecordDict({RECORD: ArrayRecord()})])
def test_a_reply_of_another_form_is_an_empty_one(
    fleet: FleetEndpoint, oak: FakeLink, content: RecordDict
) -> None:
    identifier, message = asked(fleet, oak)
    oak.push(Message(content, reply_to=message))
    (reply,) = fleet.grid("s").pull_messages([identifier])
    assert unwrap(reply.content.config_records.get(RECORD)) == b""


def test_a_tree_of_many_objects_is_refused(oak: FakeLink, fleet: FleetEndpoint) -> None:
    _, message = asked(fleet, oak)
    reply = reply_of(b"", message)
    reply.metadata.__dict__["_message_id"] = "0" * 64
    children = [ObjectTree(object_id=f"{i:064x}") for i in range(1, 10)]
    request = PushMessagesRequest(
        node=oak.node,
        messages_list=[message_to_proto(remove_content_from_message(reply))],
        message_object_trees=[ObjectTree(object_id="0" * 64, children=children)],
    )
    assert refused(403, oak.client.PushMessages, request) == "node"
    assert refused(403, oak.client.PushMessages, PushMessagesRequest(node=oak.node)) == "node"


def test_a_host_header_does_not_change_what_flower_reads(
    fleet: FleetEndpoint, team: Authority, oak: FakeLink
) -> None:
    """Flower takes the path from a URL that it builds from the Host header."""
    proof = headers(oak, datetime.now(UTC).isoformat())
    answer = httpx.post(
        f"https://127.0.0.1:{fleet.address[1]}/v1/fleet/pull-messages",
        content=PullMessagesRequest(node=oak.node).SerializeToString(),
        headers={**proof, "host": "x/v1/fleet/activate-node?"},
        verify=ssl.create_default_context(cadata=team.ca.decode()),
    )
    assert answer.status_code == 200


def test_a_reply_under_another_id_than_its_objects_is_refused(
    fleet: FleetEndpoint, oak: FakeLink
) -> None:
    _, message = asked(fleet, oak)
    reply = reply_of(b"", message)
    tree = get_object_tree(reply)
    reply.metadata.__dict__["_message_id"] = "0" * 64
    request = PushMessagesRequest(
        node=oak.node,
        messages_list=[message_to_proto(remove_content_from_message(reply))],
        message_object_trees=[tree],
    )
    assert refused(403, oak.client.PushMessages, request) == "node"


# Floods


def raw(fleet: FleetEndpoint, team: Authority, head: bytes, body: bytes = b"") -> bytes:
    """What the server answers to these bytes, until it closes."""
    context = ssl.create_default_context(cadata=team.ca.decode())
    with (
        socket.create_connection(fleet.address, 5) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as tls,
    ):
        tls.sendall(head + body)
        answer = b""
        while part := tls.recv(65536):
            answer += part
        return answer


def request_head(node: FakeLink, length: str) -> bytes:
    proof = headers(node, datetime.now(UTC).isoformat())
    lines = ["POST /v1/fleet/push-object HTTP/1.1", "host: fleet", length]
    lines += [f"{name}: {value}" for name, value in proof.items()]
    return "\r\n".join([*lines, "", ""]).encode()


@pytest.mark.parametrize("size", [10**9, LARGEST + 1, 10**18])
def test_a_message_of_a_gigabyte_is_refused_before_it_is_sent(
    fleet: FleetEndpoint, team: Authority, oak: FakeLink, size: int
) -> None:
    start = time.monotonic()
    answer = raw(fleet, team, request_head(oak, f"content-length: {size}"), b"x" * 1000)
    assert answer.startswith(b"HTTP/1.1 413")
    assert b'"code": "size"' in answer
    assert time.monotonic() - start < 3


def test_a_body_of_unknown_length_is_refused(
    fleet: FleetEndpoint, team: Authority, oak: FakeLink
) -> None:
    answer = raw(fleet, team, request_head(oak, "transfer-encoding: chunked"))
    assert answer.startswith(b"HTTP/1.1 411")


def test_a_strangers_body_is_not_read(fleet: FleetEndpoint, team: Authority) -> None:
    stranger = FakeLink(fleet.address, team.ca)
    answer = raw(fleet, team, request_head(stranger, "content-length: 1000000"))
    assert answer.startswith(b"HTTP/1.1 401")


def test_all_bodies_together_are_bounded(
    fleet: FleetEndpoint, team: Authority, oak: FakeLink
) -> None:
    context = ssl.create_default_context(cadata=team.ca.decode())
    head = request_head(oak, f"content-length: {LARGEST}")
    held = []
    try:
        for _ in range(4):
            plain = socket.create_connection(fleet.address, 5)
            held.append(context.wrap_socket(plain, server_hostname="127.0.0.1"))
            held[-1].sendall(head)
        end = time.monotonic() + 5
        while fleet._gate._held_bytes < 4 * LARGEST and time.monotonic() < end:
            time.sleep(0.01)
        assert raw(fleet, team, head).startswith(b"HTTP/1.1 503")
    finally:
        for tls in held:
            tls.close()
    end = time.monotonic() + 5
    while fleet._gate._held_bytes and time.monotonic() < end:
        time.sleep(0.01)
    assert fleet._gate._held_bytes == 0


def test_a_slow_body_is_given_up(
    fleet: FleetEndpoint, team: Authority, oak: FakeLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet_gate, "SLOWEST", 0.2)
    answer = raw(fleet, team, request_head(oak, "content-length: 100"), b"only this")
    assert answer.startswith(b"HTTP/1.1 408")


def test_a_body_that_is_no_message(fleet: FleetEndpoint, team: Authority, oak: FakeLink) -> None:
    head = request_head(oak, "connection: close\r\ncontent-length: 4")
    assert raw(fleet, team, head, b"\xff\xff\xff\xff").startswith(b"HTTP/1.1 4")


def test_pending_questions_are_bounded(
    fleet: FleetEndpoint, oak: FakeLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet_grid, "MOST_PENDING", 3)
    grid = fleet.grid("s")

    def push(seconds: float) -> None:
        grid.push_messages([Message(record(b"?"), oak.node.node_id, "query", ttl=seconds)])

    for _ in range(3):
        push(60.0)
    with pytest.raises(OurFault, match="too many"):
        push(60.0)
    fleet.finish("s")
    assert fleet._state.counts() == (0, 0, 0)


def test_questions_that_nobody_pulls_are_forgotten(
    fleet: FleetEndpoint, oak: FakeLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet_grid, "GRACE", 0.0)
    exchange = GridExchange(fleet.grid("s"))
    for _ in range(5):
        exchange._grid.push_messages([Message(record(b"?"), oak.node.node_id, "query", ttl=0.05)])
        time.sleep(0.06)
    assert fleet._state.counts()[0] == 1
