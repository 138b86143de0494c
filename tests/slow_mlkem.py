"""ML-KEM-768 from FIPS 203, in plain Python. Slow; for tests.

Names are the standard's: polynomials of 256 coefficients modulo q = 3329, k = 3, η = 2, d_u = 10,
d_v = 4. Encapsulation takes the message m, so that its result can be foretold.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

Q, K, ETA, DU, DV = 3329, 3, 2, 10, 4
Poly = list[int]


def _reversed(value: int) -> int:
    return int(f"{value:07b}"[::-1], 2)


_ZETAS = [pow(17, _reversed(i), Q) for i in range(128)]
_GAMMAS = [pow(17, 2 * _reversed(i) + 1, Q) for i in range(128)]


def _ntt(f: Poly) -> Poly:
    """Algorithm 9."""
    f, i, length = list(f), 1, 128
    while length >= 2:
        for start in range(0, 256, 2 * length):
            for j in range(start, start + length):
                t = _ZETAS[i] * f[j + length] % Q
                f[j], f[j + length] = (f[j] + t) % Q, (f[j] - t) % Q
            i += 1
        length //= 2
    return f


def _inverse_ntt(f: Poly) -> Poly:
    """Algorithm 10."""
    f, i, length = list(f), 127, 2
    while length <= 128:
        for start in range(0, 256, 2 * length):
            for j in range(start, start + length):
                t = f[j]
                f[j], f[j + length] = (t + f[j + length]) % Q, _ZETAS[i] * (f[j + length] - t) % Q
            i -= 1
        length *= 2
    return [value * 3303 % Q for value in f]


def _product(f: Poly, g: Poly) -> Poly:
    """Algorithms 11 and 12, of two in NTT form."""
    h = []
    for i in range(128):
        a, b, c, d = f[2 * i], f[2 * i + 1], g[2 * i], g[2 * i + 1]
        h += [(a * c + b * d * _GAMMAS[i]) % Q, (a * d + b * c) % Q]
    return h


def _sum(polynomials: Iterable[Poly]) -> Poly:
    return [sum(values) % Q for values in zip(*polynomials, strict=True)]


def _encode(d: int, f: Poly) -> bytes:
    """Algorithm 5."""
    number = sum(value << (d * i) for i, value in enumerate(f))
    return number.to_bytes(32 * d, "little")


def _decode(d: int, data: bytes) -> Poly:
    """Algorithm 6."""
    number = int.from_bytes(data, "little")
    values = [(number >> (d * i)) & ((1 << d) - 1) for i in range(256)]
    return [value % Q for value in values] if d == 12 else values


def _compress(d: int, f: Poly) -> Poly:
    return [((value << (d + 1)) + Q) // (2 * Q) % (1 << d) for value in f]


def _decompress(d: int, f: Poly) -> Poly:
    return [(value * Q + (1 << (d - 1))) >> d for value in f]


def _uniform(seed: bytes) -> Poly:
    """Algorithm 7."""
    data, values, at = hashlib.shake_128(seed).digest(2016), [], 0
    while len(values) < 256:
        a, b, c = data[at : at + 3]
        values += [v for v in (a + 256 * (b % 16), b // 16 + 16 * c) if v < Q]
        at += 3
    return values[:256]


def _small(seed: bytes, number: int) -> Poly:
    """Algorithm 8, with η = 2 and PRF's bytes."""
    data = hashlib.shake_256(seed + bytes((number,))).digest(64 * ETA)
    bits = int.from_bytes(data, "little")
    values = []
    for i in range(256):
        x, y = (bits >> (4 * i)) & 3, (bits >> (4 * i + 2)) & 3
        values.append((x.bit_count() - y.bit_count()) % Q)
    return values


def _g(data: bytes) -> tuple[bytes, bytes]:
    digest = hashlib.sha3_512(data).digest()
    return digest[:32], digest[32:]


def _matrix(rho: bytes) -> list[list[Poly]]:
    return [[_uniform(rho + bytes((j, i))) for j in range(K)] for i in range(K)]


def _cut(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def keys(d: bytes, z: bytes) -> tuple[bytes, bytes]:
    """(encapsulation key, decapsulation key) of 32 + 32 secret bytes. Algorithms 13 and 16."""
    rho, sigma = _g(d + bytes((K,)))
    matrix = _matrix(rho)
    s = [_ntt(_small(sigma, number)) for number in range(K)]
    e = [_ntt(_small(sigma, K + number)) for number in range(K)]
    t = [_sum([e[i], *(_product(matrix[i][j], s[j]) for j in range(K))]) for i in range(K)]
    ek = b"".join(_encode(12, f) for f in t) + rho
    dk = b"".join(_encode(12, f) for f in s)
    return ek, dk + ek + hashlib.sha3_256(ek).digest() + z


def valid(ek: bytes) -> bool:
    """The checks of 7.2: length and modulus."""
    if len(ek) != 384 * K + 32:
        return False
    polynomials = _cut(ek[:-32], 384)
    return all(_encode(12, _decode(12, f)) == f for f in polynomials)


def _encrypt(ek: bytes, m: bytes, r: bytes) -> bytes:
    """Algorithm 14."""
    t = [_decode(12, f) for f in _cut(ek[:-32], 384)]
    matrix = _matrix(ek[-32:])
    y = [_ntt(_small(r, number)) for number in range(K)]
    u = [
        _sum([_inverse_ntt(_sum(_product(matrix[j][i], y[j]) for j in range(K))), _small(r, K + i)])
        for i in range(K)
    ]
    mu = _decompress(1, _decode(1, m))
    inner = _inverse_ntt(_sum(_product(t[i], y[i]) for i in range(K)))
    v = _sum([inner, _small(r, 2 * K), mu])
    front = b"".join(_encode(DU, _compress(DU, f)) for f in u)
    return front + _encode(DV, _compress(DV, v))


def _decrypt(dk: bytes, c: bytes) -> bytes:
    """Algorithm 15."""
    u = [_decompress(DU, _decode(DU, f)) for f in _cut(c[: 32 * DU * K], 32 * DU)]
    v = _decompress(DV, _decode(DV, c[32 * DU * K :]))
    s = [_decode(12, f) for f in _cut(dk, 384)]
    inner = _inverse_ntt(_sum(_product(s[i], _ntt(u[i])) for i in range(K)))
    return _encode(1, _compress(1, [(a - b) % Q for a, b in zip(v, inner, strict=True)]))


def encapsulate(ek: bytes, m: bytes) -> tuple[bytes, bytes]:
    """(secret, ciphertext) of 32 bytes m. Algorithm 17."""
    secret, r = _g(m + hashlib.sha3_256(ek).digest())
    return secret, _encrypt(ek, m, r)


def decapsulate(dk: bytes, c: bytes) -> bytes:
    """The secret; of a ciphertext that nobody made with `encapsulate`, another. Algorithm 18."""
    inner, ek = dk[: 384 * K], dk[384 * K : 768 * K + 32]
    hashed, z = dk[768 * K + 32 : 768 * K + 64], dk[768 * K + 64 :]
    m = _decrypt(inner, c)
    secret, r = _g(m + hashed)
    if _encrypt(ek, m, r) != c:
        return hashlib.shake_256(z + c).digest(32)
    return secret
