"""`cairn server audit`: the newest head of each clinic's audit log that the team countersigned."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cairn_app.server_commands import HOME, AsJson, Home
from cairn_protocol.identity import fingerprint

if TYPE_CHECKING:
    from cairn_server.store_audits import AuditStore
    from cairn_server.store_tables import Clinic

MEANING = {
    "policy.audit-broken-off": "its log did not continue what it had shown: restored, lost or new",
    "peer.audit-differs": "it showed another log than before, and got no receipt",
    "peer.audit-forged": "it showed a head that it had not signed, and got no receipt",
    "peer.audit-gap": "its log lacks a head that it once showed",
    "peer.receipt-forged": "it does not know this team's receipt",
    "peer.receipt-missing": "it waits for a receipt that this server did not show it",
}


def server_audit(home: Home = HOME, as_json: AsJson = False) -> None:
    """Show up to where each clinic's audit log is countersigned, and what was amiss with it."""
    from cairn_server.home import ServerHome
    from cairn_server.store_audits import AuditStore

    with ServerHome.open(Path(home)).store() as store:
        audits = AuditStore(store)
        rows = [_row(clinic, audits) for clinic in store.clinics()]
    if as_json:
        print(json.dumps(rows))
        return
    if not rows:
        print("no clinic has joined yet")
    for row in rows:
        print("\n".join(_lines(row)))


def _row(clinic: Clinic, audits: AuditStore) -> dict[str, Any]:
    kept = audits.of(clinic.identity)
    return {
        "clinic": clinic.name,
        "fingerprint": fingerprint(clinic.identity),
        "receipts": [
            {
                "number": audit.number,
                "at": audit.at.isoformat(),
                "head": audit.given.head.hex(),
                "signed": audit.head.hex(),  # AuditHead, in the clinic's own word
                "receipt": audit.receipt.hex(),  # AuditReceipt, in the team's
            }
            for audit in kept
        ],
        "incidents": [
            {"at": incident.at.isoformat(), "behind": incident.number, "code": incident.code}
            for incident in audits.incidents(clinic.identity)
        ],
    }


def _lines(row: dict[str, Any]) -> list[str]:
    lines = [row["clinic"], f"  {row['fingerprint']}"]
    if not row["receipts"]:
        return [*lines, "  nothing countersigned yet"]
    newest = row["receipts"][-1]
    lines.append(f"  receipt {newest['number']} of {_minute(newest['at'])} UTC, for the head")
    lines.append(f"  {newest['head']}")
    lines += [
        f"  its log does not continue receipt {earlier['number']} of {_minute(earlier['at'])} UTC, "
        f"for {earlier['head']}"
        for earlier in row["receipts"][:-1]
    ]
    lines += [
        f"  {_minute(i['at'])}  {MEANING.get(i['code'], i['code'])} (receipt {i['behind']})"
        for i in row["incidents"]
    ]
    return lines


def _minute(at: str) -> str:
    return at[:16].replace("T", " ")
