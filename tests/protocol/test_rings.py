"""Every ring is exact to its last value, travels packed, and shows nothing of a vector."""

from __future__ import annotations

import secrets

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from cairn_protocol.errors import OurFault, PeerFault, PolicyRefusal
from cairn_protocol.fixed_point import (
    RINGS,
    decode,
    encode,
    from_wire,
    largest_reach,
    narrowest,
    to_wire,
    wire_bytes,
    word,
)
from cairn_protocol.masks import masked

RING = st.sampled_from(RINGS)
every_ring = pytest.mark.parametrize("bits", RINGS)


def coordinates(data: bytes, bits: int) -> list[int]:
    """The coordinates in `data`, one long little-endian number cut into pieces: slow, obvious."""
    number = int.from_bytes(data, "little")
    return [number >> at & (1 << bits) - 1 for at in range(0, 8 * len(data), bits)]


def pair_seeds(participants: list[int]) -> dict[frozenset[int], bytes]:
    """A fresh seed for every pair."""
    return {frozenset((i, j)): secrets.token_bytes(32) for i in participants for j in participants}


@given(RING, st.data())
@settings(max_examples=120, deadline=None)
def test_masks_cancel_in_every_ring_for_any_participants_in_any_order(bits, data):
    participants = data.draw(st.lists(st.integers(0, 999), min_size=1, max_size=6, unique=True))
    length = data.draw(st.integers(1, 9))
    reach = largest_reach(len(participants), bits)
    whole = st.one_of(st.sampled_from([-reach, reach]), st.integers(-reach, reach))
    rows = [data.draw(st.lists(whole, min_size=length, max_size=length)) for _ in participants]
    pairs = pair_seeds(participants)
    total = np.zeros(length, dtype=word(bits))
    for clinic, row in zip(participants, rows, strict=True):
        vector = encode(np.array(row, dtype=np.int64), reach=reach, modulus_bits=bits)
        seeds = {j: pairs[frozenset((clinic, j))] for j in participants if j != clinic}
        total += from_wire(to_wire(masked(vector, clinic, seeds), bits), bits, length)
    assert decode(total, bits).tolist() == [sum(column) for column in zip(*rows, strict=True)]


@given(RING, st.integers(0, 70), st.data())
@settings(max_examples=120, deadline=None)
def test_the_low_bits_of_each_coordinate_travel_one_behind_the_other(bits, length, data):
    top = (1 << 8 * np.dtype(word(bits)).itemsize) - 1
    values = data.draw(st.lists(st.integers(0, top), min_size=length, max_size=length))
    wire = to_wire(np.array(values, dtype=word(bits)), bits)
    low = [value & (1 << bits) - 1 for value in values]
    assert coordinates(wire, bits)[:length] == low
    assert len(wire) == wire_bytes(length, bits)
    arrived = from_wire(wire, bits, length)
    assert arrived.dtype == word(bits)
    assert arrived.tolist() == low


@every_ring
def test_vectors_of_many_blocks_travel_whole(bits):
    vector = np.frombuffer(secrets.token_bytes(8 * 70_001), dtype=word(bits))[:70_001]
    low = vector & vector.dtype.type((1 << bits) - 1)
    assert (from_wire(to_wire(vector, bits), bits, 70_001) == low).all()


def test_bytes_on_the_wire():
    sizes = {20: 5, 24: 6, 28: 7, 32: 8, 40: 10, 48: 12, 56: 14, 64: 16}
    assert {bits: wire_bytes(2, bits) for bits in RINGS} == sizes
    assert [wire_bytes(3, bits) for bits in (20, 24, 28)] == [10, 12, 14]  # the fourth is padding
    assert wire_bytes(0, 20) == 0


@every_ring
@pytest.mark.parametrize("change", [-1, 1])
def test_another_length_is_refused(bits, change):
    for length in (4, 5):
        with pytest.raises(PeerFault) as refused:
            from_wire(bytes(wire_bytes(length, bits) + change), bits, length)
        assert refused.value.code == "peer.vector-size"


@pytest.mark.parametrize("bits", [20, 24, 28])
def test_padding_is_zero(bits):
    wire = to_wire(np.full(3, 0xFFFF_FFFF, dtype=np.uint32), bits)
    padding = ((1 << bits) - 1) << 3 * bits
    for bit in range(3 * bits, 4 * bits):
        other = int.from_bytes(wire, "little") ^ 1 << bit
        assert other & padding
        with pytest.raises(PeerFault) as refused:
            from_wire(other.to_bytes(len(wire), "little"), bits, 3)
        assert refused.value.code == "peer.vector-padding"


