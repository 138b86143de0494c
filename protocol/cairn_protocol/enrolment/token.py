"""`JoinToken`: what a research team hands a clinic, once, so that it may join.

It carries a secret, the registry's address and a fingerprint of the certificate authority behind
that registry. So the clinic trusts nobody on first use: whoever stands in between has another
authority, and the clinic says so before it sends a byte.

    version u8 ‖ expires u32 ‖ secret 16 ‖ authority 20 ‖ port u16 ‖ host ‖ check 4

in Crockford's base 32, groups of four: case, hyphens and spaces are immaterial, and O, I and L are
read as the digits that they look like. The check finds a slip of the pen before any network does.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, NoReturn, Self

from cairn_protocol.errors import InputError
from cairn_protocol.identity import CROCKFORD

TOKEN_VERSION: Final = 1
SECRET_BYTES: Final = 16  # 128 bits: nobody guesses it in the week that a token lives
# 160 bits of SHA-256: to pass for the authority, another certificate must meet them all (a second
# preimage, not a collision).
PIN_BYTES: Final = 20
LONGEST_HOST: Final = 253
_CHECK: Final = 4
_FIXED: Final = 1 + 4 + SECRET_BYTES + PIN_BYTES + 2
_GROUP: Final = 4
_ALPHABET: Final = frozenset(CROCKFORD)
_TO_PYTHON: Final = str.maketrans(CROCKFORD, "0123456789abcdefghijklmnopqrstuv")  # of int(…, 32)
HOST: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.:-]*[A-Za-z0-9])?|[0-9A-Fa-f:]+")


@dataclass(frozen=True)
class JoinToken:
    """A token, checked. Its repr shows no secret.

    Args:
        secret: 16 random bytes; the server stores their hash only.
        authority: `authority_pin` of the registry's certificate authority.
        host, port: where the registry answers.
        expires: to the second, UTC.
    """

    secret: bytes
    authority: bytes
    host: str
    port: int
    expires: datetime

    def __post_init__(self) -> None:
        if len(self.secret) != SECRET_BYTES or len(self.authority) != PIN_BYTES:
            raise ValueError("a secret has 16 bytes and an authority's pin 20")
        if not HOST.fullmatch(self.host) or len(self.host) > LONGEST_HOST:
            raise ValueError("not the name or address of a host")
        if not 0 < self.port < 1 << 16:
            raise ValueError("not a port")

    def __repr__(self) -> str:
        return f"JoinToken({self.host}:{self.port}, until {self.expires:%Y-%m-%d %H:%M})"

    def __str__(self) -> str:
        """The token as it is printed and typed."""
        payload = (
            bytes((TOKEN_VERSION,))
            + int(self.expires.timestamp()).to_bytes(4, "big")
            + self.secret
            + self.authority
            + self.port.to_bytes(2, "big")
            + self.host.encode("ascii")
        )
        return grouped(payload + _check(payload))

    @classmethod
    def parse(cls, text: str) -> Self:
        """The token that somebody typed or pasted.

        Raises:
            InputError: `input.token-mistyped`, with the group that looks wrong where one slip
                explains it; `input.token-version`.
        """
        characters = _normal(text)
        payload = _payload(characters)
        if payload is None:
            _mistyped(characters)
        if payload[0] != TOKEN_VERSION:
            raise InputError(
                "this token was made by another version of Cairn",
                code="token-version",
                why=f"its format is {payload[0]}, this version reads {TOKEN_VERSION}",
                hint="update Cairn on the older side, then ask the research team for a new token",
            )
        at = 5 + SECRET_BYTES + PIN_BYTES
        try:
            return cls(
                secret=payload[5 : 5 + SECRET_BYTES],
                authority=payload[5 + SECRET_BYTES : at],
                host=payload[at + 2 :].decode("ascii"),
                port=int.from_bytes(payload[at : at + 2], "big"),
                expires=datetime.fromtimestamp(int.from_bytes(payload[1:5], "big"), UTC),
            )
        except ValueError:  # the check holds, so no slip of the pen: nobody's server made it
            _mistyped("")


def authority_pin(certificate: bytes) -> bytes:
    """The first 160 bits of SHA-256 of a certificate authority's DER certificate."""
    return hashlib.sha256(certificate).digest()[:PIN_BYTES]


def grouped(data: bytes) -> str:
    """`data` in Crockford's base 32, lower case, in groups of four; the last bits are zero."""
    count = -(-8 * len(data) // 5)
    number = int.from_bytes(data, "big") << (5 * count - 8 * len(data))
    text = "".join(CROCKFORD[(number >> 5 * at) & 31] for at in range(count - 1, -1, -1))
    return "-".join(text[at : at + _GROUP] for at in range(0, count, _GROUP))


def _normal(text: str) -> str:
    bare = re.sub(r"[\s\-‐-―]+", "", text).lower()  # word processors make dashes of hyphens
    return bare.replace("o", "0").replace("i", "1").replace("l", "1")


def _payload(characters: str) -> bytes | None:
    """The bytes in front of the check, if the check holds."""
    size = 5 * len(characters) // 8
    padding = 5 * len(characters) - 8 * size
    if not _FIXED + _CHECK < size <= _FIXED + _CHECK + LONGEST_HOST or padding >= 5:
        return None
    if not _ALPHABET.issuperset(characters):
        return None
    number = int(characters.translate(_TO_PYTHON), 32)
    if number & ((1 << padding) - 1):
        return None
    data = (number >> padding).to_bytes(size, "big")
    return data[:-_CHECK] if _check(data[:-_CHECK]) == data[-_CHECK:] else None


def _check(payload: bytes) -> bytes:
    return hashlib.sha256(b"cairn join token v1\0" + payload).digest()[:_CHECK]


def _mistyped(characters: str) -> NoReturn:
    groups = {at // _GROUP for at, fixed in _mended(characters) if _payload(fixed) is not None}
    if len(groups) == 1:
        at = groups.pop()
        typed = characters[at * _GROUP : (at + 1) * _GROUP]
        why = f"group {at + 1}, {typed!r}, holds a slip"
    else:
        why = "its check does not hold: more than one character is wrong, missing or too many"
    raise InputError(
        "this is not a token of Cairn's, or it was mistyped",
        code="token-mistyped",
        why=why,
        hint="compare it with the research team's, group by group, or paste it; nothing was sent",
    )


def _mended(characters: str) -> Iterator[tuple[int, str]]:
    """Every text one slip away from `characters`: one wrong character, or two swapped."""
    if len(characters) > 2 * (_FIXED + _CHECK + LONGEST_HOST):
        return
    for at, there in enumerate(characters):
        head, tail = characters[:at], characters[at + 1 :]
        yield from ((at, head + c + tail) for c in CROCKFORD if c != there)
        if tail:
            yield at, head + tail[0] + there + tail[1:]
