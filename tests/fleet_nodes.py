"""Nodes for tests of the fleet: Flower's own Fleet client over real TLS, on loopback."""

from __future__ import annotations

import datetime
import ipaddress
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from flwr.app import ConfigRecord, Message, RecordDict
from flwr.app.message import remove_content_from_message
from flwr.common.serde import message_from_proto, message_to_proto
from flwr.proto.fleet_pb2 import ActivateNodeRequest, PullMessagesRequest, PushMessagesRequest
from flwr.proto.node_pb2 import Node as NodeProto
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects, get_object_tree
from flwr.supercore.inflatable.inflatable_protobuf_utils import (
    make_confirm_message_received_fn_protobuf,
    make_pull_object_fn_protobuf,
    make_push_object_fn_protobuf,
)
from flwr.supercore.inflatable.inflatable_utils import (
    pull_and_inflate_object_from_tree,
    push_objects,
)
from flwr.supercore.primitives.asymmetric import generate_key_pairs, public_key_to_bytes
from flwr.supernode.fleet_http_client import FleetHttpClient
from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor

from cairn_protocol.envelope import RECORD, unwrap, wrap

Keys = tuple[ec.EllipticCurvePrivateKey, ec.EllipticCurvePublicKey]
Handler = Callable[[bytes], bytes]


@dataclass(frozen=True)
class Authority:
    """A CA with one server certificate; paths of PEM files."""

    ca: bytes
    certificate: Path
    key: Path


def authority(folder: Path, host: str = "127.0.0.1") -> Authority:
    """A new CA and a certificate of it for `host`, in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    ca_key, server_key = ec.generate_private_key(ec.SECP256R1()), generate_key_pairs()[0]
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test team")])
    start = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1)

    def build(subject: x509.Name, public: Any) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + datetime.timedelta(days=2))
        )

    ca = (
        build(name, ca_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(ca_key, hashes.SHA256())
    )
    try:
        alternative: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        alternative = x509.DNSName(host)
    server = (
        build(
            x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "server")]), server_key.public_key()
        )
        .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    certificate, key = folder / "server.pem", folder / "server.key"
    certificate.write_bytes(server.public_bytes(serialization.Encoding.PEM))
    key.write_bytes(
        server_key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return Authority(ca.public_bytes(serialization.Encoding.PEM), certificate, key)


class FakeLink:
    """A node that answers each body with `handler(body)`; Flower's client code throughout."""

    def __init__(
        self,
        address: tuple[str, int],
        ca: bytes,
        handler: Handler = bytes,
        keys: Keys | None = None,
    ) -> None:
        self.keys = keys or generate_key_pairs()
        self.handler = handler
        self.client = FleetHttpClient.from_server_address(
            f"{address[0]}:{address[1]}",
            False,
            ca,
            interceptors=[NodeAuthHttpInterceptor(*self.keys)],
        )
        self.node = NodeProto()
        self.answered = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, daemon=True)

    @property
    def public_key(self) -> bytes:
        return public_key_to_bytes(self.keys[1])

    def activate(self) -> int:
        asked = ActivateNodeRequest(public_key=self.public_key, heartbeat_interval=30)
        self.node = NodeProto(node_id=self.client.ActivateNode(asked).node_id)
        return int(self.node.node_id)

    def pull(self) -> Message | None:
        """The next message, or None; the server holds the call for a while."""
        response = self.client.PullMessages(PullMessagesRequest(node=self.node))
        if not response.messages_list:
            return None
        outer = message_from_proto(response.messages_list[0])
        run = outer.metadata.run_id
        message = pull_and_inflate_object_from_tree(
            response.message_object_trees[0],
            make_pull_object_fn_protobuf(self.client.PullObject, self.node, run),
            make_confirm_message_received_fn_protobuf(
                self.client.ConfirmMessageReceived, self.node, run
            ),
            return_type=Message,
        )
        message.metadata.__dict__["_message_id"] = outer.metadata.message_id
        return message

    def push(
        self, reply: Message, *, parts: int | None = None, inner: Message | None = None
    ) -> None:
        """Send a reply; only `parts` of its objects; with `inner`'s objects under its envelope."""
        said = inner or reply
        reply.metadata.__dict__["_message_id"] = said.object_id
        objects = get_all_nested_objects(said)
        response = self.client.PushMessages(
            PushMessagesRequest(
                node=self.node,
                messages_list=[message_to_proto(remove_content_from_message(reply))],
                message_object_trees=[get_object_tree(said)],
            )
        )
        push_objects(
            dict(list(objects.items())[:parts]),
            make_push_object_fn_protobuf(
                self.client.PushObject, self.node, reply.metadata.run_id, response.session_id
            ),
            object_ids_to_push=set(response.objects_to_push),
        )

    def step(self) -> bool:
        """Pull once and answer; whether there was anything."""
        message = self.pull()
        if message is None:
            return False
        body = self.handler(unwrap(message.content.config_records.get(RECORD)))
        self.push(reply_of(body, message))
        self.answered += 1
        return True

    def __enter__(self) -> FakeLink:
        self.activate()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(10)
        self.client.close()

    def _loop(self) -> None:
        failed = False
        while not self._stop.is_set():
            try:
                if failed:
                    self.activate()
                failed = False
                self.step()
            except Exception:
                failed = True
                self._stop.wait(0.1)


def record(body: bytes) -> RecordDict:
    """A body as Cairn puts it into a Flower message."""
    return RecordDict({RECORD: ConfigRecord({**wrap(body)})})


def reply_of(body: bytes, message: Message) -> Message:
    """A Flower reply that carries `body`."""
    return Message(record(body), reply_to=message)
