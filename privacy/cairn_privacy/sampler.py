"""`discrete_gaussian`: integers with P(x) ∝ exp(−x²/2σ²), from the operating system's randomness.

Rejection from blocks (Karney 2016, algorithm D, with a dyadic proposal). Let w = 2^b be the least
power of two ≥ σ. Propose a block k = 0, 1, … with probability 2^−(k+1), an offset j uniform on
0 … w−1 and a sign; let i = k·w + j. Accept with probability

    a(k, i) = (4/5) · 2^k · exp(−i²/2σ²).

*Law.* Each i ≥ 0 is proposed by exactly one (k, j), with probability 2^−(k+1)/w a sign, so it is
kept with probability (2/5)·exp(−i²/2σ²)/w: the discrete Gaussian, once −0 is dropped.
*a ≤ 1.* i ≥ k·w ≥ k·σ, hence a ≤ 0.8·2^k·exp(−k²/2) < 0.971, largest at k = 1.
*No rounding.* a is compared with a uniform u lazily. The first 32 bits of u decide unless they lie
within MARGIN of the float64 value of a, whose error is below 2^−45; then more bits of u are drawn
and a is computed in decimal arithmetic, whose `exp` is correctly rounded, until they decide.
*Distance.* The one departure from the law: a proposal whose block bits are all zero is dropped, so
|x| < 36w always, and P(|X| ≥ 36σ) ≤ 2·exp(−36²/2) < 2^−933: the discrete Gaussian is σ-subgaussian
(Canonne, Kamath and Steinke 2020; two lines in docs/privacy-accounting.md §2).

Nothing here takes a seed: `_draw` is given its entropy only by tests, and a test sees to that.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from decimal import Context, Decimal
from fractions import Fraction
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cairn_protocol.errors import OurFault

SMALLEST_SIGMA: Final = 0.5
LARGEST_SIGMA: Final = 2.0**27  # leaves ≥ 36 block bits in a 64-bit word
DISTANCE: Final = 2.0**-900  # statistical distance of one sample from its law; proof above
MARGIN: Final = 2.0  # in units of 2^−32, 2^14 times the float64 error of the acceptance
BATCH: Final = 1 << 14  # proposals at a time: their arrays stay in the second-level cache

Entropy = Callable[[int], bytes]


def discrete_gaussian(sigma: float, size: int) -> NDArray[np.int64]:
    """Independent discrete Gaussian integers (size,) int64 of parameter `sigma`, in steps.

    The variance is σ² less a relative 8π²σ²·e^(−2π²σ²): equal to σ² in float64 from σ = 2 on.

    Raises:
        OurFault: sigma outside [½, 2^27], or a negative size.
    """
    return _draw(sigma, size, os.urandom)


def _draw(sigma: float, size: int, entropy: Entropy) -> NDArray[np.int64]:
    if not SMALLEST_SIGMA <= sigma <= LARGEST_SIGMA:
        raise OurFault(
            "the noise scale is out of range",
            code="noise-scale",
            why=f"sigma = {sigma} steps, allowed are {SMALLEST_SIGMA} to {LARGEST_SIGMA:.0f}",
        )
    if size < 0:
        raise OurFault("noise of negative length was asked for", code="noise-size")
    block_bits = (math.ceil(sigma) - 1).bit_length()
    kept_rate = 0.5 * sigma / (1 << block_bits)
    out = np.empty(size, dtype=np.int64)
    filled = 0
    while filled < size:
        proposals = min(BATCH, int((size - filled) / kept_rate * 1.02) + 16)
        kept = _propose(sigma, block_bits, proposals, entropy)[: size - filled]
        out[filled : filled + kept.size] = kept
        filled += kept.size
    return out


def _propose(sigma: float, block_bits: int, count: int, entropy: Entropy) -> NDArray[np.int64]:
    """The accepted ones among `count` proposals, in order."""
    words = np.frombuffer(entropy(8 * count), dtype="<u8")
    uniform = np.frombuffer(entropy(4 * count), dtype="<u4").astype(np.float64)

    blocks = words >> np.uint64(1 + block_bits)
    lowest = (blocks & (~blocks + np.uint64(1))).astype(np.float64)  # 2^k; 0 where k overflows
    k = np.frexp(lowest)[1] - 1
    offset = ((words >> np.uint64(1)) & np.uint64((1 << block_bits) - 1)).astype(np.int64)
    size = np.maximum(k, 0).astype(np.int64) * (1 << block_bits) + offset  # i
    sign = 1 - 2 * (words & np.uint64(1)).astype(np.int64)

    scaled = size.astype(np.float64) / sigma
    acceptance = (0.8 * 2.0**32) * lowest * np.exp(-0.5 * scaled * scaled)
    accept = uniform <= acceptance - (MARGIN + 1)
    unsure = np.flatnonzero(~accept & (uniform < acceptance + MARGIN))
    for at in unsure:
        accept[at] = _decide(int(uniform[at]), int(k[at]), int(size[at]), sigma, entropy)
    minus_zero = (size == 0) & (sign < 0)
    kept: NDArray[np.int64] = (sign * size)[accept & ~minus_zero]
    return kept


def _decide(first_bits: int, k: int, i: int, sigma: float, entropy: Entropy) -> bool:
    """Whether u < 0.8·2^k·exp(−i²/2σ²), for u whose first 32 bits are given. Exact."""
    if k < 0:
        return False  # all block bits zero, acceptance 0: dropped, see *Distance*
    exponent = Fraction(i * i) / (2 * Fraction(sigma) ** 2)
    u, bits, digits = first_bits, 32, 40
    while True:
        u = u << 64 | int.from_bytes(entropy(8), "little")
        bits += 64
        context = Context(prec=digits)
        power = context.divide(Decimal(-exponent.numerator), Decimal(exponent.denominator))
        acceptance = Fraction(4 * 2**k, 5) * Fraction(context.exp(power))
        # exp is correctly rounded; the quotient's error, x·10^(1−digits) relative, has a·x < 2.
        error = Fraction(1, 10 ** (digits - 3))
        if Fraction(u + 1, 2**bits) <= acceptance - error:
            return True
        if Fraction(u, 2**bits) >= acceptance + error:
            return False
        digits += 20
