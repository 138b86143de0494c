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
from audit_vectors import audit_vectors
from faulty_messages import HEADER, RUN, T1, findings, messages
from faulty_messages import upload as some_upload
from slow_primitives import ed25519_public, x25519
from slow_protocol import (
    PRIME,
    encode,
    fixed,
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
from slow_run import Scenario

FOLDER = Path(__file__).resolve().parents[1] / "protocol" / "vectors"
RINGS = (20, 24, 28, 32, 40, 48, 56, 64)
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
        **{f"message-{name}": vector for name, vector in messages().items()},
        **{f"fault-{name}": vector for name, vector in _faults().items()},
        **audit_vectors(),
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
    record, upload = run.records[1], some_upload()
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
    body = findings("results.json")[7:]
    found["findings"] = {"record": "Findings", "body": body, "expect": h("findings", body)}
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
    found["study"] = {"source": run.scenario.study, "expect": run.study}
    return found


def _faults() -> dict[str, Vector]:
    """Faults within a message's fields that no key or history is needed to see."""
    stranger = fixed("v stranger")
    study = Scenario().study
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
