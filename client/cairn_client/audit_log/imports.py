"""`tell_import`: an import into the audit log, by whichever process kept it."""

from __future__ import annotations

from contextlib import suppress

from cairn_client.audit_log.kinds import Event, event
from cairn_client.audit_log.log import AuditLog
from cairn_client.clinic_folder import ClinicFolder
from cairn_client.manifest import Manifest
from cairn_protocol.errors import CairnError


def tell_import(clinic: ClinicFolder, manifest: Manifest) -> None:
    """Writes it down. Where that fails the import stands: the keeper tells it, see `CatchingUp`."""
    with suppress(CairnError), AuditLog.of(clinic) as audit:
        audit.append(imported(manifest))


def imported(manifest: Manifest) -> Event:
    """An import that was kept: its digest and counts of rows."""
    counts = ", ".join(f"{name} {count}" for name, count in sorted(manifest.counts.items()))
    return event(
        "import",
        once=f"import:{manifest.number}:{manifest.at.isoformat()}",
        number=manifest.number,
        records=manifest.records[0].hex(),
        counts=counts,
    )
