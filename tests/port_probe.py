"""What a clinic's machine can reach of a server's: a script that prints JSON.

    python port_probe.py HOST FLEET_PORT REGISTRY_PORT AUTHORITY.pem

`open`: TCP ports that accept, of the first ten thousand; `silent`: those that neither accept nor
refuse. `paths`: the status that the fleet's port gives to each path of Flower's Control, Runtime
and Fleet APIs. `calls`: what the registry's port says to Flower's gRPC methods. `seconds`: what a
TCP connection took.
"""

from __future__ import annotations

import asyncio
import errno
import json
import selectors
import socket
import ssl
import sys
import time
from pathlib import Path

import grpc
import httpx
from flwr.supercore.routers.runtime.router import router as runtime
from flwr.superlink.routers.control.router import router as control
from flwr.superlink.routers.fleet.router import router as fleet

PORTS = range(1, 10_001)
AT_ONCE = 400
PATIENCE = 20.0  # seconds: several times TCP's own for a lost first packet
GRPC = ("Control/StartRun", "Control/ListRuns", "Fleet/PullMessages")


def sweep(host: str) -> tuple[list[int], list[int]]:
    """(ports that accept, ports that say nothing)."""
    accepted, silent, waiting = [], [], iter(PORTS)
    with selectors.DefaultSelector() as selector:
        more = True
        while more or selector.get_map():
            while more and len(selector.get_map()) < AT_ONCE:
                port = next(waiting, 0)
                more = port > 0
                if more:
                    attempt = socket.socket()
                    attempt.setblocking(False)
                    assert attempt.connect_ex((host, port)) == errno.EINPROGRESS
                    selector.register(attempt, selectors.EVENT_WRITE, (port, time.monotonic()))
            for key, _ in selector.select(0.5):
                attempt, (port, _) = key.fileobj, key.data
                if attempt.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
                    accepted.append(port)
                selector.unregister(attempt)
                attempt.close()
            late = time.monotonic() - PATIENCE
            for key in [k for k in selector.get_map().values() if k.data[1] < late]:
                silent.append(key.data[0])
                selector.unregister(key.fileobj)
                key.fileobj.close()
    return sorted(accepted), sorted(silent)


async def statuses(base: str, authority: Path) -> dict[str, int]:
    """The answer to each of Flower's paths."""
    trust = ssl.create_default_context(cafile=str(authority))
    gate = asyncio.Semaphore(16)
    async with httpx.AsyncClient(base_url=base, verify=trust, timeout=30) as client:

        async def status(path: str) -> tuple[str, int]:
            async with gate:
                return path, (await client.post(path, content=b"")).status_code

        routes = [route.path for router in (control, runtime, fleet) for route in router.routes]
        return dict(await asyncio.gather(*map(status, routes)))


def calls(target: str, authority: Path) -> dict[str, str]:
    """The answer to some of Flower's gRPC methods."""
    said = {}
    with grpc.secure_channel(
        target, grpc.ssl_channel_credentials(authority.read_bytes())
    ) as channel:
        for name in GRPC:
            try:
                channel.unary_unary(f"/flwr.proto.{name}")(b"", timeout=30)
                said[name] = "OK"
            except grpc.RpcError as error:
                said[name] = error.code().name
    return said


if __name__ == "__main__":
    host, fleet_port, registry_port, ca = *sys.argv[1:4], Path(sys.argv[4])
    began = time.monotonic()
    socket.create_connection((host, int(fleet_port))).close()
    seconds = time.monotonic() - began
    accepted, silent = sweep(host)
    print(
        json.dumps(
            {
                "seconds": seconds,
                "open": accepted,
                "silent": silent,
                "paths": asyncio.run(statuses(f"https://{host}:{fleet_port}", ca)),
                "calls": calls(f"{host}:{registry_port}", ca),
            }
        )
    )
