"""What a process with the link's rights can reach at a clinic, as JSON on stdout.

Run as root: link_as_other_user.py USER FOLDER FILE…  It becomes USER once everything is imported
(the interpreter itself may lie where only root may pass). Each FILE that can then be read or listed
is named, and every method is tried on both sockets.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import grpc

from cairn_client.keeper_client import ADMIN, LINK
from cairn_client.separation import User
from cairn_client.sockets import Sockets
from cairn_protocol.proto import keeper_pb2 as pb


def main(user: str, folder: str, *files: str) -> None:
    """Try everything."""
    User.named(user).become()
    sockets = Sockets(Path(folder))
    methods = [
        f"/{service.full_name}/{method}"
        for service in pb.DESCRIPTOR.services_by_name.values()
        for method in service.methods_by_name
    ]
    assert any(m.startswith(f"/{ADMIN}/") for m in methods)
    found = {
        "user": os.geteuid(),
        "readable": [file for file in files if _readable(Path(file))],
        "link": {m: _call(sockets.link, m) for m in methods},
        "admin": {m: _call(sockets.admin, m) for m in methods if LINK in m or "Status" in m},
    }
    print(json.dumps(found))


def _readable(path: Path) -> bool:
    try:
        if path.is_dir():
            os.listdir(path)
        else:
            path.read_bytes()
    except OSError:
        return False
    return True


def _call(socket: Path, method: str) -> str:
    with grpc.insecure_channel(f"unix:{socket}") as channel:
        try:
            channel.unary_unary(method)(b"", timeout=5)
        except grpc.RpcError as error:
            return str(error.code().name)  # type: ignore[attr-defined]
    return "OK"


if __name__ == "__main__":
    main(*sys.argv[1:])
