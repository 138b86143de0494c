"""Every use that the server makes of Flower's private modules; nothing else here may.

Flower 1.41 has no public way to serve its Fleet API from one's own process. `fleet_application` is
its fleet router with its node authentication and nothing more; `FlowerState` is its LinkState and
object store, reduced to what a grid of ours asks of them.
`tests/server/test_flower_contract_server.py` says what broke when Flower changes.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Final

os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")
os.environ.setdefault("FLWR_DISABLE_UPDATE_CHECK", "1")

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from flwr.app import Error, Message, Metadata, RecordDict
from flwr.app.message import make_message, remove_content_from_message
from flwr.common.constant import NOOP_ACCOUNT_NAME, NOOP_FLWR_AID, SUPERLINK_NODE_ID, SubStatus
from flwr.proto.fleet_pb2 import PushMessagesRequest
from flwr.proto.message_pb2 import ConfirmMessageReceivedRequest, ObjectTree, PullObjectRequest
from flwr.proto.node_pb2 import NodeInfo
from flwr.server.superlink.linkstate import InMemoryLinkState, LinkStateFactory
from flwr.supercore.constant import (
    FLWR_IN_MEMORY_DB_NAME,
    NOOP_FEDERATION_ID,
    NodeStatus,
    TaskType,
)
from flwr.supercore.error import ApiErrorCode, FlowerError, http_error_translator
from flwr.supercore.inflatable.inflatable_object import (
    get_all_nested_objects,
    get_object_tree,
    iterate_object_tree,
)
from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents
from flwr.supercore.object_store import NoObjectInStoreError, ObjectStore, ObjectStoreFactory
from flwr.supercore.primitives.asymmetric import (
    bytes_to_public_key,
    public_key_to_bytes,
    verify_signature,
)
from flwr.supercore.protobuf.translation import ProtobufTranslationMiddleware
from flwr.supercore.run import Run as Run  # noqa: PLC0414 — the grid has it from here
from flwr.supercore.task_identity import TaskIdentity
from flwr.superlink.federation import NoOpFederationManager
from flwr.superlink.routers.fleet.node_auth import NodeAuthMiddleware
from flwr.superlink.routers.fleet.router import router as fleet_router
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware

Next = Callable[[Request], Awaitable[Response]]

NODE_CURVE: Final = "secp384r1"
MOST_OBJECTS: Final = 8  # in one message; Cairn's have three: message, records, one record
STAY_ONLINE: Final = 1800.0  # seconds; Flower's longest heartbeat interval
OUTLIVE: Final = 30 * 86400.0  # seconds that Flower keeps a message beyond the clinic's deadline
KNOWN: Final = (NodeStatus.REGISTERED, NodeStatus.ONLINE, NodeStatus.OFFLINE)
UNAVAILABLE: Final = 3  # Flower's ErrorCode.MESSAGE_UNAVAILABLE


def act_as_server(run_id: int) -> None:
    """Let this process build instruction messages, as Flower's own server does.

    The identity is one for the whole process; `FlowerState.put` names the run again.
    """
    TaskIdentity.task_id = 1
    TaskIdentity.run_id = run_id
    TaskIdentity.node_id = SUPERLINK_NODE_ID


def is_node_key(public_key: bytes) -> bool:
    """Whether these bytes are a P-384 public key in the one form that Flower's clients send."""
    try:
        key = bytes_to_public_key(public_key)
        return key.curve.name == NODE_CURVE and public_key_to_bytes(key) == public_key
    except (ValueError, TypeError, AttributeError):
        return False


