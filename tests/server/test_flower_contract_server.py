"""What `flower_private` takes for granted of flwr 1.41, piece by piece.

A failure here names the piece that a new version of Flower changed; nothing else should then be
debugged first.
"""

from __future__ import annotations

import inspect
import os
import threading
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from flwr.app import Message, Metadata
from flwr.app.message import remove_content_from_message
from flwr.common.constant import (
    SUPERLINK_NODE_ID,
    SYSTEM_TIME_TOLERANCE,
    TIMESTAMP_HEADER,
    TIMESTAMP_TOLERANCE,
)
from flwr.proto.fleet_pb2 import PushMessagesRequest
from flwr.proto.message_pb2 import ConfirmMessageReceivedRequest, ObjectTree, PullObjectRequest
from flwr.proto.node_pb2 import NodeInfo
from flwr.server.superlink.linkstate import InMemoryLinkState
from flwr.supercore.constant import (
    FLEET_HTTP_PUBLIC_KEY_HEADER,
    FLEET_HTTP_SIGNATURE_HEADER,
    NodeStatus,
)
from flwr.supercore.date import now
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects, get_object_tree
from flwr.supercore.primitives.asymmetric import (
    generate_key_pairs,
    public_key_to_bytes,
    sign_message,
)
from flwr.supercore.task_identity import TaskIdentity
from flwr.superlink.routers.fleet import node_auth
from flwr.superlink.routers.fleet.router import router
from starlette.routing import Route

from cairn_protocol.envelope import RECORD, unwrap
from cairn_server import fleet_gate, flower_private
from cairn_server.flower_private import (
    Ask,
    FlowerState,
    Lost,
    act_as_server,
    answer,
    is_node_key,
)
from fleet_nodes import record, reply_of

NODE = 12345


@pytest.fixture
def state() -> FlowerState:
    return FlowerState()


@pytest.fixture
def key() -> bytes:
    return public_key_to_bytes(generate_key_pairs()[1])


@pytest.fixture
def run(state: FlowerState) -> int:
    run_id = state.open_run("a study")
    act_as_server(run_id)
    return run_id


def test_telemetry_and_update_checks_are_off() -> None:
    assert os.environ["FLWR_TELEMETRY_ENABLED"] == "0"
    assert os.environ["FLWR_DISABLE_UPDATE_CHECK"] == "1"


def test_the_router_has_exactly_these_paths() -> None:
    """A new endpoint of Flower's would be closed by the gate, but somebody should look at it."""
    paths = {route.path for route in router.routes if isinstance(route, Route)}
    closed = {"register-node", "unregister-node", "get-run", "get-fab"}
    assert paths == fleet_gate.ENDPOINTS | {fleet_gate.PREFIX + name for name in closed}


def test_the_gate_reads_what_flowers_clients_send() -> None:
    names = {FLEET_HTTP_PUBLIC_KEY_HEADER, FLEET_HTTP_SIGNATURE_HEADER, TIMESTAMP_HEADER}
    assert names == {"flwr-public-key", "flwr-signature", "flwr-timestamp"}
    source = inspect.getsource(node_auth.authenticate_node)
    assert 'timestamp.encode("ascii")' in source
    # The gate is at least as strict about clocks, so that its words are what a clinic reads.
    assert fleet_gate.BEHIND <= TIMESTAMP_TOLERANCE + SYSTEM_TIME_TOLERANCE
    assert fleet_gate.AHEAD <= SYSTEM_TIME_TOLERANCE


def test_node_keys_are_p384_in_pem() -> None:
    private, public = generate_key_pairs()
    written = public_key_to_bytes(public)
    assert private.curve.name == flower_private.NODE_CURVE
    assert written.startswith(b"-----BEGIN PUBLIC KEY-----\n")
    assert is_node_key(written)
    signature = sign_message(private, b"now")
    assert flower_private.signed_by(written, b"now", signature)
    assert not flower_private.signed_by(written, b"then", signature)
    assert not flower_private.signed_by(b"no key", b"now", signature)


def test_messages_are_built_as_the_server(run: int) -> None:
    message = Message(record(b""), NODE, "query", ttl=1.0)
    assert message.metadata.run_id == TaskIdentity.run_id == run
    assert message.metadata.src_node_id == SUPERLINK_NODE_ID == 1
    assert {"_run_id", "_src_node_id", "_message_id"} <= set(message.metadata.__dict__)


