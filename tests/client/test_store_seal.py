"""What a keeper keeps of its runs cannot be read, changed or moved without the clinic's key."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cairn_client.keeper_state import Place
from cairn_client.keeper_store import KeeperStore
from cairn_client.seal import Seal
from cairn_protocol.errors import InputError, OurFault
from cairn_protocol.identity import Identity
from cairn_protocol.progress import Progress

OWN = Identity.from_private_bytes(bytes(range(32)))
ONE, TWO = b"1" * 16, b"2" * 16
UPLOAD = b"a masked vector that was kept"
SEALED = ("runs.place", "replies.reply")


def kept(run: bytes) -> Place:
    return Place(b"s" * 32, 0, Progress.fresh(run, 0))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "keeper.sqlite"
    store = KeeperStore(file, OWN)
    store.keep(kept(ONE), b"p" * 32, UPLOAD)
    store.keep(kept(ONE), b"q" * 32, UPLOAD)
    store.keep(kept(TWO), b"q" * 32, UPLOAD)
    store.close()
    return file


@contextmanager
def outside(path: Path) -> Iterator[sqlite3.Connection]:
    """The file as somebody else opens it."""
    database = sqlite3.connect(path, isolation_level=None)
    yield database
    database.close()


def refused(path: Path) -> None:
    with pytest.raises(InputError) as caught:
        KeeperStore(path, OWN).close()
    assert caught.value.code == "input.keeper-store-damaged"
    assert "backup" in caught.value.hint


@given(plain=st.binary(max_size=200), place=st.lists(st.binary(max_size=9), max_size=4))
def test_what_was_sealed_comes_back_in_its_place_only(plain: bytes, place: list[bytes]) -> None:
    seal = Seal(OWN)
    blob = seal.seal(plain, *place)
    assert seal.open(blob, *place) == plain
    assert Seal(OWN).open(blob, *place) == plain, "the key comes from the identity alone"
    for other in ([*place, b""], [b"", *place], [b"".join(place), b"x"]):
        with pytest.raises(ValueError, match="changed or moved"):
            seal.open(blob, *other)
    with pytest.raises(ValueError, match="changed or moved"):
        Seal(Identity.generate()).open(blob, *place)


def test_the_same_bytes_are_never_sealed_to_the_same() -> None:
    assert len({Seal(OWN).seal(UPLOAD, b"here") for _ in range(100)}) == 100


def test_no_byte_can_be_changed_and_none_left_out() -> None:
    seal = Seal(OWN)
    blob = seal.seal(UPLOAD, b"here")
    for at in range(len(blob)):
        changed = bytearray(blob)
        changed[at] ^= 1
        for bad in (bytes(changed), blob[:at]):
            with pytest.raises(ValueError, match="sealed value"):
                seal.open(bad, b"here")


def test_nothing_of_a_run_lies_in_the_file_in_clear(path: Path) -> None:
    for file in path.parent.iterdir():
        assert UPLOAD not in file.read_bytes()
        assert b"s" * 32 not in file.read_bytes()


@pytest.mark.parametrize("column", SEALED)
@pytest.mark.parametrize("at", [0, 12, -1])
def test_a_changed_byte_is_noticed_on_opening(path: Path, column: str, at: int) -> None:
    table, name = column.split(".")
    with outside(path) as database:
        query = f"SELECT rowid, {name} FROM {table} LIMIT 1"
        row, blob = database.execute(query).fetchone()
        changed = bytearray(blob)
        changed[at] ^= 1
        query = f"UPDATE {table} SET {name} = ? WHERE rowid = ?"
        database.execute(query, (bytes(changed), row))
    refused(path)


@pytest.mark.parametrize("column", SEALED)
def test_two_rows_that_changed_places_are_noticed(path: Path, column: str) -> None:
    table, name = column.split(".")
    with outside(path) as database:
        rows = database.execute(f"SELECT rowid, {name} FROM {table}").fetchall()
        (one, blob), (two, other) = rows[:2]
        for row, moved in ((one, other), (two, blob)):
            database.execute(f"UPDATE {table} SET {name} = ? WHERE rowid = ?", (moved, row))
    refused(path)


@pytest.mark.parametrize(
    ("column", "value"), [("request", b"x" * 32), ("run", b"3" * 16), ("header", b"x" * 32)]
)
def test_a_reply_cannot_be_given_to_another(path: Path, column: str, value: bytes) -> None:
    with outside(path) as database:
        query = f"UPDATE replies SET {column} = ? WHERE run = ? AND request = ?"
        assert database.execute(query, (value, ONE, b"p" * 32)).rowcount == 1
    refused(path)


def test_a_change_under_a_running_keeper_stops_it(path: Path) -> None:
    store = KeeperStore(path, OWN)
    blob = store._database.execute("SELECT place FROM runs WHERE run = ?", (TWO,)).fetchone()[0]
    store._database.execute("UPDATE runs SET place = ? WHERE run = ?", (blob, ONE))
    for _ in range(2):
        with pytest.raises(OurFault) as caught:
            store.place(ONE)
        assert caught.value.code == "internal.keeper-store-altered"
    with pytest.raises(OurFault):
        store.reply(TWO, b"q" * 32)
    store.close()


def test_a_store_is_one_clinics_only(path: Path) -> None:
    empty = path.with_name("empty.sqlite")
    KeeperStore(empty, OWN).close()
    for file in (path, empty):
        with pytest.raises(InputError) as caught:
            KeeperStore(file, Identity.generate())
        assert "identity.key" in caught.value.why
    KeeperStore(path, OWN).close()
