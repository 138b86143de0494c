"""`audit`: whether every entry of the audit log is there, and how long nobody countersigned it."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cairn_client.audit_log.admin import SERVICE
from cairn_client.audit_log.chain import Chain, LogAltered
from cairn_client.audit_log.log import FILE
from cairn_client.clinic_folder import ClinicFolder
from cairn_client.doctor.daemons import BUSY, KeeperWord
from cairn_client.doctor.databases import held, reading
from cairn_client.doctor.finding import Finding, ok, problem, refused, unchecked, warning
from cairn_client.doctor.site import Site
from cairn_client.keeper_client import KeeperClient
from cairn_client.sockets import Sockets
from cairn_protocol.errors import CairnError
from cairn_protocol.messages import AuditReceipt
from cairn_protocol.proto import audit_pb2 as pb

DAY: Final = 86400
LONG: Final = 3 * DAY  # seconds without a receipt; a server signs hourly


@dataclass(frozen=True)
class _Log:
    """Entries, when the first was written, and when the newest receipt was signed (0: none)."""

    entries: int
    begun: int
    receipt: int


def audit(site: Site, keeper: KeeperWord) -> Iterator[Finding]:
    """The chain entry by entry, and the newest receipt."""
    try:
        log = _asked(site) if keeper.answers else _read(site)
    except LogAltered as error:
        yield problem(
            "input.audit-log-damaged",
            "the audit log was changed, or is damaged",
            why=error.why,
            remedy="restore it with the rest of .cairn; or move it aside and keep it: a new one "
            "begins, and the research team's receipts show the break",
        )
        return
    except CairnError as error:
        yield refused(error)
        return
    except OSError:
        yield unchecked("audit.chain", "only the keeper's user may read the audit log")
        return
    if log is None:
        yield unchecked("audit.chain", "nothing was logged yet")
        return
    yield ok("audit.chain", f"{log.entries:,} entries of the audit log follow from each other")
    yield _receipt(site, log)


def _receipt(site: Site, log: _Log) -> Finding:
    if not site.joined:
        return unchecked("audit.receipt", "no research team is there to countersign it")
    since = int(time.time()) - max(log.receipt, log.begun)
    if since > LONG:
        return warning(
            "audit.receipt",
            f"nobody has countersigned the audit log for {since // DAY} days",
            why="the research team's server does so every hour while it reaches this clinic",
            remedy="see that the link is connected, then ask the team for `cairn server audit`",
        )
    return ok("audit.receipt", "the research team has countersigned it, or soon will")


def _asked(site: Site) -> _Log:
    """By the keeper, which checked it when it started."""
    with KeeperClient(Sockets(site.path).admin) as keeper:
        request, reply = pb.AuditLogRequest(limit=1), pb.AuditLogReply
        told = keeper.admin("AuditLog", request, reply, BUSY * site.seconds, SERVICE)
    begun = told.entries[0].at if told.entries else 0
    return _Log(told.standing.entries, begun, told.standing.receipt_at)


def _read(site: Site) -> _Log | None:
    """By its file."""
    file = site.state / FILE
    if not file.is_file():
        return None
    if held(file):
        raise PermissionError
    chain, begun = Chain(ClinicFolder(site.path, site.config).identity().public), 0
    try:
        with reading(file) as database:
            for text, digest in database.execute("SELECT body, hash FROM chain ORDER BY number"):
                entry = chain.take(text, digest)
                begun = begun or int(datetime.fromisoformat(entry.at).timestamp())
            bodies = database.execute("SELECT body FROM receipts").fetchall()
            receipts = [AuditReceipt.from_body(body) for (body,) in bodies]
    except (sqlite3.Error, UnicodeDecodeError, TypeError, ValueError) as error:
        raise LogAltered(
            "the audit log is damaged", code="audit-log-damaged", why=type(error).__name__
        ) from None
    return _Log(chain.number, begun, max((receipt.at for receipt in receipts), default=0))
