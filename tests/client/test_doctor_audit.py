"""The doctor on the audit log: whole, changed, and long without a receipt."""

from __future__ import annotations

import sqlite3
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cairn_client.audit_log.kinds import event
from cairn_client.audit_log.log import AuditLog
from cairn_client.clinic_folder import ClinicFolder
from cairn_client.doctor import audit as module
from cairn_client.doctor.audit import LONG, audit
from cairn_client.doctor.daemons import KeeperWord
from cairn_client.doctor.finding import Level
from cairn_client.doctor.site import Site
from cairn_server.pki import Authority
from doctor_bench import joined, levels, one
from keeper_bench import write_clinic


@pytest.fixture
def oak(tmp_path: Path) -> Site:
    """A clinic that joined, with a log of three entries."""
    team = Authority.create("a test's team", datetime.now(UTC))
    site = joined(write_clinic(tmp_path / "oak", "oak"), team, fleet=1, registry=1)
    with AuditLog.of(ClinicFolder.open(site.path)) as log:
        log.append(event("signed-in", person="Ada"))
        log.append(event("signed-in", person="Ada"))
    return site


def test_a_whole_log_is_whole_and_nothing_beside_it_changes(oak: Site) -> None:
    before = {f: f.read_bytes() for f in oak.state.iterdir() if f.is_file()}
    assert levels(audit(oak, KeeperWord())) == dict.fromkeys(
        ("audit.chain", "audit.receipt"), Level.OK
    )
    assert "3 entries" in one(audit(oak, KeeperWord()), "audit.chain").what
    assert before == {f: f.read_bytes() for f in oak.state.iterdir() if f.is_file()}


def test_a_log_that_nobody_countersigns_is_a_warning(
    oak: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = time.time() + LONG + 86400
    monkeypatch.setattr(module.time, "time", lambda: later)
    found = one(audit(oak, KeeperWord()), "audit.receipt")
    assert (found.level, "for 4 days" in found.what) == (Level.WARNING, True)


def test_a_changed_log_is_a_problem(oak: Site) -> None:
    database = sqlite3.connect(oak.state / "audit.sqlite")
    database.execute("DROP TRIGGER fixed")
    database.execute("UPDATE chain SET body = replace(body, 'Ada', 'Eve') WHERE number = 2")
    database.commit()
    database.close()
    found = one(audit(oak, KeeperWord()), "input.audit-log-damaged")
    assert found.level == Level.PROBLEM
    assert "entry 2" in found.why


def test_no_log_yet_is_no_fault(oak: Site) -> None:
    (oak.state / "audit.sqlite").unlink()
    assert levels(audit(oak, KeeperWord())) == {"audit.chain": Level.UNCHECKED}
