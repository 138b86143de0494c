"""The noise plan that several privacy tests look at."""

from __future__ import annotations

import pytest

from cairn_privacy.noise import NoisePlan


@pytest.fixture
def plan() -> NoisePlan:
    """Ten clinics, eight survivors, two colluders."""
    return NoisePlan(sigma=4.2247, rounds=1, honest=6, uploads=10)
