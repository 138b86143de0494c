"""`Scale`: how the integers on the wire relate to a question's own units, the same on both sides.

Patients' data: one step is C/S (`NoisePlan.grid` is S). Public data: one step is 1/`PUBLIC_SCALE`,
whatever the question. All of it is public and bound into every mask through the `Context`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

from cairn_privacy.bound import PUBLIC_SCALE
from cairn_privacy.noise import NoisePlan
from cairn_protocol.errors import OurFault
from cairn_protocol.fixed_point import check_headroom, largest_reach

TAIL: Final = 14  # standard deviations of noise to leave room for: beyond them, P < 2⁻¹⁴⁰
PUBLIC_BITS: Final = 64


@dataclass(frozen=True)
class Scale:
    """Encoding of one question's vectors.

    Args:
        bound: C, or None for public data.
        sigma: noise multiplier; 0 for public data.
        step: value of one integer step in the question's units.
        clamp: largest absolute coordinate of one clinic's sum before noise, in steps.
        reach: the same with noise.
        modulus_bits: width of the ring.
    """

    bound: float | None
    sigma: float
    step: float
    clamp: int
    reach: int
    modulus_bits: Literal[32, 64]

    @classmethod
    def of_patients(
        cls, bound: float | None, bits: Literal[32, 64], largest_clinic: int, noise: NoisePlan
    ) -> Scale:
        """For noised sums of at most `largest_clinic` patients a clinic.

        Each patient's norm is at most S steps, so no coordinate needs more than
        `largest_clinic`·S; noise adds 14 deviations.

        Raises:
            OurFault: no bound.
            PolicyRefusal: n such coordinates could wrap around the ring.
        """
        if bound is None:
            raise OurFault("a noised question has no bound", code="unbounded-question")
        clamp = largest_clinic * noise.grid
        reach = clamp + math.ceil(TAIL * noise.clinic_sigma_steps)
        check_headroom(noise.uploads, reach, bits)
        return cls(bound, noise.sigma, noise.step(bound), clamp, reach, bits)

    @classmethod
    def of_public(cls, clinics: int) -> Scale:
        """For exact sums of public data over `clinics`."""
        reach = largest_reach(clinics, PUBLIC_BITS)
        return cls(None, 0.0, 1.0 / PUBLIC_SCALE, reach, reach, PUBLIC_BITS)
