"""AES-256, GCM, X25519, Ed25519 and HKDF from their standards, in plain Python. Slow; for tests.

An oracle for the libraries that the package calls: nothing here but the standard library, and of
that no cipher. Never use it with a real key: it takes as long as its secrets say.
"""

from __future__ import annotations

import hashlib
import hmac
from functools import cache


def _times(a: int, b: int) -> int:
    """Product in GF(2^8) modulo x^8 + x^4 + x^3 + x + 1."""
    product = 0
    while b:
        product ^= a if b & 1 else 0
        a = (a << 1) ^ (0x11B if a & 0x80 else 0)
        b >>= 1
    return product


def _substitute(value: int) -> int:
    """The S-box: inverse, then the affine map of FIPS 197, 5.1.1."""
    inverse = next((x for x in range(256) if _times(value, x) == 1), 0)
    turned = [((inverse << shift) | (inverse >> (8 - shift))) & 255 for shift in range(5)]
    return turned[0] ^ turned[1] ^ turned[2] ^ turned[3] ^ turned[4] ^ 0x63


_SBOX = bytes(_substitute(value) for value in range(256))
_TWICE = bytes(_times(2, value) for value in range(256))
_THRICE = bytes(_times(3, value) for value in range(256))
_ROUNDS = 14


@cache
def _round_keys(key: bytes) -> list[bytes]:
    words, constant = [key[at : at + 4] for at in range(0, 32, 4)], 1
    while len(words) < 4 * (_ROUNDS + 1):
        last = words[-1]
        if len(words) % 8 == 0:
            last = bytes(_SBOX[b] for b in last[1:] + last[:1])
            last = bytes((last[0] ^ constant,)) + last[1:]
            constant = _times(constant, 2)
        elif len(words) % 8 == 4:
            last = bytes(_SBOX[b] for b in last)
        words.append(bytes(a ^ b for a, b in zip(words[-8], last, strict=True)))
    return [b"".join(words[at : at + 4]) for at in range(0, len(words), 4)]


def aes_block(key: bytes, block: bytes) -> bytes:
    """AES-256 of one block of 16 bytes."""
    keys = _round_keys(key)
    state = bytes(a ^ b for a, b in zip(block, keys[0], strict=True))
    for number, round_key in enumerate(keys[1:], 1):
        state = bytes(_SBOX[state[(at + 4 * (at % 4)) % 16]] for at in range(16))  # ShiftRows
        if number < _ROUNDS:
            mixed = bytearray()
            for column in (state[at : at + 4] for at in range(0, 16, 4)):
                for row in range(4):
                    a, b, c, d = (column[(row + k) % 4] for k in range(4))
                    mixed.append(_TWICE[a] ^ _THRICE[b] ^ c ^ d)
            state = bytes(mixed)
        state = bytes(a ^ b for a, b in zip(state, round_key, strict=True))
    return state


