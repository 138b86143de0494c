"""Masks vanish in the sum, and nothing but the sum is left to see."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from cairn_protocol.errors import OurFault, PolicyRefusal
from cairn_protocol.fixed_point import (
    check_headroom,
    decode,
    encode,
    from_wire,
    largest_reach,
    to_wire,
)
from cairn_protocol.masks import BLOCK_BYTES, masked


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_masks_cancel_for_any_participants_in_any_order(data):
    participants = data.draw(st.lists(st.integers(0, 999), min_size=1, max_size=7, unique=True))
    bits = data.draw(st.sampled_from([32, 64]))
    length = data.draw(st.integers(1, 40))
    pairs = {
        frozenset((i, j)): data.draw(st.binary(min_size=32, max_size=32))
        for i in participants
        for j in participants
        if i < j
    }
    reach = largest_reach(len(participants), bits)
    whole = st.integers(-reach, reach)
    rows = [data.draw(st.lists(whole, min_size=length, max_size=length)) for _ in participants]
    total = np.zeros(length, dtype=f"u{bits // 8}")
    for clinic, row in zip(participants, rows, strict=True):
        vector = encode(np.array(row, dtype=np.int64), reach=reach, modulus_bits=bits)
        seeds = {j: pairs[frozenset((clinic, j))] for j in participants if j != clinic}
        total += from_wire(to_wire(masked(vector, clinic, seeds), bits), bits, length)
    assert decode(total, bits).tolist() == [sum(column) for column in zip(*rows, strict=True)]


def test_masks_cancel_across_keystream_blocks():
    length = BLOCK_BYTES // 4 * 2 + 3
    zeros, seed = np.zeros(length, dtype=np.uint32), b"s" * 32
    total = masked(zeros, 0, {1: seed}) + masked(zeros, 1, {0: seed})
    assert not total.any()


def test_masking_leaves_the_clinics_vector_alone():
    vector = np.arange(9, dtype=np.uint64)
    masked(vector, 0, {1: b"s" * 32})
    assert vector.tolist() == list(range(9))
    with pytest.raises(ValueError, match="itself"):
        masked(vector, 0, {0: b"s" * 32})


@pytest.mark.parametrize("bits", [32, 64])
def test_the_upload_of_a_constant_vector_looks_uniform(federate, bits):
    # Deterministic keys would make this a fixed test; fresh ones make it a 1-in-10⁶ false alarm.
    federation = federate(3).agreed()
    context = federation.context(length=60_000, bits=bits)
    request = federation.request(context)
    upload = federation.upload(1, request, context, np.full(60_000, 42))
    data = np.frombuffer(upload.vector, dtype=np.uint8)
    assert stats.chisquare(np.bincount(data, minlength=256)).pvalue > 1e-6
    ones = int(np.unpackbits(data).sum())
    assert stats.binomtest(ones, 8 * data.size).pvalue > 1e-6
    words = from_wire(upload.vector, bits, 60_000).astype(np.float64)
    serial = np.corrcoef(words[:-1], words[1:])[0, 1]
    assert abs(serial) * np.sqrt(words.size) < 5


def test_two_rounds_and_two_attempts_have_unrelated_masks(federate):
    federation = federate(3).agreed()
    seen = []
    for attempt in range(3):
        context = federation.context(attempt=attempt, length=4000, bits=32)
        upload = federation.upload(0, federation.request(context), context, np.zeros(4000, int))
        seen.append(from_wire(upload.vector, 32, 4000))
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert np.count_nonzero(seen[one] == seen[other]) < 3
        difference = (seen[one] - seen[other]).view(np.uint8)
        assert stats.chisquare(np.bincount(difference, minlength=256)).pvalue > 1e-6


@given(st.integers(1, 1000), st.sampled_from([32, 64]))
def test_the_headroom_is_the_largest_that_is_exact(clinics, bits):
    reach = largest_reach(clinics, bits)
    assert clinics * reach < 2 ** (bits - 1) <= clinics * (reach + 1)
    check_headroom(clinics, reach, bits)
    with pytest.raises(PolicyRefusal) as refused:
        check_headroom(clinics, reach + 1, bits)
    assert refused.value.code == "policy.no-headroom"


@pytest.mark.parametrize("values", [[5], [0, -5], [np.iinfo(np.int64).min]])
def test_a_coordinate_beyond_the_reach_is_refused_without_its_value(values):
    with pytest.raises(OurFault) as refused:
        encode(np.array(values, dtype=np.int64), reach=4, modulus_bits=32)
    assert refused.value.code == "internal.beyond-reach"
    assert not any(character.isdigit() for character in str(refused.value))


@pytest.mark.parametrize("values", [np.zeros(3), np.zeros((1, 3), dtype=np.int64)])
def test_only_a_flat_vector_of_integers_is_encoded(values):
    with pytest.raises(OurFault, match="int64"):
        encode(values, reach=4, modulus_bits=64)
