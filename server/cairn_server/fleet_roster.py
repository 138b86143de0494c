"""`NodeBook`: which node keys may speak to the fleet, in an SQLite file of its own.

It is all of the fleet that outlives the server's process: what clinics are asked does not, since
the rounds' journal says what to ask again. Several processes may write; `changed` tells.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cairn_protocol.errors import InputError

RESERVED: Final = 2  # ids 0 and 1 are nobody's and the server's in Flower
TABLE: Final = """
create table if not exists fleet_node (
    node integer primary key,
    public_key blob not null unique,
    enrolled_at text not null,
    revoked_at text
) strict
"""


@dataclass(frozen=True)
class Entry:
    """A node that is or was enrolled."""

    node: int
    public_key: bytes
    revoked: bool


def node_id(public_key: bytes) -> int:
    """The id of the node with this key, 2 … 2⁶³ − 1: the same wherever it is enrolled."""
    digest = hashlib.sha256(b"cairn fleet node\0" + public_key).digest()
    return max(int.from_bytes(digest[:8]) >> 1, RESERVED)


class NodeBook:
    """Enrolled and revoked node keys.

    Args:
        database: an SQLite file (made with mode 0600), or None for memory.

    Raises:
        InputError: the file is not such a database.
    """

    def __init__(self, database: Path | None) -> None:
        where = ":memory:"
        try:
            if database is not None:
                os.close(os.open(database, os.O_CREAT | os.O_RDWR, 0o600))
                where = str(database)
            self._file = sqlite3.connect(where, check_same_thread=False, isolation_level=None)
            self._file.execute("pragma busy_timeout = 5000")
            self._file.execute("pragma synchronous = full")
            self._file.execute(TABLE)
        except (OSError, sqlite3.Error) as error:
            raise InputError(
                f"the fleet's list of nodes, {where}, cannot be opened",
                code="fleet-database",
                why=str(error),
                hint="restore it from the server's backup",
            ) from error
        self._lock = threading.Lock()
        self._version = self._data_version()

    def enrol(self, public_key: bytes) -> int | None:
        """The node's id, on disk when this returns; None for a key that was revoked."""
        node = node_id(public_key)
        with self._lock:
            self._file.execute(
                "insert into fleet_node values (?, ?, ?, null) on conflict do nothing",
                (node, public_key, datetime.now(UTC).isoformat()),
            )
            kept, revoked = self._file.execute(
                "select public_key, revoked_at from fleet_node where node = ?", (node,)
            ).fetchone()
        return node if kept == public_key and revoked is None else None

    def revoke(self, node: int) -> bool:
        """Whether there is such a node, revoked on disk when this returns."""
        with self._lock:
            told = self._file.execute(
                "update fleet_node set revoked_at = coalesce(revoked_at, ?) where node = ?",
                (datetime.now(UTC).isoformat(), node),
            )
            return told.rowcount == 1

    def entries(self) -> list[Entry]:
        """Every node that is or was enrolled."""
        with self._lock:
            rows = self._file.execute("select node, public_key, revoked_at from fleet_node")
            return [Entry(node, key, revoked is not None) for node, key, revoked in rows]

    def changed(self) -> bool:
        """Whether another process wrote since the last call."""
        with self._lock:
            before, self._version = self._version, self._data_version()
            return before != self._version

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._file.close()

    def _data_version(self) -> int:
        return int(self._file.execute("pragma data_version").fetchone()[0])
