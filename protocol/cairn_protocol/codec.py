"""`Reader` and the field codecs of the wire format: strict, bounded, one encoding per value.

A frame is ``CAIRN`` ‖ version u8 ‖ kind u8 ‖ body. Integers are big-endian and of fixed width;
everything of variable length carries its length in front, and that length is compared with the
field's own maximum and with what is left *before* anything is sliced. There are no optional
encodings, so two different byte strings never mean the same message.  # SPEC 2
"""

from __future__ import annotations

import math
import struct
from abc import ABC, abstractmethod
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, NoReturn

from cairn_protocol.errors import PeerFault

MAGIC: Final = b"CAIRN"
VERSION: Final = 2
FRAME_BYTES: Final = len(MAGIC) + 2


def refuse(code: str, what: str, *, why: str = "", hint: str = "") -> NoReturn:
    """Raises `PeerFault`: never returns."""
    raise PeerFault(what, code=code, why=why, hint=hint)


class Reader:
    """Takes a byte string apart from front to back; every step is bounded."""

    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)
        self._at = 0

    def take(self, size: int, what: str) -> bytes:
        """The next `size` bytes.

        Raises:
            PeerFault: `peer.truncated`, fewer are left.
        """
        if size > len(self._data) - self._at:
            refuse("truncated", f"a message ends within {what}")
        piece = bytes(self._data[self._at : self._at + size])
        self._at += size
        return piece

    def number(self, size: int, what: str) -> int:
        """The next unsigned big-endian integer of `size` bytes."""
        return int.from_bytes(self.take(size, what), "big")

    def length(self, most: int, what: str) -> int:
        """A u32 length or count, refused beyond `most` before anything of that size exists."""
        value = self.number(4, what)
        if value > most:
            refuse("oversize", f"{what} is longer than the protocol allows", why=f"most {most}")
        return value

    def end(self) -> None:
        """Refuses trailing bytes."""
        if self._at != len(self._data):
            refuse("trailing", "a message has bytes after its end")


def framed(kind: int, *body: bytes) -> bytes:
    """The pieces of a body behind magic, version and `kind`."""
    return b"".join((MAGIC, bytes((VERSION, kind)), *body))


def unframed(data: bytes, limit: int) -> tuple[int, Reader]:
    """The kind of the message in `data` and a reader of its body.

    Raises:
        PeerFault: longer than `limit` bytes, foreign magic, or a version that is not ours.
    """
    if len(data) > limit:
        refuse("oversize", "a message is longer than its limit", why=f"most {limit} bytes")
    reader = Reader(data)
    if reader.take(len(MAGIC), "its magic") != MAGIC:
        refuse("not-cairn", "these bytes are not a Cairn message")
    version = reader.number(1, "its version")
    if version != VERSION:
        refuse(
            "version-unknown",
            f"the message speaks protocol version {version}, this side {VERSION}",
            hint="update Cairn on the older side",
        )
    return reader.number(1, "its kind"), reader


class Field(ABC):
    """How one field is checked, written and read. `check` raises ValueError, `read` PeerFault."""

    @abstractmethod
    def check(self, value: Any) -> None:
        """Raises ValueError, in words, if `value` cannot be written."""

    @abstractmethod
    def write(self, value: Any) -> bytes:
        """The one encoding of a checked `value`."""

    def pieces(self, value: Any) -> tuple[bytes, ...]:
        """`write` in pieces to be joined, so that a vector is copied once and not by each layer."""
        return (self.write(value),)

    @abstractmethod
    def read(self, reader: Reader, what: str) -> Any:
        """The next value; the caller checks it."""


@dataclass(frozen=True)
class UInt(Field):
    """An unsigned integer of `size` bytes."""

    size: int

    def check(self, value: Any) -> None:
        if type(value) is not int or not 0 <= value < 1 << (8 * self.size):
            raise ValueError(f"must be an unsigned integer of {8 * self.size} bits")

    def write(self, value: int) -> bytes:
        return value.to_bytes(self.size, "big")

    def read(self, reader: Reader, what: str) -> int:
        return reader.number(self.size, what)


@dataclass(frozen=True)
class Fixed(Field):
    """Exactly `size` bytes."""

    size: int

    def check(self, value: Any) -> None:
        if type(value) is not bytes or len(value) != self.size:
            raise ValueError(f"must be {self.size} bytes")

    def write(self, value: bytes) -> bytes:
        return value

    def read(self, reader: Reader, what: str) -> bytes:
        return reader.take(self.size, what)


@dataclass(frozen=True)
class Blob(Field):
    """At most `most` bytes behind a u32 length."""

    most: int

    def check(self, value: Any) -> None:
        if type(value) is not bytes or len(value) > self.most:
            raise ValueError(f"must be at most {self.most} bytes")

    def write(self, value: bytes) -> bytes:
        return b"".join(self.pieces(value))

    def pieces(self, value: bytes) -> tuple[bytes, ...]:
        return len(value).to_bytes(4, "big"), value

    def read(self, reader: Reader, what: str) -> bytes:
        return reader.take(reader.length(self.most, what), what)


@dataclass(frozen=True)
class Text(Field):
    """UTF-8 of at most `most` bytes behind a u32 length; no control characters but a newline."""

    most: int

    def check(self, value: Any) -> None:
        if not isinstance(value, str) or len(value.encode("utf-8", "replace")) > self.most:
            raise ValueError(f"must be text of at most {self.most} bytes")
        if not all(c.isprintable() or c == "\n" for c in value):
            raise ValueError("must be printable text")

    def write(self, value: str) -> bytes:
        return Blob(self.most).write(value.encode("utf-8"))

    def read(self, reader: Reader, what: str) -> str:
        try:
            return Blob(self.most).read(reader, what).decode("utf-8")
        except UnicodeDecodeError:
            refuse("malformed", f"{what} is not UTF-8")


@dataclass(frozen=True)
class Real(Field):
    """A finite IEEE 754 binary64 ≥ 0 (and not −0, which would be a second encoding of 0)."""

    def check(self, value: Any) -> None:
        if not isinstance(value, float) or not math.isfinite(value) or value < 0:
            raise ValueError("must be a finite number, not negative")
        if math.copysign(1.0, value) < 0:
            raise ValueError("must not be −0")

    def write(self, value: float) -> bytes:
        return struct.pack(">d", value)

    def read(self, reader: Reader, what: str) -> float:
        return float(struct.unpack(">d", reader.take(8, what))[0])


@dataclass(frozen=True)
class Indices(Field):
    """Strictly ascending u16 indices behind a u32 count, at most `most` of them."""

    most: int

    def check(self, value: Any) -> None:
        if not isinstance(value, tuple) or len(value) > self.most:
            raise ValueError(f"must be at most {self.most} indices")
        for index in value:
            UInt(2).check(index)
        if any(a >= b for a, b in pairwise(value)):
            raise ValueError("must ascend strictly")

    def write(self, value: tuple[int, ...]) -> bytes:
        return len(value).to_bytes(4, "big") + struct.pack(f">{len(value)}H", *value)

    def read(self, reader: Reader, what: str) -> tuple[int, ...]:
        count = reader.length(self.most, what)
        return struct.unpack(f">{count}H", reader.take(2 * count, what))
