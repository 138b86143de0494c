"""Every use that a clinic's link makes of Flower's private modules; nothing else here may.

Flower 1.41 has no public client for its Fleet API that does not also fetch and run apps. `Fleet`
is Flower's own HTTP client with a TLS context and limits of ours: it activates the node, pulls a
message, pushes its reply, and can do nothing else. No run and no app bundle is ever asked for.
`tests/client/test_flower_contract_link.py` says what broke when Flower changes.
"""

from __future__ import annotations

import os
import ssl
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")
os.environ.setdefault("FLWR_DISABLE_UPDATE_CHECK", "1")

import httpx
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.app import ConfigRecord, Message, RecordDict
from flwr.app.message import remove_content_from_message
from flwr.common.serde import message_from_proto, message_to_proto
from flwr.proto.fleet_pb2 import (
    ActivateNodeRequest,
    PullMessagesRequest,
    PushMessagesRequest,
)
from flwr.proto.heartbeat_pb2 import SendNodeHeartbeatRequest
from flwr.proto.message_pb2 import (
    ConfirmMessageReceivedRequest,
    ObjectTree,
    PullObjectRequest,
    PushObjectRequest,
)
from flwr.proto.node_pb2 import Node
from flwr.supercore.inflatable.inflatable_object import (
    get_all_nested_objects,
    get_object_id,
    get_object_tree,
    get_object_type_from_object_content,
    iterate_object_tree,
)
from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents
from flwr.supercore.primitives.asymmetric import bytes_to_private_key, public_key_to_bytes
from flwr.supernode.fleet_http_client import FleetHttpClient
from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor

from cairn_protocol.envelope import RECORD, unwrap, wrap
from cairn_protocol.errors import PeerFault
from cairn_protocol.messages import LARGEST_MESSAGE

HEARTBEAT_SECONDS: Final = 30.0
CALL_SECONDS: Final = 30.0  # for each part of a call; the server holds an empty pull for two
NOT_TAKEN: Final = "reply-not-taken"
MOST_OBJECTS: Final = 8  # in one message; Cairn's have three: message, records, one record
CARRIERS: Final = frozenset({"Message", "RecordDict", "ConfigRecord"})
LARGEST_RESPONSE: Final = LARGEST_MESSAGE + 64 * 1024


@dataclass(frozen=True)
class Asked:
    """One instruction: the request for the keeper, and what a reply needs to find its way.

    `until` is when the server no longer waits for a reply: Unix time, seconds.
    """

    kind: str
    body: bytes
    message: Message
    until: float

    @property
    def seconds_left(self) -> float:
        """Until the server no longer waits for a reply."""
        return self.until - time.time()


