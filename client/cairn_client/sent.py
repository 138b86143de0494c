"""`sent`: every upload that left this clinic, from its audit log, and from the ledger before that.

The audit log has each one with its size, because it is written before the reply leaves
(`audit_log.passing`). Charges that were committed before the log began left without being counted
in bytes. A charge that was committed since, and is not in the log, was held back: it is not here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

from cairn_client.audit_log.chain import Entry
from cairn_client.audit_log.log import AuditLog
from cairn_privacy.ledger import Ledger
from cairn_privacy.links import Entry as Charge

TO_THE_SECOND: Final = len("2026-01-01T00:00:00")  # as the ledger writes times


@dataclass(frozen=True)
class Sent:
    """One upload; digests are hexadecimal, `bytes` is 0 and `sha256` empty where nobody wrote it
    down, `units` are what the ledger charged."""

    at: str
    study: str
    name: str
    question: str
    round: int
    attempt: int
    run: str
    bytes: int
    sha256: str
    upload: str
    units: int

    @classmethod
    def logged(cls, entry: Entry) -> Self:
        """As the audit log has it."""
        told = entry.fields
        return cls(
            at=entry.at,
            study=str(told["study"]),
            name=str(told["name"]),
            question=str(told["question"]),
            round=int(told["round"]),
            attempt=int(told["attempt"]),
            run=str(told["run"]),
            bytes=int(told["bytes"]),
            sha256=str(told["sha256"]),
            upload=str(told["upload"]),
            units=int(told["units"]),
        )

    @classmethod
    def charged(cls, charge: Charge, name: str) -> Self:
        """As the ledger has it."""
        return cls(
            at=charge.at,
            study=charge.study,
            name=name,
            question=charge.question,
            round=charge.round,
            attempt=charge.attempt,
            run=charge.run,
            bytes=0,
            sha256="",
            upload=charge.upload,
            units=charge.units,
        )


def sent(audit: AuditLog, ledger: Ledger | None, study: str = "") -> list[Sent]:
    """Every upload, or those of the study with this digest (hexadecimal), oldest first."""
    found = [Sent.logged(entry) for entry in audit.entries(kinds=("upload",))]
    (begun,) = audit.entries(limit=1)
    since = begun.at[:TO_THE_SECOND]
    if ledger is not None:
        logged, known = {upload.upload for upload in found}, ledger.account.studies
        found += [
            Sent.charged(charge, known[charge.study].name if charge.study in known else "")
            for charge in ledger.entries()
            if charge.state == "committed"
            and charge.at[:TO_THE_SECOND] < since
            and charge.upload not in logged
        ]
    return sorted((s for s in found if study in ("", s.study)), key=lambda s: s.at)
