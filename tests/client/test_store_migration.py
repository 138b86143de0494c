"""A store that version 0.1's keeper wrote: what was decided and what was answered is carried on."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from cairn_client.keeper_state import Place
from cairn_client.keeper_store import KeeperStore
from cairn_protocol.errors import InputError
from cairn_protocol.identity import Identity
from cairn_protocol.progress import NOTHING
from cairn_protocol.roster import Roster, SignedRoster
from cairn_protocol.signed_study import SignedStudy
from cairn_protocol.study import Study
from keeper_bench import STUDY

VERSION_1 = """
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
CREATE TABLE runs (
    run BLOB PRIMARY KEY, study BLOB NOT NULL, clinic INTEGER NOT NULL, progress BLOB NOT NULL,
    request BLOB NOT NULL, reply BLOB NOT NULL, at TEXT NOT NULL
) STRICT;
PRAGMA user_version = 1;
"""
TEAM, OWN = Identity.generate(), Identity.generate()
SIGNED = SignedStudy.sign(Study.parse(STUDY.encode()), TEAM)
ROSTER = Roster.first(SIGNED, {"ash": OWN.public, "elm": b"e" * 32, "oak": b"o" * 32})
RUN, AT = bytes(range(16)), "2026-11-22T04:00:00.000000+00:00"
# run, setup 2, head, question "effect", round 1, attempt 3, header, answer
PROGRESS = (
    RUN
    + bytes.fromhex("00000002")
    + b"t" * 32
    + bytes.fromhex("00000006")
    + b"effect"
    + bytes.fromhex("000000010003")
    + b"h" * 32
    + b"v" * 32
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "keeper.sqlite"
    database = sqlite3.connect(file, isolation_level=None)
    database.executescript(VERSION_1)
    for name, value in (("team", TEAM.public), ("epoch", (7).to_bytes(8, "big"))):
        database.execute("INSERT INTO facts VALUES (?, ?)", (name, value))
    signed = SignedRoster.sign(ROSTER, TEAM)
    offer = (SIGNED.digest, SIGNED.body, signed.body, AT)
    database.execute("INSERT INTO offers VALUES (?, ?, ?, ?)", offer)
    database.execute(
        "INSERT INTO decisions (study, roster, state, person, at) VALUES (?, ?, ?, ?, ?)",
        (SIGNED.digest, ROSTER.digest, "approved", "Ada", AT),
    )
    run = (RUN, SIGNED.digest, 2, PROGRESS, b"q" * 32, b"a reply of version 1", AT)
    database.execute("INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, ?)", run)
    database.close()
    return file


def test_everything_but_the_replies_is_carried_over(path: Path) -> None:
    for opening in (8, 9):
        store = KeeperStore(path, OWN)
        assert store.epoch == opening
        assert store.team() == TEAM.public
        (offered,) = store.offers()
        assert offered.decision is not None
        assert (offered.state, offered.decision.person) == ("approved", "Ada")
        assert not offered.decision.account, "nobody signed in then"
        assert store.accounts() == ()
        place = store.place(RUN)
        assert place is not None
        assert (place.study, place.clinic) == (SIGNED.digest, 2)
        here = place.progress
        assert (here.setup, here.question, here.round, here.attempt) == (2, "effect", 1, 3)
        assert (here.head, here.header, here.answer) == (b"t" * 32, b"h" * 32, b"v" * 32)
        assert here.survivors == NOTHING
        assert store.last() == (place, AT)
        assert store.reply(RUN, b"q" * 32) is None
        assert store.verified() == {OWN.public}
        store.close()


def test_a_run_goes_on_from_where_it_was(path: Path) -> None:
    store = KeeperStore(path, OWN)
    place = store.place(RUN)
    assert place is not None
    onward = Place(place.study, place.clinic, place.progress.at_setup(3), place.question)
    store.keep(onward)
    assert store.place(RUN) == onward
    store.close()


def test_a_migration_that_cannot_be_finished_changes_nothing(path: Path) -> None:
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("UPDATE runs SET progress = ?", (PROGRESS[:-1],))
    database.close()
    before = path.read_bytes()
    with pytest.raises(InputError) as caught:
        KeeperStore(path, OWN)
    assert caught.value.code == "input.keeper-store-damaged"
    database = sqlite3.connect(path, isolation_level=None)
    assert database.execute("PRAGMA user_version").fetchone() == (1,)
    assert database.execute("SELECT count(*) FROM runs").fetchone() == (1,)
    database.close()
    assert len(path.read_bytes()) == len(before)