def signed_by(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether `signature` over `message` is that key's (ECDSA, SHA-256)."""
    try:
        return verify_signature(bytes_to_public_key(public_key), message, signature)
    except (ValueError, TypeError, AttributeError):
        return False


@dataclass(frozen=True)
class Ask:
    """What a node is asked."""

    node: int
    content: RecordDict
    kind: str
    group: str


@dataclass(frozen=True)
class Arrived:
    """A reply whose sender Flower has checked; its content may still be on the way.

    `tree` is None where there will be no content. `lost`: the node has not said so, Flower did in
    its place, or has lost what the node said.
    """

    wire_id: str
    metadata: Metadata
    tree: ObjectTree | None
    lost: bool = False


class Lost(Exception):
    """Flower has given up a reply of which parts were on the way."""


class _State(InMemoryLinkState):
    """Flower's, made fit for links that come back and for threads that meet."""

    def __init__(self, store: ObjectStore) -> None:
        super().__init__(NoOpFederationManager(), store)
        # Flower takes these two in either order (an upload that expires, a reply that comes), and
        # two threads then wait for each other for ever. Both are RLocks: one does for both.
        self._lock_object_push_sessions = self.lock

    def activate_node(self, node_id: int, heartbeat_interval: float) -> bool:
        """Also a node that is online: its link was killed, or it was kept online meanwhile.

        It never counts as gone on the way: Flower answers at once for a node that is.
        """
        with self.lock:
            if (node := self.nodes.get(node_id)) and node.status == NodeStatus.ONLINE:
                node.status = NodeStatus.OFFLINE
            return super().activate_node(node_id, heartbeat_interval)


class FlowerState:
    """Nodes, runs and messages while the process lives: Flower's LinkState and object store.

    In memory: Flower's SQLite makes an exchange with five clinics 0.8 s long instead of 0.2 s, to
    keep what a restarted server asks again anyway.
    """

    def __init__(self) -> None:
        where = FLWR_IN_MEMORY_DB_NAME
        stores = ObjectStoreFactory(where)
        self._state = _State(stores.store())
        self._store = self._state.object_store
        self.factory = LinkStateFactory(where, self._state.federation_manager, stores)
        self.factory.state_instance = self._state
        self._addressee: dict[str, int] = {}  # the node that may read an object, by object id
        self._parts: dict[str, list[str]] = {}  # object ids of an instruction, by its wire id

    def admit(self, node: int, public_key: bytes) -> None:
        """Let the node with this key in, under this id; Flower itself would draw one."""
        with self._state.lock:
            if node not in self._state.nodes:  # nor one that was shut out
                self._state.nodes[node] = NodeInfo(
                    node_id=node,
                    owner_aid=NOOP_FLWR_AID,
                    owner_name=NOOP_ACCOUNT_NAME,
                    status=NodeStatus.REGISTERED,
                    public_key=public_key,
                )
                self._state.node_public_key_to_node_id[public_key] = node
                # A node that never connected takes no messages; ours may be asked before it does.
                self._state.activate_node(node, 0.0)

    def shut_out(self, node: int) -> None:
        """The node gets nothing any more."""
        if self.enrolled(node):
            self._state.delete_node(NOOP_FLWR_AID, node)

    def node_of(self, public_key: bytes) -> int | None:
        """The node that has this key and is not shut out."""
        return self._state.get_node_id_by_public_key(public_key)

    def enrolled(self, node: int) -> bool:
        """Whether `node` was admitted and not shut out."""
        return bool(self._state.get_node_info(node_ids=[node], statuses=KNOWN))

    def keep_online(self, node: int) -> None:
        """Have Flower wait for `node`; it would answer for a silent one. Deadlines are ours."""
        self._state.acknowledge_node_heartbeat(node, STAY_ONLINE)

    def open_run(self, name: str) -> int:
        """The id of a new running run."""
        run_id = self._state.create_run(
            name, None, None, {}, NOOP_FEDERATION_ID, None, NOOP_FLWR_AID, TaskType.SERVER_APP
        )
        task = self.run(run_id).primary_task_id
        if not (task and self._state.claim_task(task) and self._state.activate_task(task)):
            raise RuntimeError("Flower did not start a run that it has just made")
        return run_id

    def run(self, run_id: int) -> Run:
        """Flower's facts of a run."""
        return self._state.get_run_info(run_ids=[run_id])[0]

    def beat(self, run_id: int) -> bool:
        """Keep a run from expiring (after a minute); False if it did."""
        task = self.run(run_id).primary_task_id
        return task is not None and self._state.acknowledge_task_heartbeat(task)

    def finish(self, run_id: int) -> None:
        """End a run; its messages and objects go."""
        task = self.run(run_id).primary_task_id
        if task is not None:
            self._state.finish_task(task, SubStatus.COMPLETED, "")
        self.clear(run_id)

    def clear(self, run_id: int) -> None:
        """Delete every message and object of a run."""
        self._state.delete_messages(self._state.get_message_ids_from_run_id(run_id))
        self._store.delete_objects_in_run(run_id)
        self._state.delete_sessions_in_run(run_id)

    def put(self, run_id: int, ask: Ask, seconds: float) -> str | None:
        """Lay an instruction before its node; its id on the wire, None if Flower did not take it.

        The node is told that it has `seconds`. Flower, whose clock may be set meanwhile, keeps the
        instruction for longer and leaves the deadline to the grid.
        """
        node = ask.node
        message = Message(ask.content, node, ask.kind, ttl=seconds, group_id=ask.group)
        message.metadata.__dict__["_run_id"] = run_id
        message.metadata.__dict__["_src_node_id"] = SUPERLINK_NODE_ID
        objects = get_all_nested_objects(message)
        tree = get_object_tree(message)
        wire_id = tree.object_id
        message.metadata.__dict__["_message_id"] = wire_id
        self.keep_online(node)
        session = self._state.start_session(run_id)
        # Objects first: whoever sees the message can fetch them without a second try.
        for missing in self._state.preregister_object_tree(tree, session):
            self._state.store_object(run_id, session, missing, objects[missing].deflate())
        message.metadata.ttl = seconds + OUTLIVE  # in the outline; the node has the object's
        if not self._state.store_message_ins(remove_content_from_message(message)):
            self._store.delete(wire_id)
            return None
        self._addressee.update(dict.fromkeys(objects, node))
        self._parts[wire_id] = list(objects)
        return wire_id

    def forget(self, wire_ids: Iterable[str]) -> None:
        """Delete instructions and whatever answered them."""
        gone = set(wire_ids)
        self._state.delete_messages(gone)
        for wire_id in gone:
            for part in self._parts.pop(wire_id, ()):
                self._addressee.pop(part, None)
            self._store.delete(wire_id)

    def collect(self, run_id: int, wire_ids: Iterable[str]) -> list[Arrived]:
        """Replies that came since the last call; Flower gives each out once.

        Flower waits for every node that was asked; it would answer for a silent one.
        """
        asked = set(wire_ids)
        with self._state.lock:
            for wire_id in asked:
                if (node := self._addressee.get(wire_id)) is not None:
                    self.keep_online(node)
            replies = self._state.get_message_res(set(asked), run_id) if asked else []
        arrived = []
        for reply in replies:
            metadata, tree = reply.metadata, None
            lost = metadata.src_node_id == SUPERLINK_NODE_ID
            if not reply.has_error():
                try:
                    tree = self._store.get_object_tree(metadata.message_id)
                except NoObjectInStoreError:
                    lost = True
            arrived.append(Arrived(metadata.reply_to_message_id, metadata, tree, lost))
        return arrived

    def content(self, run_id: int, tree: ObjectTree, most: int) -> RecordDict | None:
        """A reply's content, or None while parts of it are on the way.

        Raises:
            Lost: it will never be whole.
            ValueError: it is not a message of at most `most` bytes.
        """
        contents: dict[str, bytes] = {}
        for part in iterate_object_tree(tree):
            found = self._state.get_object(run_id, part.object_id)
            if found is None:
                raise Lost
            if not found:
                return None
            contents[part.object_id] = found
            if sum(map(len, contents.values())) > most:
                raise ValueError("too large")
        self._store.delete(tree.object_id)
        try:
            message = inflate_object_from_contents(tree.object_id, contents)
        except Exception as error:  # Flower's readers raise what they like at a node's bytes
            raise ValueError("not a message") from error
        if not (isinstance(message, Message) and message.has_content()):
            raise ValueError("not a message with content")
        return message.content

    def may_read(self, node: int, object_id: str) -> bool:
        """Whether `object_id` is part of what `node` was sent and has not answered."""
        return self._addressee.get(object_id) == node

    def counts(self) -> tuple[int, int, int]:
        """(instructions, replies, objects) held."""
        return self._state.num_message_ins(), self._state.num_message_res(), len(self._store)


def answer(run_id: int, asked_id: str, ask: Ask, content: RecordDict | None) -> Message:
    """The reply to `ask` as a grid gives it out; without content, an error in its place.

    Its metadata is what Flower checked and what was asked, not what the reply says of itself.
    """
    metadata = Metadata(
        run_id=run_id,
        message_id="",
        src_node_id=ask.node,
        dst_node_id=SUPERLINK_NODE_ID,
        reply_to_message_id=asked_id,
        group_id=ask.group,
        created_at=0.0,
        ttl=0.0,
        message_type=ask.kind,
    )
    if content is None:
        return make_message(metadata=metadata, error=Error(UNAVAILABLE, "no reply"))
    return make_message(metadata=metadata, content=content)


def fleet_application(state: FlowerState) -> FastAPI:
    """Flower's fleet router with node authentication, over `state`. No other router."""

    async def in_its_own_name(request: Request, call_next: Next) -> Response:
        """Refuse what a node says in another's name; Flower looks only at who carries it."""
        asked = getattr(request.state, "protobuf_request", None)
        if not _own(asked):
            return JSONResponse({"code": "node", "detail": "not this node's to say"}, 403)
        if not _awaited(asked, state):
            return JSONResponse({"code": "late", "detail": "not asked, or no longer"}, 410)
        try:
            return await call_next(request)
        except FlowerError as error:
            if error.code != ApiErrorCode.FLEET_RUN_STATUS_NOT_ALLOWED:
                raise
            # Not the node's doing, as Flower's 403 would say: all is asked again in a new run.
            return JSONResponse({"code": "run", "detail": "the run begins anew; come back"}, 503)

    application = FastAPI(
        title="Cairn fleet",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        middleware=[
            Middleware(BaseHTTPMiddleware, dispatch=http_error_translator),
            Middleware(ProtobufTranslationMiddleware),
            Middleware(NodeAuthMiddleware),
            Middleware(BaseHTTPMiddleware, dispatch=in_its_own_name),
        ],
    )
    application.state.linkstate_factory = state.factory
    application.state.enable_supernode_auth = True
    application.include_router(fleet_router)
    return application


def _own(asked: object) -> bool:
    """Whether a node speaks for itself, and answers the server with one small tree of objects."""
    if not isinstance(asked, PushMessagesRequest):
        return True
    if len(asked.messages_list) != 1 or len(asked.message_object_trees) != 1:
        return False
    said, tree = asked.messages_list[0].metadata, asked.message_object_trees[0]
    return (
        said.src_node_id == asked.node.node_id
        and tree.object_id == said.message_id
        and sum(1 for _ in iterate_object_tree(tree)) <= MOST_OBJECTS
    )


def _awaited(asked: object, state: FlowerState) -> bool:
    """Whether it is about something that this node was asked and has not answered."""
    if isinstance(asked, PushMessagesRequest):
        about = asked.messages_list[0].metadata.reply_to_message_id
    elif isinstance(asked, PullObjectRequest):
        about = asked.object_id
    elif isinstance(asked, ConfirmMessageReceivedRequest):
        about = asked.message_object_id
    else:
        return True
    return state.may_read(asked.node.node_id, about)
