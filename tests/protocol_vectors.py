"""The frozen vectors of SPEC 16: `vectors` computes them, running this file writes them.

They come from the slow implementation and from nothing random, so they are the same every time.
Each is one file: inputs and `expect`, bytes in hexadecimal. A faulty one has one fault.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import slow_mlkem
import slow_run
from slow_primitives import ed25519_public, x25519
from slow_protocol import (
    KINDS,
    PRIME,
    Values,
    encode,
    fixed,
    frame,
    h,
    masked,
    packed,
    ratcheted,
    root,
    seed,
    self_mask_parts,
    share_key,
    shares,
    sign,
    survivors_digest,
    upload_digest,
)

FOLDER = Path(__file__).resolve().parents[1] / "protocol" / "vectors"
RINGS = (20, 24, 28, 32, 40, 48, 56, 64)
RUN, HEADER, T1 = fixed("v run", 16), fixed("v header"), fixed("v t1")
Vector = dict[str, Any]


def vectors() -> dict[str, Vector]:
    """Every vector, by the name of its file."""
    run = slow_run.Run()
    return {
        **{f"root-{i}-{j}": _root(i, j) for i, j in ((0, 1), (1, 3), (2, 999))},
        "seed": {
            "root": fixed("v root"),
            "header": HEADER,
            "expect": seed(fixed("v root"), HEADER),
        },
        "ratchet": {
            **{"root": fixed("v root"), "transcript": fixed("v transcript")},
            "expect": ratcheted(fixed("v root"), fixed("v transcript")),
        },
        "share-key": {
            **{"root": fixed("v root"), "from": 3, "to": 500, "header": HEADER},
            "expect": share_key(fixed("v root"), 3, 500, HEADER),
        },
        "self-mask": _self_mask(),
        "shares": _shares(),
        **{f"mask-{bits}": _mask(bits) for bits in RINGS},
        **{f"packed-{bits}": _packed(bits) for bits in RINGS},
        **{f"digest-{name}": vector for name, vector in _digests(run).items()},
        "fingerprint": {"public": bytes(32), "expect": "2tf6-yk3b-a741-zkqx-1ve2-19pb-4kwt-h1w1"},
        "run": {
            "sent": [{"clinic": clinic, "message": data} for clinic, data in run.sent],
            "expect": run.sums,
        },
        **{f"message-{name}": vector for name, vector in _messages(run).items()},
        **{f"fault-{name}": vector for name, vector in _faults().items()},
    }


def _root(i: int, j: int) -> Vector:
    low, high = ((fixed(f"v x25519 {c}"), fixed(f"v mlkem {c}", 64)) for c in (i, j))
    (ek_low, _), (ek_high, _) = (slow_mlkem.keys(s[:32], s[32:]) for _, s in (low, high))
    m = fixed(f"v m {i} {j}")
    secret, ciphertext = slow_mlkem.encapsulate(ek_high if (i + j) % 2 else ek_low, m)
    ends = (i, x25519(low[0]) + ek_low), (j, x25519(high[0]) + ek_high)
    secrets = secret, x25519(low[0], x25519(high[0]))
    return {
        **{"low": i, "high": j, "run": RUN, "t1": T1, "ciphertext": ciphertext},
        **{"x25519_low": low[0], "mlkem_low": low[1]},
        **{"x25519_high": high[0], "mlkem_high": high[1]},
        "expect": root(T1, RUN, secrets, ends, ciphertext),
    }


def _self_mask() -> Vector:
    participants, own = [0, 2, 5, 7], 2
    roots = {c: fixed(f"v root {c}") for c in participants if c != own}
    keys = {c: share_key(key, own, c, HEADER) for c, key in roots.items()}
    polynomial = [int.from_bytes(fixed(f"v a {k}", 64), "big") % PRIME for k in range(3)]
    parts = self_mask_parts(own, participants, polynomial, keys, HEADER)
    return {
        **{"clinic": own, "participants": participants, "header": HEADER},
        **{"polynomial": [a.to_bytes(32, "big") for a in polynomial]},
        "roots": {str(c): key for c, key in roots.items()},
        "expect": {
            **{"stream_seed": parts["stream"], "own_share": parts["pieces"][own]},
            **{name: parts[name] for name in ("commitment", "sealed", "commitments")},
        },
    }


def _shares() -> Vector:
    polynomial = [int.from_bytes(fixed(f"v b {k}", 64), "big") % PRIME for k in range(4)]
    points = [1, 2, 3, 17, 256, 1000]
    return {
        "polynomial": [a.to_bytes(32, "big") for a in polynomial],
        "points": points,
        "expect": [value.to_bytes(32, "big") for value in shares(polynomial, points)],
    }


def _numbers(label: str, count: int, bits: int) -> list[int]:
    return [int.from_bytes(fixed(f"{label} {k}", 8), "big") % 2**bits for k in range(count)]


def _mask(bits: int) -> Vector:
    values = _numbers("v x", 7, bits)
    seeds = {c: fixed(f"v seed {c}") for c in (0, 2, 3)}
    own = fixed("v own")
    return {
        **{"clinic": 1, "modulus_bits": bits, "values": [str(value) for value in values]},
        **{"seeds": {str(c): key for c, key in seeds.items()}, "self": own},
        "expect": packed(masked(values, 1, seeds, own, bits), bits),
    }


def _packed(bits: int) -> Vector:
    values = [0, 1, 2**bits - 1, 2 ** (bits - 1), *_numbers("v y", 5, bits)]
    return {
        **{"modulus_bits": bits, "values": [str(value) for value in values]},
        "expect": packed(values, bits),
    }


def _digests(run: slow_run.Run) -> dict[str, Vector]:
    record, upload = run.records[1], _upload()
    bodies = {
        "opening": ("OpenRun", "open run", run.opening),
        "header": ("Header", "header", run.headers[1]),
        "context": ("Context", "context", run.context(1)),
        "mark": ("Mark", "mark", record["uploads"][0]["mark"]),
        "roster": ("Roster", "roster", run.opening["roster"]["roster"]),
        "transcript": ("RoundRecord", "transcript", record),
    }
    found: dict[str, Vector] = {}
    for name, (kind, label, values) in bodies.items():
        body = encode(kind, values)
        found[name] = {"record": kind, "body": body, "expect": h(label, body)}
    found["upload"] = {
        **{name: upload[name] for name in ("modulus_bits", "vector", "commitment")},
        **{name: upload[name] for name in ("sealed", "commitments")},
        "expect": upload_digest(upload),
    }
    found["survivors"] = {
        "header": HEADER,
        "uploads": [encode("SignedDigest", one) for one in record["uploads"]],
        "expect": survivors_digest(HEADER, record["uploads"]),
    }
    found["genesis"] = {"run": RUN, "expect": h("genesis", RUN)}
    found["state"] = {"public_state": slow_run.STATE, "expect": h("public state", slow_run.STATE)}
    found["study"] = {"source": slow_run.STUDY, "expect": h("study", slow_run.STUDY)}
    return found


SIGNATURE = bytes(64)
CLOSING: Values = {"run": RUN, "reason": "done", "records": []}
STANDING: Values = {
    **{"study": bytes(32), "roster": bytes(32), "identity": bytes(32), "state": "approved"},
    "signature": SIGNATURE,
}


def _mark() -> Values:
    front = {"identity": bytes(32), "epoch": 1, "boot": bytes(16), "ledger_head": bytes(32)}
    return front | {"signature": SIGNATURE}


def _upload(**changes: Any) -> Values:
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


def _messages(run: slow_run.Run) -> dict[str, Vector]:
    """Good ones of the kinds that the run does not send, and every fault that bytes alone show."""
    closing = frame("CloseRun", CLOSING)
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
        "upload": ("Upload", frame("Upload", _upload())),
        "upload-forbidden": (
            "Upload",
            frame("Upload", _upload(commitment=bytes(32), sealed=b"", commitments=b"")),
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
        "kind-unused": ("kind-unknown", closing[:6] + bytes((len(KINDS) + 1,)) + closing[7:]),
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
        "modulus": ("malformed", frame("Upload", _upload(modulus_bits=16))),
        "vector-empty": ("malformed", frame("Upload", _upload(vector=b""))),
        "sealed-part": ("malformed", frame("Upload", _upload(sealed=b"s" * 95))),
        "sealed-missing": ("malformed", frame("Upload", _upload(sealed=b"s" * 48))),
        "commitments-part": ("malformed", frame("Upload", _upload(commitments=b"k" * 47))),
        "commitment-missing": ("malformed", frame("Upload", _upload(commitment=bytes(32)))),
        "commitment-alone": ("malformed", frame("Upload", _upload(sealed=b"", commitments=b""))),
        "survivors-order": ("malformed", frame("Survivors", _survivors(1, 0))),
        "survivors-twice": ("malformed", frame("Survivors", _survivors(1, 1))),
        "survivors-sealed-part": ("malformed", frame("Survivors", _survivors(0, 1, sealed=b"s"))),
        "certificate-order": ("malformed", _certificate(consents=_consents(1, 0))),
        "certificate-twice": ("malformed", _certificate(consents=_consents(0, 0))),
        "certificate-run": ("malformed", _certificate(survivors=_survivors(0, run=bytes(16)))),
        "opening-shares-part": ("malformed", _opening(shares=bytes(63))),
        "opening-seeds-part": ("malformed", _opening(seeds=bytes(33))),
        "standing-state": ("malformed", frame("Standing", STANDING | {"state": "perhaps"})),
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


def _faults() -> dict[str, Vector]:
    """Faults within a message's fields that no key or history is needed to see."""
    stranger = fixed("v stranger")
    study = slow_run.STUDY
    team = ed25519_public(slow_run.TEAM)
    return {
        "share-of-no-field": {
            **{"of": "share", "data": PRIME.to_bytes(32, "big")},
            "expect": "peer.share-invalid",
        },
        "share-short": {"of": "share", "data": bytes(31), "expect": "peer.share-invalid"},
        "vector-padding": {
            **{"of": "vector", "modulus_bits": 20, "length": 3},
            **{"data": packed([1, 2, 3, 1], 20), "expect": "peer.vector-padding"},
        },
        "vector-size": {
            **{"of": "vector", "modulus_bits": 24, "length": 4},
            **{"data": bytes(11), "expect": "peer.vector-size"},
        },
        "x25519-zero": {"of": "x25519", "data": bytes(32), "expect": "peer.key-weak"},
        "x25519-order-8": {
            **{"of": "x25519", "expect": "peer.key-weak"},
            "data": bytes.fromhex(
                "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"
            ),
        },
        "mlkem-modulus": {
            **{"of": "mlkem", "expect": "peer.key-invalid"},
            "data": b"\x01\x0d" + bytes(1182),  # the first coefficient is 3329
        },
        "study-forged": {
            **{"of": "study", "source": study, "team": team},
            **{"signature": sign(stranger, "study", study), "expect": "peer.study-forged"},
        },
        "study-other-purpose": {
            **{"of": "study", "source": study, "team": team},
            "signature": sign(slow_run.TEAM, "roster", study),
            "expect": "peer.study-forged",
        },
    }


def written(vector: Vector) -> str:
    """The text of one file."""
    return json.dumps(_hex(vector), indent=1, ensure_ascii=False) + "\n"


def _hex(value: Any) -> Any:
    match value:
        case bytes():
            return value.hex()
        case dict():
            return {name: _hex(item) for name, item in value.items()}
        case list() | tuple():
            return [_hex(item) for item in value]
    return value


def main() -> None:
    """Writes every file anew."""
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.glob("*.json"):
        old.unlink()
    for name, vector in vectors().items():
        (FOLDER / f"{name}.json").write_text(written(vector), encoding="utf-8")


if __name__ == "__main__":
    main()
