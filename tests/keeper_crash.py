"""A clinic's keeper behind its audit log, as a process that ends itself, uncaught, at a named step.

Run: keeper_crash.py FOLDER STEP NUMBER. It answers frames (u32 length, bytes) from stdin on stdout
and kills itself with SIGKILL as it passes STEP for the NUMBER-th time; STEP `never` serves on.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType

from cairn_client.audit_log.catching_up import CatchingUp
from cairn_client.audit_log.log import AuditLog
from cairn_client.audit_log.passing import Recorded
from cairn_client.clinic_folder import ClinicFolder
from cairn_client.keeper import Keeper
from cairn_client.keeper_store import KeeperStore
from cairn_protocol.messages import decode
from cairn_protocol.record import Message


def main(folder: str, step: str, number: str) -> None:
    """Serve until stdin ends."""
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
    while request := _read(sys.stdin.buffer.fileno()):
        reply = recorded.forward(request)
        sys.stdout.buffer.write(len(reply).to_bytes(4, "big") + reply)
        sys.stdout.buffer.flush()
    keeper.close()
    audit.close()


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


class CrashingKeeper:
    """The other end: `ask` gives the reply, or None if the keeper died instead."""

    def __init__(self, folder: Path, step: str = "never", number: int = 1) -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(folder), step, str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
        )

    def ask(self, message: Message) -> Message | None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        request = message.to_bytes()
        self._process.stdin.write(len(request).to_bytes(4, "big") + request)
        self._process.stdin.flush()
        reply = _read(self._process.stdout.fileno())
        if not reply:
            assert self._process.wait(10) == -signal.SIGKILL
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
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(20)
        finally:
            self._process.kill()
            self._process.wait()
            self._process.stdout.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
