"""Integers into the ring Z_2^w, over the wire, and the summed ring back into integers, exactly.

**Why the sum is exact.** Let every clinic's coordinate x_i satisfy |x_i| ≤ B and let n·B < 2^(w−1).
Then S = Σ x_i satisfies |S| ≤ n·B < 2^(w−1), so S is the only integer of [−2^(w−1), 2^(w−1)) in its
class modulo 2^w. Both sides compute in words of W = 32 bits (w ≤ 32) or 64. Reduction modulo 2^W
and then modulo 2^w are ring homomorphisms, because 2^w divides 2^W; so whatever of a word's upper
W − w bits is added, carried or cut off on the wire, the sum of what arrives is S modulo 2^w, and
reading its low w bits as two's complement gives S. This holds for every w of `RINGS`.

**On the wire.** Words of 32 and 64 bits travel as they are. Of 40, 48 and 56 the low w/8 bytes
travel; of 20, 24 and 28 two coordinates share the 2w/8 bytes of first + second·2^w, and an odd
length ends with a coordinate 0. Everything is little-endian.  # SPEC 9
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cairn_protocol.codec import refuse
from cairn_protocol.errors import OurFault, PolicyRefusal
from cairn_protocol.masks import Ring

RINGS: Final = (20, 24, 28, 32, 40, 48, 56, 64)  # w: bits of a coordinate on the wire
_BLOCK: Final = 1 << 14  # 64-bit words that are packed at a time, inside the cache


def word(bits: int) -> np.dtype[np.uint32] | np.dtype[np.uint64]:
    """The type of the words in which the ring of `bits` is computed: uint32 or uint64."""
    if bits not in RINGS:
        raise OurFault("there is no ring of this width", code="ring-unknown")
    return np.dtype(np.uint32) if bits <= 32 else np.dtype(np.uint64)


def largest_reach(clinics: int, modulus_bits: int) -> int:
    """The largest B with clinics·B < 2^(modulus_bits − 1)."""
    return ((1 << (modulus_bits - 1)) - 1) // clinics


def narrowest(clinics: int, reach: int) -> int:
    """The least w of `RINGS` with clinics·reach < 2^(w − 1).

    Raises:
        PolicyRefusal: `policy.no-headroom`, not even 64 bits hold the sum.
    """
    check_headroom(clinics, reach, RINGS[-1])
    return next(w for w in RINGS if reach <= largest_reach(clinics, w))


def check_headroom(clinics: int, reach: int, modulus_bits: int) -> None:
    """Refuses a sum that could wrap: clinics·reach must stay below 2^(modulus_bits − 1).

    Raises:
        PolicyRefusal: `policy.no-headroom`.
    """
    if reach > largest_reach(clinics, modulus_bits):
        raise PolicyRefusal(
            f"a sum of {clinics} clinics could wrap around in {modulus_bits} bits",
            code="no-headroom",
            why=f"one clinic's coordinate may reach {reach}",
            hint="use a coarser grid or a wider ring",
        )


def encode(values: NDArray[np.int64], *, reach: int, modulus_bits: int) -> Ring:
    """`values` (d,) int64 in the ring, (d,) uint32 for up to 32 bits, else uint64.

    Raises:
        OurFault: a value beyond ±`reach`, or a reach beyond the ring. The message does not say
            which or how far.
    """
    if values.dtype != np.int64 or values.ndim != 1:
        raise OurFault("a vector must be (d,) int64", code="vector-type")
    narrow = word(modulus_bits) == np.uint32
    reach = min(reach, largest_reach(1, modulus_bits))
    ring: Ring = np.empty(values.size, np.uint32) if narrow else np.empty(values.size, np.uint64)
    for start in range(0, values.size, _BLOCK):  # so that each value is read from memory once
        block = values[start : start + _BLOCK]
        if int(block.max()) > reach or int(block.min()) < -reach:
            raise OurFault(
                "a coordinate is beyond the reach that the study allows", code="beyond-reach"
            )
        ring[start : start + _BLOCK] = block
    return ring


def decode(total: Ring, bits: int) -> NDArray[np.int64]:
    """The signed integers (d,) int64 of a summed ring vector: its low `bits`, sign-extended."""
    if total.dtype != word(bits):
        raise OurFault("a sum is not of its ring", code="vector-type")
    spare = 8 * total.dtype.itemsize - bits
    signed = total.view(f"i{total.dtype.itemsize}")
    if not spare:
        return signed.astype(np.int64)
    result = np.empty(signed.size, dtype=np.int64)
    for start in range(0, result.size, _BLOCK):
        block = signed[start : start + _BLOCK] << spare
        result[start : start + _BLOCK] = np.right_shift(block, spare, out=block)
    return result


def wire_bytes(length: int, bits: int) -> int:
    """Bytes on the wire of `length` coordinates of `bits`."""
    coordinates, size = _group(bits)
    return -(-length // coordinates) * size


def to_wire(vector: Ring, bits: int) -> bytes:
    """The low `bits` of each coordinate of `vector` (d,), packed: `wire_bytes(d, bits)` bytes."""
    if vector.dtype != word(bits):
        raise OurFault("a vector is not of its ring", code="vector-type")
    coordinates, size = _group(bits)
    padded = np.pad(vector, (0, 1)) if vector.size % coordinates else vector
    little = padded.astype(f"<u{vector.dtype.itemsize}", copy=False)
    if bits in (32, 64):
        return little.tobytes()
    words, low = little.view("<u8"), np.uint64((1 << bits) - 1)
    room = BytesIO(bytes(wire_bytes(vector.size, bits)))
    for start in range(0, words.size, _BLOCK):
        block = words[start : start + _BLOCK]
        if coordinates == 2:  # the second moves down from bit 32 to bit w
            block = (block & low) | ((block >> np.uint64(32 - bits)) & (low << np.uint64(bits)))
        room.write(block.view("V8").astype(f"V{size}").tobytes())  # the low bytes of each word
    return room.getvalue()  # the same bytes, not copied


def check_wire(data: bytes, bits: int, length: int) -> None:
    """Refuses bytes that are not `length` coordinates of `bits`.

    Raises:
        PeerFault: `peer.vector-size`, not `wire_bytes(length, bits)` bytes; `peer.vector-padding`,
            an odd length does not end with a coordinate 0.
    """
    if len(data) != wire_bytes(length, bits):
        refuse("vector-size", "an upload is not of the length that was asked")
    coordinates, size = _group(bits)
    if length % coordinates and int.from_bytes(data[-size:], "little") >> bits:
        refuse("vector-padding", "an upload's padding is not zero")


def from_wire(data: bytes, bits: int, length: int) -> Ring:
    """The `length` coordinates in `data`, in [0, 2^bits), uint32 or uint64; perhaps read-only.

    Raises:
        PeerFault: see `check_wire`.
    """
    check_wire(data, bits, length)
    if bits == 32:
        return np.frombuffer(data, dtype="<u4").astype(np.uint32, copy=False)
    if bits == 64:
        return np.frombuffer(data, dtype="<u8").astype(np.uint64, copy=False)
    coordinates, size = _group(bits)
    groups = len(data) // size
    # Words that begin `size` bytes apart and so overlap: read, cut to size, never written.
    overlapping = np.ndarray(groups, "<u8", data + bytes(8 - size), 0, (size,))
    words, low = np.empty(groups, dtype="<u8"), np.uint64((1 << bits) - 1)
    for start in range(0, groups, _BLOCK):
        block = overlapping[start : start + _BLOCK].copy()
        part = np.bitwise_and(block, low, out=words[start : start + _BLOCK])
        if coordinates == 2:  # the second moves back up from bit w to bit 32
            part |= ((block >> np.uint64(bits)) & low) << np.uint64(32)
    if coordinates == 1:
        return words.astype(np.uint64, copy=False)
    return words.view("<u4").astype(np.uint32, copy=False)[:length]


def sum_of(wires: Sequence[bytes], bits: int, length: int) -> Ring:
    """The sum of one or more packed vectors, (length,) uint32 or uint64; only its low `bits` count.

    Packed groups are added as words that reach into the next group, which stands above their own
    bits and so changes nothing in them. Two coordinates are told apart at the end: with
    A = Σ (first + second·2^w + …) and B = Σ first, both modulo 2^64, Σ second = (A − B) / 2^w
    modulo 2^w.

    Raises:
        PeerFault: see `check_wire`.
    """
    if bits in (32, 64):
        total = from_wire(wires[0], bits, length).copy()
        for data in wires[1:]:
            np.add(total, from_wire(data, bits, length), out=total)
        return total
    for data in wires:
        check_wire(data, bits, length)
    coordinates, size = _group(bits)
    groups, low = len(wires[0]) // size, np.uint64((1 << bits) - 1)
    sums = np.empty((groups, coordinates), dtype=word(bits))
    for start in range(0, groups, _BLOCK):
        count = min(_BLOCK, groups - start)
        whole, first = np.zeros(count, dtype="<u8"), np.zeros(count, dtype="<u8")
        for data in wires:
            piece = data[start * size : (start + count) * size] + bytes(8 - size)
            words = np.ndarray(count, "<u8", piece, 0, (size,))  # they overlap, and are only read
            whole += words
            if coordinates == 2:
                first += words & low
        if coordinates == 2:
            sums[start : start + count, 0] = first
            sums[start : start + count, 1] = (whole - first) >> np.uint64(bits)
        else:
            sums[start : start + count, 0] = whole
    return sums.reshape(-1)[:length]


def _group(bits: int) -> tuple[int, int]:
    """How many coordinates travel together, and in how many bytes."""
    word(bits)
    return (2, 2 * bits // 8) if bits < 32 else (1, bits // 8)
