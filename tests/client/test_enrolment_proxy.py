"""Joining through a clinic's proxy, which sees a name, a port and TLS that it cannot read."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from cairn_client.enrolment import join, status
from cairn_client.outbound import Proxy, proxy_for
from cairn_protocol.errors import CairnError
from enrolment_bench import HOST, Bench, make_clinic, make_home, serving

NAME = "cairn.example.org"  # which nobody here can look up; the proxy leads it to loopback


class Tunnels:
    """An HTTP proxy that knows CONNECT, answers `status`, and notes what it was asked for."""

    def __init__(self, status: str) -> None:
        self.status = status
        self.asked: list[str] = []
        self.listener = socket.create_server((HOST, 0))
        self.listener.settimeout(0.1)
        self.uri = f"http://{HOST}:{self.listener.getsockname()[1]}"
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        while not self._stop.is_set():
            with suppress(TimeoutError):
                client, _ = self.listener.accept()
                thread = threading.Thread(target=self._serve, args=(client,))
                self._threads.append(thread)
                thread.start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            client.settimeout(5)
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += client.recv(1)
            target = head.split()[1].decode()
            self.asked.append(target)
            client.sendall(f"HTTP/1.1 {self.status}\r\nVia: proxy\r\n\r\n".encode())
            if not self.status.startswith("200"):
                return
            port = int(target.rpartition(":")[2])
            with socket.create_connection((HOST, port), timeout=5) as server:
                back = threading.Thread(target=self._pour, args=(server, client))
                back.start()
                self._pour(client, server)
                back.join()

    def _pour(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            source.settimeout(0.1)
            while not self._stop.is_set():
                try:
                    data = source.recv(65536)
                except TimeoutError:
                    continue
                if not data:
                    break
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self.listener.close()


@contextmanager
def tunnels(status: str = "200 OK") -> Iterator[Tunnels]:
    proxy = Tunnels(status)
    try:
        yield proxy
    finally:
        proxy.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with serving(make_home(tmp_path / "server", hosts=(NAME,))) as running:
        yield running


@pytest.fixture(autouse=True)
def no_proxy_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


def test_a_clinic_joins_through_its_proxy(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    oak, token = make_clinic(tmp_path / "oak", "oak"), bench.token("oak")
    with pytest.raises(CairnError, match="host-unknown"):
        join(oak, token)
    with tunnels() as proxy:
        monkeypatch.setenv("https_proxy", proxy.uri)
        assert join(oak, token).clinic == "oak"
        assert status(oak).state == "enrolled"
    assert set(proxy.asked) == {f"{NAME}:{token.port}"}


def test_a_proxy_that_refuses_and_one_that_is_away(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    oak, token = make_clinic(tmp_path / "oak", "oak"), bench.token("oak")
    with tunnels("403 Forbidden") as proxy:
        monkeypatch.setenv("https_proxy", proxy.uri)
        with pytest.raises(CairnError) as error:
            join(oak, token)
    assert error.value.code == "input.proxy-refuses"
    assert f"403 to CONNECT {NAME}:{token.port}" in error.value.why
    with pytest.raises(CairnError) as error:
        join(oak, token)
    assert error.value.code == "input.proxy-unreachable"


def test_loopback_and_excepted_hosts_go_straight(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", "http://192.0.2.1:1")
    monkeypatch.setenv("no_proxy", "example.net")
    assert proxy_for(NAME) == Proxy("192.0.2.1", 1)
    assert [proxy_for(h) for h in (HOST, "::1", "localhost", "a.example.net")] == [None] * 4
    with serving(make_home(tmp_path / "server")) as bench:
        oak = make_clinic(tmp_path / "oak", "oak")
        assert join(oak, replace(bench.token("oak"), host=HOST)).clinic == "oak"


@pytest.mark.parametrize(
    "address", ["socks5://x:1", "http://me:secret@x:1", "http://x:99999999", "http://"]
)
def test_a_proxy_that_cannot_be_used_is_named_without_its_password(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", address)
    with pytest.raises(CairnError) as error:
        proxy_for(NAME)
    assert error.value.code == "input.proxy-invalid"
    assert "secret" not in str(error.value) + error.value.hint
