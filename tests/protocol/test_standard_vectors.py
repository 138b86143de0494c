"""The primitives against the standards' own vectors: those that the package calls, and slow ones.

The slow ones in plain Python (`slow_primitives`, `slow_mlkem`) are judged by the same vectors, so
that they may then judge the libraries where a standard's vectors cannot be fed to them.
`mlkem_768.json` names its sources.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CTR, ECB
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from cairn_protocol.errors import PeerFault
from cairn_protocol.identity import Identity
from cairn_protocol.keys import KeyPair, encapsulate, expand
from cairn_protocol.masks import BLOCK_BYTES, masked
from slow_mlkem import decapsulate as slow_decapsulate
from slow_mlkem import encapsulate as slow_encapsulate
from slow_mlkem import keys as slow_keys
from slow_mlkem import valid as slow_valid
from slow_primitives import (
    aes_block,
    aes_ctr,
    ed25519_public,
    ed25519_sign,
    gcm_seal,
    hkdf_expand,
    x25519,
)

unhex = bytes.fromhex
MLKEM = json.loads((Path(__file__).parent / "mlkem_768.json").read_text())


def pair(scalar: bytes) -> KeyPair:
    """A pair with this X25519 key."""
    return KeyPair.from_private_bytes(scalar, bytes(64))


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


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
    assert pair(unhex(scalar)).agree(unhex(point)) == unhex(product)
    assert x25519(unhex(scalar), unhex(point)) == unhex(product)


def test_x25519_exchange_of_rfc_7748_section_6_1():
    alice = unhex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a")
    bob = unhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb")
    assert pair(alice).x25519.hex().startswith("8520f0098930a754748b7ddcb43ef75a")
    assert pair(bob).x25519.hex().startswith("de9edb7d7b7dc1b4d35b61c2ece43537")
    shared = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"
    assert pair(alice).agree(pair(bob).x25519).hex() == shared
    assert pair(bob).agree(pair(alice).x25519).hex() == shared
    assert x25519(alice, x25519(bob)).hex() == shared


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
    assert ed25519_public(unhex(private)) == unhex(public)
    assert ed25519_sign(unhex(private), unhex(message)) == unhex(signature)


@pytest.mark.parametrize(("secret", "salt", "info", "expected"), RFC_5869_SHA256)
def test_hkdf_of_rfc_5869(secret, salt, info, expected):
    length = len(expected) // 2
    derived = HKDF(SHA256(), length, unhex(salt), unhex(info)).derive(unhex(secret))
    assert derived == unhex(expected)


def test_expand_of_rfc_5869():
    key = unhex("077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5")  # A.1's PRK
    info, first = unhex(RFC_5869_SHA256[0][2]), unhex(RFC_5869_SHA256[0][3])[:32]
    assert expand(key, info) == hkdf_expand(key, info) == first


def test_aes_256_of_fips_197_appendix_c_3():
    key, plain = bytes(range(32)), unhex("00112233445566778899aabbccddeeff")
    cipher = "8ea2b7ca516745bfeafc49904b496089"
    assert aes_block(key, plain).hex() == cipher
    assert Cipher(AES256(key), ECB()).encryptor().update(plain).hex() == cipher


def test_aes_256_ctr_of_nist_sp_800_38a_f_5_5():
    key = unhex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4")
    counter = unhex("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff")
    plain = unhex(
        "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
        "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710"
    )
    expected = (
        "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5"
        "2b0930daa23de94ce87017ba2d84988ddfc9c58db67aada613c2dd08457941a6"
    )
    assert Cipher(AES256(key), CTR(counter)).encryptor().update(plain).hex() == expected
    stream = aes_ctr(key, counter, len(plain))
    assert bytes(a ^ b for a, b in zip(plain, stream, strict=True)).hex() == expected


GCM_SPECIFICATION = [  # McGrew and Viega, test cases 13 to 15: key, nonce, plain, sealed
    ("00" * 32, "00" * 12, "", "530f8afbc74536b9a963b4f1c4cb738b"),
    (
        "00" * 32,
        "00" * 12,
        "00" * 16,
        "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919",
    ),
    (
        "feffe9928665731c6d6a8f9467308308" * 2,
        "cafebabefacedbaddecaf888",
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
        "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255",
        "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
        "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad"
        "b094dac5d93471bdec1a502270e3cc6c",
    ),
]


@pytest.mark.parametrize(("key", "nonce", "plain", "sealed"), GCM_SPECIFICATION)
def test_aes_256_gcm_of_the_gcm_specification(key, nonce, plain, sealed):
    assert AESGCM(unhex(key)).encrypt(unhex(nonce), unhex(plain), None).hex() == sealed
    assert gcm_seal(unhex(key), unhex(nonce), unhex(plain)).hex() == sealed


@pytest.mark.parametrize("case", MLKEM["keyGen"], ids=lambda case: case["tcId"])
def test_mlkem_768_key_generation_of_acvp(case):
    d, z = unhex(case["d"]), unhex(case["z"])
    assert sha256(KeyPair.from_private_bytes(bytes(32), d + z).mlkem) == case["ek_sha256"]
    ek, dk = slow_keys(d, z)
    assert (sha256(ek), sha256(dk)) == (case["ek_sha256"], case["dk_sha256"])


@pytest.mark.parametrize("case", [*MLKEM["encapsulation"], MLKEM["unlucky"]])
def test_mlkem_768_encapsulation_of_acvp_and_of_an_unlucky_key(case):
    # The library draws m itself, so this judges the slow one.
    secret, ciphertext = slow_encapsulate(unhex(case["ek"]), unhex(case["m"]))
    assert (secret.hex(), sha256(ciphertext)) == (case["k"], case["c_sha256"])


@pytest.mark.parametrize("case", [*MLKEM["decapsulation"], MLKEM["strcmp"]])
def test_mlkem_768_decapsulation_of_acvp_with_implicit_rejection(case):
    # The library takes keys as seeds, which these are not, so this judges the slow one.
    dk, ciphertext = unhex(case["dk"]), unhex(case["c"])
    assert slow_decapsulate(dk, ciphertext).hex() == case["k"]
    if "rejected" in case:
        other = hashlib.shake_256(dk[-32:] + ciphertext).digest(32)
        assert (other.hex() == case["k"]) == case["rejected"]


@pytest.mark.parametrize("case", MLKEM["encapsulationKeyCheck"], ids=lambda case: case["tcId"])
def test_mlkem_768_key_check_of_acvp(case):
    ek = unhex(case["ek"])
    assert slow_valid(ek) == case["valid"]
    if case["valid"]:
        assert len(encapsulate(ek)[1]) == 1088
        return
    with pytest.raises(PeerFault) as refused:
        encapsulate(ek)
    assert refused.value.code == "peer.key-invalid"


@pytest.mark.parametrize("coefficient", [0, 1, 767])
def test_an_mlkem_key_with_a_coefficient_of_3329_is_refused(coefficient):
    good = KeyPair.generate().mlkem
    number = int.from_bytes(good[:1152], "little")
    kept = number & ~(4095 << (12 * coefficient))
    for value, fits in ((3328, True), (3329, False), (4095, False)):
        ek = (kept | value << (12 * coefficient)).to_bytes(1152, "little") + good[1152:]
        assert slow_valid(ek) is fits
        if fits:
            encapsulate(ek)
            continue
        with pytest.raises(PeerFault) as refused:
            encapsulate(ek)
        assert refused.value.code == "peer.key-invalid"


@pytest.mark.parametrize("case", MLKEM["keyGen"][:4], ids=lambda case: case["tcId"])
def test_mlkem_768_of_the_library_is_the_slow_one(case):
    d, z = unhex(case["d"]), unhex(case["z"])
    fast, (ek, dk) = KeyPair.from_private_bytes(bytes(32), d + z), slow_keys(d, z)
    secret, ciphertext = encapsulate(ek)
    assert slow_decapsulate(dk, ciphertext) == fast.decapsulate(ciphertext) == secret
    secret, ciphertext = slow_encapsulate(ek, os.urandom(32))
    assert fast.decapsulate(ciphertext) == secret
    for at in (0, 500, 1087):
        wrong = ciphertext[:at] + bytes((ciphertext[at] ^ 1,)) + ciphertext[at + 1 :]
        rejected = fast.decapsulate(wrong)
        assert rejected == slow_decapsulate(dk, wrong) != secret


@pytest.mark.parametrize("size", [1, 4, 16, BLOCK_BYTES, BLOCK_BYTES + 4, 3 * BLOCK_BYTES + 20])
def test_the_gcm_stream_is_the_ctr_stream(size):
    seed, words = bytes(range(32)), -(-size // 4)
    fast = masked(np.zeros(words, dtype=np.uint32), 0, {1: seed})
    counter = bytes(12) + (2).to_bytes(4, "big")
    slow = Cipher(AES256(seed), CTR(counter)).encryptor().update(bytes(4 * words))
    assert fast.astype("<u4").tobytes() == slow
