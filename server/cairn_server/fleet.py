"""`FleetEndpoint`: the one port on which clinics' links meet the server.

TLS 1.3 with the team's certificate, Flower's Fleet API behind our gate (`fleet_gate.py`), Flower's
LinkState beneath (`flower_private.py`), and grids for the rounds (`fleet_grid.py`). Flower's
Control and Runtime APIs are not mounted. `docs/adr/0005-flower-fleet.md` is the wire.
"""

from __future__ import annotations

import logging
import socket
import ssl
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Final

import uvicorn

from cairn_protocol.errors import InputError, OurFault
from cairn_protocol.messages import LARGEST_MESSAGE
from cairn_server.fleet_gate import Gate
from cairn_server.fleet_grid import Ear, FleetGrid
from cairn_server.fleet_roster import Entry, NodeBook
from cairn_server.flower_private import (
    FlowerState,
    act_as_server,
    fleet_application,
    is_node_key,
    signed_by,
)

LARGEST: Final = LARGEST_MESSAGE + 64 * 1024  # bytes in one body: a message in Flower's wrapping
BEAT: Final = 15.0  # seconds; a run that nobody beats for 60 expires
LOOK_EVERY: Final = 1.0  # seconds between looks at what other processes enrolled or revoked
START: Final = 20.0  # seconds that the listener may take to come up
STOP: Final = 1  # seconds that requests have to end; links ask again
CONNECTIONS: Final = 512


class _Ours(logging.Handler):
    """A library's lines become ours, so that one setting rules them all."""

    def emit(self, record: logging.LogRecord) -> None:
        logging.getLogger(f"cairn.fleet.{record.name}").handle(record)


def _lead_logs() -> None:
    for name in ("flwr", "uvicorn"):
        theirs = logging.getLogger(name)
        theirs.handlers[:] = [_Ours()]
        theirs.setLevel(logging.WARNING)
        theirs.propagate = False


