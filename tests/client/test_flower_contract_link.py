"""What the link takes for granted of Flower's private modules, and what it makes of a bad server.

If a new Flower breaks one of the first tests, `client/cairn_client/flower_private.py` is the module
to mend.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pytest
from flwr.app import ArrayRecord, ConfigRecord, Message, Metadata, RecordDict
from flwr.app.message import make_message, remove_content_from_message
from flwr.common.constant import HEARTBEAT_MAX_INTERVAL, HEARTBEAT_MIN_INTERVAL
from flwr.common.serde import message_to_proto
from flwr.proto.fleet_pb2 import PullMessagesResponse
from flwr.proto.message_pb2 import ObjectTree
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects, get_object_tree
from flwr.supercore.primitives.asymmetric import generate_key_pairs, private_key_to_bytes

from cairn_client import flower_private
from cairn_client.flower_private import CARRIERS, HEARTBEAT_SECONDS, MOST_OBJECTS, Fleet
from cairn_protocol.envelope import RECORD, wrap
from cairn_protocol.errors import PeerFault
from fleet_nodes import Authority, authority


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("team"))


@pytest.fixture
def fleet(team: Authority) -> Fleet:
    key = private_key_to_bytes(generate_key_pairs()[0])
    return Fleet("https://127.0.0.1:9", team.ca, key)


def instruction(content: RecordDict) -> Message:
    metadata = Metadata(
        run_id=7,
        message_id="",
        src_node_id=1,
        dst_node_id=2,
        reply_to_message_id="",
        group_id="",
        created_at=0.0,
        ttl=60.0,
        message_type="query.round",
    )
    return make_message(metadata=metadata, content=content)


def carrying(body: bytes) -> RecordDict:
    return RecordDict({RECORD: ConfigRecord({**wrap(body)})})


class StandIn:
    """Flower's server for one message, with a chance to spoil what it sends."""

    def __init__(self, message: Message, tree: ObjectTree | None = None) -> None:
        self.parts = {k: o.deflate() for k, o in get_all_nested_objects(message).items()}
        self.tree = tree or get_object_tree(message)
        message.metadata.__dict__["_message_id"] = "the id on the wire"
        self.outline = message_to_proto(remove_content_from_message(message))
        self.confirmed: list[str] = []

    def PullMessages(self, _: Any) -> PullMessagesResponse:
        return PullMessagesResponse(messages_list=[self.outline], message_object_trees=[self.tree])

    def PullObject(self, asked: Any) -> Any:
        content = self.parts.get(asked.object_id, b"")
        return SimpleNamespace(object_content=content, object_available=bool(content))

    def ConfirmMessageReceived(self, asked: Any) -> None:
        self.confirmed.append(asked.message_object_id)


def pulled(fleet: Fleet, server: StandIn) -> Any:
    fleet._client.close()
    fleet._client = server  # type: ignore[assignment]
    return fleet.pull()


def test_a_message_is_pulled_whole_and_confirmed(fleet: Fleet) -> None:
    server = StandIn(instruction(carrying(b"hello")))
    asked = pulled(fleet, server)
    assert (asked.kind, asked.body) == ("query.round", b"hello")
    assert asked.message.metadata.message_id == "the id on the wire"
    assert server.confirmed == [server.tree.object_id]
    assert len(server.parts) == 3 < MOST_OBJECTS


