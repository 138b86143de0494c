"""Single messages for the vectors: good ones of every kind, and each fault that bytes alone show.

Made by the slow encoder. `messages` gives what each decodes to, or the code it is refused with.
"""

from __future__ import annotations

from typing import Any

from slow_protocol import KINDS, Values, fixed, frame

RUN, HEADER, T1 = fixed("v run", 16), fixed("v header"), fixed("v t1")
SIGNATURE = bytes(64)
CLOSING: Values = {"run": RUN, "reason": "done", "records": []}
STANDING: Values = {
    **{"study": bytes(32), "roster": bytes(32), "identity": bytes(32), "state": "approved"},
    "signature": SIGNATURE,
}

AUDIT_HEAD: Values = {
    **{"identity": bytes(32), "number": 2, "head": b"h" * 32, "previous": bytes(32)},
    **{"last": 3, "signature": SIGNATURE},
}
RECEIVED: Values = {
    **{"study": bytes(32), "findings": bytes(32), "identity": bytes(32)},
    "signature": SIGNATURE,
}


def _mark() -> Values:
    front = {"identity": bytes(32), "epoch": 1, "boot": bytes(16), "ledger_head": bytes(32)}
    return front | {"signature": SIGNATURE}


def upload(**changes: Any) -> Values:
    plain = {
        **{"run": RUN, "clinic": 0, "header": HEADER, "modulus_bits": 32},
        **{"vector": bytes(range(8)), "commitment": b"c" * 32},
        **{"sealed": b"s" * 96, "commitments": b"k" * 48},
        **{"mark": _mark(), "signature": SIGNATURE},
    }
    return plain | changes


def _package(clinic: int) -> Values:
    return {
        **{"run": RUN, "clinic": clinic, "opening": bytes(32), "x25519": bytes(32)},
        **{"mlkem": bytes(1184), "nonce": bytes(32), "mark": _mark(), "signature": SIGNATURE},
    }


def _note(sender: int, receiver: int, **changes: Any) -> Values:
    plain = {"sender": sender, "receiver": receiver, "ciphertext": b"", "witness": []}
    return plain | {"signature": SIGNATURE} | changes


def _confirmation(*notes: Values) -> bytes:
    values = {"run": RUN, "clinic": 0, "t1": T1, "notes": list(notes)}
    return frame("Confirmation", values)


def _header(**changes: Any) -> Values:
    plain = {
        **{"run": RUN, "t1": T1, "question": "effect", "round": 0, "attempt": 0},
        **{"participants": [0, 1, 2], "context": bytes(32), "previous": bytes(32)},
    }
    return plain | changes


def _request(**changes: Any) -> bytes:
    plain = {"header": _header(), "public_state": bytes(4), "notes": [], "records": []}
    return frame("RoundRequest", plain | changes)


def _survivors(*clinics: int, **changes: Any) -> Values:
    uploads = [
        {"clinic": c, "upload": bytes(32), "mark": _mark(), "signature": SIGNATURE} for c in clinics
    ]
    return {"run": RUN, "header": HEADER, "uploads": uploads, "sealed": b""} | changes


def _consents(*clinics: int) -> list[Values]:
    return [{"clinic": c, "signature": SIGNATURE} for c in clinics]


def _certificate(**changes: Any) -> bytes:
    plain = {"run": RUN, "survivors": _survivors(0, 1), "consents": _consents(0, 1)}
    return frame("Certificate", plain | changes)


def _opening(**changes: Any) -> bytes:
    plain = {
        **{"run": RUN, "clinic": 0, "header": HEADER, "survivors": bytes(32)},
        **{"shares": bytes(64), "seeds": bytes(32), "signature": SIGNATURE},
    }
    return frame("Opening", plain | changes)


