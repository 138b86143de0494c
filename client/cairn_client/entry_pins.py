"""`EntryPins`: the quarter under which each patient is charged, whatever later dates say.

A patient's block must never change, or somebody whose date of entry is corrected, or who comes back
and is entered anew, would begin with a fresh budget. So the quarter under which a patient is first
admitted to a study with a window is written down before the answer is computed, and a study that
does not charge that quarter leaves the patient out from then on. A study that charges everybody
needs no pin: wherever a patient moves, that charge counts.

Patients stand here under a keyed hash; the file lies beside the clinic's keys and never leaves.
Every turn waits for the disk once, so that its time does not tell whether somebody was new.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Final

from cairn_privacy.durable import sync_folder
from cairn_protocol.errors import InputError

_SCHEMA: Final = """
CREATE TABLE key (key BLOB NOT NULL, turns INTEGER NOT NULL) STRICT;
CREATE TABLE pins (patient BLOB PRIMARY KEY, quarter INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TRIGGER kept BEFORE DELETE ON pins BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER fixed BEFORE UPDATE ON pins BEGIN SELECT RAISE(ABORT, 'append-only'); END;
"""


class EntryPins:
    """The pins in the file at `path`, which `make` made."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @classmethod
    def make(cls, path: Path) -> None:
        """An empty file of pins, mode 0600, if there is none; all there when it appears.

        Raises:
            InputError: it cannot be written.
        """
        if path.exists():
            return
        draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        try:
            os.close(os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
            with closing(_connect(draft)) as database:
                database.executescript(f"BEGIN; {_SCHEMA} COMMIT;")
                database.execute("INSERT INTO key VALUES (?, 0)", (secrets.token_bytes(32),))
            draft.rename(path)
            sync_folder(path.parent)
        except (sqlite3.Error, OSError) as error:
            raise lost_pins(str(error)) from None
        finally:
            draft.unlink(missing_ok=True)

    def hold(self, quarters: Mapping[str, int]) -> dict[str, int]:
        """The quarter that holds for each patient: the one pinned before, else the one given.

        What is new is on disk when this returns.

        Raises:
            InputError: the file is lost or damaged, or cannot be written.
        """
        if not self._path.is_file():
            raise lost_pins("the file is not there")
        try:
            with closing(_connect(self._path)) as database:
                (key,) = database.execute("SELECT key FROM key").fetchone()
                known = dict(database.execute("SELECT patient, quarter FROM pins").fetchall())
                hashes = {patient: _hash(key, patient) for patient in quarters}
                new = [(hashes[p], q) for p, q in quarters.items() if hashes[p] not in known]
                database.execute("BEGIN IMMEDIATE")
                database.execute("UPDATE key SET turns = turns + 1")
                database.executemany("INSERT INTO pins VALUES (?, ?)", new)
                database.execute("COMMIT")
        except (sqlite3.Error, TypeError) as error:
            raise lost_pins(str(error)) from None
        return {patient: known.get(hashes[patient], q) for patient, q in quarters.items()}


class UnchangedPins(EntryPins):
    """The pins as they are, to look at: nothing is pinned, and no file is made."""

    def hold(self, quarters: Mapping[str, int]) -> dict[str, int]:
        """What `EntryPins.hold` would say now.

        Raises:
            InputError: the file is damaged.
        """
        if not self._path.is_file():
            return dict(quarters)
        try:
            uri = f"{self._path.absolute().as_uri()}?mode=ro"
            with closing(sqlite3.connect(uri, uri=True)) as database:
                (key,) = database.execute("SELECT key FROM key").fetchone()
                known = dict(database.execute("SELECT patient, quarter FROM pins").fetchall())
        except (sqlite3.Error, TypeError) as error:
            raise lost_pins(str(error)) from None
        return {patient: known.get(_hash(key, patient), q) for patient, q in quarters.items()}


def lost_pins(why: str) -> InputError:
    """The error for pins that cannot be read or written."""
    return InputError(
        "the record of the quarters under which patients were charged cannot be used",
        code="entry-pins",
        why=why,
        hint="check the disk; if the file was lost, restore the clinic's backup of .cairn as a "
        "whole, and answer nothing meanwhile",
    )


def _hash(key: bytes, patient: str) -> bytes:
    return hashlib.blake2b(patient.encode(), key=key, digest_size=16).digest()


def _connect(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, isolation_level=None, timeout=0)
    database.execute("PRAGMA synchronous=FULL")
    return database
