"""Masks: keystreams added to a clinic's vector, and taken off a sum where they do not cancel.

A stream is AES-256 in counter mode from the block 0¹² ‖ 00000002, read as little-endian integers of
the ring. AES-256-GCM of zeros under a zero nonce gives those very bytes and is about twice as fast
in OpenSSL, so that is how it is made; its tag is never read. Of a pair, the clinic with the
lower index adds the stream and the other takes it off; a self mask is added.  # SPEC 8.1
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from io import BytesIO
from itertools import islice
from typing import Final, cast

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import GCM
from numpy.typing import NDArray

Ring = NDArray[np.uint32] | NDArray[np.uint64]
BLOCK_BYTES: Final = 128 * 1024  # vector, stream and zeros of a block stay in the second cache
_ZEROS: Final = bytes(BLOCK_BYTES)
_CIPHERS: Final = 512  # at a time: a server may have many thousand streams to take off
_NONCE: Final = bytes(12)
_TAG_BYTES: Final = 16
_COMBINE: Final = {1: np.add, -1: np.subtract}


def add_streams(vector: Ring, streams: Iterable[tuple[bytes, int]]) -> None:
    """Adds sign·stream(seed) to `vector` for each (seed, sign) of `streams`, in place.

    Args:
        vector: (d,) uint32 or uint64, writable.
        streams: a 32-byte seed, used for nothing else, and 1 or −1.
    """
    width = vector.dtype.itemsize
    size = min(vector.nbytes, BLOCK_BYTES)
    buffer = bytearray(size + _TAG_BYTES)
    words = np.frombuffer(buffer, dtype=f"<u{width}", count=size // width)
    if vector.nbytes == size:  # one call a stream; making a cipher would cost more than using it
        zeros = memoryview(_ZEROS)[:size]
        for seed, sign in streams:
            AESGCM(seed).encrypt_into(_NONCE, zeros, None, buffer)
            _COMBINE[sign](vector, words, out=vector)
        return
    mode, step, rest = GCM(_NONCE), BLOCK_BYTES // width, iter(streams)
    while some := list(islice(rest, _CIPHERS)):
        pieces = [
            (Cipher(AES256(seed), mode).encryptor().update_into, _COMBINE[sign])
            for seed, sign in some
        ]
        for start in range(0, vector.size, step):
            part = vector[start : start + step]
            zeros, block = memoryview(_ZEROS)[: part.nbytes], words[: part.size]
            for next_into, combine in pieces:
                next_into(zeros, buffer)
                combine(part, block, out=part)


def pair_sign(index: int, peer: int) -> int:
    """1 if the clinic `index` adds the stream that it shares with `peer`, −1 if it takes it off."""
    if index == peer:
        raise ValueError("a clinic has no seed with itself")
    return 1 if peer > index else -1


def masked(vector: Ring, index: int, seeds: Mapping[int, bytes], own: bytes | None = None) -> Ring:
    """A masked copy: vector + stream(own) + Σ_{j > index} stream(seed_j) − Σ_{j < index} …

    Over all clinics of a round each pair's stream is added once and taken off once, so the sum of
    the masked vectors is the sum of the vectors and of the clinics' own streams.

    Args:
        vector: (d,) uint32 or uint64.
        index: this clinic's own index; never a key of `seeds`.
        seeds: 32-byte seed of each pair, by the peer's index; each used for nothing else.
        own: seed of the self mask, if there is one.
    """
    result: Ring = vector.copy()
    add_streams(result, _streams(index, seeds, own))
    return result


def masked_bytes(
    vector: Ring, index: int, seeds: Mapping[int, bytes], own: bytes | None = None
) -> bytes:
    """`masked` as little-endian bytes, made in them: the vector is copied once."""
    little = vector.dtype.newbyteorder("<")
    room = BytesIO(vector.astype(little, copy=False).tobytes())
    with room.getbuffer() as writable:
        words = cast("Ring", np.frombuffer(writable, dtype=little))
        add_streams(words, _streams(index, seeds, own))
        del words  # or the bytes stay lent
    return room.getvalue()


def _streams(index: int, seeds: Mapping[int, bytes], own: bytes | None) -> list[tuple[bytes, int]]:
    streams = [(seed, pair_sign(index, peer)) for peer, seed in seeds.items()]
    return streams if own is None else [(own, 1), *streams]
