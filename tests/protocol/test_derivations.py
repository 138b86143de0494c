"""A slow, second implementation of SPEC 7 to 9, written from the SPEC; and the frozen vectors.

It shares nothing with the package: HMAC by hand, AES one block at a time, Python integers.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import ECB
from hypothesis import given, settings
from hypothesis import strategies as st

from cairn_protocol.errors import PeerFault
from cairn_protocol.keys import KeyPair, pair_root, pair_seed
from cairn_protocol.masks import masked
from cairn_protocol.messages import decode, vector_digest

VECTORS = Path(__file__).resolve().parents[2] / "protocol" / "vectors"


def slow_hkdf(salt: bytes, secret: bytes, info: bytes) -> bytes:
    return slow_expand(hmac.new(salt, secret, hashlib.sha256).digest(), info)


def slow_expand(key: bytes, info: bytes) -> bytes:
    return hmac.new(key, info + b"\x01", hashlib.sha256).digest()


def slow_root(t1, run, own_private, peer_public, i, j, key_i, key_j) -> bytes:
    private = X25519PrivateKey.from_private_bytes(own_private)
    secret = private.exchange(X25519PublicKey.from_public_bytes(peer_public))
    places = i.to_bytes(2, "big") + j.to_bytes(2, "big")
    return slow_hkdf(t1, secret, b"cairn root v1\x00" + run + places + key_i + key_j)


def slow_seed(root: bytes, header: bytes) -> bytes:
    return slow_expand(root, b"cairn seed v1\x00" + header)


def slow_stream(seed: bytes, count: int, bits: int) -> list[int]:
    block = Cipher(AES256(seed), ECB()).encryptor()
    needed, stream, counter = count * bits // 8, b"", 2
    while len(stream) < needed:
        stream += block.update(bytes(12) + counter.to_bytes(4, "big"))
        counter += 1
    step = bits // 8
    return [int.from_bytes(stream[at : at + step], "little") for at in range(0, needed, step)]


def slow_masked(values: list[int], index: int, seeds: dict[int, bytes], bits: int) -> list[int]:
    result = [value % 2**bits for value in values]
    for peer, seed in seeds.items():
        sign = 1 if peer > index else -1
        mask = slow_stream(seed, len(values), bits)
        result = [(r + sign * m) % 2**bits for r, m in zip(result, mask, strict=True)]
    return result


def slow_digest(bits: int, wire: bytes) -> bytes:
    return hashlib.sha256(b"cairn vector v1\x00" + bytes([bits]) + wire).digest()


keys = st.binary(min_size=32, max_size=32)


@given(keys, keys, keys, st.binary(min_size=16, max_size=16), st.integers(0, 998), st.data())
@settings(max_examples=40, deadline=None)
def test_roots_and_seeds_equal_the_slow_ones(a, b, t1, run, i, data):
    j = data.draw(st.integers(i + 1, 999))
    low, high = KeyPair.from_private_bytes(a), KeyPair.from_private_bytes(b)
    ends = (i, low.public), (j, high.public)
    root = pair_root(t1, run, low.agree(high.public), *ends)
    assert root == pair_root(t1, run, high.agree(low.public), *ends)
    assert root == slow_root(t1, run, a, high.public, i, j, low.public, high.public)
    assert pair_seed(root, t1) == slow_seed(root, t1)


@given(st.integers(0, 6), st.dictionaries(st.integers(7, 40), keys, max_size=4), st.data())
@settings(max_examples=40, deadline=None)
def test_masked_vectors_equal_the_slow_ones(index, seeds, data):
    bits = data.draw(st.sampled_from([32, 64]))
    seeds |= data.draw(st.dictionaries(st.integers(0, 6), keys))
    seeds.pop(index, None)
    values = data.draw(st.lists(st.integers(0, 2**bits - 1), min_size=1, max_size=40))
    fast = masked(np.array(values, dtype=f"u{bits // 8}"), index, seeds)
    assert fast.tolist() == slow_masked(values, index, seeds, bits)


def frozen(kind: str) -> list:
    return [pytest.param(json.loads(p.read_text()), id=p.stem) for p in VECTORS.glob(f"{kind}*")]


def test_there_are_vectors_of_every_kind():
    kinds = ("root", "seed", "mask", "upload-digest", "message")
    assert [kind for kind in kinds if not frozen(kind)] == []


@pytest.mark.parametrize("vector", frozen("root"))
def test_frozen_root(vector):
    low, high = (bytes.fromhex(vector[f"private_{side}"]) for side in ("low", "high"))
    pair, peer = KeyPair.from_private_bytes(low), KeyPair.from_private_bytes(high)
    t1, run = bytes.fromhex(vector["t1"]), bytes.fromhex(vector["run"])
    ends = (vector["low"], pair.public), (vector["high"], peer.public)
    assert pair_root(t1, run, pair.agree(peer.public), *ends).hex() == vector["expect"]


@pytest.mark.parametrize("vector", frozen("seed"))
def test_frozen_seed(vector):
    seed = pair_seed(bytes.fromhex(vector["root"]), bytes.fromhex(vector["header"]))
    assert seed.hex() == vector["expect"]


@pytest.mark.parametrize("vector", frozen("mask"))
def test_frozen_mask(vector):
    values = np.array(vector["values"], dtype=f"u{vector['modulus_bits'] // 8}")
    seeds = {int(peer): bytes.fromhex(seed) for peer, seed in vector["seeds"].items()}
    assert masked(values, vector["clinic"], seeds).tolist() == vector["expect"]


@pytest.mark.parametrize("vector", frozen("upload-digest"))
def test_frozen_upload_digest(vector):
    digest = vector_digest(vector["modulus_bits"], bytes.fromhex(vector["vector"]))
    assert digest.hex() == vector["expect"]


@pytest.mark.parametrize("vector", frozen("message"))
def test_frozen_message(vector):
    data, limit = bytes.fromhex(vector["message"]), vector.get("limit", 1 << 20)
    if vector["expect"].startswith("peer."):
        with pytest.raises(PeerFault) as refused:
            decode(data, limit)
        assert refused.value.code == vector["expect"]
    else:
        message = decode(data, limit)
        assert type(message).__name__ == vector["expect"]
        assert message.to_bytes() == data
