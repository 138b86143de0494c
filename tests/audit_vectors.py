"""Vectors of SPEC 17: exchanges that countersign an audit log, and each refusal with one fault.

Made by the slow implementation; see `protocol_vectors`.
"""

from __future__ import annotations

from typing import Any

from slow_primitives import ed25519_public
from slow_protocol import Values, encode, fixed, frame, signed
from slow_run import TEAM

Vector = dict[str, Any]
CLINIC, STRANGER = fixed("v audit clinic"), fixed("v audit stranger")
ZEROS = bytes(32)
HEADS = {number: fixed(f"v audit head {number}") for number in range(1, 5)}


def receipt(number: int, previous: bytes = ZEROS, key: bytes = TEAM, **changes: Any) -> Values:
    """The team's receipt for a head of the clinic."""
    values = {
        **{"identity": ed25519_public(CLINIC), "number": number, "head": HEADS[number]},
        **{"previous": previous, "at": 1_700_000_000 + 3600 * number},
    }
    return signed(key, "audit receipt", "AuditReceipt", values | changes)


def request(number: int, *receipts: Values) -> bytes:
    """What the server asks."""
    return frame("AuditRequest", {"number": number, "receipt": list(receipts)})


def shown(number: int, previous: bytes, last: int, key: bytes = CLINIC, **changes: Any) -> bytes:
    """What the clinic answers."""
    values = {
        **{"identity": ed25519_public(CLINIC), "number": number, "head": HEADS[number]},
        **{"previous": previous, "last": last},
    }
    return frame("AuditHead", signed(key, "audit head", "AuditHead", values | changes))


def audit_vectors() -> dict[str, Vector]:
    """Three exchanges, the last of them behind a gap; and every refusal."""
    first, second = receipt(1), receipt(2, HEADS[1])
    behind = receipt(3)
    asked = [
        (request(1), shown(1, ZEROS, 1), first),
        (request(1, first), shown(1, ZEROS, 1), first),
        (request(2, first), shown(2, HEADS[1], 2), second),
        (request(3, second), shown(3, ZEROS, 3), behind),
    ]
    exchange = {
        **{"team_secret": TEAM, "identity": ed25519_public(CLINIC)},
        "exchanges": [
            {"request": ask, "reply": reply, "at": given["at"]} for ask, reply, given in asked
        ],
        "expect": [encode("AuditReceipt", given) for _, _, given in asked],
    }
    faults = {f"fault-{name}": vector for name, vector in {**_of_clinics(), **_of_heads()}.items()}
    return {"audit-exchange": exchange, **faults}


def _of_clinics() -> dict[str, Vector]:
    other = ed25519_public(STRANGER)
    cases = {
        "audit-receipt-forged": (request(2, receipt(1, key=STRANGER)), 1, "receipt-forged"),
        "audit-receipt-of-another": (request(2, receipt(1, identity=other)), 1, "receipt-forged"),
        "audit-receipt-missing": (request(2), 1, "receipt-missing"),
        "audit-number-ahead": (request(4), 1, "receipt-missing"),
        "audit-gap": (request(3, receipt(3, HEADS[2])), 1, "audit-gap"),
        "audit-gap-rewritten": (request(1, receipt(1, head=HEADS[4])), 1, "audit-gap"),
    }
    return {
        name: {
            **{"of": "audit request", "request": ask, "team": ed25519_public(TEAM)},
            **{"identity": ed25519_public(CLINIC), "newest": newest, "receipted": False},
            "heads": {str(number): HEADS[number] for number in range(1, newest + 1)},
            "expect": f"peer.{code}",
        }
        for name, (ask, newest, code) in cases.items()
    }


def _of_heads() -> dict[str, Vector]:
    other, last = ed25519_public(STRANGER), receipt(2, HEADS[1])
    ask, differs = request(3, last), "audit-differs"
    cases = {
        "audit-head-forged": (ask, shown(3, HEADS[2], 3, key=STRANGER), "audit-forged"),
        "audit-head-of-another": (
            ask,
            shown(3, HEADS[2], 3, key=STRANGER, identity=other),
            "audit-forged",
        ),
        "audit-number-back": (ask, shown(2, HEADS[1], 3), differs),
        "audit-head-rewritten": (request(2, last), shown(2, HEADS[1], 2, head=HEADS[4]), differs),
        "audit-previous-rewritten": (request(2, last), shown(2, HEADS[3], 2), differs),
        "audit-not-continued": (ask, shown(3, HEADS[4], 3), differs),
    }
    return {
        name: {
            **{"of": "audit head", "request": asked, "reply": reply},
            **{"identity": ed25519_public(CLINIC), "last": encode("AuditReceipt", last)},
            "expect": f"peer.{code}",
        }
        for name, (asked, reply, code) in cases.items()
    }
