"""A clinic's audit log with a team's receipts, made without keeper and server, and its export."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cairn_client.audit_log.countersigned import Countersigned
from cairn_client.audit_log.export import Whose, written
from cairn_client.audit_log.kinds import Event, event
from cairn_client.audit_log.log import AuditLog
from cairn_protocol.identity import Identity
from cairn_protocol.messages import AuditReceipt, AuditRequest

TEAM = Identity.from_private_bytes(b"t" * 32)
STUDY, RUN = b"s" * 32, b"r" * 16


def upload(attempt: int, charge: int, units: int) -> Event:
    """An upload whose digest is made of its attempt."""
    return event(
        "upload",
        name="tiny",
        study=STUDY.hex(),
        run=RUN.hex(),
        question="effect",
        round=0,
        attempt=attempt,
        bytes=1000,
        sha256="ab" * 32,
        upload=bytes([attempt] * 32).hex(),
        charge=charge,
        units=units,
    )


@dataclass
class Kept:
    """An open log and its clinic's key."""

    audit: AuditLog
    clinic: Identity
    name: str
    last: AuditReceipt | None = None
    at: int = 1_760_000_000
    team: Identity = TEAM

    @classmethod
    def begun(cls, folder: Path, name: str = "oak", key: bytes = b"k" * 32) -> Kept:
        """A new log in `folder`."""
        clinic = Identity.from_private_bytes(key)
        first = event("begun", clinic=name, identity=clinic.public.hex())
        audit = AuditLog(folder / f"{name}.sqlite", clinic.public, first)
        audit.append(event("team", once="team", team=TEAM.public.hex()))
        return cls(audit, clinic, name)

    def countersign(self) -> AuditReceipt:
        """The next receipt, kept beside the log."""
        answer = Countersigned(self.audit, self.clinic, lambda: self.team.public).answer
        number = self.last.number + 1 if self.last else 1
        head = answer(AuditRequest(number, (self.last,) if self.last else ()))
        self.at += 3600
        self.last = AuditReceipt.sign(head, self.at, self.team)
        answer(AuditRequest(number, (self.last,)))
        return self.last

    def export(self) -> str:
        """What `cairn clinic log export` writes."""
        whose = Whose(self.name, self.clinic.public)
        entries = [(entry.text, entry.hash.hex()) for entry in self.audit.entries()]
        receipts = [receipt.body for receipt in self.audit.receipts()]
        return "".join(written(whose, entries, receipts))
