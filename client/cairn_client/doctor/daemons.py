"""`daemons`: whether keeper and link run, answer, and would leave nothing behind in a crash.

Both are asked as their users ask them: the keeper over admin.sock, and over link.sock for its
health; the link, which serves nothing, by the note that it keeps.
"""

from __future__ import annotations

import socket
import stat
import struct
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from cairn_client.doctor.finding import Finding, ok, problem, refused, unchecked, warning
from cairn_client.doctor.permissions import Running
from cairn_client.doctor.site import Site
from cairn_client.keeper_client import LINK, OPTIONS, KeeperClient
from cairn_client.link_report import LinkStanding, link_standing
from cairn_client.sockets import SOCKET_MODE, Address, Sockets
from cairn_protocol.errors import CairnError
from cairn_protocol.proto import keeper_pb2 as pb

START: Final = "cairn clinic run, or: systemctl start cairn-keeper cairn-link"
BUSY: Final = 5  # times a step: a keeper that computes answers its people late
QUIET_SECONDS: Final = 120.0  # without word from the server, while the link says it is connected


@dataclass(frozen=True)
class KeeperWord:
    """What the running keeper said; `status` is None where none answers.

    `lines` is its ledger's export, empty where there is none. `pid` and `user` are those of the
    process that listens, 0 and None where it is not known.
    """

    status: pb.StatusReply | None = None
    lines: str = ""
    pid: int = 0
    user: int | None = None
    fault: CairnError | None = None

    @property
    def answers(self) -> bool:
        """Whether a keeper runs here and answered this user."""
        return self.status is not None


def ask_keeper(site: Site) -> KeeperWord:
    """The word of the clinic's keeper; one that is late is one that is not there."""
    sockets = Sockets(site.path)
    pid, user = _listener(sockets.link, site.seconds)
    try:
        with KeeperClient(sockets.admin) as keeper:
            status = keeper.admin("Status", pb.StatusRequest(), pb.StatusReply, BUSY * site.seconds)
            lines = ""
            while part := keeper.admin(
                "Ledger",
                pb.LedgerRequest(after=lines.count("\n")),
                pb.LedgerReply,
                BUSY * site.seconds,
            ).lines:
                lines += part
    except CairnError as error:
        return KeeperWord(pid=pid, user=user, fault=error)
    return KeeperWord(status, lines, pid, user)


def daemons(site: Site, keeper: KeeperWord) -> Iterator[Finding]:
    """The keeper, its sockets, and the link."""
    yield from _keeper(site, keeper)
    yield from _link(site)
    note = link_standing(site.path)
    for name, pid in (("keeper", keeper.pid), ("link", note.pid if note and note.alive else 0)):
        if pid:
            yield from _process(name, pid)


def running(site: Site, keeper: KeeperWord) -> Running:
    """Under which users keeper and link run."""
    note = link_standing(site.path)
    if note is None or not note.alive:
        return Running(keeper.user)
    users = _told(note.pid).get("Uid", "").split()  # the folder in /proc is root's: not dumpable
    return Running(keeper.user, int(users[1]) if len(users) > 1 else None)


def _keeper(site: Site, keeper: KeeperWord) -> Iterator[Finding]:
    sockets = Sockets(site.path)
    if keeper.status is None:
        if keeper.pid:
            fault = keeper.fault
            yield unchecked("daemons.keeper", "a keeper runs, but does not answer your user")
            if fault is not None and fault.code != "input.keeper-unreachable":
                yield refused(fault)
        elif not site.joined:
            yield unchecked("daemons.keeper", "the keeper does not run; it does after joining")
        else:
            left = " though its socket is there: it ended without notice"
            yield problem(
                "daemons.keeper",
                "the keeper does not run",
                why=f"nobody listens{left if _exists(sockets.link) else ''}",
                remedy=f"start it: {START}; if it ends again, its log says why",
            )
        return
    yield ok("daemons.keeper", f"the keeper answers; boot {keeper.status.epoch}")
    if keeper.status.clinic != site.config.name:
        yield problem(
            "daemons.keeper-other",
            f"the keeper is {keeper.status.clinic}'s, clinic.toml says {site.config.name}",
            remedy="restart it, if clinic.toml is right",
        )
    yield _health(sockets.link, site.seconds)
    for path in (sockets.link, sockets.admin):
        if (there := _mode(path)) and there != SOCKET_MODE:
            yield problem(
                "daemons.socket-mode",
                f"{path} has mode {there:o}, not {SOCKET_MODE:o}",
                why="its folder decides who may come; the socket itself is to be open",
                remedy="restart the keeper",
            )


