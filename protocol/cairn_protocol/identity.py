"""`Identity`: a clinic's or a team's Ed25519 key. Made where it is used, never exported.

Every signature names what it is for (``cairn <label> v1`` ‖ 0 ‖ data), so that one made for a
key package can never be shown as one for an upload.  # SPEC 3
"""

from __future__ import annotations

import hashlib
from typing import Final, Literal, NoReturn, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

Label = Literal[
    "study",
    "roster",
    "key package",
    "mark",
    "note",
    "upload",
    "survivors",
    "opening",
    "closed",
    "standing",
    "audit head",
    "audit receipt",
    "findings",
    "received",
    "join",
    "member list",
    "release",
]
PUBLIC_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
CROCKFORD: Final = "0123456789abcdefghjkmnpqrstvwxyz"  # no i, l, o, u: read aloud without doubt


class Identity:
    """A signing key. Its repr is the fingerprint; it cannot be pickled or copied."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public: Final[bytes] = key.public_key().public_bytes_raw()

    @classmethod
    def generate(cls) -> Self:
        """A new identity from the operating system's randomness."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def from_private_bytes(cls, data: bytes) -> Self:
        """The identity whose 32 private bytes the keeper stored.

        Raises:
            ValueError: not 32 bytes.
        """
        return cls(Ed25519PrivateKey.from_private_bytes(data))

    def private_bytes(self) -> bytes:
        """The 32 private bytes, for the keeper's own sealed store and nothing else."""
        return self._key.private_bytes_raw()

    @property
    def fingerprint(self) -> str:
        """What two people compare over the telephone."""
        return fingerprint(self.public)

    def sign(self, label: Label, data: bytes) -> bytes:
        """The 64-byte signature of `data` for the purpose `label`."""
        return self._key.sign(statement(label, data))

    def __repr__(self) -> str:
        return f"Identity({self.fingerprint})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("an identity is not copied")


def verify(public: bytes, label: Label, data: bytes, signature: bytes) -> bool:
    """Whether `signature` is `public`'s on `data` for the purpose `label`."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, statement(label, data))
    except (InvalidSignature, ValueError):
        return False
    return True


def statement(label: Label, data: bytes) -> bytes:
    """The bytes that are signed."""
    return b"cairn " + label.encode() + b" v1\0" + data


def fingerprint(public: bytes) -> str:
    """160 bits of SHA-256 of a public key, as eight groups of four Crockford characters."""
    number = int.from_bytes(hashlib.sha256(b"cairn fingerprint v1\0" + public).digest()[:20], "big")
    characters = "".join(CROCKFORD[(number >> shift) & 31] for shift in range(155, -1, -5))
    return "-".join(characters[at : at + 4] for at in range(0, 32, 4))
