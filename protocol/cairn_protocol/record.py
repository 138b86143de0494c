"""`Record` and `Message`: frozen dataclasses whose annotations are the wire format.

``run: Annotated[bytes, Fixed(16)]`` says both type and encoding. A record is checked when it is
made, by whichever side, so that an invalid one cannot exist.  # SPEC 2
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Annotated, Any, ClassVar, Self, get_args, get_origin, get_type_hints

from cairn_protocol.codec import Field, Reader, framed, refuse
from cairn_protocol.errors import OurFault


@dataclass(frozen=True)
class Record:
    """Checked on construction; `body` is its one encoding, `digest` names it.

    Raises:
        OurFault: `internal.record-invalid`, a field cannot be written.
    """

    label: ClassVar[str] = ""  # separates this record's digest from every other hash

    def __post_init__(self) -> None:
        for name, field in layout(type(self)).items():
            try:
                field.check(getattr(self, name))
            except ValueError as error:
                raise self._invalid(f"{name} {error}") from None
        if fault := self.fault():
            raise self._invalid(fault)

    def _invalid(self, why: str) -> OurFault:
        return OurFault(f"{type(self).__name__} cannot exist", code="record-invalid", why=why)

    def fault(self) -> str:
        """What is wrong across fields, in words; empty: nothing."""
        return ""

    @cached_property
    def body(self) -> bytes:
        """All fields in the order of their declaration."""
        return b"".join(self._pieces())

    def _pieces(self) -> Iterator[bytes]:
        for name, field in layout(type(self)).items():
            yield from field.pieces(getattr(self, name))

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 of ``cairn <label> v1`` ‖ 0 ‖ body, 32 bytes."""
        return hashed(self.label, self.body)

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """The next record of this class.

        Raises:
            PeerFault: truncated, oversize, or `peer.malformed` where a field breaks a rule.
        """
        values = {
            name: field.read(reader, f"{cls.__name__}.{name}")
            for name, field in layout(cls).items()
        }
        try:
            return cls(**values)
        except OurFault as error:
            refuse("malformed", f"a {cls.__name__} breaks the protocol", why=error.why)

    @classmethod
    def from_body(cls, data: bytes) -> Self:
        """The record that is all of `data`."""
        reader = Reader(data)
        record = cls.read(reader)
        reader.end()
        return record


@dataclass(frozen=True)
class Nested(Field):
    """A record inside another, written without a length: its own fields bound it."""

    cls: type[Record]

    def check(self, value: Any) -> None:
        if type(value) is not self.cls:
            raise ValueError(f"must be a {self.cls.__name__}")

    def write(self, value: Record) -> bytes:
        return value.body

    def read(self, reader: Reader, what: str) -> Record:
        return self.cls.read(reader)


@dataclass(frozen=True)
class Many(Field):
    """At most `most` records behind a u32 count."""

    cls: type[Record]
    most: int

    def check(self, value: Any) -> None:
        if not isinstance(value, tuple) or len(value) > self.most:
            raise ValueError(f"must be a tuple of at most {self.most}")
        if any(type(item) is not self.cls for item in value):
            raise ValueError(f"must hold {self.cls.__name__} only")

    def write(self, value: tuple[Record, ...]) -> bytes:
        return len(value).to_bytes(4, "big") + b"".join(item.body for item in value)

    def read(self, reader: Reader, what: str) -> tuple[Record, ...]:
        return tuple(self.cls.read(reader) for _ in range(reader.length(self.most, what)))


@dataclass(frozen=True)
class Message(Record):
    """A record that travels by itself, in a frame."""

    kind: ClassVar[int] = 0

    def to_bytes(self) -> bytes:
        """The frame that holds this message."""
        return framed(self.kind, *self._pieces())


_LAYOUTS: dict[type[Record], dict[str, Field]] = {}


def layout(cls: type[Record]) -> dict[str, Field]:
    """Each field of `cls` with its codec, in wire order."""
    if cls not in _LAYOUTS:
        hints = get_type_hints(cls, include_extras=True)
        _LAYOUTS[cls] = {field.name: _codec(hints[field.name]) for field in fields(cls)}
    return _LAYOUTS[cls]


def _codec(hint: Any) -> Field:
    if get_origin(hint) is not Annotated or not isinstance(get_args(hint)[1], Field):
        raise TypeError(f"{hint} has no wire format")
    codec: Field = get_args(hint)[1]
    return codec


def hashed(label: str, *parts: bytes) -> bytes:
    """SHA-256 of ``cairn <label> v1`` ‖ 0 ‖ parts, 32 bytes. Parts must be self-delimiting."""
    digest = hashlib.sha256(b"cairn " + label.encode() + b" v1\0")
    for part in parts:
        digest.update(part)
    return digest.digest()