def test_linkstate_keeps_nodes_where_we_put_them(state: FlowerState, key: bytes) -> None:
    """Flower draws a node's id; we choose it, by writing where `create_node` writes."""
    link = state.factory.state()
    assert isinstance(link, InMemoryLinkState)
    theirs = link.create_node("<id:none>", "none", b"some key", 0.0)
    assert isinstance(link.nodes[theirs], NodeInfo)
    assert link.node_public_key_to_node_id[b"some key"] == theirs
    state.admit(NODE, key)
    state.admit(NODE, key)
    assert state.node_of(key) == NODE
    (info,) = link.get_node_info(node_ids=[NODE])
    assert (info.public_key, info.status) == (key, NodeStatus.OFFLINE)
    state.shut_out(NODE)
    state.shut_out(NODE)
    state.admit(NODE, key)  # what is shut out stays out
    assert state.node_of(key) is None
    state.keep_online(NODE)
    assert state.node_of(key) is None


def test_a_node_that_is_online_activates_again(state: FlowerState, key: bytes) -> None:
    """Its link was killed and is back, or `put` and `collect` have just kept it online."""
    link = state.factory.state()
    assert isinstance(link, InMemoryLinkState)
    state.admit(NODE, key)
    state.keep_online(NODE)
    # Flower's own answer: why a killed link would be locked out for 60 s.
    assert not InMemoryLinkState.activate_node(link, NODE, 30.0)
    assert link.activate_node(NODE, 30.0)
    assert link.activate_node(NODE, 30.0)


