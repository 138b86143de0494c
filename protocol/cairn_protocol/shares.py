"""Shamir's secret sharing over GF(2²⁵⁵ − 19): any t shares give the secret, t − 1 say nothing.

A dealer draws a uniform polynomial P of degree < t with P(0) = secret; the clinic with index i gets
P(i + 1) (Shamir 1979). Every P is Σ_k d_k·C(x, k) for exactly one choice of d₀ … d_(t−1), because
the binomials C(x, k) = x(x − 1)…(x − k + 1)/k! are of degrees 0 … t − 1 and k! has an inverse.
So uniform d₁ … d_(t−1) behind d₀ = P(0) are a uniform P.

**Why so.** d_k is the k-th forward difference of P at 0, and a step from x to x + 1 is
d_k ← d_k + d_(k+1) for all k at once. With all d_k side by side in one long integer that is one
shift and one addition of Python's own: no multiplication, and n shares cost n such steps.
SPEC 8.4
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from itertools import accumulate
from operator import mul
from typing import Final

import numpy as np

from cairn_protocol.codec import refuse
from cairn_protocol.errors import OurFault

PRIME: Final = 2**255 - 19
SHARE_BYTES: Final = 32
LARGEST_POINT: Final = 1 << 16

_SLOT: Final = 45  # bytes of one difference: 360 bits, twelve digits of a Python integer
_STEPS: Final = 8 * _SLOT - 255  # a difference at most doubles at a step, so it stays in its slot


def random_secret() -> int:
    """A uniform integer of [0, PRIME), from the operating system."""
    return _random(1)[0]


def deal(secret: int, threshold: int, points: Sequence[int]) -> list[int]:
    """The shares P(x) of `secret` for x in `points`, with a fresh P of degree < `threshold`.

    Args:
        secret: in [0, PRIME).
        threshold: t ≥ 1, how many shares rebuild the secret.
        points: distinct, from 1; a clinic's is its index + 1.

    Raises:
        OurFault: not such numbers, or fewer points than the threshold.
    """
    _check(points)
    if not (0 <= secret < PRIME and 1 <= threshold <= len(points)):
        raise OurFault("these shares could not rebuild a secret", code="share-deal")
    shares: dict[int, int] = {}
    wanted, last = frozenset(points), max(points)
    differences, slot, low = [secret, *_random(threshold - 1)], 8 * _SLOT, (1 << 8 * _SLOT) - 1
    for start in range(0, last, _STEPS):
        # After s steps only the first last − s differences can still reach d₀.
        packed = _packed(differences[: last - start + 1])
        for x in range(start + 1, min(start + _STEPS, last) + 1):
            packed += packed >> slot
            if x in wanted:
                shares[x] = (packed & low) % PRIME
        differences = _reduced(packed)
    return [shares[x] for x in points]


def coefficients(points: Sequence[int]) -> list[int]:
    """λ with P(0) = Σ λ_i·P(points_i) for every P of degree < len(points): Lagrange at 0.

    λ_i = Π_(j ≠ i) x_j / (x_j − x_i), with one inversion for all (Montgomery 1987).

    Raises:
        OurFault: points that are not distinct, or not from 1.
    """
    _check(points)
    whole = math.prod(points)
    below = [x * gaps % PRIME for x, gaps in zip(points, _gaps(points), strict=True)]
    before = list(accumulate(below, lambda a, b: a * b % PRIME, initial=1))
    inverse = pow(before.pop(), -1, PRIME) * whole % PRIME  # of the product of all below
    result = []
    for prefix, value in zip(reversed(before), reversed(below), strict=True):
        result.append(inverse * prefix % PRIME)
        inverse = inverse * value % PRIME
    return result[::-1]


def rebuild(shares: Sequence[int], coefficients: Sequence[int]) -> int:
    """The secret in `shares`, which belong to the points of `coefficients`, in that order."""
    if len(shares) != len(coefficients):
        raise OurFault("shares and coefficients are not of the same points", code="share-points")
    total: int = sum(map(mul, shares, coefficients))
    return total % PRIME


def to_bytes(value: int) -> bytes:
    """A share or secret as it travels: 32 bytes, big-endian."""
    return value.to_bytes(SHARE_BYTES, "big")


def from_bytes(data: bytes) -> int:
    """The share or secret in `data`.

    Raises:
        PeerFault: `peer.share-invalid`, not 32 bytes, or not below PRIME (a second encoding).
    """
    value = int.from_bytes(data, "big")
    if len(data) != SHARE_BYTES or value >= PRIME:
        refuse("share-invalid", "a share is not a number of the field")
    return value


def _check(points: Sequence[int]) -> None:
    distinct = points and len(set(points)) == len(points)
    if not distinct or not all(0 < x <= LARGEST_POINT for x in points):
        raise OurFault("shares need distinct points from 1", code="share-points")


def _gaps(points: Sequence[int]) -> list[int]:
    """Π_(j ≠ i) (x_j − x_i) for each i; as many factors at a time as 63 bits hold."""
    x = np.array(points, dtype=np.int64)
    gaps = x - x[:, np.newaxis]  # (t, t)
    np.fill_diagonal(gaps, 1)
    factors = 63 // max(points).bit_length()
    gaps = np.pad(gaps, ((0, 0), (0, -len(x) % factors)), constant_values=1)
    rows: list[list[int]] = gaps.reshape(len(x), -1, factors).prod(axis=2).tolist()
    return [math.prod(row) for row in rows]


def _random(count: int) -> list[int]:
    """`count` uniform integers of [0, PRIME): 255 bits each, drawn again in 19 cases of 2²⁵⁵."""
    drawn: list[int] = []
    while len(drawn) < count:
        data = os.urandom(SHARE_BYTES * (count - len(drawn)))
        numbers = (
            int.from_bytes(data[at : at + SHARE_BYTES], "big") >> 1
            for at in range(0, len(data), SHARE_BYTES)
        )
        drawn.extend(number for number in numbers if number < PRIME)
    return drawn


def _packed(values: Iterable[int]) -> int:
    return int.from_bytes(b"".join(value.to_bytes(_SLOT, "little") for value in values), "little")


def _reduced(packed: int) -> list[int]:
    data = packed.to_bytes(-(-packed.bit_length() // (8 * _SLOT)) * _SLOT, "little")
    slots = (data[at : at + _SLOT] for at in range(0, len(data), _SLOT))
    return [int.from_bytes(slot, "little") % PRIME for slot in slots]
