"""An HTTP proxy on loopback that knows CONNECT, for tests of a clinic's way out."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

HOST = "127.0.0.1"


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
