"""`SCHEMA`: a keeper's tables; `migrate` brings those of an older Cairn up to date."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Final

from cairn_client.keeper_state import Place
from cairn_protocol.progress import NOTHING, Progress

_DECIDED: Final = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT;
CREATE TABLE offers (
    study BLOB PRIMARY KEY, signed BLOB NOT NULL, roster BLOB NOT NULL, at TEXT NOT NULL
) STRICT;
CREATE TABLE decisions (
    number INTEGER PRIMARY KEY, study BLOB NOT NULL, roster BLOB NOT NULL, state TEXT NOT NULL,
    person TEXT NOT NULL, at TEXT NOT NULL
) STRICT;
CREATE TRIGGER kept BEFORE DELETE ON decisions BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER fixed BEFORE UPDATE ON decisions BEGIN SELECT RAISE(ABORT, 'append-only'); END;
"""
_RUNS: Final = """
CREATE TABLE runs (run BLOB PRIMARY KEY, place BLOB NOT NULL, at TEXT NOT NULL) STRICT;
CREATE TABLE replies (
    run BLOB NOT NULL, request BLOB NOT NULL, header BLOB NOT NULL, reply BLOB NOT NULL,
    PRIMARY KEY (run, request)
) STRICT;
"""
_PEERS: Final = """
CREATE TABLE marks (identity BLOB PRIMARY KEY, mark BLOB NOT NULL) STRICT;
CREATE TABLE members (
    number INTEGER PRIMARY KEY, fingerprint TEXT NOT NULL, clinic TEXT NOT NULL,
    source BLOB NOT NULL, stands INTEGER NOT NULL, person TEXT NOT NULL, at TEXT NOT NULL
) STRICT;
CREATE TRIGGER member_kept BEFORE DELETE ON members BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER member_fixed BEFORE UPDATE ON members BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TABLE registries (
    number INTEGER PRIMARY KEY, key BLOB NOT NULL, name TEXT NOT NULL, issue INTEGER NOT NULL,
    pinned INTEGER NOT NULL, person TEXT NOT NULL, at TEXT NOT NULL
) STRICT;
CREATE TRIGGER pin_kept BEFORE DELETE ON registries BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER pin_fixed BEFORE UPDATE ON registries BEGIN SELECT RAISE(ABORT, 'append-only'); END;
"""
_REVIEWERS: Final = """
ALTER TABLE decisions ADD COLUMN account INTEGER NOT NULL DEFAULT 0;
CREATE TABLE reviewers (name BLOB PRIMARY KEY, account BLOB NOT NULL) STRICT;
"""
_STEPS: Final = {3: _REVIEWERS, 4: ""}  # what each from 3 on adds, to new stores and to old ones
VERSION: Final = max(_STEPS)
SCHEMA: Final = _DECIDED + _RUNS + _PEERS + "".join(_STEPS.values())


def migrate(
    database: sqlite3.Connection,
    version: int,
    seal: Callable[..., bytes],
    unseal: Callable[..., bytes],
) -> None:
    """Brings tables of `version` to `VERSION`, within the caller's transaction.

    From version 1, team, offers, decisions, epoch and every run's place are carried over, the
    places sealed by `seal` (plain, table, keys of the row). Kept replies are not: each answers
    a request of protocol version 1, byte for byte, which no server sends any more. Later versions
    only add; version 4 the roster to every place, as not known.
    """
    if version >= VERSION:
        return
    if version < 2:
        _from_the_first(database, seal)
    elif version < 4:
        for run, blob in database.execute("SELECT run, place FROM runs").fetchall():
            place = seal(unseal(blob, "runs", run) + NOTHING, "runs", run)
            database.execute("UPDATE runs SET place = ? WHERE run = ?", (place, run))
    for step in range(max(version, 2) + 1, VERSION + 1):
        for statement in statements(_STEPS[step]):
            database.execute(statement)
    database.execute(f"PRAGMA user_version = {VERSION}")


def _from_the_first(database: sqlite3.Connection, seal: Callable[..., bytes]) -> None:
    runs = database.execute("SELECT run, study, clinic, progress, at FROM runs").fetchall()
    database.execute("DROP TABLE runs")
    for statement in statements(_RUNS + _PEERS):
        database.execute(statement)
    for run, study, clinic, progress, at in runs:
        place = Place(study, clinic, Progress.from_body(progress + NOTHING))  # nothing was opened
        row = (run, seal(place.body, "runs", run), at)
        database.execute("INSERT INTO runs VALUES (?, ?, ?)", row)


def statements(script: str) -> list[str]:
    """The script's statements one by one: `executescript` would end the transaction."""
    found, held = [], ""
    for line in script.splitlines():
        held += line + "\n"
        if sqlite3.complete_statement(held):
            found.append(held)
            held = ""
    return found