def test_a_node_is_waited_for_while_it_activates_itself(
    state: FlowerState, key: bytes, run: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    state.admit(NODE, key)
    wire_id = send(state, run, NODE, b"?")
    assert wire_id is not None
    link = state.factory.state()
    assert isinstance(link, InMemoryLinkState)
    polled: list[int] = []
    tag = link._check_and_tag_offline_nodes

    def by_another_thread(node_ids: list[int] | None = None) -> None:
        """While Flower activates, before the node is online."""
        other = threading.Thread(target=lambda: polled.append(len(state.collect(run, [wire_id]))))
        other.start()
        other.join(0.05)
        assert polled == []
        tag(node_ids)

    with monkeypatch.context() as patch:
        patch.setattr(link, "_check_and_tag_offline_nodes", by_another_thread)
        assert link.activate_node(NODE, 30.0)
    assert state.collect(run, [wire_id]) == []


def test_an_upload_that_expires_and_a_reply_that_comes_do_not_lock_each_other(
    state: FlowerState, key: bytes, run: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Flower takes its two locks in either order here; its threads would wait for ever."""
    state.admit(NODE, key)
    state.admit(NODE + 1, key[:-2])
    first, second = send(state, run, NODE, b"?"), send(state, run, NODE + 1, b"?")
    assert first
    assert second
    link = state.factory.state()
    assert isinstance(link, InMemoryLinkState)
    for lock in (link.lock, link._lock_object_push_sessions):
        assert isinstance(lock, type(threading.RLock()))
    push(state, reply_of(b"!", link.get_message_ins(NODE, limit=1)[0]), parts=0)
    (arrived,) = state.collect(run, [first])
    assert arrived.tree is not None
    for upload in link._object_push_sessions.values():
        upload.expires_at = now() - timedelta(seconds=1)
    expiring, storing = threading.Event(), threading.Event()
    expired, preregister = link._on_push_session_expired, link.preregister_object_tree

    def on_expired(ids: set[str]) -> None:
        expiring.set()
        storing.wait(0.1)
        expired(ids)

    def preregistered(tree: ObjectTree, session: str) -> list[str]:
        storing.set()
        return preregister(tree, session)

    monkeypatch.setattr(link, "_on_push_session_expired", on_expired)
    monkeypatch.setattr(link, "preregister_object_tree", preregistered)
    tree = arrived.tree

    def poll() -> None:
        with pytest.raises(Lost):
            state.content(run, tree, 10_000)

    reply = reply_of(b"!", link.get_message_ins(NODE + 1, limit=1)[0])
    parts = get_object_tree(reply)
    reply.metadata.__dict__["_message_id"] = parts.object_id
    session = link.start_session(run)

    def come() -> None:
        expiring.wait(1)
        assert link.store_message_and_object_tree(
            remove_content_from_message(reply), parts, session
        )[0]

    threads = [threading.Thread(target=each, daemon=True) for each in (poll, come)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(2)
        assert not thread.is_alive()


def test_who_is_shut_out_is_let_in_by_nothing(state: FlowerState, key: bytes) -> None:
    state.admit(NODE, key)
    state.shut_out(NODE)
    assert state.node_of(key) is None
    assert not state.enrolled(NODE)
    assert not state.factory.state().activate_node(NODE, 30.0)


def test_a_run_lives_while_it_is_beaten_for_and_ends(state: FlowerState, run: int) -> None:
    assert state.run(run).status.status == "running"
    assert state.beat(run)
    state.finish(run)
    assert not state.beat(run)
    assert state.run(run).status.status == "finished"


def send(state: FlowerState, run: int, node: int, body: bytes, seconds: float = 60.0) -> str | None:
    return state.put(run, Ask(node, record(body), "query.x", "group"), seconds)


def push(state: FlowerState, reply: Message, parts: int | None = None) -> None:
    """As Flower's fleet handlers store a reply."""
    link = state.factory.state()
    run = reply.metadata.run_id
    objects, tree = get_all_nested_objects(reply), get_object_tree(reply)
    reply.metadata.__dict__["_message_id"] = tree.object_id
    session = link.start_session(run)
    stored, missing = link.store_message_and_object_tree(
        remove_content_from_message(reply), tree, session
    )
    assert stored
    for part in missing[:parts]:
        assert link.store_object(run, session, part, objects[part].deflate())


def test_an_instruction_and_its_reply(state: FlowerState, key: bytes, run: int) -> None:
    state.admit(NODE, key)
    wire_id = send(state, run, NODE, b"?")
    assert wire_id is not None
    assert state.may_read(NODE, wire_id)
    assert not state.may_read(NODE + 1, wire_id)
    (message,) = state.factory.state().get_message_ins(NODE, limit=1)
    assert message.metadata.message_id == wire_id
    assert message.metadata.run_id == run
    assert state.collect(run, [wire_id]) == []
    push(state, reply_of(b"!", message))
    (arrived,) = state.collect(run, [wire_id])
    assert state.collect(run, [wire_id]) == []  # each is given out once
    assert (arrived.wire_id, arrived.metadata.src_node_id) == (wire_id, NODE)
    assert arrived.tree is not None
    content = state.content(run, arrived.tree, 10_000)
    assert content is not None
    assert unwrap(content.config_records[RECORD]) == b"!"
    state.forget([wire_id])
    assert state.counts() == (0, 0, 0)
    assert not state.may_read(NODE, wire_id)


def test_a_reply_in_parts_is_not_there_yet(state: FlowerState, key: bytes, run: int) -> None:
    state.admit(NODE, key)
    wire_id = send(state, run, NODE, b"?")
    assert wire_id is not None
    (message,) = state.factory.state().get_message_ins(NODE, limit=1)
    push(state, reply_of(b"!", message), parts=1)
    (arrived,) = state.collect(run, [wire_id])
    assert arrived.tree is not None
    assert state.content(run, arrived.tree, 10_000) is None
    state.clear(run)
    with pytest.raises(Lost):
        state.content(run, arrived.tree, 10_000)


def test_a_reply_that_is_too_large(state: FlowerState, key: bytes, run: int) -> None:
    state.admit(NODE, key)
    wire_id = send(state, run, NODE, b"?")
    assert wire_id is not None
    (message,) = state.factory.state().get_message_ins(NODE, limit=1)
    push(state, reply_of(b"!" * 5000, message))
    (arrived,) = state.collect(run, [wire_id])
    assert arrived.tree is not None
    with pytest.raises(ValueError, match="large"):
        state.content(run, arrived.tree, 5000)


def test_who_is_not_there_gets_no_instruction(state: FlowerState, key: bytes, run: int) -> None:
    assert send(state, run, NODE, b"?") is None
    state.admit(NODE, key)
    state.shut_out(NODE)
    assert send(state, run, NODE, b"?") is None
    assert state.counts() == (0, 0, 0)


def test_flower_answers_for_a_node_that_is_silent_unless_kept_online(
    state: FlowerState, key: bytes, run: int
) -> None:
    state.admit(NODE, key)
    wire_id = send(state, run, NODE, b"?")
    assert wire_id is not None
    link = state.factory.state()
    link.deactivate_node(NODE)
    assert state.collect(run, [wire_id]) == []
    link.deactivate_node(NODE)
    (told,) = link.get_message_res({wire_id}, run)
    assert told.has_error()
    # By its source an error of Flower's is known from a node's.
    assert told.metadata.src_node_id == SUPERLINK_NODE_ID
    state.clear(run)
    (gone,) = state.collect(run, [wire_id])
    assert gone.lost
    assert gone.tree is None


def test_answers_have_our_metadata(run: int) -> None:
    ask = Ask(NODE, record(b"?"), "query.x", "group")
    whole = answer(run, "id", ask, record(b"!"))
    assert not whole.has_error()
    assert isinstance(whole.metadata, Metadata)
    assert whole.metadata.reply_to_message_id == "id"
    assert whole.metadata.src_node_id == NODE
    assert answer(run, "id", ask, None).has_error()


@pytest.mark.parametrize(
    ("message", "fields"),
    [
        (PushMessagesRequest, {"node", "messages_list", "message_object_trees"}),
        (PullObjectRequest, {"node", "object_id"}),
        (ConfirmMessageReceivedRequest, {"node", "message_object_id"}),
        (ObjectTree, {"object_id", "children"}),
    ],
)
def test_requests_have_the_fields_that_are_checked(message: Any, fields: set[str]) -> None:
    described: Mapping[str, object] = message.DESCRIPTOR.fields_by_name
    assert fields <= set(described)
