"""The protocol once more, written from SPEC.md: it reads that page's tables, and no other code.

Everything that is drawn at random comes from `fixed`, so that every byte of a run is foretold.
Values are plain dicts, by the names of SPEC 5; integers of vectors are Python's. Slow; for tests.
"""

from __future__ import annotations

import hashlib
import re
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import slow_mlkem
from slow_primitives import (
    aes_ctr,
    ed25519_public,
    ed25519_sign,
    gcm_seal,
    hkdf,
    hkdf_expand,
    x25519,
)

PAGE = (Path(__file__).resolve().parents[1] / "protocol" / "SPEC.md").read_text(encoding="utf-8")
PRIME = 2**255 - 19
Values = dict[str, Any]


def _table(head: str) -> list[list[str]]:
    rows = PAGE.split(head)[1].split("\n\n")[0]
    return [
        [cell.strip() for cell in row.strip("|").split("|")] for row in rows.splitlines() if row
    ][1:]


KINDS = {name: int(kind) for name, kind in _table("| message | kind |\n")}
FORMATS: dict[str, list[tuple[str, str]]] = {}
for _record, _name, _format in _table("| record | field | encoding |\n"):
    FORMATS.setdefault(_record, []).append((_name, _format))


def fixed(label: str, size: int = 32) -> bytes:
    """Bytes that stand for random ones."""
    return hashlib.shake_256(b"cairn vectors 2 " + label.encode()).digest(size)


def encode(record: str, values: Values) -> bytes:
    """The body of a record (SPEC 2.2)."""
    if set(values) != {name for name, _ in FORMATS[record]}:
        raise ValueError(f"{record} has other fields")
    return b"".join(_field(format, values[name]) for name, format in FORMATS[record])