def _offer(*entries: tuple[str, bytes], version: int = 0, previous: bytes = bytes(32)) -> bytes:
    roster = {
        **{"study": bytes(32), "version": version, "previous": previous},
        "entries": [{"clinic": name, "identity": key} for name, key in entries],
    }
    study = {"source": b"cairn = 1\n", "team": bytes(32), "signature": SIGNATURE}
    values = {"study": study, "roster": {"roster": roster, "signature": SIGNATURE}}
    return frame("Offer", values)


def findings(*names: str) -> bytes:
    """Findings whose files have these names, in this order."""
    files = [{"name": name, "data": name.encode()} for name in names]
    return frame("Findings", {"study": bytes(32), "files": files, "signature": SIGNATURE})


def audit_request(number: int, *receipts: int) -> bytes:
    """A request under a number, with receipts under these."""
    front = {"identity": bytes(32), "head": b"h" * 32, "previous": bytes(32), "at": 1}
    held = [front | {"number": n, "signature": SIGNATURE} for n in receipts]
    return frame("AuditRequest", {"number": number, "receipt": held})


def messages() -> dict[str, dict[str, Any]]:
    """Good ones of the kinds that the run does not send, and every fault that bytes alone show."""
    closing = frame("CloseRun", CLOSING)
    unused = bytes((max(KINDS.values()) + 1,))
    packages = {"run": RUN, "packages": [_package(0), _package(1)]}
    nan = bytes.fromhex("0000c07f")
    two = [_mark(), _mark()]
    texts = ("code", "what", "why", "hint")
    refusal = dict(zip(texts, ("policy.x", "no", "", "é\n"), strict=True))
    kinds = {
        "close": ("CloseRun", closing),
        "offer": ("Offer", _offer(("a", b"a" * 32), ("b", b"b" * 32))),
        "refusal": ("Refusal", frame("Refusal", refusal)),
        "standing": ("Standing", frame("Standing", STANDING)),
        "audit-request": ("AuditRequest", audit_request(2, 1)),
        "audit-head": ("AuditHead", frame("AuditHead", AUDIT_HEAD)),
        "findings": ("Findings", findings("model-1/card.md", "results.json")),
        "received": ("Received", frame("Received", RECEIVED)),
        "upload": ("Upload", frame("Upload", upload())),
        "upload-forbidden": (
            "Upload",
            frame("Upload", upload(commitment=bytes(32), sealed=b"", commitments=b"")),
        ),
    }
    codes = {
        "empty": ("truncated", b""),
        "truncated": ("truncated", closing[:-1]),
        "count-without-items": ("truncated", closing[:-4] + b"\0\0\0\2"),
        "trailing": ("trailing", closing + b"\0"),
        "magic": ("not-cairn", b"cairn" + closing[5:]),
        "version-1": ("version-unknown", closing[:5] + b"\1" + closing[6:]),
        "kind-0": ("kind-unknown", closing[:6] + b"\0" + closing[7:]),
        "kind-unused": (
            "kind-unknown",
            closing[:6] + unused + closing[7:],
        ),
        "length-bomb": ("oversize", closing[:23] + b"\xff" * 4 + closing[27:]),
        "count-bomb": ("oversize", closing[:-4] + b"\xff" * 4),
        "two-witnesses": ("oversize", _confirmation(_note(0, 1, witness=two))),
        "participants-many": ("oversize", _request(header=_header(participants=range(1001)))),
        "not-utf8": ("malformed", closing.replace(b"done", b"\xff\xfe\xfd\xfc")),
        "control-character": ("malformed", frame("CloseRun", CLOSING | {"reason": "\x1b[31m"})),
        "direction-override": ("malformed", frame("CloseRun", CLOSING | {"reason": "a\u202eb"})),
        "packages-empty": ("malformed", frame("Packages", packages | {"packages": []})),
        "packages-order": (
            "malformed",
            frame("Packages", packages | {"packages": [_package(1), _package(0)]}),
        ),
        "packages-twice": (
            "malformed",
            frame("Packages", packages | {"packages": [_package(1), _package(1)]}),
        ),
        "notes-order": ("malformed", _confirmation(_note(0, 2), _note(0, 1))),
        "note-to-itself": ("malformed", _confirmation(_note(0, 0))),
        "note-of-another": ("malformed", _confirmation(_note(1, 2))),
        "ciphertext-part": ("malformed", _confirmation(_note(0, 1, ciphertext=bytes(1087)))),
        "attempt": ("malformed", _request(header=_header(attempt=1000))),
        "participants-order": ("malformed", _request(header=_header(participants=[1, 0]))),
        "participants-twice": ("malformed", _request(header=_header(participants=[1, 1]))),
        "state-part": ("malformed", _request(public_state=bytes(3))),
        "state-not-a-number": ("malformed", _request(public_state=nan)),
        "modulus": ("malformed", frame("Upload", upload(modulus_bits=16))),
        "vector-empty": ("malformed", frame("Upload", upload(vector=b""))),
        "sealed-part": ("malformed", frame("Upload", upload(sealed=b"s" * 95))),
        "sealed-missing": ("malformed", frame("Upload", upload(sealed=b"s" * 48))),
        "commitments-part": ("malformed", frame("Upload", upload(commitments=b"k" * 47))),
        "commitment-missing": ("malformed", frame("Upload", upload(commitment=bytes(32)))),
        "commitment-alone": ("malformed", frame("Upload", upload(sealed=b"", commitments=b""))),
        "survivors-order": ("malformed", frame("Survivors", _survivors(1, 0))),
        "survivors-twice": ("malformed", frame("Survivors", _survivors(1, 1))),
        "survivors-sealed-part": ("malformed", frame("Survivors", _survivors(0, 1, sealed=b"s"))),
        "certificate-order": ("malformed", _certificate(consents=_consents(1, 0))),
        "certificate-twice": ("malformed", _certificate(consents=_consents(0, 0))),
        "certificate-run": ("malformed", _certificate(survivors=_survivors(0, run=bytes(16)))),
        "opening-shares-part": ("malformed", _opening(shares=bytes(63))),
        "opening-seeds-part": ("malformed", _opening(seeds=bytes(33))),
        "standing-state": ("malformed", frame("Standing", STANDING | {"state": "perhaps"})),
        "audit-number": ("malformed", audit_request(0)),
        "audit-receipt-number": ("malformed", audit_request(1, 0)),
        "audit-receipt-late": ("malformed", audit_request(1, 2)),
        "audit-receipt-early": ("malformed", audit_request(3, 1)),
        "audit-two-receipts": ("oversize", audit_request(2, 1, 2)),
        "audit-head-number": ("malformed", frame("AuditHead", AUDIT_HEAD | {"number": 0})),
        "audit-head-last": ("malformed", frame("AuditHead", AUDIT_HEAD | {"last": 1})),
        "findings-order": ("malformed", findings("results.json", "card.md")),
        "findings-twice": ("malformed", findings("results.json", "results.json")),
        "findings-empty": ("malformed", findings()),
        "findings-without-results": ("malformed", findings("card.md")),
        "findings-file-above": ("malformed", findings("../card.md", "results.json")),
        "roster-empty": ("malformed", _offer()),
        "roster-order": ("malformed", _offer(("b", b"b" * 32), ("a", b"a" * 32))),
        "roster-key-twice": ("malformed", _offer(("a", b"a" * 32), ("b", b"a" * 32))),
        "roster-name": ("malformed", _offer(("A", b"a" * 32))),
        "roster-previous": ("malformed", _offer(("a", b"a" * 32), previous=b"p" * 32)),
        "roster-version": ("malformed", _offer(("a", b"a" * 32), version=1)),
    }
    found = {name: {"message": data, "expect": kind} for name, (kind, data) in kinds.items()}
    for name, (code, data) in codes.items():
        found[name] = {"message": data, "expect": f"peer.{code}"}
    limit = len(closing) - 1
    found["over-limit"] = {"message": closing, "limit": limit, "expect": "peer.oversize"}
    return found
