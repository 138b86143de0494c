"""What the store keeps it keeps: through restarts, races, full disks and other versions."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cairn_protocol.enrolment.statements import JoinClaim
from cairn_protocol.errors import CairnError, InputError, OurFault
from cairn_server.store import Store
from cairn_server.store_tables import (
    SCHEMA_VERSION,
    Moment,
    Node,
    StoredRun,
    StoredStanding,
    StoredStudy,
    StoredToken,
)
from cairn_server.team_studies import find

NOW = datetime(2026, 3, 4, 5, 6, 7, 89, tzinfo=UTC)
STUDY = StoredStudy(b"d" * 32, "effect", b"signed", b"", "signed", NOW)
RUN = StoredRun(b"r" * 16, STUDY.digest, "running", NOW, None, "")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "store.sqlite"


@pytest.fixture
def store(file: Path) -> Iterator[Store]:
    with Store.open_file(file) as store:
        yield store


@given(st.datetimes(min_value=datetime(1970, 1, 1), timezones=st.just(UTC)))
def test_times_keep_every_microsecond(moment: datetime) -> None:
    column = Moment()
    assert column.process_result_value(column.process_bind_param(moment, None), None) == moment


@given(st.integers(0, 2**64 - 1))
def test_nodes_keep_all_64_bits(node: int) -> None:
    column = Node()
    kept = column.process_bind_param(node, None)
    assert kept is not None
    assert -(2**63) <= kept < 2**63
    assert column.process_result_value(kept, None) == node


def test_a_studys_life_is_there_after_a_restart(opened: Callable[[], Store]) -> None:
    store = opened()
    assert store.add_study(STUDY) == STUDY
    changed = StoredStudy(STUDY.digest, "effect", b"signed", b"", "again", NOW)
    assert store.add_study(changed) == STUDY, "the first stands"
    store.set_study(STUDY.digest, state="offered", roster=b"roster")
    for state in ("offered", "approved"):
        store.put_standing(StoredStanding(STUDY.digest, "oak", state, state.encode(), NOW))
    store.start_run(RUN)
    assert [store.add_event(RUN.run, f'{{"n": {n}}}', NOW) for n in range(3)] == [1, 2, 3]
    store.close()
    with opened() as again:
        known = again.study(STUDY.digest)
        assert known
        assert (known.state, known.roster, known.signed) == ("running", b"roster", b"signed")
        assert again.studies() == (known,)
        assert [(s.state, s.message) for s in again.standings(STUDY.digest)] == [
            ("approved", b"approved")
        ]
        assert again.runs(state="running") == again.runs(study=STUDY.digest)
        assert again.runs(state="finished") == ()
        run = again.run(RUN.run)
        assert run
        assert [event.seq for event in again.events(RUN.run, after=1)] == [2, 3]
        again.end_run(RUN.run, state="stopped", reason="a clinic left", at=NOW)
        ended = again.run(RUN.run)
        assert ended
        assert (ended.state, ended.reason, ended.ended) == ("stopped", "a clinic left", NOW)
        over = again.study(STUDY.digest)
        assert over
        assert over.state == "stopped", "at once with its run"


def test_what_is_not_there_is_not_changed_in_silence(opened: Callable[[], Store]) -> None:
    store = opened()
    assert store.study(b"x" * 32) is None
    assert store.run(b"x" * 16) is None
    assert store.clinic("oak") is None
    for change in (
        lambda: store.set_study(b"x" * 32, state="offered"),
        lambda: store.end_run(b"x" * 16, state="finished", reason="", at=NOW),
        lambda: store.start_run(RUN),  # its study is not there
    ):
        with pytest.raises(OurFault):
            change()
    with pytest.raises(InputError, match="clinic-unknown"):
        store.revoke("oak")
    store.close()


def test_events_of_many_threads_and_processes_are_numbered_without_a_gap(
    opened: Callable[[], Store],
) -> None:
    with opened() as store, opened() as another:  # as of another process
        store.add_study(STUDY)
        store.start_run(RUN)
        with ThreadPoolExecutor(8) as pool:
            add = [(store, another)[n % 2].add_event for n in range(40)]
            numbers = list(pool.map(lambda add: add(RUN.run, "{}", NOW), add))
    assert sorted(numbers) == list(range(1, 41))


def test_a_token_lets_one_clinic_in_of_two_who_come_at_once(opened: Callable[[], Store]) -> None:
    token = StoredToken(b"t" * 32, "oak", NOW, NOW + timedelta(days=1), None)
    claims = [
        JoinClaim(token.digest, bytes(32), "oak", bytes((n,)) * 32, b"key %d" % n, 0)
        for n in range(8)
    ]

    def join(claim: JoinClaim) -> str:
        try:
            return store.enrol(claim, now=NOW, enrol_node=lambda key: claim.identity[0]).name
        except InputError as error:
            return error.code

    with opened() as store:
        store.add_token(token)
        with ThreadPoolExecutor(8) as pool:
            said = list(pool.map(join, claims))
        assert sorted(said) == 7 * ["input.token-used"] + ["oak"]
        assert len(store.clinics()) == 1
        assert store.clinics()[0].state == "enrolled"


def test_commits_are_on_disk_when_they_return(store: Store) -> None:
    with store._engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1


WRITER = """
import sys
from datetime import UTC, datetime
from cairn_server.store import Store
from cairn_server.store_tables import StoredRun, StoredStudy
now = datetime.now(UTC)
store = Store.open(sys.argv[1])
store.add_study(StoredStudy(b"d" * 32, "effect", b"", b"", "signed", now))
store.start_run(StoredRun(b"r" * 16, b"d" * 32, "running", now, None, ""))
while True:
    print(store.add_event(b"r" * 16, "x" * 5000, now), flush=True)
