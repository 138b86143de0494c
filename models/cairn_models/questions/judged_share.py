"""`share_estimate`: a proportion of judged people, as an answer tells it."""

from __future__ import annotations

from typing import Final

import numpy as np

from cairn_models.answers import SHARE, Estimate
from cairn_models.proportions import Proportion, noise_share

TOO_FEW: Final = "too few people to tell through the noise"


def share_estimate(name: str, label: str, p: Proportion, why: str = "") -> Estimate:
    """`p` with its interval and its share of noise; withheld for `why`, or where it is unreadable.

    Args:
        p: one proportion, without leading axes.
    """
    why = why or ("" if p.readable else TOO_FEW)
    if why:
        return Estimate(name, label, None, unit=SHARE, suppressed=why)
    return Estimate(
        name,
        label,
        float(p.value),
        float(p.low),
        float(p.high),
        float(np.sqrt(p.sampling + p.noise)),
        float(noise_share(p.sampling, p.noise)),
        SHARE,
        count=float(p.count),
    )
