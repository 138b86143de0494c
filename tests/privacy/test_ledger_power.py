"""Simulated power cuts: with synchronous=FULL nothing that was reserved is lost, with NORMAL it is.

The ledger runs on a SQLite whose every write and sync is written down (`power_cut.py`); the cut may
come after any of them, and may drop, tear or reorder whatever was not synced. What the ledger had
said to be reserved by then must be there when it is opened again, with the real SQLite.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cairn_privacy import durable, ledger_file
from cairn_privacy.chain import Head
from cairn_privacy.durable import HeadCopy
from cairn_privacy.ledger import Ledger
from cairn_protocol.errors import InputError

apsw = pytest.importorskip("apsw", reason="the dev extra brings apsw, whose VFS can be replaced")
from power_cut import Disk, DiskVFS, Operation  # noqa: E402

STUDY = b"s" * 32
CHARGES = 12
CHECKPOINT_PAGES = 20  # often, for a checkpoint is where a WAL begins anew


class Simulated:
    """As much of a sqlite3 connection as the ledger uses, over apsw and the logged disk."""

    def __init__(self, path: Path, synchronous: str) -> None:
        self._database = apsw.Connection(str(path), vfs="power")
        for pragma in (
            "locking_mode=EXCLUSIVE",
            "journal_mode=WAL",
            f"synchronous={synchronous}",
            f"wal_autocheckpoint={CHECKPOINT_PAGES}",
        ):
            self._database.execute(f"PRAGMA {pragma}")

    def execute(self, sql: str, values: tuple[Any, ...] = ()) -> Any:
        return self._database.execute(sql, values)

    def close(self) -> None:
        self._database.close()


def head_on(disk: Disk) -> Any:
    """`HeadCopy.write` on the logged disk: the slot is written, then synced."""
    real = HeadCopy.write

    def write(self: HeadCopy, head: Head) -> None:
        file = self._path
        old = file.read_bytes()
        real(self, head)
        new = file.read_bytes()
        for at in (0, durable._SLOT):
            if old[at : at + 72] != new[at : at + 72]:
                disk.log.append(Operation("write", file.name, at, new[at : at + 72]))
        disk.log.append(Operation("sync", file.name))

    return write


@pytest.fixture
def disk() -> Iterator[Disk]:
    disk = Disk()
    vfs = DiskVFS("power", disk)
    yield disk
    vfs.unregister()


def losses(
    disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, synchronous: str, cuts: int
) -> list[str]:
    """How the ledger fails after power cuts at random moments; empty if it never does."""
    folder = tmp_path / synchronous
    folder.mkdir()
    path = folder / "ledger.db"
    Ledger.create(path, clinic="Brook (synthetic)", cap_epsilon=3.0, delta=1e-6).close()
    disk.start(folder)
    told: list[tuple[int, int]] = []  # attempt, and after how many operations it was said
    with monkeypatch.context() as patched:
        patched.setattr(ledger_file, "connect", lambda p: Simulated(p, synchronous))
        patched.setattr(HeadCopy, "write", head_on(disk))
        patched.setattr(
            ledger_file, "sync_folder", lambda f: disk.log.append(Operation("sync folder"))
        )
        ledger = Ledger.open(path)
        for attempt in range(CHARGES):
            number = ledger.reserve(STUDY, "q", 0, attempt, 2.0**-20)
            told.append((attempt, len(disk.log)))
            ledger.commit(number, bytes(32))
        operations = len(disk.log)
        ledger.close()
    dice = random.Random(20)
    found = []
    for which in range(cuts):
        after = dice.randrange(operations + 1)
        files = disk.cut(after, dice)
        fault = fault_of(tmp_path / f"{synchronous}{which}", files, told, after)
        if fault:
            found.append(fault)
    return found


def fault_of(
    folder: Path, files: dict[str, bytes], told: list[tuple[int, int]], after: int
) -> str | None:
    """What of the ledger's word the files break."""
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    said = {attempt for attempt, when in told if when <= after}
    try:
        with Ledger.open(folder / "ledger.db") as ledger:
            there = [entry.attempt for entry in ledger.entries()]
            if not said <= set(there):
                return "a reservation was forgotten"
            if len(there) > len(said) + 1 or there != sorted(set(there)):
                return "there is more than was ever asked"
            assert ledger.spent() == len(there) * 2.0**-20
    except InputError as error:
        return f"it does not open: {error.why}"
    return None


def test_with_full_a_power_cut_loses_nothing(
    disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert losses(disk, tmp_path, monkeypatch, "FULL", 150) == []


def test_with_normal_it_does(disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above has power: the same cuts take reservations back where syncs are spared."""
    found = losses(disk, tmp_path, monkeypatch, "NORMAL", 60)
    assert len(found) > 20


@pytest.mark.soak
def test_with_full_a_power_cut_loses_nothing_in_thousands(
    disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert losses(disk, tmp_path, monkeypatch, "FULL", 4000) == []


def test_the_ledger_itself_runs_with_full_and_wal(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with Ledger.create(path, clinic="x", cap_epsilon=3.0, delta=1e-6) as ledger:
        for pragma, value in (("synchronous", 2), ("journal_mode", "wal")):
            assert ledger._file._database.execute(f"PRAGMA {pragma}").fetchone() == (value,)
    assert ledger_file.SYNCHRONOUS == "FULL"