@pytest.mark.parametrize("call", ["PullObject", "ConfirmMessageReceived"])
def test_a_question_that_is_taken_back_while_it_is_fetched_is_none(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def refuse(status: int) -> Callable[[Any], Any]:
        def say(_: Any) -> Any:
            request = httpx.Request("POST", "https://server/")
            told = httpx.Response(status, request=request)
            raise httpx.HTTPStatusError("no", request=request, response=told)

        return say

    server = StandIn(instruction(carrying(b"hello")))
    monkeypatch.setattr(server, call, refuse(410))
    assert pulled(fleet, server) is None
    monkeypatch.setattr(server, call, refuse(503))
    with pytest.raises(httpx.HTTPStatusError):
        fleet.pull()


def test_the_deadline_is_the_objects_and_a_reply_lives_as_long_as_the_servers_message(
    fleet: Fleet,
) -> None:
    message = instruction(carrying(b"hello"))
    message.metadata.created_at = time.time()
    server = StandIn(message)
    server.outline.metadata.ttl = 3600.0
    asked = pulled(fleet, server)
    assert 50 < asked.seconds_left <= 60
    reply = Message(carrying(b"reply"), reply_to=asked.message)
    assert 3500 < reply.metadata.ttl <= 3600


def test_a_reply_names_the_message_that_it_answers(fleet: Fleet) -> None:
    asked = pulled(fleet, StandIn(instruction(carrying(b"hello"))))
    said: list[Any] = []
    parts: dict[str, bytes] = {}

    class Taking(StandIn):
        def PushMessages(self, request: Any) -> Any:
            said.append(request)
            wanted = [t.object_id for t in request.message_object_trees]
            return SimpleNamespace(objects_to_push=wanted, session_id="s")

        def PushObject(self, request: Any) -> Any:
            parts[request.object_id] = request.object_content
            return SimpleNamespace(stored=True)

    fleet._client = Taking(instruction(carrying(b"")))  # type: ignore[assignment]
    fleet.push(asked, b"reply")
    (request,) = said
    told = request.messages_list[0].metadata
    assert told.reply_to_message_id == "the id on the wire"
    assert (told.src_node_id, told.dst_node_id, told.run_id) == (2, 1, 7)
    assert told.message_id == request.message_object_trees[0].object_id
    assert set(parts) == {told.message_id}


def spoil_a_part(server: StandIn) -> None:
    name = next(k for k, v in server.parts.items() if v.startswith(b"ConfigRecord"))
    server.parts[name] = server.parts[name].replace(b"hello", b"jello")


def lose_a_part(server: StandIn) -> None:
    server.parts.popitem()


def send_many(server: StandIn) -> None:
    server.tree.children.extend(ObjectTree(object_id=k) for k in server.parts for _ in range(9))


def send_no_tree(server: StandIn) -> None:
    def bare(_: Any) -> PullMessagesResponse:
        return PullMessagesResponse(messages_list=[server.outline])

    server.PullMessages = bare  # type: ignore[method-assign]


def send_only_a_record(server: StandIn) -> None:
    name = next(k for k, v in server.parts.items() if v.startswith(b"ConfigRecord"))
    server.tree = ObjectTree(object_id=name)


@pytest.mark.parametrize(
    "spoil", [spoil_a_part, lose_a_part, send_many, send_no_tree, send_only_a_record]
)
def test_a_message_that_is_not_whole_is_refused(
    fleet: Fleet, spoil: Callable[[StandIn], None]
) -> None:
    server = StandIn(instruction(carrying(b"hello")))
    spoil(server)
    with pytest.raises(PeerFault) as caught:
        pulled(fleet, server)
    assert caught.value.code == "peer.not-a-cairn-server"


def test_parts_of_other_kinds_are_refused_unread(fleet: Fleet) -> None:
    server = StandIn(instruction(RecordDict({"x": ArrayRecord([np.zeros(2)])})))
    with pytest.raises(PeerFault):
        pulled(fleet, server)
    assert {"Message", "RecordDict", "ConfigRecord"} == CARRIERS


def test_a_message_beyond_the_limit_is_refused(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flower_private, "LARGEST_RESPONSE", 1000)
    with pytest.raises(PeerFault):
        pulled(fleet, StandIn(instruction(carrying(bytes(2000)))))


def test_the_http_client_is_bound_to_our_limits(fleet: Fleet) -> None:
    http = fleet._client._client
    assert isinstance(http, httpx.Client)
    assert http.follow_redirects is False
    assert http.headers["accept-encoding"] == "identity"
    assert http.event_hooks["response"]
    fleet.close()


def test_flower_accepts_our_heartbeat() -> None:
    assert HEARTBEAT_MIN_INTERVAL <= HEARTBEAT_SECONDS <= HEARTBEAT_MAX_INTERVAL


def test_the_links_process_loads_nothing_that_reads_records(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "import cairn_app.clinic_daemons, cairn_client.link_daemon\n"
        "bad = {'torch', 'polars', 'opacus', 'cairn_client.keeper', 'cairn_client.readers',\n"
        "       'cairn_client.clinic_folder', 'cairn_privacy', 'cairn_models', 'cairn_server'}\n"
        "print(sorted(bad & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
