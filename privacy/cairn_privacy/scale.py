"""How integers on the wire relate to the question's own units, the same on both sides.

Patients' data: one step is C/S (`NoisePlan.grid` is S). Public data: one step is 2⁻²⁴, whatever
the question. Both are public; the server multiplies the opened integer sum by `step`.
"""

from __future__ import annotations

from typing import Final

from cairn_privacy.noise import NoisePlan
from cairn_protocol.errors import OurFault, PolicyRefusal

PUBLIC_SCALE: Final = 2**24
TAIL: Final = 14  # standard deviations of noise to leave room for: beyond them, P < 2⁻¹⁴⁰
PUBLIC_LIMIT: Final = 2**62  # no public sum may reach it


def step(bound: float | None, noise: NoisePlan | None) -> float:
    """What one integer step is worth in the question's units."""
    if noise is None:
        return 1.0 / PUBLIC_SCALE
    if bound is None:
        raise OurFault("a noised question has no bound", code="unbounded-question")
    return bound / noise.grid


def ring_bits(modulus_bits: int, noise: NoisePlan | None) -> int:
    """Width of the ring: the question's own, or 64 where public data are not bounded."""
    return 64 if noise is None else modulus_bits


def largest_sum(largest_clinic: int, noise: NoisePlan) -> int:
    """No coordinate of a clinic's sum needs more steps: each patient's norm is ≤ S."""
    return largest_clinic * noise.grid


def check_headroom(largest_clinic: int, bits: int, noise: NoisePlan) -> None:
    """Refuse a study whose sum could wrap around the ring.

    A clinic's coordinate is at most `largest_sum` (the door clamps it) plus noise; n of them must
    stay below 2^(w−1). Wrapping would cost truth, not privacy: it happens after the noise.

    Raises:
        PolicyRefusal: n·(largest sum + 14 standard deviations) ≥ 2^(w−1).
    """
    one = largest_sum(largest_clinic, noise) + TAIL * noise.clinic_sigma_steps
    if noise.uploads * one >= 2 ** (bits - 1):
        raise PolicyRefusal(
            f"sums of {noise.uploads} clinics of {largest_clinic} patients do not fit {bits} bits",
            code="no-headroom",
            hint="lower cohort.largest_clinic in the study",
        )