class Fleet:
    """A connection to a research team's server, as the node that this clinic's key names.

    Args:
        url: ``https://host:port``.
        authority: PEM of the only certificate authority that is trusted.
        key: PEM of the node's private key.

    Every method raises `httpx.HTTPError` where the server or the way to it fails, and `PeerFault`
    where what came is not a Cairn server's.
    """

    def __init__(self, url: str, authority: bytes, key: bytes) -> None:
        private: ec.EllipticCurvePrivateKey = bytes_to_private_key(key)
        self._public = public_key_to_bytes(private.public_key())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # checks names, trusts nobody yet
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_verify_locations(cadata=authority.decode("ascii"))
        self._client = FleetHttpClient(
            url,
            interceptors=[NodeAuthHttpInterceptor(private, private.public_key())],
            verify=context,
            timeout=CALL_SECONDS,
        )
        http: httpx.Client = self._client._client
        http.follow_redirects = False
        http.headers["accept-encoding"] = "identity"
        http.event_hooks = {"response": [_bounded]}
        self._node: Node | None = None

    @property
    def node(self) -> int | None:
        """This clinic's node, once activated."""
        return None if self._node is None else int(self._node.node_id)

    def activate(self) -> int:
        """The node's id. What was asked of it and not answered is put before it again."""
        reply = self._client.ActivateNode(
            ActivateNodeRequest(public_key=self._public, heartbeat_interval=HEARTBEAT_SECONDS)
        )
        self._node = Node(node_id=reply.node_id)
        return int(reply.node_id)

    def beat(self) -> None:
        """Tell the server that this clinic is there."""
        self._client.SendNodeHeartbeat(
            SendNodeHeartbeatRequest(node=self._node, heartbeat_interval=HEARTBEAT_SECONDS)
        )

    def pull(self) -> Asked | None:
        """The next instruction, whole, or None. What was pulled is confirmed.

        None also where the server took the question back while it was fetched.
        """
        reply = self._client.PullMessages(PullMessagesRequest(node=self._node))
        if not reply.messages_list:
            return None
        if not reply.message_object_trees:
            raise _foreign("a message without its parts")
        outline = message_from_proto(reply.messages_list[0])
        run, tree = outline.metadata.run_id, reply.message_object_trees[0]
        try:
            contents = self._contents(run, tree)
            self._client.ConfirmMessageReceived(
                ConfirmMessageReceivedRequest(
                    node=self._node, run_id=run, message_object_id=tree.object_id
                )
            )
        except httpx.HTTPStatusError as error:
            if error.response.status_code == httpx.codes.GONE:
                return None
            raise
        try:
            message = inflate_object_from_contents(tree.object_id, contents)
        except Exception as error:  # Flower's readers raise what they like at a server's bytes
            raise _foreign(type(error).__name__) from None
        if not (isinstance(message, Message) and message.has_content()):
            raise _foreign("a message without content")
        told = message.metadata
        until = told.created_at + told.ttl
        # Only the outline carries the id that the reply must name, and for how long Flower keeps
        # the message: a reply that lived shorter would be dropped after the server's clock was set.
        told.__dict__["_message_id"] = outline.metadata.message_id
        told.ttl = outline.metadata.ttl
        body = unwrap(message.content.config_records.get(RECORD))
        return Asked(told.message_type, body, message, until)

    def push(self, asked: Asked, reply: bytes) -> None:
        """Send the clinic's reply.

        Raises:
            PeerFault: `peer.reply-not-taken`: the server no longer waits for it.
        """
        content = RecordDict({RECORD: ConfigRecord({**wrap(reply)})})
        message = Message(content, reply_to=asked.message)
        objects, tree = get_all_nested_objects(message), get_object_tree(message)
        message.metadata.__dict__["_message_id"] = tree.object_id
        run = message.metadata.run_id
        try:
            accepted = self._client.PushMessages(
                PushMessagesRequest(
                    node=self._node,
                    messages_list=[message_to_proto(remove_content_from_message(message))],
                    message_object_trees=[tree],
                    clientapp_runtime_list=[0.0],
                )
            )
        except httpx.HTTPStatusError as error:
            if error.response.status_code == httpx.codes.GONE:
                raise _not_taken() from None
            raise
        for wanted in accepted.objects_to_push:
            if wanted not in objects:
                raise _foreign("it wants a part that the reply does not have")
            stored = self._client.PushObject(
                PushObjectRequest(
                    node=self._node,
                    run_id=run,
                    object_id=wanted,
                    object_content=objects[wanted].deflate(),
                    session_id=accepted.session_id,
                )
            )
            if not stored.stored:
                raise _not_taken()

    def close(self) -> None:
        """Ends the connection."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _contents(self, run: int, tree: ObjectTree) -> dict[str, bytes]:
        """Every part of a message by id, each what its id says, together within the limit."""
        contents: dict[str, bytes] = {}
        total = 0
        for number, part in enumerate(iterate_object_tree(tree)):
            if number == MOST_OBJECTS:
                raise _foreign("a message of too many parts")
            pulled = self._client.PullObject(
                PullObjectRequest(node=self._node, run_id=run, object_id=part.object_id)
            )
            content = pulled.object_content
            total += len(content)
            if total > LARGEST_RESPONSE:
                raise _foreign("a message larger than the protocol's largest")
            if not pulled.object_available or get_object_id(content) != part.object_id:
                raise _foreign("a part that is missing or is not what its name says")
            if get_object_type_from_object_content(content) not in CARRIERS:
                raise _foreign("a part of another kind")
            contents[part.object_id] = content
        return contents


def _bounded(response: httpx.Response) -> None:
    """Refuses a response before its body is read, unless it says a length that is allowed."""
    if response.is_redirect:
        raise _foreign("it sends this clinic to another address")
    told = response.headers.get("content-length", "")
    plain = response.headers.get("content-encoding", "identity") == "identity"
    if not (plain and told.isdigit() and len(told) < 18 and int(told) <= LARGEST_RESPONSE):
        response.close()
        raise PeerFault(
            "the server sent more than a message may hold",
            code="response-size",
            why=f"it says {told[:18] or 'no'} bytes; {LARGEST_RESPONSE} are allowed",
            hint="tell the research team; nothing was read",
        )


def _not_taken() -> PeerFault:
    return PeerFault(
        "the server did not take the reply",
        code=NOT_TAKEN,
        why="it no longer waits for it, or has begun anew",
    )


def _foreign(why: str) -> PeerFault:
    return PeerFault(
        "the server sent what no Cairn server sends",
        code="not-a-cairn-server",
        why=why,
        hint="tell the research team",
    )
