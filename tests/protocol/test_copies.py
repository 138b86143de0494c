"""Where a vector is spared a copy, what comes out is the same."""

from __future__ import annotations

import secrets
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cairn_protocol.codec import framed
from cairn_protocol.errors import PeerFault
from cairn_protocol.fixed_point import RINGS, decode, from_wire, sum_of, to_wire, word
from cairn_protocol.masks import masked, masked_bytes
from cairn_protocol.messages import Upload

SIZES = (1, 2, 3, 16_384, 32_767, 32_769, 40_001)


def vectors(bits: int, length: int, count: int, seed: int) -> list[Any]:
    """Uniform words: also what stands above `bits`, which must not count."""
    drawn = np.random.default_rng(seed)
    top = np.iinfo(word(bits)).max
    return [drawn.integers(0, top, length, word(bits), endpoint=True) for _ in range(count)]


@given(
    bits=st.sampled_from(RINGS),
    length=st.sampled_from(SIZES),
    count=st.integers(1, 5),
    seed=st.integers(0, 2**32),
)
def test_packed_vectors_add_up_as_unpacked_ones(
    bits: int, length: int, count: int, seed: int
) -> None:
    wires = [to_wire(vector, bits) for vector in vectors(bits, length, count, seed)]
    plain = np.zeros(length, dtype=word(bits))
    for wire in wires:
        plain += from_wire(wire, bits, length)
    total = sum_of(wires, bits, length)
    assert total.shape == (length,)
    assert (decode(total, bits) == decode(plain, bits)).all()


@pytest.mark.parametrize("bits", [20, 24, 28])
def test_many_largest_coordinates_do_not_run_into_each_other(bits: int) -> None:
    largest = to_wire(np.full(4, (1 << bits) - 1, dtype=np.uint32), bits)
    assert (decode(sum_of([largest] * 1000, bits, 4), bits) == -1000).all()


@pytest.mark.parametrize("bits", RINGS)
def test_a_sum_refuses_what_is_no_vector(bits: int) -> None:
    right = to_wire(np.zeros(3, dtype=word(bits)), bits)
    for wrong in (right[:-1], right + b"\0"):
        with pytest.raises(PeerFault, match="length"):
            sum_of([right, wrong], bits, 3)
    if bits < 32:
        with pytest.raises(PeerFault, match="padding"):
            sum_of([right, right[:-1] + b"\x80"], bits, 3)


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("length", [1, 5, 40_001])
def test_masked_bytes_are_the_masked_vector(bits: int, length: int) -> None:
    (vector,) = vectors(bits, length, 1, 7)
    before = vector.copy()
    seeds, own = {0: secrets.token_bytes(32), 2: secrets.token_bytes(32)}, secrets.token_bytes(32)
    for self_mask in (own, None):
        made = masked_bytes(vector, 1, seeds, self_mask)
        assert made == to_wire(masked(vector, 1, seeds, self_mask), bits)
    assert (vector == before).all()


def test_a_frame_is_its_kind_and_its_body(three: Any) -> None:
    context = three.context()
    request = three.requests(context)[0]
    upload = three.upload(0, request, context, np.zeros(context.length, dtype=np.int64))
    for message in (request, upload, three.opening):
        assert message.to_bytes() == framed(message.kind, message.body)
    assert Upload.from_body(upload.body) == upload
