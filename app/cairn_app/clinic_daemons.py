"""`cairn clinic run`: keeper and link as two processes, or one of them for a service manager."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Literal

from cairn_app.logs import log_to_stderr
from cairn_app.reimport_daemon import reimport_as_planned
from cairn_client.hardened import leave_nothing_behind
from cairn_client.separation import Users, check_unreadable, private_files
from cairn_protocol.errors import InputError, OurFault

Part = Literal["both", "keeper", "link"]
SUPERVISED: Final = "CAIRN_SUPERVISED"
STOP_SECONDS: Final = 15.0
FIRST_WAIT: Final = 1.0
LONGEST_WAIT: Final = 30.0
STEADY_SECONDS: Final = 60.0  # a process that ran so long may fail again without being given up
MOST_FAILURES: Final = 6
_REFUSALS: Final = range(2, 8)  # exit statuses that starting again would not change
_PR_SET_PDEATHSIG: Final = 1


def run_part(folder: Path, part: Part, keeper_user: str, link_user: str) -> None:
    """Run until SIGTERM or SIGINT."""
    log_to_stderr()
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")  # read when gRPC is first imported
    users = Users.named(keeper_user, link_user)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    match part:
        case "both":
            _both(folder, users, keeper_user, link_user, stop)
        case "keeper":
            _keeper(folder, users, stop)
        case "link":
            _link(folder, users, stop)


def _keeper(folder: Path, users: Users | None, stop: threading.Event) -> None:
    from cairn_client.clinic_folder import ClinicFolder
    from cairn_client.keeper_service import KeeperService

    if users is not None:
        users.own_folders(folder)
        users.keeper.become()
    leave_nothing_behind()
    _die_with_supervisor(stop)
    with KeeperService(ClinicFolder.open(folder)) as service:
        reimporter = reimport_as_planned(folder, service.imports, stop)
        stop.wait()
        if reimporter is not None:
            reimporter.join(STOP_SECONDS / 3)


def _link(folder: Path, users: Users | None, stop: threading.Event) -> None:
    from cairn_client.link_daemon import LinkDaemon

    private = private_files(folder)
    if users is not None:
        users.own_folders(folder)
        users.link.become()
        _check_reachable(folder / "link", users.link.name)
        check_unreadable(private)
    leave_nothing_behind()
    _die_with_supervisor(stop)
    LinkDaemon(folder, stop).run()


def _check_reachable(link: Path, user: str) -> None:
    if not os.access(link, os.R_OK | os.X_OK):
        raise InputError(
            f"the user {user} cannot reach {link}",
            code="link-unreachable",
            why="it may not pass through a folder on the way",
            hint=f"let others pass, not read: chmod o+x {link.parent.absolute()} and what it "
            "stands in",
        )


def _both(
    folder: Path, users: Users | None, keeper_user: str, link_user: str, stop: threading.Event
) -> None:
    """Starts both, starts one again that crashes, and ends both together."""
    from cairn_client.link_home import LinkHome

    LinkHome.read(folder / "link")  # a clinic that has not joined is told before anything starts
    if users is not None:
        users.own_folders(folder)
    else:
        print("keeper and link run as one user; see keeper_user in clinic.toml", file=sys.stderr)
    options = ["--folder", str(folder)]
    if users is not None:
        options += ["--keeper-user", keeper_user, "--link-user", link_user]
    watched = [_Watched(part, options) for part in ("keeper", "link")]
    try:
        while not stop.is_set():
            for one in watched:
                one.look()
            stop.wait(0.2)
    finally:
        _end([one.process for one in watched])


class _Watched:
    """A process that is started again, more and more slowly, when it crashes."""

    def __init__(self, part: str, options: Sequence[str]) -> None:
        command = "from cairn_app.cli import main; main()"
        self._command = [sys.executable, "-P", "-c", command, "clinic", "run", part, *options]
        self._part = part
        self._failures = 0
        self._again_at = 0.0
        self.process: subprocess.Popen[bytes] | None = None
        self._start()

    def _start(self) -> None:
        environment = {**os.environ, SUPERVISED: str(os.getpid())}
        self._started = time.monotonic()
        # A session of its own: Ctrl-C reaches the supervisor, which ends both in order.
        self.process = subprocess.Popen(self._command, env=environment, start_new_session=True)  # noqa: S603

    def look(self) -> None:
        """Starts it again if it crashed and its wait is over.

        Raises:
            SystemExit: it refused, with its status; it has said why.
            OurFault: it crashes again and again.
        """
        if self.process is None:
            if time.monotonic() >= self._again_at:
                self._start()
            return
        status = self.process.poll()
        if status is None:
            return
        if status in _REFUSALS:
            raise SystemExit(status)
        ran = time.monotonic() - self._started
        self._failures = 1 if ran > STEADY_SECONDS else self._failures + 1
        if self._failures > MOST_FAILURES:
            raise OurFault(
                f"the clinic's {self._part} ends again and again",
                code="daemon-crashes",
                why=f"{self._failures} times in a row, the last with status {status}",
                hint="its lines above say more",
            )
        wait = min(FIRST_WAIT * 2 ** (self._failures - 1), LONGEST_WAIT)
        print(
            f"the {self._part} ended (status {status}); it starts again in {wait:g} s",
            file=sys.stderr,
        )
        self.process, self._again_at = None, time.monotonic() + wait


def _end(processes: Sequence[subprocess.Popen[bytes] | None]) -> None:
    """Ends all: asked first, then, after a while, made to."""
    alive = [p for p in processes if p is not None and p.poll() is None]
    for process in alive:
        process.terminate()
    deadline = time.monotonic() + STOP_SECONDS
    for process in alive:
        try:
            process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _die_with_supervisor(stop: threading.Event) -> None:
    """Has the kernel end this process with the one that started it; after any change of user."""
    supervisor = os.environ.get(SUPERVISED, "")
    if not supervisor.isdigit():
        return
    prctl: Callable[..., int] = ctypes.CDLL(None, use_errno=True).prctl
    prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != int(supervisor):  # it ended in between
        stop.set()
