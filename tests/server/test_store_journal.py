"""A run's journal in a store of either system: numbers given once, sums as they were, restarts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from sqlalchemy import text, update

from cairn_protocol.errors import InputError
from cairn_protocol.identity import Identity
from cairn_protocol.mark import NO_HEAD, Mark
from cairn_protocol.messages import Header, RoundRecord, SignedDigest
from cairn_server import store_tables
from cairn_server.journal import Incident
from cairn_server.store import Store
from cairn_server.store_journal import StoreJournal
from cairn_server.store_tables import StoredRun, StoredStudy

NOW = datetime(2026, 3, 4, tzinfo=UTC)
RUN = b"r" * 16


def record(round_: int) -> RoundRecord:
    """Of a round in which nobody uploaded: the journal does not judge."""
    here = bytes((round_,)) * 32
    return RoundRecord(Header(RUN, here, "effect", round_, 0, (0, 1), here, here), ())


RECORDS = [record(0), record(1)]
LEFT = Incident("left", "elm", "the study is paused here")
BLAMED = Incident("blamed", "oak", "a share was wrong")
LETTERS = {"waiting": "B", "guided": "A"}
EXTREME = np.array([-(2**63), -1, 0, 2**63 - 1], dtype=np.int64)


def test_a_journal_goes_on_where_it_was(opened: Callable[[], Store]) -> None:
    with opened() as store:
        store.add_study(StoredStudy(b"d" * 32, "s", b"signed", b"", "signed", NOW))
        store.start_run(StoredRun(RUN, b"d" * 32, "running", NOW, None, ""))
        journal = StoreJournal(store, RUN)
        assert journal.records() == []
        assert journal.incidents() == []
        assert journal.retries("effect", 0) is None
        assert [journal.next_setup(), journal.next_setup()] == [0, 1]
        assert [journal.next_attempt("effect", 0), journal.next_attempt("effect", 0)] == [0, 1]
        journal.opened("effect", 0, EXTREME, RECORDS[0])
        assert journal.next_attempt("course", 0) == 0
        journal.opened("course", 0, EXTREME[::-1].copy(), RECORDS[1])
        assert journal.letters(lambda: {"waiting": "B", "guided": "A"}) == LETTERS
        journal.note(LEFT)
        journal.note(BLAMED)
    with opened() as store:
        again = StoreJournal(store, RUN)
        assert again.next_setup() == 2
        assert again.next_attempt("effect", 0) == 2
        assert again.attempts("effect") == 3
        assert again.retries("course", 0) == 2, "over the whole run"
        assert again.retries("course", 1) is None
        known, other = again.total("effect", 0), again.total("course", 0)
        assert known is not None
        assert other is not None
        assert (known == EXTREME).all()
        assert (other == EXTREME[::-1]).all()
        assert again.total("effect", 1) is None
        assert again.records() == RECORDS, "all, in the order in which they were opened"
        assert again.incidents() == [LEFT, BLAMED]
        assert again.letters(lambda: {"waiting": "A", "guided": "B"}) == LETTERS
        assert list(again.letters(dict)) == list(LETTERS)


def test_a_journal_tells_where_clinics_stood_at_the_end_of_other_runs(
    opened: Callable[[], Store],
) -> None:
    keys = [Identity.generate() for _ in "ab"]
    marks = [Mark.sign(key, epoch, bytes(16), NO_HEAD) for epoch in (1, 2) for key in keys]

    def shown(round_: int, *mark: Mark) -> RoundRecord:
        uploads = tuple(SignedDigest(i, bytes(32), m, bytes(64)) for i, m in enumerate(mark))
        return replace(record(round_), uploads=uploads)

    with opened() as store:
        store.add_study(StoredStudy(b"d" * 32, "s", b"signed", b"", "signed", NOW))
        for run in (b"1" * 16, b"2" * 16):
            store.start_run(StoredRun(run, b"d" * 32, "finished", NOW, None, ""))
        first = StoreJournal(store, b"1" * 16)
        first.opened("effect", 0, EXTREME, shown(0, marks[0], marks[1]))
        first.opened("effect", 1, EXTREME, shown(1, marks[2], marks[3]))
        assert first.marks() == [], "its own records tell"
        assert StoreJournal(store, b"2" * 16).marks() == marks[2:]
        with store.transaction() as c:  # as an earlier version wrote it
            c.execute(update(store_tables.sums).values(record=b"old"))
        assert StoreJournal(store, b"2" * 16).marks() == []


def test_a_store_from_before_incidents_gets_their_table(opened: Callable[[], Store]) -> None:
    with opened() as store, store.transaction() as c:
        c.execute(text("DROP TABLE incidents"))
    with opened() as store:
        assert StoreJournal(store, RUN).incidents() == []


def test_a_run_that_an_earlier_protocol_began_is_refused_in_words(
    opened: Callable[[], Store],
) -> None:
    with opened() as store:
        store.add_study(StoredStudy(b"d" * 32, "s", b"signed", b"", "signed", NOW))
        store.start_run(StoredRun(RUN, b"d" * 32, "running", NOW, None, ""))
        journal = StoreJournal(store, RUN)
        journal.opened("effect", 0, EXTREME, RECORDS[0])
        with store.transaction() as c:
            c.execute(update(store_tables.sums).values(record=b"h" * 32 + bytes(2)))
        with pytest.raises(InputError) as caught:
            journal.records()
        assert caught.value.code == "input.run-older"
