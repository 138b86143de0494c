"""The key schedule: X25519 per setup, one root per pair, one seed per pair and header.

    secret_ij = X25519(own private, peer's public)
    root_ij   = HKDF-SHA256(salt T1, secret_ij, "cairn root v1" ‖ 0 ‖ run ‖ i ‖ j ‖ key_i ‖ key_j)
    seed_ij   = HKDF-Expand(root_ij, "cairn seed v1" ‖ 0 ‖ digest of the header)        i < j

T1 covers every key package, and with them the study, the roster and the run.  # SPEC 7
"""

from __future__ import annotations

from typing import Final, Self

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand

from cairn_protocol.codec import refuse

SEED_BYTES: Final = 32


class KeyPair:
    """An ephemeral X25519 pair; lives in memory for one setup."""

    def __init__(self, key: X25519PrivateKey) -> None:
        self._key = key
        self.public: Final[bytes] = key.public_key().public_bytes_raw()

    @classmethod
    def generate(cls) -> Self:
        """A new pair from the operating system's randomness."""
        return cls(X25519PrivateKey.generate())

    @classmethod
    def from_private_bytes(cls, data: bytes) -> Self:
        """The pair of 32 known bytes; for test vectors."""
        return cls(X25519PrivateKey.from_private_bytes(data))

    def agree(self, peer: bytes) -> bytes:
        """The 32-byte shared secret.

        Raises:
            PeerFault: `peer.key-weak`: the secret would be all zero, whatever our key is.
        """
        try:
            return self._key.exchange(X25519PublicKey.from_public_bytes(peer))
        except ValueError:
            refuse("key-weak", "a clinic's key gives the same secret with every other key")


def pair_root(
    t1: bytes, run: bytes, secret: bytes, low: tuple[int, bytes], high: tuple[int, bytes]
) -> bytes:
    """root_ij, 32 bytes; `low` and `high` are (index, X25519 public key) with i < j.

    A hybrid secret enters here: ML-KEM's shared secret in front of `secret`, its ciphertext at
    the end of the label, and nothing else in the protocol changes.
    """
    info = b"cairn root v1\0" + run
    info += b"".join(index.to_bytes(2, "big") for index, _ in (low, high)) + low[1] + high[1]
    return HKDF(algorithm=SHA256(), length=SEED_BYTES, salt=t1, info=info).derive(secret)


def pair_seed(root: bytes | bytearray, header: bytes) -> bytes:
    """seed_ij for the header with this digest, 32 bytes: all that a recovery would ever reveal."""
    info = b"cairn seed v1\0" + header
    return HKDFExpand(algorithm=SHA256(), length=SEED_BYTES, info=info).derive(bytes(root))


def erase(secret: bytearray) -> None:
    """Overwrites `secret` in place. Copies that the interpreter made are out of reach."""
    secret[:] = bytes(len(secret))
