"""`Processes`: a benchmark's processes: started, watched through /proc, and ended to the last."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from benchmarks.rounds_procfs import Seen, family, look, loopback_bytes

ROOT: Final = Path(__file__).parents[1]
EVERY: Final = 0.25  # seconds between looks
END_SECONDS: Final = 15.0
QUIET: Final = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "NO_PROXY": "127.0.0.1,localhost",
    "no_proxy": "127.0.0.1,localhost",
}


class Failed(Exception):
    """A process of a benchmark did not do what it should."""


@dataclass(frozen=True)
class Sample:
    """How it stood `at` (Unix time). `loopback`: bytes so far, whole machine. By role, so far:
    CPU seconds and peak MB."""

    at: float
    loopback: int
    cpu: Mapping[str, float]
    peak: Mapping[str, float]


class Processes:
    """A context manager. A role is one process that was started, with all that it starts.

    A role's peak is the largest sum of the peaks (VmHWM) of its processes that lived at one time;
    pages that processes share count in each.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        self._folder = folder
        self._environment = {**os.environ, **QUIET, **(environment or {})}
        self._started: dict[str, subprocess.Popen[bytes]] = {}
        self._peak: dict[str, float] = {}
        self._samples: list[Sample] = []
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._look()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._end.set()
        self._thread.join()
        families = [one for p in self._started.values() for one in family(p.pid)]
        for process in self._started.values():
            process.terminate()
        until = time.monotonic() + END_SECONDS
        for process in self._started.values():
            try:
                process.wait(max(until - time.monotonic(), 0.1))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        _end_all(families)

    def start(self, role: str, *command: str) -> None:
        """Start a process that stays; what it prints goes to a file in the folder."""
        with (self._folder / f"{role}.log").open("wb") as log:
            self._started[role] = subprocess.Popen(
                command,
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def call(self, *command: str, fails: bool = False) -> str:
        """What a command prints, when it has ended; "" where it `fails` and may.

        Raises:
            Failed: it ended with an error and may not.
        """
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
            check=False,
        )
        if done.returncode and not fails:
            raise Failed(f"{command[-3:]}: {done.stderr.decode(errors='replace')[-800:]}")
        return "" if done.returncode else done.stdout.decode()

    def until(self, ready: Callable[[], object], seconds: float, what: str) -> None:
        """Look until `ready()` is true.

        Raises:
            Failed: it was not so within `seconds`, or a process has ended.
        """
        end = time.monotonic() + seconds
        while not ready():
            for role, process in self._started.items():
                if process.poll() is not None:
                    raise Failed(f"{role} ended with status {process.returncode}: {self.log(role)}")
            if time.monotonic() > end:
                raise Failed(f"{what}: not within {seconds:g} s")
            time.sleep(EVERY)

    def log(self, role: str) -> str:
        """The end of what a process printed."""
        return (self._folder / f"{role}.log").read_text(errors="replace")[-800:]

    def at(self, moment: float) -> Sample:
        """The last sample before `moment` (Unix time)."""
        before = [sample for sample in self._samples if sample.at <= moment]
        return before[-1] if before else self._samples[0]

    def _watch(self) -> None:
        while not self._end.wait(EVERY):
            self._look()

    def _look(self) -> None:
        cpu = {}
        for role, process in list(self._started.items()):
            members = family(process.pid)
            cpu[role] = sum(one.cpu for one in members)
            together = sum(one.peak_mb for one in members)
            self._peak[role] = max(self._peak.get(role, 0.0), together)
        self._samples.append(Sample(time.time(), loopback_bytes(), cpu, dict(self._peak)))


def free_port() -> str:
    """A TCP port of 127.0.0.1 on which nothing listens now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return str(listener.getsockname()[1])


def _end_all(seen: Iterable[Seen]) -> None:
    """Ends what outlived its parents."""
    for number, grace in ((signal.SIGTERM, 3.0), (signal.SIGKILL, 0.0)):
        left = [one for one in seen if _lives(one)]
        for one in left:
            os.kill(one.pid, number)
        until = time.monotonic() + grace
        while any(map(_lives, left)) and time.monotonic() < until:
            time.sleep(0.1)


def _lives(one: Seen) -> bool:
    now = look(one.pid)
    return now is not None and now.start == one.start and now.peak_mb > 0
