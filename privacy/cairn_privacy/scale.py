"""`Scale`: how the integers on the wire relate to a question's own units, the same on both sides.

Patients' data: one step is C/S (`NoisePlan.grid` is S). Public data: one step is 1/`PUBLIC_SCALE`,
whatever the question. All of it is public and bound into every mask through the `Context`.

**Why the sum fits its ring.** A patient's row z has Σ z_k² ≤ S² (`bound.py`), so |z_k| ≤ S, and a
clinic of at most L patients has |Σ z_k| ≤ L·S; more patients are clamped to that. Its noise
is beyond 14 deviations with a probability below 2⁻¹⁴⁰, and then the clinic does not answer. So a
clinic's coordinate is at most the reach B = L·S + 14 deviations, and the ring of w bits is the
narrowest with n·B < 2^(w − 1), in which n of them cannot wrap around (`fixed_point.py`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from cairn_privacy.bound import GRID, PUBLIC_SCALE
from cairn_privacy.noise import NoisePlan
from cairn_protocol.errors import OurFault, PolicyRefusal
from cairn_protocol.fixed_point import largest_reach, narrowest
from cairn_protocol.study import Cohort

TAIL: Final = 14  # standard deviations of noise to leave room for: beyond them, P < 2⁻¹⁴⁰
PUBLIC_BITS: Final = 64
GRIDS: Final = tuple(GRID >> k for k in range(6))  # S, finest first: 65,536 to 2,048
MOST_PULL: Final = 0.02  # of the deviation of a sum's noise: what truncation may cost on a grid


@dataclass(frozen=True)
class Scale:
    """Encoding of one question's vectors.

    Args:
        bound: C, or None for public data.
        sigma: noise multiplier; 0 for public data.
        step: value of one integer step in the question's units.
        clamp: largest absolute coordinate of one clinic's sum before noise, in steps.
        reach: the same with noise.
        modulus_bits: w, the width of the ring.
    """

    bound: float | None
    sigma: float
    step: float
    clamp: int
    reach: int
    modulus_bits: int

    @classmethod
    def of_patients(cls, bound: float, largest_clinic: int, noise: NoisePlan) -> Scale:
        """For noised sums of at most `largest_clinic` patients a clinic, in the narrowest ring.

        Raises:
            PolicyRefusal: n such coordinates could wrap around every ring.
        """
        clamp = largest_clinic * noise.grid
        reach = clamp + math.ceil(TAIL * noise.clinic_sigma_steps)
        bits = narrowest(noise.uploads, reach)
        return cls(bound, noise.sigma, noise.step(bound), clamp, reach, bits)

    @classmethod
    def of_public(cls, clinics: int) -> Scale:
        """For exact sums of public data over `clinics`."""
        reach = largest_reach(clinics, PUBLIC_BITS)
        return cls(None, 0.0, 1.0 / PUBLIC_SCALE, reach, reach, PUBLIC_BITS)


def noise_and_scale(
    bound: float | None, cohort: Cohort, plan: Callable[[int], NoisePlan]
) -> tuple[NoisePlan, Scale]:
    """The noise and scale of a question: as few bits as a grid of `GRIDS` allows, then the finest.

    A grid coarser than the finest is taken only where one clinic's noise stays above four steps
    and where truncation, half a step a planned patient, pulls a sum by at most `MOST_PULL` of the
    deviation of its noise.

    Args:
        bound: C.
        cohort: of the study: `planned_patients` and `largest_clinic`.
        plan: the noise on a grid of S steps in a bound.

    Raises:
        OurFault: no bound.
        PolicyRefusal: not even the finest grid fits the noise, or no ring the sums.
    """
    if bound is None:
        raise OurFault("a noised question has no bound", code="unbounded-question")
    best = (noise := plan(GRIDS[0])), Scale.of_patients(bound, cohort.largest_clinic, noise)
    for grid in GRIDS[1:]:
        try:
            noise = plan(grid)
        except PolicyRefusal:
            break
        if cohort.planned_patients / (2 * grid) > MOST_PULL * noise.sum_sd(1.0):
            break
        scale = Scale.of_patients(bound, cohort.largest_clinic, noise)
        if scale.modulus_bits < best[1].modulus_bits:
            best = noise, scale
    return best
