"""`scan`: the records of a CSV file, each with the line on which it begins, and the lines at fault.

A CSV parser recovers from damage by guessing, and one stray quote mark then swallows other
patients' rows. Here a record is judged on its own bytes: a record is either well formed (RFC 4180)
with as many fields as the header, or its first line alone is set aside and reading resumes at the
next line. Everything is done on arrays of byte positions; only records that run over several lines
are read one by one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

LONGEST_RECORD: Final = 1 << 20  # bytes; longer is damage or a document, not a record
_NEWLINE, _RETURN, _QUOTE = 10, 13, 34
_REPLACED: Final = "\N{REPLACEMENT CHARACTER}".encode()

Lines = NDArray[np.int64]
Fields = tuple[str, ...]


@dataclass(frozen=True)
class Scan:
    """What `scan` found. Line numbers are 1-based.

    Args:
        header: the first record's fields, spaces around them dropped; () for a file without one.
        body: the well-formed one-line records, one after the other, no blank line.
        rows: (R,) the line of each record in `body`.
        spanning: line and fields of each well-formed record that runs over several lines.
        faults: code of a fault, and the lines that have it.
    """

    header: Fields
    body: bytes
    rows: Lines
    spanning: tuple[tuple[int, Fields], ...]
    faults: tuple[tuple[str, Lines], ...]


def scan(data: bytes, separator: str) -> Scan:
    """The records in `data`, which is UTF-8 with undecodable bytes already replaced by U+FFFD."""
    if not data.endswith(b"\n"):
        data += b"\n"
    buf = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(buf == _NEWLINE)  # (L,)
    starts = np.concatenate([[0], ends[:-1] + 1])
    stops = ends - ((buf[ends - 1] == _RETURN) & (ends > starts))
    filled = np.flatnonzero(stops > starts)
    if not filled.size:
        return Scan((), b"", np.empty(0, np.int64), (), ())

    first = int(filled[0])
    head = _record(data, int(starts[first]), separator)
    if head is None:
        return Scan((), b"", np.empty(0, np.int64), (), ())
    header, resume = head
    after = int(np.searchsorted(starts, resume))  # the first line that is not part of the header

    width = len(header)
    well, fields = _shape_of_lines(buf, starts, stops, ord(separator))
    undecided = np.arange(len(ends)) >= after
    undecided &= stops > starts
    faults: list[tuple[str, Lines]] = []

    def set_aside(code: str, mask: NDArray[np.bool_]) -> None:
        mask = mask & undecided
        undecided[mask] = False
        if mask.any():
            faults.append((code, np.flatnonzero(mask) + 1))

    set_aside("row-too-long", stops - starts > LONGEST_RECORD)
    set_aside("nul-byte", _holding(data, b"\0", starts))
    set_aside("not-decodable", _holding(data, _REPLACED, starts))
    spanning = tuple(_over_several_lines(data, starts, separator, width, (undecided, well)))
    enclosing = [
        line + 1 for line, following, _ in spanning if (fields[line + 1 : following] == width).any()
    ]
    if enclosing:
        faults.append(("rows-in-quotes", np.array(enclosing, np.int64)))
    set_aside("quote-open", ~well)
    set_aside("row-ragged", fields != width)

    body = (
        data[resume:]
        if undecided[after:].all()
        else buf[np.repeat(undecided, ends - starts + 1)].tobytes()
    )
    names = tuple(name.strip() for name in header)
    several = tuple((line + 1, values) for line, _, values in spanning)
    return Scan(names, body, np.flatnonzero(undecided) + 1, several, tuple(faults))


def records(scanned: Scan, separator: str) -> Iterator[Fields]:
    """The fields of each record in `scanned.body`, read one by one: slow, and plainly right."""
    position = 0
    while position < len(scanned.body):
        record = _record(scanned.body, position, separator)
        assert record is not None, "the body holds well-formed records only"  # noqa: S101
        fields, position = record
        yield fields


def _shape_of_lines(
    buf: NDArray[np.uint8], starts: Lines, stops: Lines, separator: int
) -> tuple[NDArray[np.bool_], Lines]:
    """(L,) whether the quotes of each line are well formed, and (L,) its number of fields.

    Within a line the odd-numbered quotes open (or continue a doubled quote) and the others close:
    an opening one must follow the line's start, a separator or a quote, a closing one must stand
    before the line's end, a separator or a quote.
    """
    quote = buf == _QUOTE
    if not quote.any():
        return np.ones(len(starts), np.bool_), _fields(buf == separator, starts)
    open_ = np.bitwise_xor.accumulate(quote)  # an odd number of quotes so far, this byte included
    if open_[np.append(starts[1:] - 1, len(buf) - 1)].any():
        return _shape_of_uneven(buf, starts, stops, separator)
    # Every line has an even number, so that what was counted from the file's start holds in each.
    edge = (buf == separator) | quote
    follows = np.empty_like(edge)  # an edge, or the line's start, stands before this byte
    follows[0] = True
    np.bitwise_or(edge[:-1], buf[:-1] == _NEWLINE, out=follows[1:])
    stray = quote & open_ & ~follows
    before = np.empty_like(edge)  # an edge, or the line's end, stands behind it
    before[-1] = True
    np.bitwise_or(edge[1:], buf[1:] == _NEWLINE, out=before[:-1])
    returns = np.flatnonzero(buf[:-1] == _RETURN)
    before[returns[buf[returns + 1] == _NEWLINE] - 1] = True
    stray |= quote & ~open_ & ~before
    well = np.ones(len(starts), np.bool_)
    well[np.searchsorted(starts, np.flatnonzero(stray), "right") - 1] = False
    return well, _fields((buf == separator) & ~open_, starts)


def _fields(separating: NDArray[np.bool_], starts: Lines) -> Lines:
    """(L,) how many fields the separators of each line make."""
    separators = np.flatnonzero(separating)
    first = np.searchsorted(separators, starts)  # a search a line, not a search a separator
    return np.diff(first, append=len(separators)) + 1


def _shape_of_uneven(
    buf: NDArray[np.uint8], starts: Lines, stops: Lines, separator: int
) -> tuple[NDArray[np.bool_], Lines]:
    """The same where a line has an odd number of quotes: each is counted from its line's start."""
    count = len(starts)
    separators = np.flatnonzero(buf == separator)
    line = np.searchsorted(starts, separators, "right") - 1
    quotes = np.flatnonzero(buf == _QUOTE)
    home = np.searchsorted(starts, quotes, "right") - 1
    per_line = np.bincount(home, minlength=count)
    before = np.cumsum(per_line) - per_line  # quotes on earlier lines
    opens = (np.arange(len(quotes)) - before[home]) % 2 == 0
    edges = (separator, _QUOTE)
    left = (quotes == starts[home]) | np.isin(buf[quotes - 1], edges)
    after = np.minimum(quotes + 1, len(buf) - 1)
    right = (quotes + 1 >= stops[home]) | np.isin(buf[after], edges)
    stray = home[np.where(opens, ~left, ~right)]
    well = (per_line % 2 == 0) & (np.bincount(stray, minlength=count) == 0)

    inside = (np.searchsorted(quotes, separators) - before[line]) % 2 == 1
    return well, np.bincount(line[~inside], minlength=count) + 1


