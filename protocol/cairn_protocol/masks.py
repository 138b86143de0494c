"""Pairwise masks: a keystream per peer, added for peers after this clinic, taken off for earlier.

The stream is AES-256 in counter mode from the block 0¹² ‖ 00000002, read as little-endian integers
of the ring. AES-256-GCM of zeros under a zero nonce gives those very bytes and is about twice as
fast in OpenSSL, so that is how it is made; its tag is never computed.  # SPEC 8
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import GCM
from numpy.typing import NDArray

Ring = NDArray[np.uint32] | NDArray[np.uint64]
BLOCK_BYTES: Final = 128 * 1024
_ZEROS: Final = bytes(BLOCK_BYTES)


def masked(vector: Ring, index: int, seeds: Mapping[int, bytes]) -> Ring:
    """A masked copy: vector + Σ_{j > index} stream(seed_j) − Σ_{j < index} stream(seed_j).

    Over all clinics of a round each stream is added once and taken off once, so the sum of the
    masked vectors is the sum of the vectors.

    Args:
        vector: (d,) uint32 or uint64.
        index: this clinic's own index; never a key of `seeds`.
        seeds: 32-byte seed of each pair, by the peer's index; each used for nothing else.
    """
    if index in seeds:
        raise ValueError("a clinic has no seed with itself")
    result: Ring = vector.copy()
    streams = [
        (Cipher(AES256(seed), GCM(bytes(12))).encryptor(), np.add if peer > index else np.subtract)
        for peer, seed in seeds.items()
    ]
    width = vector.dtype.itemsize
    buffer = bytearray(min(vector.nbytes, BLOCK_BYTES))
    block = np.frombuffer(buffer, dtype=f"<u{width}")
    zeros = memoryview(_ZEROS)
    step = BLOCK_BYTES // width
    for start in range(0, vector.size, step):  # a block of the vector stays in the cache
        part = result[start : start + step]
        for stream, combine in streams:
            stream.update_into(zeros[: part.nbytes], buffer)
            combine(part, block[: part.size], out=part)
    return result