def _health(path: Path, seconds: float) -> Finding:
    """What link.sock answers, as the link would hear it."""
    served = health_pb2.HealthCheckResponse.SERVING
    address = None
    try:
        address = Address(path)
        with grpc.insecure_channel(address.target, options=OPTIONS) as channel:
            asked = health_pb2.HealthCheckRequest(service=LINK)
            stub = health_pb2_grpc.HealthStub(channel)
            if stub.Check(asked, timeout=seconds).status == served:
                return ok("daemons.link-socket", "the keeper serves the link")
    except PermissionError:
        return unchecked("daemons.link-socket", "only keeper and link may enter run/link")
    except (grpc.RpcError, OSError):
        pass
    finally:
        if address is not None:
            address.close()
    return problem(
        "daemons.link-socket",
        "the keeper does not serve the link",
        why=f"{path.name} does not answer",
        remedy="restart the keeper",
    )


def _link(site: Site) -> Iterator[Finding]:
    if not site.joined:
        yield unchecked("daemons.link", "the link does not run; it does after joining")
        return
    note = link_standing(site.path)
    if note is None or not note.alive:
        yield problem(
            "daemons.link",
            "the link does not run",
            why="it never did" if note is None else f"its last word was {note.state!r}",
            remedy=f"start it: {START}",
        )
    else:
        yield _standing(note)


def _standing(note: LinkStanding) -> Finding:
    if note.trouble:
        return problem(note.code, note.trouble, why="so says the link", remedy=note.hint)
    silent = time.time() - note.contact
    if note.state == "connected" and silent < QUIET_SECONDS:
        return ok("daemons.link", f"the link is connected to {note.server}")
    if note.state == "connected":
        return warning(
            "daemons.link-quiet",
            f"the link has not heard from {note.server} for {silent:,.0f} s",
            remedy="it may be in a long round; if none runs, restart it",
        )
    return warning(
        "daemons.link-connecting",
        f"the link is {note.state}",
        remedy="ask again in a minute; the family network says what may stand in the way",
    )


def _process(name: str, pid: int) -> Iterator[Finding]:
    """What a process would leave for others: the mode of its files, a dump of its memory."""
    limit = ""
    with suppress(OSError):
        limits = Path(f"/proc/{pid}/limits").read_text().splitlines()
        limit = next(line.split()[4] for line in limits if line.startswith("Max core file size"))
    umask = _told(pid).get("Umask", "")
    if umask and int(umask, 8) & 0o077 != 0o077:
        yield warning(
            f"daemons.{name}-umask",
            f"the {name} makes files that others may read",
            why=f"its umask is {umask}, not 0077",
            remedy="restart it with the current version of Cairn",
        )
    if limit and limit != "0":
        yield warning(
            f"daemons.{name}-core",
            f"a crash of the {name} may write its memory to the disk",
            why=f"its limit for core files is {limit}",
            remedy="restart it with the current version of Cairn",
        )


def _told(pid: int) -> dict[str, str]:
    """/proc/PID/status; empty where it cannot be read."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return {}
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def _listener(path: Path, seconds: float) -> tuple[int, int | None]:
    """Process and user that listen on a Unix socket; (0, None) if nobody is known to."""
    address = None
    try:
        address = Address(path)
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(seconds)
            connection.connect(address.target.removeprefix("unix:"))
            who = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
            pid, user, _ = struct.unpack("iII", who)
            return pid, user
    except OSError:
        return 0, None
    finally:
        if address is not None:
            address.close()


def _exists(path: Path) -> bool:
    return _mode(path) != 0


def _mode(path: Path) -> int:
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return 0
