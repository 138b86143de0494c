"""A clinic's keeper behind its audit log, as a process that ends itself, uncaught, at a named step.

It answers frames (u32 length, bytes) on a socket and kills itself with SIGKILL as it passes a step
for the NUMBER-th time; step `never` serves on. All such processes of a test run are forked from one
that has loaded Cairn and done nothing with it: loading takes longer than what is tested.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import os
import select
import signal
import socket
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import ClassVar

from cairn_client.audit_log.catching_up import CatchingUp
from cairn_client.audit_log.log import AuditLog
from cairn_client.audit_log.passing import Recorded
from cairn_client.clinic_folder import ClinicFolder
from cairn_client.keeper import Keeper
from cairn_client.keeper_store import KeeperStore
from cairn_models.questions import KINDS
from cairn_protocol.messages import decode
from cairn_protocol.record import Message

# What a keeper loads when it is first asked something.
LATER = ("scipy.special", KINDS["effect"].partition(":")[0])


def main(folder: str, step: str, number: str, handle: int) -> None:
    """Serve until the other end closes."""
    left = int(number)

    def passing(passed: str) -> None:
        nonlocal left
        if passed == step:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    clinic = ClinicFolder.open(Path(folder))
    store = KeeperStore.of(clinic)
    keeper = Keeper(clinic, store, passing=passing)
    audit = AuditLog.of(clinic)
    catching_up = CatchingUp(clinic, store, audit)
    recorded = Recorded(keeper, audit, catching_up, catching_up.name, passing=passing)
    while request := _read(handle):
        reply = recorded.forward(request)
        _write(handle, reply)
    keeper.close()
    audit.close()


def serve(control: socket.socket) -> None:
    """Forks a keeper for each request on `control`, and says there how each ended: "pid status"."""
    wake, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.signal(signal.SIGCHLD, lambda *_: os.write(woken, b"."))
    for module in LATER:
        import_module(module)
    gc.freeze()
    while True:
        ready, _, _ = select.select([control, wake], [], [])
        if wake in ready:
            os.read(wake, 4096)
            with contextlib.suppress(ChildProcessError):
                while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                    status = os.waitstatus_to_exitcode(ended[1])
                    control.send(f"{ended[0]} {status}".encode())
        if control not in ready:
            continue
        asked, handles, _, _ = socket.recv_fds(control, 65536, 1)
        if not asked:
            return
        if (pid := os.fork()) == 0:
            status = 1
            try:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                control.close()
                main(*asked.decode().split("\0"), handles[0])  # type: ignore[call-arg,misc]
                status = 0
            finally:
                os._exit(status)
        os.close(handles[0])
        control.send(f"{pid} forked".encode())


def _write(handle: int, frame: bytes) -> None:
    data = len(frame).to_bytes(4, "big") + frame
    while data:
        data = data[os.write(handle, data) :]


def _read(handle: int) -> bytes:
    head = _exactly(handle, 4)
    return _exactly(handle, int.from_bytes(head, "big")) if head else b""


def _exactly(handle: int, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = os.read(handle, count - len(data))
        if not part:
            return b""
        data += part
    return data


class Loaded:
    """The process that the keepers are forked from, and how those ended."""

    one: ClassVar[Loaded | None] = None

    def __init__(self) -> None:
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        self.process = subprocess.Popen(
            [sys.executable, __file__, str(theirs.fileno())],
            env=environment,
            pass_fds=(theirs.fileno(),),
        )
        theirs.close()
        self.ended: dict[int, int] = {}
        atexit.register(self.end)

    def end(self) -> None:
        """Ends it; the keepers that it forked have ended."""
        self.control.close()
        self.process.wait(20)

    @classmethod
    def get(cls) -> Loaded:
        """The one of this process, started when it is first needed."""
        if cls.one is None or cls.one.process.poll() is not None:
            cls.one = cls()
        return cls.one

    def fork(self, words: tuple[str, ...], handle: int) -> int:
        """The process id of a keeper that serves on `handle`."""
        socket.send_fds(self.control, ["\0".join(words).encode()], [handle])
        while True:
            pid, _, word = self.control.recv(256).decode().partition(" ")
            if word == "forked":
                return int(pid)
            self.ended[int(pid)] = int(word)

    def wait(self, pid: int, seconds: float) -> int:
        """Its exit status; that of a signal is negative."""
        until = time.monotonic() + seconds
        while pid not in self.ended:
            if not select.select([self.control], [], [], max(until - time.monotonic(), 0))[0]:
                raise TimeoutError
            ended, _, status = self.control.recv(256).decode().partition(" ")
            self.ended[int(ended)] = int(status)
        return self.ended[pid]


class CrashingKeeper:
    """The other end: `ask` gives the reply, or None if the keeper died instead."""

    def __init__(self, folder: Path, step: str = "never", number: int = 1) -> None:
        self._loaded = Loaded.get()
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._pid = self._loaded.fork((str(folder), step, str(number)), theirs.fileno())

    def ask(self, message: Message) -> Message | None:
        with contextlib.suppress(BrokenPipeError):
            _write(self._socket.fileno(), message.to_bytes())
        reply = _read(self._socket.fileno())
        if not reply:
            assert self._loaded.wait(self._pid, 10) == -signal.SIGKILL
            return None
        return decode(reply)

    def __enter__(self) -> CrashingKeeper:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.close()
        try:
            self._loaded.wait(self._pid, 20)
        except TimeoutError:
            os.kill(self._pid, signal.SIGKILL)
            raise


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
