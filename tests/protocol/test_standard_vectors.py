"""The primitives against the standards' own vectors, through the code that the protocol uses."""

from __future__ import annotations

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CTR, GCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from cairn_protocol.errors import PeerFault
from cairn_protocol.identity import Identity
from cairn_protocol.keys import KeyPair
from cairn_protocol.masks import BLOCK_BYTES, masked

unhex = bytes.fromhex

RFC_7748_5_2 = [
    (
        "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
        "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
        "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552",
    ),
    (
        "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
        "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
        "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957",
    ),
]
RFC_8032_7_1 = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701c"
        "f9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0"
        "f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
]
RFC_5869_SHA256 = [
    (
        "0b" * 22,
        "000102030405060708090a0b0c",
        "f0f1f2f3f4f5f6f7f8f9",
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
    ),
    (
        bytes(range(0x50)).hex(),
        bytes(range(0x60, 0xB0)).hex(),
        bytes(range(0xB0, 0x100)).hex(),
        "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e"
        "590e09da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87",
    ),
    (
        "0b" * 22,
        "",
        "",
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
    ),
]


@pytest.mark.parametrize(("scalar", "point", "product"), RFC_7748_5_2)
def test_x25519_of_rfc_7748_section_5_2(scalar, point, product):
    assert KeyPair.from_private_bytes(unhex(scalar)).agree(unhex(point)) == unhex(product)


def test_x25519_exchange_of_rfc_7748_section_6_1():
    alice = KeyPair.from_private_bytes(
        unhex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a")
    )
    bob = KeyPair.from_private_bytes(
        unhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb")
    )
    assert alice.public.hex().startswith("8520f0098930a754748b7ddcb43ef75a")
    assert bob.public.hex().startswith("de9edb7d7b7dc1b4d35b61c2ece43537")
    shared = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"
    assert alice.agree(bob.public).hex() == bob.agree(alice.public).hex() == shared


@pytest.mark.parametrize("weak", ["00" * 32, "01" + "00" * 31, "ec" + "ff" * 30 + "7f"])
def test_a_key_of_small_order_is_refused(weak):
    with pytest.raises(PeerFault) as refused:
        KeyPair.generate().agree(unhex(weak))
    assert refused.value.code == "peer.key-weak"


@pytest.mark.parametrize(("private", "public", "message", "signature"), RFC_8032_7_1)
def test_ed25519_of_rfc_8032_section_7_1(private, public, message, signature):
    assert Identity.from_private_bytes(unhex(private)).public == unhex(public)
    key = Ed25519PrivateKey.from_private_bytes(unhex(private))
    assert key.sign(unhex(message)) == unhex(signature)


@pytest.mark.parametrize(("secret", "salt", "info", "expected"), RFC_5869_SHA256)
def test_hkdf_of_rfc_5869(secret, salt, info, expected):
    length = len(expected) // 2
    derived = HKDF(SHA256(), length, unhex(salt), unhex(info)).derive(unhex(secret))
    assert derived == unhex(expected)


def test_aes_256_ctr_of_nist_sp_800_38a_f_5_5():
    key = unhex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4")
    plain = unhex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51")
    cipher = Cipher(AES256(key), CTR(unhex("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"))).encryptor()
    expected = "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5"
    assert cipher.update(plain).hex() == expected


def test_aes_256_gcm_of_the_gcm_specification_case_14():
    cipher = Cipher(AES256(bytes(32)), GCM(bytes(12))).encryptor()
    assert cipher.update(bytes(16)).hex() == "cea7403d4d606b6e074ec5d3baf39d18"


@pytest.mark.parametrize("size", [1, 4, 16, BLOCK_BYTES, BLOCK_BYTES + 4, 3 * BLOCK_BYTES + 20])
def test_the_gcm_stream_is_the_ctr_stream(size):
    seed, words = bytes(range(32)), -(-size // 4)
    fast = masked(np.zeros(words, dtype=np.uint32), 0, {1: seed})
    counter = bytes(12) + (2).to_bytes(4, "big")
    slow = Cipher(AES256(seed), CTR(counter)).encryptor().update(bytes(4 * words))
    assert fast.astype("<u4").tobytes() == slow
