"""Rounds through the whole protocol give the plain sum, and only that."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cairn_protocol.fixed_point import RINGS, largest_reach


@pytest.mark.parametrize("clinics", [3, 4, 5, 7])
@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("dropout", ["forbidden", "recovered"])
def test_one_hot_inputs_count_each_clinic_once(federate, clinics, bits, dropout):
    # Clinic k contributes 10^k everywhere: a clinic counted twice or lost shows as its digit.
    federation = federate(clinics, dropout=dropout).agreed()
    vectors = np.array([[10**k] * 6 for k in range(clinics)])
    for round_ in range(3):
        total = federation.round(vectors, round_=round_, bits=bits)
        assert total.tolist() == [int("1" * clinics)] * 6


@pytest.mark.parametrize("bits", RINGS)
@pytest.mark.parametrize(("dropout", "lost"), [("forbidden", ()), ("recovered", (1,))])
def test_the_extremes_of_the_reach_sum_exactly(federate, bits, dropout, lost):
    survivors = 4 - len(lost)
    federation = federate(4, dropout=dropout, survivors=survivors).agreed()
    reach = largest_reach(4, bits)
    vectors = np.array([[reach, -reach, 0, 1, -1]] * 4)
    total = federation.round(vectors, bits=bits, lost=lost)
    assert total.tolist() == (vectors[0] * survivors).tolist()


@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_any_vectors_lost_clinics_and_rings_give_the_plain_sum_of_the_others(federate, data):
    clinics = data.draw(st.integers(4, 7))
    survivors = data.draw(st.integers((clinics + 1) // 2 + 1, clinics))
    federation = federate(clinics, dropout="recovered", survivors=survivors).agreed()
    bits, length = data.draw(st.sampled_from(RINGS)), data.draw(st.integers(1, 9))
    reach = largest_reach(clinics, bits)
    row = st.lists(st.integers(-reach, reach), min_size=length, max_size=length)
    vectors = np.array([data.draw(row) for _ in range(clinics)], dtype=np.int64)
    lost = data.draw(st.sets(st.integers(0, clinics - 1), max_size=clinics - survivors))
    there = [clinic for clinic in range(clinics) if clinic not in lost]
    total = federation.round(vectors, bits=bits, lost=lost)
    assert total.tolist() == [sum(int(v) for v in column) for column in vectors[there].T]


@pytest.mark.parametrize("clinics", [1, 2])
@pytest.mark.parametrize("dropout", ["forbidden", "recovered"])
def test_public_data_may_run_below_the_minima(federate, clinics, dropout):
    federation = federate(clinics, data="public", colluding=0, dropout=dropout).agreed()
    assert federation.round([[7, -8]] * clinics).tolist() == [7 * clinics, -8 * clinics]
