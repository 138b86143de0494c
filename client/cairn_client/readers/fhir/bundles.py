"""`documents`: the resources of a JSON file, which is one resource or a Bundle of any length.

A Bundle may be larger than memory, and a JSON parser that is given one either reads all of it or
stops at its first fault. Here only brackets and strings are told apart, without recursion, to find
where each entry begins and ends; entries are then parsed, and judged, one by one. The window on the
file is as long as its longest entry.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import IO, Final

from cairn_protocol.errors import InputError

LONGEST_RESOURCE: Final = 16 << 20  # bytes; longer is a document, not a measurement
_CHUNK: Final = 1 << 20
_LONGEST_SCALAR: Final = 4 * _CHUNK
_TOKEN: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|["{}\[\]]', re.DOTALL)
_SPACE: Final = re.compile(rb"[ \t\r\n]*")
_SCALAR: Final = re.compile(rb"[^\s,:\]}\[{\"]*")
_MARK: Final = b"\xef\xbb\xbf"


def documents(stream: IO[bytes], file: str) -> Iterator[tuple[int, bytes]]:
    """The number (from 1) and the bytes of each entry of a Bundle, or of the one resource.

    Raises:
        InputError: the file is not JSON or breaks off. It is refused as a whole: what follows a
            fault cannot be told apart, and one patient's entry would decide on all later ones.
    """
    window = _Window(stream, file)
    if window.peek() != b"{":
        raise window.damaged("it does not begin with {")
    window.pos += 1
    number = 0
    for key in window.members():
        if key == b'"entry"' and window.peek() == b"[":
            for entry in window.elements():
                number += 1
                yield number, entry
            continue
        value = window.value()
        if key == b'"resourceType"' and value != b'"Bundle"':
            yield 1, _whole(stream, file)
            return
    if window.peek():
        raise window.damaged("something follows the Bundle; several need a file each, or .ndjson")


def _whole(stream: IO[bytes], file: str) -> bytes:
    stream.seek(0, io.SEEK_SET)
    data = stream.read(LONGEST_RESOURCE + 1)
    if len(data) > LONGEST_RESOURCE:
        raise _too_long(file, "the resource")
    return data.removeprefix(_MARK)


class _Window:
    """The part of a JSON file that is being looked at: `data` from `pos` on."""

    def __init__(self, stream: IO[bytes], file: str) -> None:
        self.stream, self.file = stream, file
        self.data = stream.read(_CHUNK).removeprefix(_MARK)
        self.pos = 0

    def peek(self) -> bytes:
        """The next byte that is not a space; b"" at the end."""
        while True:
            space = _SPACE.match(self.data, self.pos)
            self.pos = space.end() if space else self.pos
            if self.pos < len(self.data):
                return self.data[self.pos : self.pos + 1]
            if not self._more():
                return b""

    def members(self) -> Iterator[bytes]:
        """The keys of the object whose brace was taken, each time up to its value."""
        while (sign := self.peek()) != b"}":
            if sign == b",":
                self.pos += 1
                continue
            if sign != b'"':
                raise self.damaged("a key is missing")
            key = self.value()
            if self.peek() != b":":
                raise self.damaged("a colon is missing")
            self.pos += 1
            yield key
        self.pos += 1

    def elements(self) -> Iterator[bytes]:
        """The objects of the array that comes next."""
        self.pos += 1
        while (sign := self.peek()) != b"]":
            if sign == b",":
                self.pos += 1
                continue
            if sign != b"{":
                raise self.damaged("an entry is not an object")
            yield self.value()
        self.pos += 1

    def value(self) -> bytes:
        """The bytes of the value that comes next, which is taken."""
        if self.peek() in (b"{", b"[", b'"'):
            end = self._end()
        else:
            end = self._end_of_scalar()
            if end == self.pos:
                raise self.damaged("a value is missing, or the file breaks off")
        value = self.data[self.pos : end]
        self.pos = end
        return value

    def _end_of_scalar(self) -> int:
        while True:
            scalar = _SCALAR.match(self.data, self.pos)
            end = scalar.end() if scalar else self.pos
            if end < len(self.data) or not self._more():
                return end
            if len(self.data) > _LONGEST_SCALAR:
                raise self.damaged("a value is endless")

    def _end(self) -> int:
        """Where the string, array or object at `pos` ends."""
        at, depth = self.pos, 0
        while True:
            for token in _TOKEN.finditer(self.data, at):
                sign = token[0]
                if sign == b'"':
                    break  # a string that goes on beyond the window
                at = token.end()
                if len(sign) == 1:
                    depth += 1 if sign in b"{[" else -1
                if depth == 0:
                    return at
            if len(self.data) - self.pos > LONGEST_RESOURCE:
                raise _too_long(self.file, "an entry")
            at -= self.pos
            if not self._more():
                raise self.damaged("it breaks off")
            at += self.pos

    def _more(self) -> bool:
        """Whether more was read; each reading doubles what is left, so that none is long."""
        chunk = self.stream.read(max(_CHUNK, len(self.data) - self.pos))
        self.data, self.pos = self.data[self.pos :] + chunk, 0
        return bool(chunk)

    def damaged(self, why: str) -> InputError:
        return InputError(
            f"{self.file} is not a whole JSON document",
            code="bundle-damaged",
            why=why,
            hint="export it again; nothing is imported before",
        )


def _too_long(file: str, what: str) -> InputError:
    return InputError(
        f"{file} cannot be read",
        code="bundle-damaged",
        why=f"{what} is longer than {LONGEST_RESOURCE >> 20} MiB",
        hint="leave attachments out of the export, or export NDJSON",
    )
