"""A clinic's link folder and a stand-in keeper, for tests that play the server or the keeper."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import grpc
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from flwr.supercore.primitives.asymmetric import (
    generate_key_pairs,
    private_key_to_bytes,
    public_key_to_bytes,
)

from cairn_client.keeper_client import LINK, OPTIONS
from cairn_client.link_daemon import LinkDaemon
from cairn_client.sockets import Address, Sockets
from cairn_protocol.proto import keeper_pb2 as pb


def write_link(clinic: Path, address: tuple[str, int], ca: bytes) -> bytes:
    """Writes link/ as a join does; the node's public key."""
    folder = clinic / "link"
    folder.mkdir(parents=True)
    private, public = generate_key_pairs()
    (folder / "node.key").write_bytes(private_key_to_bytes(private))
    (folder / "ca.pem").write_bytes(ca)
    fleet = f"https://{address[0]}:{address[1]}"
    (folder / "link.toml").write_text(f'clinic = "oak"\nfleet = {json.dumps(fleet)}\nnode = "1"\n')
    for file in folder.iterdir():
        file.chmod(0o600)
    folder.chmod(0o700)
    return public_key_to_bytes(public)


def public_key(clinic: Path) -> bytes:
    """The node's public key."""
    key = load_pem_private_key((clinic / "link" / "node.key").read_bytes(), None)
    return public_key_to_bytes(key.public_key())  # type: ignore[arg-type]


@contextmanager
def stand_in(clinic: Path, answer: Callable[[bytes], bytes]) -> Iterator[None]:
    """A keeper's link.sock that answers each body with `answer(body)`."""
    sockets = Sockets(clinic)
    sockets.make_folders()
    server = grpc.server(ThreadPoolExecutor(2), options=OPTIONS)
    handler = grpc.unary_unary_rpc_method_handler(
        lambda frame, _: pb.Frame(cairn=answer(frame.cairn)),
        request_deserializer=pb.Frame.FromString,
        response_serializer=pb.Frame.SerializeToString,
    )
    services = grpc.method_handlers_generic_handler(LINK, {"Forward": handler})
    server.add_generic_rpc_handlers((services,))
    address = Address(sockets.link)
    server.add_insecure_port(address.target)
    server.start()
    try:
        yield
    finally:
        server.stop(None).wait()
        address.close()


@contextmanager
def running(daemon: LinkDaemon) -> Iterator[threading.Thread]:
    """The daemon in a thread, stopped at the end."""
    thread = threading.Thread(target=daemon.run, daemon=True)
    thread.start()
    try:
        yield thread
    finally:
        daemon.stop.set()
        thread.join(15)
        assert not thread.is_alive()
