"""A run's journal in the store: numbers given once, sums as they were, over a restart."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from cairn_protocol.messages import RoundRecord
from cairn_server.store import Store
from cairn_server.store_journal import StoreJournal
from cairn_server.store_tables import StoredRun, StoredStudy

NOW = datetime(2026, 3, 4, tzinfo=UTC)
RUN = b"r" * 16
RECORDS = [RoundRecord(bytes((n,)) * 32, ()) for n in range(2)]
EXTREME = np.array([-(2**63), -1, 0, 2**63 - 1], dtype=np.int64)


def test_a_journal_goes_on_where_it_was(tmp_path: Path) -> None:
    file = tmp_path / "store.sqlite"
    with Store.open_file(file) as store:
        store.add_study(StoredStudy(b"d" * 32, "s", b"signed", b"", "signed", NOW))
        store.start_run(StoredRun(RUN, b"d" * 32, "running", NOW, None, ""))
        journal = StoreJournal(store, RUN)
        assert journal.record() is None
        assert journal.retries("effect", 0) is None
        assert [journal.next_setup(), journal.next_setup()] == [0, 1]
        assert [journal.next_attempt("effect", 0), journal.next_attempt("effect", 0)] == [0, 1]
        journal.opened("effect", 0, EXTREME, RECORDS[0])
        assert journal.next_attempt("course", 0) == 0
        journal.opened("course", 0, EXTREME[::-1].copy(), RECORDS[1])
    with Store.open_file(file) as store:
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
        assert again.record() == RECORDS[1], "the last one that was opened"
