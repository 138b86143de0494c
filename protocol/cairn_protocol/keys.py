"""The key schedule: a hybrid secret per pair and setup, a root that turns with every round.

    secret_ij = ML-KEM-768 secret ‖ X25519 secret
    root_ij   = HKDF-SHA256(salt T1, secret_ij, "cairn root v2" ‖ 0 ‖ run ‖ i ‖ j ‖ key_i ‖ key_j ‖
                            ciphertext)
    root_ij   ← Expand(root_ij, "cairn ratchet v2" ‖ 0 ‖ transcript)          when a round closes
    seed_ij   = Expand(root_ij, "cairn seed v2" ‖ 0 ‖ header digest)                       i < j
    share_ij  = Expand(root_ij, "cairn share v2" ‖ 0 ‖ from i ‖ to j ‖ header digest)      i ≠ j

T1 covers every key package, and with them the study, the roster and the run. Of a pair i < j,
clinic i encapsulates if i + j is odd, else j: half of the work each.  # SPEC 7
"""

from __future__ import annotations

import hmac
from typing import Final, Self

from cryptography.hazmat.primitives.asymmetric.mlkem import (
    MLKEM768PrivateKey,
    MLKEM768PublicKey,
)
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from cairn_protocol.codec import refuse

SEED_BYTES: Final = 32
X25519_BYTES: Final = 32
MLKEM_BYTES: Final = 1184
CIPHERTEXT_BYTES: Final = 1088
MLKEM_SEED_BYTES: Final = 64


class KeyPair:
    """An ephemeral X25519 pair and an ML-KEM-768 pair; live in memory for one setup."""

    def __init__(self, x25519: X25519PrivateKey, mlkem: MLKEM768PrivateKey) -> None:
        self._x25519, self._mlkem = x25519, mlkem
        self.x25519: Final[bytes] = x25519.public_key().public_bytes_raw()
        self.mlkem: Final[bytes] = mlkem.public_key().public_bytes_raw()

    @classmethod
    def generate(cls) -> Self:
        """New pairs from the operating system's randomness."""
        return cls(X25519PrivateKey.generate(), MLKEM768PrivateKey.generate())

    @classmethod
    def from_private_bytes(cls, x25519: bytes, mlkem_seed: bytes) -> Self:
        """The pairs of known bytes, 32 and 64 (d ‖ z of FIPS 203); for test vectors."""
        return cls(
            X25519PrivateKey.from_private_bytes(x25519),
            MLKEM768PrivateKey.from_seed_bytes(mlkem_seed),
        )

    def agree(self, peer: bytes) -> bytes:
        """The 32-byte X25519 secret.

        Raises:
            PeerFault: `peer.key-weak`: the secret would be all zero, whatever our key is.
        """
        try:
            return self._x25519.exchange(X25519PublicKey.from_public_bytes(peer))
        except ValueError:  # R6
            refuse("key-weak", "a clinic's key gives the same secret with every other key")

    def decapsulate(self, ciphertext: bytes) -> bytes:
        """The 32-byte ML-KEM secret; of a wrong ciphertext one that nobody else has."""
        return self._mlkem.decapsulate(ciphertext)


def encapsulate(peer: bytes) -> tuple[bytes, bytes]:
    """A fresh 32-byte ML-KEM secret for the peer's public key, and its ciphertext.

    Raises:
        PeerFault: `peer.key-invalid`.
    """
    try:
        return MLKEM768PublicKey.from_public_bytes(peer).encapsulate()
    except ValueError:  # R6
        refuse("key-invalid", "a clinic's ML-KEM key is not one")


def check_public(x25519: bytes, mlkem: bytes) -> None:
    """Refuses public keys with which some clinic could not agree on a secret.

    Raises:
        PeerFault: `peer.key-weak` or `peer.key-invalid`.
    """
    KeyPair.generate().agree(x25519)
    encapsulate(mlkem)


def encapsulates(own: int, peer: int) -> bool:
    """Whether the clinic `own` encapsulates to `peer`, rather than the reverse."""
    low_does = (own + peer) % 2 == 1
    return (own < peer) == low_does


def pair_root(
    t1: bytes,
    run: bytes,
    secrets: tuple[bytes, bytes],
    *,
    low: tuple[int, bytes],
    high: tuple[int, bytes],
    ciphertext: bytes,
) -> bytes:
    """root_ij of a new setup, 32 bytes.

    Args:
        secrets: of ML-KEM and of X25519.
        low, high: (index, X25519 key ‖ ML-KEM key) with i < j.
        ciphertext: of the pair, whichever of the two made it.
    """
    info = b"cairn root v2\0" + run
    info += b"".join(index.to_bytes(2, "big") for index, _ in (low, high))
    info += low[1] + high[1] + ciphertext
    return HKDF(algorithm=SHA256(), length=SEED_BYTES, salt=t1, info=info).derive(b"".join(secrets))


def pair_seed(root: bytes | bytearray, header: bytes) -> bytes:
    """seed_ij for the header with this digest, 32 bytes: all that a recovery ever reveals."""
    return expand(root, b"cairn seed v2\0" + header)


def share_key(root: bytes | bytearray, sender: int, receiver: int, header: bytes) -> bytes:
    """The AES-256 key under which `sender` seals one share for `receiver`; used once."""
    ends = sender.to_bytes(2, "big") + receiver.to_bytes(2, "big")
    return expand(root, b"cairn share v2\0" + ends + header)


def ratcheted(root: bytes | bytearray, transcript: bytes) -> bytes:
    """The root after the round with this transcript was closed; the way back is not computable."""
    return expand(root, b"cairn ratchet v2\0" + transcript)


def expand(key: bytes | bytearray, info: bytes) -> bytes:
    """HKDF-Expand with SHA-256 for one block of 32 bytes (RFC 5869, 2.3)."""
    return hmac.digest(key, info + b"\x01", "sha256")


def erase(secret: bytearray) -> None:
    """Overwrites `secret` in place. Copies that the interpreter made are out of reach."""
    secret[:] = bytes(len(secret))
