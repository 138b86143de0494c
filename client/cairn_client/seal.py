"""`Seal`: what a keeper stores of its runs, readable and changeable only with the clinic's key.

AES-256-GCM under HKDF-SHA256 of the clinic's identity key, a random 96-bit nonce in front. Where a
blob stands is its associated data, so one that was changed, or put in another's place, is noticed.
"""

from __future__ import annotations

import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from cairn_protocol.identity import Identity

INFO: Final = b"cairn store seal v1"
KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16


class Seal:
    """Seals and opens under the key of one clinic. Its repr shows no key."""

    def __init__(self, identity: Identity) -> None:
        derive = HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=INFO)
        self._cipher = AESGCM(derive.derive(identity.private_bytes()))

    def seal(self, plain: bytes, *place: bytes) -> bytes:
        """nonce ‖ ciphertext ‖ tag of `plain`, which opens in this `place` only."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, plain, _joined(place))

    def open(self, blob: bytes, *place: bytes) -> bytes:
        """What was sealed in `place`.

        Raises:
            ValueError: the blob was changed, belongs elsewhere, or is another clinic's.
        """
        if len(blob) < NONCE_BYTES + TAG_BYTES:
            raise ValueError("a sealed value was cut off")
        try:
            return self._cipher.decrypt(blob[:NONCE_BYTES], blob[NONCE_BYTES:], _joined(place))
        except InvalidTag:
            raise ValueError("a sealed value was changed or moved") from None


def _joined(place: tuple[bytes, ...]) -> bytes:
    """The parts behind their lengths, so that no two places join to the same bytes."""
    return b"".join(len(part).to_bytes(4, "big") + part for part in place)