"""


def test_a_killed_writer_leaves_whole_rows_only(opened: Callable[[], Store]) -> None:
    with opened() as store:
        address = store._engine.url.render_as_string(hide_password=False)
    command = [sys.executable, "-c", WRITER, address]
    said = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout
        while said < 20:
            said = int(child.stdout.readline())
        child.send_signal(signal.SIGKILL)
        rest = child.stdout.read().split()
    said = int(rest[-1]) if rest else said
    with opened() as store:
        events = store.events(b"r" * 16)
    assert len(events) >= said, "what was said to be written is there"
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert {len(event.json) for event in events} == {5000}


def test_a_full_disk_is_said_and_nothing_is_half_written(store: Store) -> None:
    store.add_study(STUDY)
    with store._engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    big = StoredStudy(b"e" * 32, "big", bytes(1 << 20), b"", "signed", NOW)
    with pytest.raises(InputError) as error:
        store.add_study(big)
    assert error.value.code == "input.store-unavailable"
    assert "full" in error.value.why
    assert store.studies() == (STUDY,)


def test_a_newer_store_and_what_is_no_store_are_refused(store: Store, file: Path) -> None:
    store.close()
    with sqlite3.connect(file) as raw:
        raw.execute("UPDATE cairn_schema SET version = ?", (SCHEMA_VERSION + 1,))
    raw.close()
    with pytest.raises(CairnError) as error:
        Store.open_file(file)
    assert error.value.code == "input.store-newer"
    other = file.with_name("other.sqlite")
    other.write_bytes(b"a letter to a friend " * 500)
    with pytest.raises(CairnError) as error:
        Store.open_file(other)
    assert error.value.code == "input.store-unavailable"


@pytest.mark.parametrize("url", ["nonsense", "nodb://x/y", "sqlite+nodriver:///x", "mysql://x/y"])
def test_an_address_that_leads_nowhere_is_the_configurations(url: str) -> None:
    with pytest.raises(CairnError) as error:
        Store.open(url)
    assert error.value.code == "input.store-url"


def test_the_file_is_private_whatever_the_umask(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        with Store.open_file(tmp_path / "s.sqlite") as store:
            store.add_token(StoredToken(b"t" * 32, "oak", NOW, NOW + timedelta(days=1), None))
            modes = {p.name: p.stat().st_mode & 0o777 for p in tmp_path.iterdir()}
    finally:
        os.umask(old)
    assert set(modes.values()) == {0o600}, modes


@pytest.mark.parametrize(
    ("named", "what"), [("", "no study"), ("6464", "no study"), ("646464", ""), ("x", "no study")]
)
def test_a_study_is_named_by_enough_of_its_digest(store: Store, named: str, what: str) -> None:
    store.add_study(STUDY)
    if not what:
        assert find(store, named) == STUDY
        return
    with pytest.raises(InputError, match=what) as told:
        find(store, named)
    assert "at least 6 characters" in told.value.hint


def test_two_studies_of_one_beginning_are_told_apart(store: Store) -> None:
    store.add_study(STUDY)
    store.add_study(StoredStudy(b"d" * 31 + b"e", "other", b"", b"", "signed", NOW))
    with pytest.raises(InputError, match="names several"):
        find(store, "646464")
