"""`check_port`: whether this server may listen where server.toml says."""

from __future__ import annotations

import errno
import socket

from cairn_protocol.errors import InputError


def check_port(listen: str, port: int) -> None:
    """Refuses, in words, a port that cannot be had; gRPC does not say why."""
    family = socket.AF_INET6 if ":" in listen else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((listen, port))
        except OSError as error:
            raise no_port(listen, port, error.errno or 0) from None


def no_port(listen: str, port: int, number: int) -> InputError:
    """Why a port cannot be had, in words, from the system's error number."""
    if number == errno.EACCES:
        return InputError(
            f"this user may not listen on port {port}",
            code="port-forbidden",
            hint="use a port above 1023 in server.toml and forward the other one to it",
        )
    if number == errno.EADDRINUSE:
        return InputError(
            f"port {port} is in use already",
            code="port-in-use",
            why="another program, or another `cairn server run`, listens there",
            hint=f"ss -ltnp 'sport = :{port}' names it; or change the port in server.toml",
        )
    return InputError(
        f"cannot listen on {listen}:{port}",
        code="address-foreign",
        why="this machine has no such address",
        hint="set `listen` in server.toml to an address of this machine, or 0.0.0.0 for all",
    )


def answers(listen: str, port: int, seconds: float = 1.0) -> bool:
    """Whether something on this machine accepts connections there."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(listen, listen)  # noqa: S104
    try:
        socket.create_connection((host, port), timeout=seconds).close()
    except OSError:
        return False
    return True
