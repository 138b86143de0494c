"""`serve_page`: listens on loopback alone, and prints the link that opens the page."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final

import uvicorn

from cairn_client.page.entry import Entry, EntryKey
from cairn_client.page.pages import clinic_pages
from cairn_client.sockets import Sockets
from cairn_protocol.errors import InputError

PORT: Final = 8470
MOST_AT_ONCE: Final = 64
KEEP_ALIVE_SECONDS: Final = 20
STOP_SECONDS: Final = 3
LARGEST_HEAD: Final = 16 * 1024


Ready = Callable[[EntryKey, uvicorn.Server], None]


def serve_page(folder: Path, listener: socket.socket, ready: Ready) -> None:
    """Serves the page until SIGTERM or SIGINT.

    Args:
        listener: what `listen` made; it is closed in the end.
        ready: called once with the key that makes links, and the server, which can be told to end.

    Raises:
        InputError: this is no clinic, or the keeper's folder cannot be written to.
    """
    with contextlib.closing(listener):
        host, bound = listener.getsockname()[:2]
        shown = f"[{host}]:{bound}" if ":" in host else f"{host}:{bound}"
        key = EntryKey.fresh(f"http://{shown}")
        hosts = frozenset({shown, f"localhost:{bound}"})
        server = uvicorn.Server(_settings(clinic_pages(folder, Entry(key), hosts)))
        try:
            key.write(folder)
        except OSError:
            raise InputError(
                f"cannot write in {Sockets(folder).admin.parent}",
                code="page-note",
                why="only the keeper's user may enter that folder",
                hint="run the page as the keeper's user, and `cairn clinic init` first",
            ) from None
        try:
            ready(key, server)
            server.run(sockets=[listener])
        finally:
            key.remove(folder)


def listen(address: str, port: int) -> socket.socket:
    """A socket that listens there; port 0 picks a free one.

    Raises:
        InputError: it is not a loopback address, or the port is taken.
    """
    try:
        where = ipaddress.ip_address("127.0.0.1" if address == "localhost" else address)
    except ValueError:
        where = None
    if where is None or not where.is_loopback:
        raise InputError(
            f"the page does not listen on {address}",
            code="page-address",
            why="it would be open to the network, and whoever reaches it could decide for the "
            "clinic",
            hint="use 127.0.0.1 or ::1; from another machine, come through ssh -L "
            f"{port or PORT}:127.0.0.1:{port or PORT}",
        )
    family = socket.AF_INET6 if where.version == 6 else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((str(where), port))
        listener.listen(MOST_AT_ONCE)
    except OSError as error:
        listener.close()
        raise InputError(
            f"cannot listen on port {port}",
            code="page-port",
            why=os.strerror(error.errno) if error.errno else type(error).__name__,
            hint="give another with --port, or end what listens there",
        ) from None
    return listener


def _settings(app: object) -> uvicorn.Config:
    """No access log: addresses name studies, and later people."""
    quiet = logging.getLogger("uvicorn")
    quiet.handlers[:] = [logging.NullHandler()]
    quiet.propagate = False
    return uvicorn.Config(
        app,  # type: ignore[arg-type]
        access_log=False,
        log_config=None,
        lifespan="off",
        ws="none",
        server_header=False,
        proxy_headers=False,
        limit_concurrency=MOST_AT_ONCE,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=STOP_SECONDS,
        h11_max_incomplete_event_size=LARGEST_HEAD,
    )
