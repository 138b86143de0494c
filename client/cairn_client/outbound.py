"""`connect`: a TCP connection to a server outside, through the clinic's proxy where it has one.

The proxy is the one that `https_proxy` names, unless `no_proxy` excepts the host; a loopback
address never goes through it. Flower's client reads the same variables.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from cairn_protocol.errors import InputError

PROXY_PORT: Final = 8080
LONGEST_HEAD: Final = 16 * 1024


@dataclass(frozen=True)
class Proxy:
    """An HTTP proxy that lets CONNECT through."""

    host: str
    port: int

    @property
    def uri(self) -> str:
        """As gRPC wants it."""
        return f"http://{_bracketed(self.host)}:{self.port}"


def proxy_for(host: str) -> Proxy | None:
    """The proxy on the way to `host`, by the environment.

    Raises:
        InputError: `input.proxy-invalid`.
    """
    address = getproxies().get("https", "")
    if not address or _is_loopback(host) or proxy_bypass(host):
        return None
    try:
        parts = urlsplit(address if "//" in address else f"http://{address}")
        name, port = parts.hostname, parts.port or PROXY_PORT
    except ValueError:
        name, port = None, 0
    if not name or parts.scheme != "http" or parts.username:
        raise InputError(
            "the proxy in https_proxy cannot be used",
            code="proxy-invalid",
            why="Cairn speaks to a proxy over http and without a password",
            hint="for example https_proxy=http://proxy.example.org:8080",
        )
    return Proxy(name, port)


def connect(host: str, port: int, seconds: float) -> socket.socket:
    """A connection to `host`; at most `seconds` for each step.

    Raises:
        OSError: as the system says.
        InputError: `input.proxy-unreachable`, `input.proxy-refuses`, `input.proxy-authentication`,
            `input.proxy-invalid`.
    """
    proxy = proxy_for(host)
    if proxy is None:
        return socket.create_connection((host, port), timeout=seconds)
    try:
        connection = socket.create_connection((proxy.host, proxy.port), timeout=seconds)
    except OSError as error:
        raise InputError(
            f"the proxy {proxy.host}:{proxy.port} cannot be reached",
            code="proxy-unreachable",
            why=error.strerror or type(error).__name__,
            hint="https_proxy names it; ask your IT whether it is right",
        ) from None
    try:
        target = f"{_bracketed(host)}:{port}"
        connection.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
        _check_answer(_head(connection), proxy, target)
    except BaseException:
        connection.close()
        raise
    return connection


def _head(connection: socket.socket) -> bytes:
    """The proxy's answer up to its empty line, byte by byte: what follows is not ours to read."""
    head = b""
    while not head.endswith(b"\r\n\r\n") and len(head) < LONGEST_HEAD:
        byte = connection.recv(1)
        if not byte:
            break
        head += byte
    return head


def _check_answer(head: bytes, proxy: Proxy, target: str) -> None:
    words = head.split(b"\r\n", 1)[0].split()
    if len(words) >= 2 and words[0].startswith(b"HTTP/") and words[1] == b"200":
        return
    status = words[1][:3].decode("ascii", "replace") if len(words) >= 2 else "nothing"
    if status == "407":
        raise InputError(
            f"the proxy {proxy.host}:{proxy.port} wants a user and a password",
            code="proxy-authentication",
            why=f"it answered 407 to CONNECT {target}; Cairn gives no password to a proxy",
            hint=f"ask your IT to let this machine through to {target} without one, or to run a "
            "proxy on this machine that signs in for it, and name that one in https_proxy",
        )
    raise InputError(
        f"the proxy {proxy.host}:{proxy.port} does not let this machine through",
        code="proxy-refuses",
        why=f"it answered {status} to CONNECT {target}",
        hint=f"ask your IT to allow CONNECT to {target} for this machine",
    )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
