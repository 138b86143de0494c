"""Integers into the ring Z_2^w and the summed ring back into signed integers, exactly.

**Why the sum is exact.** Let every clinic's coordinate x_i satisfy |x_i| ≤ B and let n·B < 2^(w−1).
Then S = Σ x_i satisfies |S| ≤ n·B < 2^(w−1), so S is the only integer of [−2^(w−1), 2^(w−1)) in its
class modulo 2^w. Two's complement maps x to x mod 2^w, a ring homomorphism, so the wrapped sum
is S mod 2^w, and reading it as two's complement gives S.  # SPEC 9
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cairn_protocol.errors import OurFault, PolicyRefusal
from cairn_protocol.masks import Ring


def largest_reach(clinics: int, modulus_bits: int) -> int:
    """The largest B with clinics·B < 2^(modulus_bits − 1)."""
    return ((1 << (modulus_bits - 1)) - 1) // clinics


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
            hint="use a coarser grid, or the 64-bit ring",
        )


def encode(values: NDArray[np.int64], *, reach: int, modulus_bits: int) -> Ring:
    """`values` (d,) int64 in the ring, (d,) uint32 or uint64.

    Raises:
        OurFault: a value beyond ±`reach`. The message does not say which or how far.
    """
    if values.dtype != np.int64 or values.ndim != 1:
        raise OurFault("a vector must be (d,) int64", code="vector-type")
    if values.size and (int(values.max()) > reach or int(values.min()) < -reach):
        raise OurFault(
            "a coordinate is beyond the reach that the study allows", code="beyond-reach"
        )
    return values.astype(np.uint32) if modulus_bits == 32 else values.astype(np.uint64)


def decode(total: Ring) -> NDArray[np.int64]:
    """The signed integers (d,) int64 of a summed ring vector."""
    signed = np.int32 if total.dtype == np.uint32 else np.int64
    return total.view(signed).astype(np.int64)


def to_wire(vector: Ring) -> bytes:
    """The vector as it travels: little-endian."""
    return vector.astype(vector.dtype.newbyteorder("<"), copy=False).tobytes()


def from_wire(data: bytes, modulus_bits: int) -> Ring:
    """The ring vector in `data`, read-only."""
    if modulus_bits == 32:
        return np.frombuffer(data, dtype="<u4").astype(np.uint32, copy=False)
    return np.frombuffer(data, dtype="<u8").astype(np.uint64, copy=False)