def aes_ctr(key: bytes, counter: bytes, size: int) -> bytes:
    """`size` bytes of the keystream that begins with the counter block (SP 800-38A, 6.5)."""
    first = int.from_bytes(counter, "big")
    blocks = range(first, first + -(-size // 16))
    return b"".join(aes_block(key, at.to_bytes(16, "big")) for at in blocks)[:size]


def _carryless(x: int, y: int) -> int:
    """Product in GF(2^128) with GCM's order of bits (SP 800-38D, 6.3)."""
    product = 0
    for at in range(127, -1, -1):
        if (x >> at) & 1:
            product ^= y
        y = (y >> 1) ^ ((0xE1 << 120) if y & 1 else 0)
    return product


def gcm_seal(key: bytes, nonce: bytes, plain: bytes) -> bytes:
    """Ciphertext ‖ tag of AES-256-GCM without associated data (SP 800-38D, 7.1)."""
    stream = aes_ctr(key, nonce + b"\0\0\0\2", len(plain))
    sealed = bytes(a ^ b for a, b in zip(plain, stream, strict=True))
    subkey, state = int.from_bytes(aes_block(key, bytes(16)), "big"), 0
    padded = sealed + bytes(-len(sealed) % 16) + (8 * len(sealed)).to_bytes(16, "big")
    for at in range(0, len(padded), 16):
        state = _carryless(state ^ int.from_bytes(padded[at : at + 16], "big"), subkey)
    front = int.from_bytes(aes_block(key, nonce + b"\0\0\0\1"), "big")
    return sealed + (state ^ front).to_bytes(16, "big")


def hkdf_expand(key: bytes, info: bytes) -> bytes:
    """One block of 32 bytes (RFC 5869, 2.3)."""
    return hmac.new(key, info + b"\x01", hashlib.sha256).digest()


def hkdf(salt: bytes, secret: bytes, info: bytes) -> bytes:
    """Extract, then one block of 32 bytes (RFC 5869, 2.2 and 2.3)."""
    return hkdf_expand(hmac.new(salt, secret, hashlib.sha256).digest(), info)


_P = 2**255 - 19


def x25519(scalar: bytes, point: bytes = (9).to_bytes(32, "little")) -> bytes:
    """The product of a clamped scalar and a point, 9 for the base point (RFC 7748, 5)."""
    k = int.from_bytes(scalar, "little") & ~7 & ((1 << 255) - 1) | (1 << 254)
    u = int.from_bytes(point, "little") & ((1 << 255) - 1)
    x2, z2, x3, z3 = 1, 0, u, 1
    for at in range(254, -1, -1):
        if (k >> at) & 1:
            x2, z2, x3, z3 = x3, z3, x2, z2
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        aa, bb, da, cb = a * a, b * b, d * a, c * b
        x3, z3 = (da + cb) ** 2 % _P, u * (da - cb) ** 2 % _P
        e = aa - bb
        x2, z2 = aa * bb % _P, e * (aa + 121665 * e) % _P
        if (k >> at) & 1:
            x2, z2, x3, z3 = x3, z3, x2, z2
    return (x2 * pow(z2, -1, _P) % _P if z2 else 0).to_bytes(32, "little")


_D = -121665 * pow(121666, -1, _P) % _P
_ORDER = 2**252 + 27742317777372353535851937790883648493
_BASE_Y = 4 * pow(5, -1, _P) % _P
_Point = tuple[int, int, int, int]


def _base() -> _Point:
    square = (_BASE_Y**2 - 1) * pow(_D * _BASE_Y**2 + 1, -1, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    if x * x % _P != square:
        x = x * pow(2, (_P - 1) // 4, _P) % _P
    x = x if x % 2 == 0 else _P - x
    return x, _BASE_Y, 1, x * _BASE_Y % _P


def _add(p: _Point, q: _Point) -> _Point:
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % _P, (p[1] + p[0]) * (q[1] + q[0]) % _P
    c, d = 2 * p[3] * q[3] * _D % _P, 2 * p[2] * q[2] % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


@cache
def _powers() -> list[_Point]:
    """2^k times the base point."""
    found = [_base()]
    while len(found) < 256:
        found.append(_add(found[-1], found[-1]))
    return found


@cache
def _multiple(k: int) -> bytes:
    """k times the base point, as 32 bytes."""
    result = (0, 1, 1, 0)
    for at, power in enumerate(_powers()):
        result = _add(result, power) if (k >> at) & 1 else result
    inverse = pow(result[2], -1, _P)
    x, y = result[0] * inverse % _P, result[1] * inverse % _P
    return (y | ((x & 1) << 255)).to_bytes(32, "little")


def _expanded(secret: bytes) -> tuple[int, bytes]:
    digest = hashlib.sha512(secret).digest()
    scalar = int.from_bytes(digest[:32], "little") & ~7 & ((1 << 255) - 1) | (1 << 254)
    return scalar, digest[32:]


def ed25519_public(secret: bytes) -> bytes:
    """The public key of 32 secret bytes (RFC 8032, 5.1.5)."""
    return _multiple(_expanded(secret)[0])


def ed25519_sign(secret: bytes, data: bytes) -> bytes:
    """The signature, 64 bytes (RFC 8032, 5.1.6)."""
    scalar, prefix = _expanded(secret)
    r = int.from_bytes(hashlib.sha512(prefix + data).digest(), "little") % _ORDER
    front = _multiple(r)
    hashed = hashlib.sha512(front + _multiple(scalar) + data).digest()
    s = (r + int.from_bytes(hashed, "little") * scalar) % _ORDER
    return front + s.to_bytes(32, "little")