@every_ring
def test_the_extremes_of_a_ring_come_back(bits):
    reach = largest_reach(1, bits)
    extremes = np.array([reach, -reach, -1, 0, 1], dtype=np.int64)
    ring = encode(extremes, reach=reach, modulus_bits=bits)
    assert decode(from_wire(to_wire(ring, bits), bits, 5), bits).tolist() == extremes.tolist()
    # Beyond them the ring wraps around: this is what the headroom keeps away.
    beyond = decode(ring + ring.dtype.type(1), bits)
    assert beyond.tolist()[0] == -reach - 1


@every_ring
def test_a_reach_beyond_the_ring_encodes_nothing_that_would_wrap(bits):
    if bits == 64:
        return
    with pytest.raises(OurFault) as refused:
        encode(np.array([1 << (bits - 1)]), reach=1 << 62, modulus_bits=bits)
    assert refused.value.code == "internal.beyond-reach"


@given(st.integers(1, 1000), st.integers(0, (1 << 63) - 1))
def test_the_narrowest_ring_holds_the_sum_and_a_narrower_one_would_not(clinics, reach):
    if clinics * reach >= 1 << 63:
        with pytest.raises(PolicyRefusal):
            narrowest(clinics, reach)
        return
    bits = narrowest(clinics, reach)
    assert clinics * reach < 1 << (bits - 1)
    assert all(clinics * reach >= 1 << (w - 1) for w in RINGS if w < bits)


@given(st.integers(1, 1000), st.integers(0, len(RINGS) - 2))
def test_a_ring_is_used_up_to_its_last_value(clinics, index):
    last = largest_reach(clinics, RINGS[index])
    assert narrowest(clinics, last) == RINGS[index]
    assert narrowest(clinics, last + 1) == RINGS[index + 1]


@pytest.mark.parametrize("bits", [0, 8, 21, 33, 65])
def test_there_is_no_other_ring(bits):
    vector = np.zeros(2, dtype=np.uint32)
    for refusing in (
        lambda: wire_bytes(2, bits),
        lambda: to_wire(vector, bits),
        lambda: from_wire(b"", bits, 0),
        lambda: decode(vector, bits),
        lambda: encode(np.zeros(2, dtype=np.int64), reach=1, modulus_bits=bits),
    ):
        with pytest.raises(OurFault) as refused:
            refusing()
        assert refused.value.code == "internal.ring-unknown"


@every_ring
def test_words_of_the_other_size_are_refused(bits):
    other = np.zeros(2, dtype=np.uint64 if bits <= 32 else np.uint32)
    for refusing in (lambda: to_wire(other, bits), lambda: decode(other, bits)):
        with pytest.raises(OurFault) as refused:
            refusing()
        assert refused.value.code == "internal.vector-type"


@every_ring
@pytest.mark.parametrize("index", [0, 2])
def test_the_upload_of_a_constant_vector_looks_uniform_in_every_ring(bits, index):
    # Fixed seeds would make this a fixed test; fresh ones make it a 1-in-10⁶ false alarm.
    length = 60_001
    vector = encode(np.full(length, -42), reach=42, modulus_bits=bits)
    seeds = {peer: secrets.token_bytes(32) for peer in (0, 1, 2) if peer != index}
    upload = to_wire(masked(vector, index, seeds, own=secrets.token_bytes(32)), bits)
    data = np.frombuffer(upload, dtype=np.uint8)[: wire_bytes(length - 1, bits)]
    assert stats.chisquare(np.bincount(data, minlength=256)).pvalue > 1e-6
    assert stats.binomtest(int(np.unpackbits(data).sum()), 8 * data.size).pvalue > 1e-6
    each = from_wire(upload, bits, length).astype(np.float64)
    serial = np.corrcoef(each[:-1], each[1:])[0, 1]
    assert abs(serial) * np.sqrt(each.size) < 5
    places = np.bincount((each / 2.0 ** (bits - 6)).astype(int), minlength=64)  # its top six bits
    assert stats.chisquare(places).pvalue > 1e-6
