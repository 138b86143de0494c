"""`Waiting`: when the therapy that patients wait for begins, or they need more than it before.

Both are drawn from a stream of their own, so that nothing else in a cohort depends on them: scores
and dropouts are those of patients who go on waiting.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, ndtri

from cairn_models.synthetic.draws import Floats
from cairn_models.synthetic.world import World

POINTS_PER_SD = 6.0  # the scale of severity and worsening in the hazard
RECENT = 4  # weeks over which worsening counts


@dataclass(frozen=True)
class Waiting:
    """(n,) weeks, past the horizon where it does not happen; nobody has both.

    Args:
        therapy: of the first session of the therapy that was waited for.
        stepped_up: of a move to more intensive care, or an urgent referral.
    """

    therapy: NDArray[np.int64]
    stepped_up: NDArray[np.int64]

    @classmethod
    def of(cls, world: World, symptoms: Floats, rng: np.random.Generator) -> Waiting:
        """The ends of the wait of patients with these true `symptoms` (n, T), in points."""
        wait, (n, times) = world.wait, symptoms.shape
        flat = rng.random((n, 1 + times)) + 2.0**-54  # a fixed stretch a patient, never 0
        weeks = wait.therapy_weeks * np.exp(wait.therapy_spread * ndtri(flat[:, 0]))
        therapy = np.minimum(np.ceil(weeks), times).astype(np.int64)
        recent = np.maximum(np.arange(times) - RECENT, 0)
        odds = logit(max(wait.stepped_up, 1e-9))  # a hazard of zero has no log odds
        odds = odds + wait.stepped_up_severity * (symptoms - world.symptoms.phq9_mean) / (
            POINTS_PER_SD
        )
        odds = odds + wait.stepped_up_worsening * (symptoms - symptoms[:, recent]) / POINTS_PER_SD
        needed = flat[:, 1:] < expit(odds)
        needed[:, 0] = False  # whoever needs more at once is not listed
        stepped_up = np.where(needed.any(axis=1), needed.argmax(axis=1), times)
        first = stepped_up < therapy
        return cls(np.where(first, times, therapy), np.where(first, stepped_up, times))
