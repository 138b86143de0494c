"""Rounds through the whole protocol give the plain sum, and only that."""

from __future__ import annotations

import numpy as np
import pytest

from cairn_protocol.fixed_point import largest_reach


@pytest.mark.parametrize("clinics", [3, 4, 5, 7])
@pytest.mark.parametrize("bits", [32, 64])
def test_one_hot_inputs_count_each_clinic_once(federate, clinics, bits):
    # Clinic k contributes 10^k everywhere: a clinic counted twice or lost shows as its digit.
    federation = federate(clinics, colluding=1).agreed()
    vectors = np.array([[10**k] * 6 for k in range(clinics)])
    for round_ in range(3):
        total = federation.round(vectors, round_=round_, bits=bits)
        assert total.tolist() == [int("1" * clinics)] * 6


@pytest.mark.parametrize("bits", [32, 64])
def test_the_extremes_of_the_reach_sum_exactly(federate, bits):
    federation = federate(3).agreed()
    reach = largest_reach(3, bits)
    vectors = np.array([[reach, -reach, 0, 1, -1]] * 3)
    assert federation.round(vectors, bits=bits).tolist() == vectors.sum(axis=0).tolist()


@pytest.mark.parametrize("clinics", [1, 2])
def test_public_data_may_run_below_the_minima(federate, clinics):
    federation = federate(clinics, data="public", colluding=0).agreed()
    assert federation.round([[7, -8]] * clinics).tolist() == [7 * clinics, -8 * clinics]
