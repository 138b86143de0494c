"""`Reply`: what the importer writes to its output, read back with every length bounded.

    one line of JSON: {"tables": [{"name", "bytes", "stretches"}], "tallies"}
                   or {"refusal": {"what", "code", "why", "hint"}}
    the tables, one after the other, as Arrow IPC streams

The importer's diagnostics go nowhere: a driver may write a connection string into them.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Final

import polars as pl

from cairn_client.readers.raw import Stretch
from cairn_protocol.errors import InputError

LONGEST_HEAD: Final = 1 << 20  # bytes
LARGEST_TABLE: Final = 4 << 30  # bytes


@dataclass(frozen=True)
class Table:
    """A raw table: `row` i64 and string columns, and whose rows they are."""

    frame: pl.DataFrame
    stretches: tuple[Stretch, ...] = ()


@dataclass(frozen=True)
class Reply:
    """What the importer read: tables by name, tallies, and anything else it was asked for."""

    tables: Mapping[str, Table] = field(default_factory=dict)
    tallies: Mapping[str, int] = field(default_factory=dict)
    seen: Mapping[str, Any] = field(default_factory=dict)


def write_reply(stream: BinaryIO, reply: Reply) -> None:
    """Write `reply`, its head first."""
    parts, listed = [], []
    for name, table in reply.tables.items():
        buffer = io.BytesIO()
        table.frame.write_ipc_stream(buffer)
        parts.append(buffer)
        listed.append(
            {
                "name": name,
                "bytes": buffer.tell(),
                "stretches": [[s.file, s.offset] for s in table.stretches],
            }
        )
    head = {"tables": listed, "tallies": dict(reply.tallies), "seen": dict(reply.seen)}
    stream.write(json.dumps(head).encode() + b"\n")
    for part in parts:
        stream.write(part.getbuffer())
    stream.flush()


def write_refusal(stream: BinaryIO, error: InputError) -> None:
    """Write `error` in place of a reply."""
    words = {"what": error.what, "why": error.why, "hint": error.hint}
    code = error.code.removeprefix(f"{error.family}.")
    stream.write(json.dumps({"refusal": words | {"code": code}}).encode() + b"\n")
    stream.flush()


def read_reply(stream: BinaryIO) -> Reply:
    """The reply on `stream`.

    Raises:
        InputError: the importer's refusal, or that it broke off.
    """
    try:
        head = json.loads(stream.readline(LONGEST_HEAD))
        if "refusal" in head:
            words = {key: str(head["refusal"][key]) for key in ("what", "code", "why", "hint")}
            raise InputError(words.pop("what"), **words)
        tables = {
            str(entry["name"]): Table(
                _frame(stream, int(entry["bytes"])),
                tuple(Stretch(str(file), int(offset)) for file, offset in entry["stretches"]),
            )
            for entry in head["tables"]
        }
        tallies = {str(name): int(count) for name, count in head["tallies"].items()}
        return Reply(tables, tallies, head["seen"])
    except (OSError, ValueError, KeyError, TypeError, pl.exceptions.PolarsError):
        raise InputError(
            "the importer broke off before it had read the database",
            code="omop-broken-off",
            why="it was ended by the system or ran past its time limit",
            hint="try again; if it lasts, raise time_limit in [omop], and look whether the machine"
            " was out of memory",
        ) from None


def _frame(stream: BinaryIO, size: int) -> pl.DataFrame:
    if not 0 <= size <= LARGEST_TABLE:
        raise ValueError("no table is this large")
    data = stream.read(size)
    if len(data) != size:
        raise ValueError("the stream ended early")
    return pl.read_ipc_stream(io.BytesIO(data))
