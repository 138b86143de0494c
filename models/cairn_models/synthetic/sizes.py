"""`draw_clinic_sizes`: how many patients each of some clinics has."""

from __future__ import annotations

from typing import Final

import numpy as np

# Courses of guided computerised self-help a year and provider, England 2024-25: 10th, 25th, 50th,
# 75th, 90th percentile and maximum of 81 providers (NHS Talking Therapies, OGL v3.0). The smallest
# published count is 5.
QUANTILES: Final = (
    (0.0, 5),
    (0.1, 10),
    (0.25, 20),
    (0.5, 50),
    (0.75, 140),
    (0.9, 455),
    (1.0, 3650),
)


def draw_clinic_sizes(count: int, *, seed: int) -> list[int]:
    """`count` clinic sizes, between the published quantiles log-linearly: 10 patients to 3,650."""
    uniform = np.random.default_rng(np.random.SeedSequence(seed)).random(count)
    share, size = zip(*QUANTILES, strict=True)
    logs = np.interp(uniform, share, np.log(size))
    return [int(n) for n in np.round(np.exp(logs))]
