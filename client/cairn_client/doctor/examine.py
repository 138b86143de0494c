"""`examine`: every family of checks over one clinic; one that breaks off stops no other.

    versions     Cairn, protocol, Python, the pinned library
    resources    memory, torch
    disk         room, kind of file system, a write that waits for the disk
    keys         each key and certificate, and where the sealing key comes from
    permissions  modes and owners
    services     keeper and link, their sockets, what a crash would leave
    separation   two users, of whom the link's can read no record
    database     every page of the keeper's files
    ledger       the chain, its witness, the cap
    audit        the audit log's chain, and its newest receipt
    policy       policy.toml
    records      the mapping and the clinic's files
    network      proxy, name, connection, TLS, fleet, registry
    clock        against the server's, and whether anything keeps it

Works before `join`, offline, and as any user: what cannot be looked at is called unchecked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from cairn_client.clinic_config import ClinicConfig
from cairn_client.doctor.audit import audit
from cairn_client.doctor.clock import clock
from cairn_client.doctor.daemons import ask_keeper, daemons, running
from cairn_client.doctor.databases import databases
from cairn_client.doctor.disk import disk
from cairn_client.doctor.finding import Finding, Report, problem, refused
from cairn_client.doctor.keys import keys
from cairn_client.doctor.ledger import ledger
from cairn_client.doctor.machine import resources, versions
from cairn_client.doctor.network import reach
from cairn_client.doctor.permissions import permissions, separation
from cairn_client.doctor.policy import policy
from cairn_client.doctor.records import records
from cairn_client.doctor.site import STEP_SECONDS, Site
from cairn_protocol.errors import InputError

Check = Callable[[], Iterable[Finding]]


def examine(folder: Path, *, seconds: float = STEP_SECONDS) -> Report:
    """What every check finds at the clinic in `folder`.

    Args:
        seconds: for each step over the network or a socket.
    """
    try:
        site = Site(folder, ClinicConfig.read(folder), seconds)
    except InputError as error:
        found = (("clinic", (refused(error),)), ("versions", versions()))
        return Report.of((*found, ("resources", resources()), ("clock", clock(None))))
    keeper, server = ask_keeper(site), reach(site)
    version = keeper.status.version if keeper.status else ""
    families: tuple[tuple[str, Check], ...] = (
        ("versions", lambda: versions(version)),
        ("resources", resources),
        ("disk", lambda: disk(site)),
        ("keys", lambda: keys(site, answers=keeper.answers)),
        ("permissions", lambda: permissions(site)),
        ("services", lambda: daemons(site, keeper)),
        ("separation", lambda: separation(site, running(site, keeper))),
        ("database", lambda: databases(site, answers=keeper.answers)),
        ("ledger", lambda: ledger(site, keeper)),
        ("audit", lambda: audit(site, keeper)),
        ("policy", lambda: policy(site)),
        ("records", lambda: records(site)),
        ("network", lambda: server.findings),
        ("clock", lambda: clock(server.ahead)),
    )
    return Report.of((name, whole(name, check)) for name, check in families)


def whole(name: str, check: Check) -> Iterator[Finding]:
    """What `check` finds; if it breaks off, the type of the error alone, as one more finding."""
    try:
        yield from check()
    except Exception as error:
        yield problem(
            f"{name}.broke-off",
            f"the checks of {name} broke off",
            why=type(error).__name__,
            remedy="this is a fault of Cairn's: report it with this line",
        )