def _field(format: str, value: Any) -> bytes:
    match format.split():
        case [number] if re.fullmatch(r"u\d+", number):
            return int(value).to_bytes(int(number[1:]) // 8, "big")
        case ["f64"]:
            return struct.pack(">d", value)
        case [size, "bytes"]:
            assert len(value) == int(size)
            return bytes(value)
        case ["bytes", "≤", _]:
            return _u32(len(value)) + value
        case ["text", "≤", _]:
            return _u32(len(value.encode())) + value.encode()
        case ["ascending", "u16", "×", "≤", _]:
            return _u32(len(value)) + b"".join(_u16(index) for index in value)
        case [record, "×", "≤", _]:
            return _u32(len(value)) + b"".join(encode(record, item) for item in value)
        case [record]:
            return encode(record, value)
    raise ValueError(format)


def frame(message: str, values: Values) -> bytes:
    """A message as it travels (SPEC 2.1)."""
    return b"CAIRN" + bytes((2, KINDS[message])) + encode(message, values)


def h(label: str, *parts: bytes) -> bytes:
    """H of SPEC's first page."""
    return hashlib.sha256(b"cairn " + label.encode() + b" v1\0" + b"".join(parts)).digest()


def sign(secret: bytes, purpose: str, data: bytes) -> bytes:
    """SPEC 3.1."""
    return ed25519_sign(secret, b"cairn " + purpose.encode() + b" v1\0" + data)


def signed(secret: bytes, purpose: str, record: str, values: Values) -> Values:
    """A record whose signature covers the body without it."""
    body = encode(record, values | {"signature": bytes(64)})[:-64]
    return values | {"signature": sign(secret, purpose, body)}


def stream(seed: bytes, count: int, bits: int) -> list[int]:
    """SPEC 8.1, `count` words."""
    size = 4 if bits <= 32 else 8
    data = aes_ctr(seed, bytes(12) + b"\0\0\0\2", count * size)
    return [int.from_bytes(data[at : at + size], "little") for at in range(0, len(data), size)]


def masked(vector: list[int], index: int, seeds: dict[int, bytes], own: bytes | None, bits: int):
    """SPEC 8.1: y, each coordinate of [0, 2^w)."""
    total = list(vector)
    signs = [(seed, 1 if peer > index else -1) for peer, seed in seeds.items()]
    for seed, sign_ in [*signs, *([(own, 1)] if own else [])]:
        mask = stream(seed, len(vector), bits)
        total = [a + sign_ * b for a, b in zip(total, mask, strict=True)]
    return [value % 2**bits for value in total]


def packed(vector: list[int], bits: int) -> bytes:
    """SPEC 9.2."""
    if bits >= 32:
        return b"".join(value.to_bytes(bits // 8, "little") for value in vector)
    even = [*vector, 0] if len(vector) % 2 else vector
    pairs = zip(even[::2], even[1::2], strict=True)
    return b"".join((a + (b << bits)).to_bytes(2 * bits // 8, "little") for a, b in pairs)


def shares(coefficients: list[int], points: list[int]) -> list[int]:
    """SPEC 8.4: the polynomial with these coefficients, the constant first, at the points."""
    return [sum(a * pow(x, k, PRIME) for k, a in enumerate(coefficients)) % PRIME for x in points]


def rebuilt(values: dict[int, int]) -> int:
    """SPEC 8.4: the secret, from shares by point."""
    total = 0
    for x, share in values.items():
        factor = share
        for other in values:
            if other != x:
                factor = factor * other * pow(other - x, -1, PRIME) % PRIME
        total += factor
    return total % PRIME


def root(t1: bytes, run: bytes, secrets: tuple[bytes, bytes], ends, ciphertext: bytes) -> bytes:
    """SPEC 7.3; `secrets` of ML-KEM and X25519, `ends` two of (index, X ‖ M), the lower first."""
    (i, low), (j, high) = ends
    info = b"cairn root v2\0" + run + _u16(i) + _u16(j) + low + high + ciphertext
    return hkdf(t1, secrets[0] + secrets[1], info)


def seed(root_: bytes, header: bytes) -> bytes:
    """SPEC 7.3."""
    return hkdf_expand(root_, b"cairn seed v2\0" + header)


def share_key(root_: bytes, sender: int, receiver: int, header: bytes) -> bytes:
    """SPEC 7.3."""
    return hkdf_expand(root_, b"cairn share v2\0" + _u16(sender) + _u16(receiver) + header)


def ratcheted(root_: bytes, transcript: bytes) -> bytes:
    """SPEC 7.3."""
    return hkdf_expand(root_, b"cairn ratchet v2\0" + transcript)


def self_mask_parts(
    own: int,
    participants: list[int],
    coefficients: list[int],
    keys: dict[int, bytes],
    header: bytes,
) -> Values:
    """SPEC 8.2: stream seed, shares by clinic, and what is uploaded of them."""
    b = coefficients[0].to_bytes(32, "big")
    dealt = shares(coefficients, [clinic + 1 for clinic in participants])
    pieces = {c: share.to_bytes(32, "big") for c, share in zip(participants, dealt, strict=True)}
    return {
        "stream": h("self mask", header, b),
        "pieces": pieces,
        "commitment": h("self seed", header, _u16(own), b),
        "sealed": b"".join(
            gcm_seal(keys[c], bytes(12), piece) for c, piece in pieces.items() if c != own
        ),
        "commitments": b"".join(
            h("share", header, _u16(own), _u16(c), piece)[:16] for c, piece in pieces.items()
        ),
    }


def upload_digest(upload: Values) -> bytes:
    """SPEC 5.1."""
    front = bytes((upload["modulus_bits"],)) + upload["commitment"]
    for part in (upload["sealed"], upload["commitments"]):
        front += _u32(len(part)) + part
    return h("upload", front, upload["vector"])


def survivors_digest(header: bytes, uploads: list[Values]) -> bytes:
    """SPEC 5.1."""
    body = b"".join(encode("SignedDigest", upload) for upload in uploads)
    return h("survivors", header, _u32(len(uploads)), body)


@dataclass
class Clinic:
    """A clinic's secrets, all of them from `fixed`."""

    index: int
    secret: bytes = field(init=False)
    x25519: bytes = field(init=False)
    mlkem: bytes = field(init=False)
    nonce: bytes = field(init=False)
    boot: bytes = field(init=False)

    def __post_init__(self) -> None:
        for name, size in (
            ("secret", 32),
            ("x25519", 32),
            ("mlkem", 64),
            ("nonce", 32),
            ("boot", 16),
        ):
            setattr(self, name, fixed(f"{name} {self.index}", size))
        self.public = ed25519_public(self.secret)
        self.ek, self.dk = slow_mlkem.keys(self.mlkem[:32], self.mlkem[32:])
        self.keys = x25519(self.x25519) + self.ek

    def mark(self, epoch: int, head: bytes) -> Values:
        """SPEC 3.3."""
        values = {
            **{"identity": self.public, "epoch": epoch, "boot": self.boot},
            "ledger_head": head,
        }
        return signed(self.secret, "mark", "Mark", values)

    def polynomial(self, round_: int, threshold: int) -> list[int]:
        """The coefficients of this round's P, b first."""
        drawn = (fixed(f"polynomial {self.index} {round_} {k}", 64) for k in range(threshold))
        return [int.from_bytes(data, "big") % PRIME for data in drawn]


def _u16(value: int) -> bytes:
    return value.to_bytes(2, "big")


def _u32(value: int) -> bytes:
    return value.to_bytes(4, "big")
