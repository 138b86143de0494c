"""The machine's own limit: the keystream of every mask, added in place, and nothing else.

`AESGCM.encrypt_into` over zeros and a uint32 add, on one core, block by block over the vector, as
many bytes as a clinic's masks have: one stream for each other clinic and one for its own mask.
"""

from __future__ import annotations

import os
from typing import Final

import numpy as np
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from benchmarks.masking_clock import Clock

BLOCKS: Final = tuple(1024 * size for size in (64, 128, 256, 512))
TAG: Final = 16
NONCE: Final = bytes(12)
TRIAL: Final = 64_000_000  # bytes of keystream for the choice of a block


def limit_seconds(length: int, streams: int, repeats: int, block: int) -> float:
    """Median processor seconds for `streams` streams added onto (length,) uint32."""
    clock = Clock()
    total = np.zeros(length, dtype=np.uint32)
    ciphers = [AESGCM(os.urandom(32)) for _ in range(streams)]
    size = min(block, total.nbytes)
    zeros, buffer = memoryview(bytes(size)), memoryview(bytearray(size + TAG))
    words = np.frombuffer(buffer, dtype=np.uint32, count=size // 4)
    step = size // 4
    for _ in range(repeats + 1):
        with clock("limit"):
            for start in range(0, length, step):
                part = total[start : start + step]
                few = zeros[: part.nbytes], buffer[: part.nbytes + TAG], words[: part.size]
                for cipher in ciphers:
                    cipher.encrypt_into(NONCE, few[0], None, few[1])
                    np.add(part, few[2], out=part)
    del clock.spent["limit"][0]
    return clock.cpu("limit")


def best_block() -> tuple[int, float]:
    """(bytes, bytes a second): the block size with which this machine is fastest, and how fast."""
    speeds = {}
    for block in BLOCKS:
        length = 1_000_000
        streams = TRIAL // (4 * length)
        speeds[block] = 4 * length * streams / limit_seconds(length, streams, 9, block)
    block = max(speeds, key=lambda size: speeds[size])
    return block, speeds[block]