def _holding(data: bytes, mark: bytes, starts: Lines) -> NDArray[np.bool_]:
    """(L,) whether each line holds `mark`."""
    holding = np.zeros(len(starts), np.bool_)
    if mark in data:
        at = np.flatnonzero(np.frombuffer(data, np.uint8) == mark[0])
        at = at[[data.startswith(mark, int(i)) for i in at]]
        holding[np.searchsorted(starts, at, "right") - 1] = True
    return holding


def _over_several_lines(
    data: bytes,
    starts: Lines,
    separator: str,
    width: int,
    lines: tuple[NDArray[np.bool_], NDArray[np.bool_]],
) -> Iterator[tuple[int, int, Fields]]:
    """Records whose quoted field holds a line break: first line, next record's line, fields.

    Args:
        lines: (L,) undecided lines, of which those of the records are taken out, and (L,) whether
            a line's quotes are well formed.
    """
    undecided, well = lines
    resume = 0
    for line in np.flatnonzero(undecided & ~well).tolist():
        if line < resume:
            continue
        record = _record(data, int(starts[line]), separator)
        if record is None or len(record[0]) != width:
            continue
        following = int(np.searchsorted(starts, record[1]))
        blank = starts[line + 1 : following]
        if not undecided[line:following].all() and not _only_blank(data, blank, undecided, line):
            continue
        undecided[line:following] = False
        resume = following
        yield line, following, record[0]


def _only_blank(data: bytes, starts: Lines, undecided: NDArray[np.bool_], line: int) -> bool:
    """Whether the lines after `line` that are out of question are blank ones, not damaged ones."""
    return all(
        undecided[line + 1 + i] or data[start : start + 2].startswith((b"\n", b"\r\n"))
        for i, start in enumerate(starts.tolist())
    )


def _record(data: bytes, start: int, separator: str) -> tuple[Fields, int] | None:
    """The fields of the record at `start` and where the next one begins; None if ill formed."""
    mark, fields, at = separator.encode(), [], start
    limit = min(len(data), start + LONGEST_RECORD)
    while True:
        if data[at : at + 1] == b'"':
            quoted = _quoted(data, at + 1, limit)
            if quoted is None:
                return None
            field, at = quoted
        else:
            end = data.find(b"\n", at, limit)
            if end < 0:
                return None
            cut = data.find(mark, at, end)
            stop = cut if cut >= 0 else end - (data[at:end].endswith(b"\r"))
            field, at = data[at:stop], stop
            if b'"' in field:
                return None
        fields.append(field.decode("utf-8", "replace"))
        if data.startswith(mark, at):
            at += 1
        elif data.startswith(b"\n", at):
            return tuple(fields), at + 1
        elif data.startswith(b"\r\n", at):
            return tuple(fields), at + 2
        else:
            return None


def _quoted(data: bytes, at: int, limit: int) -> tuple[bytes, int] | None:
    """The text of a quoted field that begins at `at`, and where it ends; None if it never ends."""
    parts: list[bytes] = []
    while (close := data.find(b'"', at, limit)) >= 0:
        if not data.startswith(b'"', close + 1):
            return b"".join([*parts, data[at:close]]), close + 1
        parts.append(data[at : close + 1])
        at = close + 2
    return None
