"""Masks vanish in the sum, and nothing but the sum is left to see."""

from __future__ import annotations

import itertools
import secrets
import tracemalloc

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CTR
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from cairn_protocol import masks
from cairn_protocol.errors import OurFault, PolicyRefusal
from cairn_protocol.fixed_point import (
    check_headroom,
    decode,
    encode,
    from_wire,
    largest_reach,
    to_wire,
)
from cairn_protocol.masks import BLOCK_BYTES, add_streams, masked, pair_sign


def stream(seed: bytes, length: int, width: int) -> np.ndarray:
    """The keystream from the standard's counter mode in one piece: slow and obvious."""
    counter = Cipher(AES256(seed), CTR(bytes(12) + b"\0\0\0\2")).encryptor()
    return np.frombuffer(counter.update(bytes(length * width)), dtype=f"<u{width}")


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


@pytest.mark.parametrize("width", [4, 8])
@pytest.mark.parametrize("spare", [-1, 0, 1, BLOCK_BYTES // 8 + 3])
def test_streams_are_counter_mode_over_all_blocks(width, spare):
    length = BLOCK_BYTES // width + spare
    seeds = [secrets.token_bytes(32) for _ in range(3)]
    vector = np.arange(length, dtype=f"u{width}")
    expected = vector.copy()
    for seed, combine in zip(seeds, (np.add, np.subtract, np.add), strict=True):
        expected = combine(expected, stream(seed, length, width))
    add_streams(vector, zip(seeds, (1, -1, 1), strict=True))
    assert (vector == expected).all()


@pytest.mark.parametrize("width", [4, 8])
def test_the_lower_index_adds_the_pairs_stream_and_the_higher_takes_it_off(width):
    seed, vector = b"s" * 32, np.arange(50, dtype=f"u{width}")
    mask = stream(seed, 50, width)
    assert (masked(vector, 1, {2: seed}) == vector + mask).all()
    assert (masked(vector, 1, {0: seed}) == vector - mask).all()
    assert (masked(vector, 1, {}, own=seed) == vector + mask).all()


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_the_server_takes_off_what_dropouts_leave_behind(data):
    participants = data.draw(st.lists(st.integers(0, 999), min_size=2, max_size=7, unique=True))
    survivors = data.draw(st.sets(st.sampled_from(participants), min_size=1))
    dropped = set(participants) - survivors
    own = {i: secrets.token_bytes(32) for i in participants}
    pairs = {
        frozenset(pair): secrets.token_bytes(32) for pair in itertools.permutations(participants, 2)
    }
    length = 11
    total = np.zeros(length, dtype=np.uint32)
    for i in survivors:
        seeds = {j: pairs[frozenset((i, j))] for j in participants if j != i}
        total += masked(np.full(length, i, dtype=np.uint32), i, seeds, own=own[i])
    self_masks = [(own[i], -1) for i in survivors]
    left = [(pairs[frozenset((i, j))], -pair_sign(i, j)) for i in survivors for j in dropped]
    for one_missing in (self_masks[1:] + left, self_masks + left[1:] if left else self_masks[1:]):
        closed = total.copy()
        add_streams(closed, one_missing)
        assert closed.tolist() != [sum(survivors)] * length
    add_streams(total, self_masks + left)
    assert total.tolist() == [sum(survivors)] * length


def test_masking_holds_one_copy_of_the_vector():
    vector = np.zeros(1_000_000, dtype=np.uint32)
    seeds = {peer: bytes([peer]) * 32 for peer in range(1, 10)}
    tracemalloc.start()
    masked(vector, 0, seeds, own=b"o" * 32)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < vector.nbytes + 4 * BLOCK_BYTES


def test_more_streams_than_ciphers_at_a_time(monkeypatch):
    length = BLOCK_BYTES // 4 + 5
    seeds = [secrets.token_bytes(32) for _ in range(7)]
    signs = (1, -1, 1, 1, -1, -1, -1)
    expected, vector = np.zeros(length, dtype=np.uint32), np.zeros(length, dtype=np.uint32)
    for seed, sign in zip(seeds, signs, strict=True):
        (np.add if sign > 0 else np.subtract)(expected, stream(seed, length, 4), out=expected)
    monkeypatch.setattr(masks, "_CIPHERS", 3)
    add_streams(vector, zip(seeds, signs, strict=True))
    assert (vector == expected).all()


def test_a_stream_is_added_or_taken_off():
    with pytest.raises(KeyError):
        add_streams(np.zeros(3, dtype=np.uint32), [(b"s" * 32, 0)])


def test_masking_leaves_the_clinics_vector_alone():
    vector = np.arange(9, dtype=np.uint64)
    masked(vector, 0, {1: b"s" * 32})
    assert vector.tolist() == list(range(9))
    with pytest.raises(ValueError, match="itself"):
        masked(vector, 0, {0: b"s" * 32})


@pytest.mark.parametrize("bits", [24, 32, 64])
@pytest.mark.parametrize("dropout", ["forbidden", "recovered"])
def test_the_upload_of_a_constant_vector_looks_uniform(federate, bits, dropout):
    # Deterministic keys would make this a fixed test; fresh ones make it a 1-in-10⁶ false alarm.
    federation = federate(3, dropout=dropout).agreed()
    context = federation.context(length=60_000, bits=bits)
    request = federation.requests(context)[1]
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
        request = federation.requests(context)[0]
        upload = federation.upload(0, request, context, np.zeros(4000, int))
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