class FleetEndpoint:
    """A context manager, for once, that serves while it is entered; nodes may be enrolled before.

    Args:
        database: SQLite file of the nodes, the only thing that outlives the process; or None.
        host: where to listen.
        port: where to listen; 0 for any, see `address`.
        certificate: PEM chain of the server.
        key: PEM private key of the server.
        largest: bytes in one message.
    """

    def __init__(
        self,
        database: Path | None,
        host: str,
        port: int,
        certificate: Path,
        key: Path,
        *,
        largest: int = LARGEST,
    ) -> None:
        _lead_logs()  # before Flower's state says how it keeps itself
        self._book = NodeBook(database)
        self._state = FlowerState()
        for entry in self._book.entries():
            self._follow(entry)
        self._where, self._certificate, self._key = (host, port), certificate, key
        self._largest = largest
        self._ear = Ear()
        self._gate = Gate(fleet_application(self._state), self, largest)
        self._looked = time.monotonic()
        self._seen: dict[int, datetime] = {}
        self._grids: dict[str, FleetGrid] = {}
        self._lock = threading.RLock()
        self._stop = threading.Event()
        self._server: uvicorn.Server | None = None
        self._threads: list[threading.Thread] = []
        self._address = self._where

    @property
    def address(self) -> tuple[str, int]:
        """(host, port) that is listened on."""
        return self._address

    def enrol(self, node_public_key: bytes) -> int:
        """The node id for this key; idempotent.

        Args:
            node_public_key: P-384, PEM SubjectPublicKeyInfo as Flower writes it.

        Raises:
            InputError: not such a key, or one that was revoked.
        """
        if not is_node_key(node_public_key):
            raise InputError(
                "the node key cannot be used",
                code="fleet-key",
                why="it is not a P-384 public key as PEM SubjectPublicKeyInfo",
                hint="let the clinic join again with the same version of Cairn",
            )
        with self._lock:
            node = self._book.enrol(node_public_key)
            if node is not None:
                self._state.admit(node, node_public_key)
        if node is None:
            raise InputError(
                "the node key was revoked",
                code="fleet-key-revoked",
                hint="the clinic makes new keys and joins again",
            )
        return node

    def revoke(self, node_id: int) -> None:
        """From now on the node gets nothing, and its key is refused for ever.

        Raises:
            InputError: there is no such node.
        """
        with self._lock:
            if not self._book.revoke(node_id):
                raise InputError("there is no such node", code="fleet-node")
            self._state.shut_out(node_id)
        self._ear.hear()

    def last_seen(self, node_id: int) -> datetime | None:
        """When the node last asked for anything (UTC), since this endpoint was made."""
        return self._seen.get(node_id)

    def grid(self, run_name: str) -> FleetGrid:
        """The Grid of the run called `run_name`; the same one each time."""
        with self._lock:
            grid = self._grids.get(run_name)
            if grid is None:
                grid = FleetGrid(self._state, run_name, self._gate.ring, self._ear, self._largest)
                self._grids[run_name] = grid
                act_as_server(grid.run.run_id)
            return grid

    def finish(self, run_name: str) -> None:
        """End that run; its messages go."""
        with self._lock:
            grid = self._grids.pop(run_name, None)
        if grid is not None:
            grid.close()

    def __enter__(self) -> FleetEndpoint:
        settings = self._settings()
        listener = self._listen()
        self._address = listener.getsockname()[:2]
        self._server = uvicorn.Server(settings)
        self._stop.clear()
        self._threads = [
            threading.Thread(
                target=self._server.run, args=([listener],), name="fleet", daemon=True
            ),
            threading.Thread(target=self._beat, name="fleet-beat", daemon=True),
        ]
        for thread in self._threads:
            thread.start()
        end = time.monotonic() + START
        while not self._server.started:
            if time.monotonic() > end or not self._threads[0].is_alive():
                self.__exit__(None, None, None)
                raise OurFault("the fleet's listener did not start", code="fleet-start")
            time.sleep(0.005)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        if self._server is not None:
            self._server.should_exit = True
        for node in list(self._seen):
            self._gate.ring(node)
        for thread in self._threads:
            thread.join(START)
        self._book.close()

    # What the gate asks (`fleet_gate.Roster`).

    def node_of(self, public_key: bytes) -> int | None:
        """The enrolled node with that key; another process's changes count within a second."""
        with self._lock:
            if time.monotonic() > self._looked + LOOK_EVERY:
                self._looked = time.monotonic()
                if self._book.changed():
                    for entry in self._book.entries():
                        self._follow(entry)
        return self._state.node_of(public_key)

    def signed_by(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        """Whether that key signed."""
        return signed_by(public_key, message, signature)

    def seen(self, node: int) -> None:
        """Note that `node` is there."""
        self._seen[node] = datetime.now(UTC)

    def activated(self, node: int) -> None:
        """A link of `node` has activated it: ask again what was not answered."""
        with self._lock:
            grids = list(self._grids.values())
        for grid in grids:
            grid.ask_again(node)
        self._gate.ring(node)

    def heard(self) -> None:
        """Some node sent something."""
        self._ear.hear()

    def _follow(self, entry: Entry) -> None:
        if entry.revoked:
            self._state.shut_out(entry.node)
        else:
            self._state.admit(entry.node, entry.public_key)

    def _beat(self) -> None:
        while not self._stop.wait(BEAT):
            with self._lock:
                grids = list(self._grids.values())
            for grid in grids:
                grid.keep_alive()

    def _listen(self) -> socket.socket:
        host, port = self._where
        try:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            return socket.create_server((host, port), family=family, backlog=256)
        except OSError as error:
            raise InputError(
                f"cannot listen on {host} port {port}",
                code="fleet-listen",
                why=error.strerror or "",
                hint="choose another port, or stop what listens there",
            ) from error

    def _settings(self) -> uvicorn.Config:
        def tls(_: uvicorn.Config, default: object) -> ssl.SSLContext:
            return self._tls()

        self._tls()  # a bad certificate is the person's to mend: say so here, not in a thread
        return uvicorn.Config(
            self._gate,
            ssl_context_factory=tls,
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="off",
            ws="none",
            proxy_headers=False,
            limit_concurrency=CONNECTIONS,
            timeout_graceful_shutdown=STOP,
        )

    def _tls(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        try:
            context.load_cert_chain(self._certificate, self._key)
        except OSError as error:  # ssl.SSLError is one
            raise InputError(
                "the server's certificate or key cannot be used",
                code="fleet-certificate",
                why=f"{self._certificate.name}, {self._key.name}: {error.strerror or error}",
                hint="`cairn server init` makes both; they belong together",
            ) from error
        return context
