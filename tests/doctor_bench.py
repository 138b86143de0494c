"""A clinic to be examined, and servers and proxies on loopback with one fault each."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

from cairn_client.clinic_config import ClinicConfig
from cairn_client.doctor.finding import Finding, Level
from cairn_client.doctor.site import Site
from cairn_server.pki import Authority, key_pem, new_key, pem

HOST = "127.0.0.1"
SECONDS = 1.0


def site_of(folder: Path, *, seconds: float = SECONDS) -> Site:
    return Site(folder, ClinicConfig.read(folder), seconds)


def levels(found: Iterable[Finding]) -> dict[str, Level]:
    """Code → level; the worst where a code comes more than once."""
    order = list(Level)
    worst: dict[str, Level] = {}
    for finding in found:
        before = worst.get(finding.code, Level.OK)
        worst[finding.code] = max(before, finding.level, key=order.index)
    return worst


def one(found: Iterable[Finding], code: str) -> Finding:
    """The finding with this code; a problem or a warning says what to do."""
    there = list(found)
    (finding,) = [f for f in there if f.code == code] or [None]
    assert finding is not None, there
    assert finding.remedy or finding.level in {Level.OK, Level.UNCHECKED}
    return finding


class TlsServer:
    """Answers each connection with `reply` over TLS, if the handshake holds."""

    def __init__(self, certificate: Path, key: Path, reply: Callable[[], bytes]) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate, key)
        self._reply = reply
        self._listener = socket.create_server((HOST, 0))
        self._listener.settimeout(0.05)
        self.port = int(self._listener.getsockname()[1])
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def _accept(self) -> None:
        while not self._stop.is_set():
            with suppress(OSError, ssl.SSLError):
                client, _ = self._listener.accept()
                client.settimeout(1)
                with self._context.wrap_socket(client, server_side=True) as connection:
                    connection.recv(65536)
                    connection.sendall(self._reply())

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self._listener.close()


def http(date: datetime | None = None, *, dated: bool = True) -> bytes:
    """A small HTTP answer with a date."""
    now = (date or datetime.now(UTC)).astimezone(UTC)
    line = f"Date: {format_datetime(now, usegmt=True)}\r\n" if dated else ""
    return f"HTTP/1.1 200 OK\r\n{line}Content-Length: 2\r\n\r\nOK".encode()


@contextmanager
def tls_server(
    folder: Path,
    authority: Authority,
    *,
    hosts: tuple[str, ...] = (HOST,),
    begins: datetime | None = None,
    reply: Callable[[], bytes] = http,
) -> Iterator[TlsServer]:
    """A server with a certificate of `authority` for `hosts`, valid for a year from `begins`."""
    folder.mkdir(parents=True, exist_ok=True)
    key = new_key()
    issued = authority.issue(hosts, key, begins or datetime.now(UTC))
    (folder / "chain.pem").write_bytes(pem(issued) + authority.pem)
    (folder / "key.pem").write_bytes(key_pem(key))
    server = TlsServer(folder / "chain.pem", folder / "key.pem", reply)
    try:
        yield server
    finally:
        server.close()


@contextmanager
def plain_server() -> Iterator[int]:
    """A port at which something speaks that is not TLS."""
    stop = threading.Event()
    with socket.create_server((HOST, 0)) as listener:
        listener.settimeout(0.05)

        def speak() -> None:
            while not stop.is_set():
                with suppress(OSError):
                    client, _ = listener.accept()
                    with client:
                        client.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")

        thread = threading.Thread(target=speak)
        thread.start()
        try:
            yield int(listener.getsockname()[1])
        finally:
            stop.set()
            thread.join()


@contextmanager
def deaf() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.create_server((HOST, 0)) as listener:
        yield int(listener.getsockname()[1])


def closed_port() -> int:
    """A port at which nobody listens."""
    with socket.create_server((HOST, 0)) as listener:
        return int(listener.getsockname()[1])


def joined(
    folder: Path, authority: Authority, *, fleet: int, registry: int, host: str = HOST
) -> Site:
    """The clinic in `folder` as if it had joined the server at these ports."""
    from cairn_client.clinic_folder import ClinicFolder
    from cairn_client.enrolment import LinkFolder, pin_team
    from cairn_protocol.identity import Identity

    clinic = ClinicFolder.open(folder)
    clinic.identity()
    link = LinkFolder.of(clinic)
    link.node_public_key()
    if not (clinic.state / "team.pub").exists():
        pin_team(clinic, Identity.generate().public)
    link.write("ca.pem", authority.pem)
    text = (
        f'clinic = "{clinic.config.name}"\nfleet = "https://{host}:{fleet}"\n'
        f'registry_host = "{host}"\nregistry_port = {registry}\nnode = "7"\n'
    )
    link.write("link.toml", text.encode())
    return site_of(folder)
