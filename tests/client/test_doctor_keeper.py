"""The doctor on keeper, link and what they keep: each fault is planted in a real keeper's files."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cairn_client.clinic_config import ClinicConfig
from cairn_client.clinic_folder import ClinicFolder
from cairn_client.doctor.daemons import KeeperWord, ask_keeper, daemons, running
from cairn_client.doctor.databases import databases
from cairn_client.doctor.finding import Level
from cairn_client.doctor.ledger import ledger
from cairn_client.doctor.site import Site
from cairn_client.keeper_service import KeeperService
from cairn_client.link_report import note
from cairn_client.sockets import Sockets
from cairn_protocol.proto import keeper_pb2 as pb
from cairn_server.pki import Authority
from doctor_bench import joined, levels, one
from keeper_bench import Bench, write_clinic

Make = Callable[..., Bench]


@pytest.fixture(scope="module")
def team() -> Authority:
    return Authority.create("a test's team", datetime.now(UTC))


@pytest.fixture
def oak(tmp_path: Path, team: Authority) -> Site:
    return joined(write_clinic(tmp_path / "oak", "oak"), team, fleet=1, registry=1)


@pytest.fixture
def charged(oak: Site) -> Site:
    """A clinic whose ledger holds charges, closed in order."""
    with ClinicFolder.open(oak.path).ledger() as kept:
        for number in range(5):
            entry = kept.reserve(b"s" * 32, "effect", number, 0, 0.01)
            kept.commit(entry, bytes(32))
    return oak


@pytest.fixture
def serving(charged: Site) -> Iterator[KeeperService]:
    with KeeperService(ClinicFolder.open(charged.path)) as service:
        yield service


def link_says(site: Site, **said: object) -> None:
    file = note(site.path)
    file.parent.mkdir(parents=True, exist_ok=True)
    whole = {"state": "connected", "server": "s:1", "since": 0.0, "contact": time.time(), **said}
    file.write_text(json.dumps({"pid": os.getpid(), **whole}))


@pytest.mark.usefixtures("serving")
def test_a_keeper_that_serves_and_a_link_that_is_connected(charged: Site) -> None:
    link_says(charged)
    word = ask_keeper(charged)
    assert word.answers
    assert (word.pid, word.user) == (os.getpid(), os.geteuid())
    found = levels(daemons(charged, word))
    for code in ("daemons.keeper", "daemons.link-socket", "daemons.link"):
        assert found[code] == Level.OK
    who = running(charged, word)
    assert (who.keeper, who.link) == (os.geteuid(), os.geteuid())
    assert levels(databases(charged, answers=True)) == {"database.whole": Level.OK}
    said = levels(ledger(charged, word))
    assert said == dict.fromkeys(("ledger.chain", "ledger.witness", "ledger.cap"), Level.OK)


def test_nothing_runs(oak: Site) -> None:
    word = ask_keeper(oak)
    assert not word.answers
    assert one(daemons(oak, word), "daemons.keeper").level == Level.PROBLEM
    assert one(daemons(oak, word), "daemons.link").level == Level.PROBLEM


def test_a_keeper_that_ended_without_notice_left_its_socket(oak: Site) -> None:
    sockets = Sockets(oak.path)
    sockets.make_folders()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(sockets.link))
    said = one(daemons(oak, ask_keeper(oak)), "daemons.keeper")
    assert "without notice" in said.why


def test_a_keeper_that_hangs_costs_a_short_time(oak: Site) -> None:
    sockets = Sockets(oak.path)
    sockets.make_folders()
    with socket.socket(socket.AF_UNIX) as link, socket.socket(socket.AF_UNIX) as admin:
        for one_, path in ((link, sockets.link), (admin, sockets.admin)):
            one_.bind(str(path))
            one_.listen()
        began = time.monotonic()
        word = ask_keeper(oak)
        assert time.monotonic() - began < 8
    assert (word.answers, word.pid) == (False, os.getpid())


@pytest.mark.usefixtures("serving")
def test_a_socket_with_another_mode_and_a_keeper_of_another_name(charged: Site) -> None:
    Sockets(charged.path).link.chmod(0o600)
    other = replace(charged, config=ClinicConfig(name="elm"))
    found = levels(daemons(other, ask_keeper(charged)))
    assert found["daemons.socket-mode"] == found["daemons.keeper-other"] == Level.PROBLEM


def test_what_the_link_says_is_passed_on(oak: Site) -> None:
    word = KeeperWord()
    link_says(oak, state="waiting", trouble="the line is cut", hint="mend it", code="broken-off")
    assert one(daemons(oak, word), "broken-off").remedy == "mend it"
    link_says(oak, contact=time.time() - 3600)
    assert one(daemons(oak, word), "daemons.link-quiet").level == Level.WARNING
    link_says(oak, state="connecting")
    assert one(daemons(oak, word), "daemons.link-connecting").level == Level.WARNING
    link_says(oak, pid=2**22 + 1)
    assert one(daemons(oak, word), "daemons.link").level == Level.PROBLEM


@pytest.mark.parametrize("loose", [True, False])
def test_a_process_that_would_leave_something_behind(oak: Site, loose: bool) -> None:
    """A stand-in for the link, with a wide umask and core files, or as Cairn starts its own."""
    code = (
        "import os, resource, sys, time\n"
        f"loose = {loose}\n"
        "hard = resource.getrlimit(resource.RLIMIT_CORE)[1]\n"
        "os.umask(0o022 if loose else 0o077)\n"
        "resource.setrlimit(resource.RLIMIT_CORE, (4096 if loose else 0, hard))\n"
        "print('up', flush=True); time.sleep(30)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        link_says(oak, pid=process.pid)
        found = levels(daemons(oak, KeeperWord()))
        process.kill()
    warned = {"daemons.link-umask", "daemons.link-core"} & set(found)
    assert warned == ({"daemons.link-umask", "daemons.link-core"} if loose else set())


def test_whole_files_are_whole_and_nothing_beside_them_changes(charged: Site) -> None:
    before = {f: f.read_bytes() for f in charged.state.iterdir()}
    assert set(levels(databases(charged, answers=False)).values()) == {Level.OK}
    assert levels(ledger(charged, KeeperWord()))["ledger.chain"] == Level.OK
    assert before == {f: f.read_bytes() for f in charged.state.iterdir()}


def test_a_file_with_a_log_beside_it_is_read_with_the_log(oak: Site, tmp_path: Path) -> None:
    """What a keeper leaves that was killed: the last charges stand in the log alone."""
    clinic = ClinicFolder.open(oak.path)
    with clinic.ledger() as kept:
        kept.commit(kept.reserve(b"s" * 32, "effect", 0, 0, 0.01), bytes(32))
        dead = write_clinic(tmp_path / "dead", "oak")
        shutil.copytree(oak.path / ".cairn", dead / ".cairn")
    site = replace(oak, path=dead)
    log = dead / ".cairn" / "ledger.sqlite-wal"
    assert log.stat().st_size > 0
    before = {f: f.read_bytes() for f in (dead / ".cairn").iterdir()}
    assert "3 links" in one(ledger(site, KeeperWord()), "ledger.chain").what
    assert set(levels(databases(site, answers=False)).values()) == {Level.OK}
    assert before == {f: f.read_bytes() for f in (dead / ".cairn").iterdir()}


@pytest.mark.parametrize("name", ["ledger.sqlite", "entry-quarters.sqlite"])
def test_a_damaged_file_is_named(charged: Site, name: str) -> None:
    file = charged.state / name
    data = bytearray(file.read_bytes())
    data[4096:8192] = os.urandom(4096)
    file.write_bytes(data)
    found = one([f for f in databases(charged, answers=False) if f.remedy], "database.damaged")
    assert (found.level, name in found.what) == (Level.PROBLEM, True)


def test_a_file_that_is_no_database_is_damaged(charged: Site) -> None:
    (charged.state / "keeper.sqlite").write_bytes(b"nothing of the kind" * 300)
    assert levels(databases(charged, answers=False))["database.damaged"] == Level.PROBLEM


def test_a_lost_ledger_is_a_problem(charged: Site) -> None:
    (charged.state / "ledger.sqlite").unlink()
    found = one(databases(charged, answers=False), "database.ledger-lost")
    assert "never start a fresh ledger" in found.remedy


def test_files_that_another_process_holds_are_left_alone(charged: Site) -> None:
    code = (
        "import sys, time; from pathlib import Path\n"
        "from cairn_client.clinic_folder import ClinicFolder\n"
        f"held = ClinicFolder.open(Path({str(charged.path)!r})).ledger()\n"
        "print('up', flush=True); time.sleep(30)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        found = list(databases(charged, answers=False))
        told = levels(ledger(charged, KeeperWord()))
        process.kill()
    held = next(f for f in found if "ledger.sqlite" in f.what)
    assert held.level == Level.UNCHECKED
    assert told == {"ledger.chain": Level.UNCHECKED}


def test_a_changed_charge_breaks_the_chain(charged: Site) -> None:
    with closing(sqlite3.connect(charged.state / "ledger.sqlite")) as database:
        database.execute("DROP TRIGGER fixed")
        database.execute("UPDATE chain SET body = replace(body, 'effect', 'fffect')")
        database.commit()
    assert one(ledger(charged, KeeperWord()), "input.ledger-damaged").level == Level.PROBLEM


def test_charges_that_were_cut_off_are_missed(charged: Site) -> None:
    with closing(sqlite3.connect(charged.state / "ledger.sqlite")) as database:
        database.execute("DROP TRIGGER kept")
        database.execute("DELETE FROM chain WHERE number > 4")
        database.commit()
    found = one(ledger(charged, KeeperWord()), "input.ledger-damaged")
    assert "last charges are missing" in found.why


def test_a_ledger_behind_what_others_saw_is_a_problem(charged: Site) -> None:
    with ClinicFolder.open(charged.path).ledger() as kept:
        kept.witness(b"h" * 32, 3)
    assert one(ledger(charged, KeeperWord()), "policy.ledger-behind").level == Level.PROBLEM


def test_a_keeper_that_stands_behind_itself_is_a_problem(charged: Site) -> None:
    word = KeeperWord(pb.StatusReply(clinic="oak", stopped="older than what others have seen"))
    assert one(ledger(charged, word), "policy.set-back").level == Level.PROBLEM


def test_a_cap_that_was_raised_and_one_that_is_nearly_spent(charged: Site) -> None:
    def with_cap(epsilon: float) -> dict[str, Level]:
        config = charged.config.model_copy(update={"cap_epsilon": epsilon})
        return levels(ledger(replace(charged, config=config), KeeperWord()))

    assert with_cap(9.0)["input.cap-raised"] == Level.PROBLEM
    assert with_cap(8.0)["ledger.cap"] == Level.OK
    assert with_cap(1.0)["ledger.cap"] == Level.WARNING
