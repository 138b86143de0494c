"""Findings: made of a release, and carried to clinics until each has them."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from cairn_models.answers import Answer
from cairn_models.export import files
from cairn_models.trajectory import artefact
from cairn_protocol.errors import InputError
from cairn_protocol.findings import RESULTS, Received
from cairn_protocol.identity import Identity, verify
from cairn_protocol.messages import UNSIGNED, Refusal, decode
from cairn_protocol.roster import Roster, SignedRoster
from cairn_protocol.signed_study import SignedStudy
from cairn_protocol.study import Study
from cairn_server.home import Listener, ServerConfig, ServerHome
from cairn_server.release import release
from cairn_server.report import write_results
from cairn_server.results import (
    Participant,
    QuestionSpend,
    RunFacts,
    Spend,
    StudyResults,
    TotalSpend,
)
from cairn_server.returned import FOLDER, give_back, read, ready
from cairn_server.returning import AT_ONCE, FIRST_WAIT, LONGEST_WAIT, STAGE, Returning
from cairn_server.store import Store
from cairn_server.store_received import ReceivedStore
from cairn_server.store_tables import StoredStanding, StoredStudy

NOW = datetime(2026, 1, 2, tzinfo=UTC)
STUDY = Study.parse(b"""
cairn = 1
name = "walk"
title = "A walk"
[outcome]
instrument = "PHQ-9"
[cohort]
planned_patients = 90
largest_clinic = 60
[privacy]
data = "public"
[[questions]]
name = "course"
kind = "trajectory"
""")


def test_a_copy_of_findings_is_none(tmp_path: Path) -> None:
    for name in ("ab" * 32, f"{'ab' * 32} (copy)", "AB" * 32, "ab"):
        (tmp_path / f"{name}.findings").touch()
    assert list(ready(tmp_path)) == [(b"\xab" * 32, tmp_path / f"{'ab' * 32}.findings")]


def results(study: Study = STUDY) -> StudyResults:
    prior = artefact.read().parameters
    arrays = {"parameters": prior, "prior": prior}
    spend = QuestionSpend("course", None, None, None, 20, None, "none")
    return StudyResults(
        study=study,
        answers=(Answer("course", "trajectory", "Course", ("One.",), released=arrays),),
        spend=Spend((spend,), TotalSpend(None, None, None)),
        statement=("Words.",),
        participants=(Participant("ash", "ff"),),
        run=RunFacts("00" * 16, "2026-01-01T00:00:00+00:00", 1.0, 10, 1000, "embedded", "0.1"),
        synthetic=True,
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A server's home, and a release that its team signed."""
    place = tmp_path_factory.mktemp("home")
    fleet, registry = (Listener(listen="127.0.0.1", port=port) for port in (1, 2))
    config = ServerConfig(name="team", hosts=("127.0.0.1",), fleet=fleet, registry=registry)
    home = ServerHome.create(place / "server", config, NOW)
    write_results(results(), place / "draft")
    release(place / "draft", place / "public", tested=None, team=home.team())
    return home.path, place / "public"


@pytest.fixture
def home(made: tuple[Path, Path], tmp_path: Path) -> ServerHome:
    shutil.copytree(made[0], tmp_path / "server")
    return ServerHome.open(tmp_path / "server")


class Clinics:
    """What the clinics of a study say, and who was asked; in place of Flower."""

    def __init__(self, home: ServerHome, store: Store, count: int = 3) -> None:
        self.asked: list[set[str]] = []
        self.said: dict[str, bytes] = {}
        self.seen = dict.fromkeys(range(1, count + 1), datetime.now(UTC))
        self.identities = {f"clinic{i}": Identity.generate() for i in range(1, count + 1)}
        signed = SignedStudy.sign(STUDY, home.team())
        keys = {name: one.public for name, one in self.identities.items()}
        self.roster = SignedRoster.sign(Roster.first(signed, keys), home.team())
        stored = StoredStudy(STUDY.digest, "walk", signed.body, self.roster.body, "finished", NOW)
        store.add_study(stored)
        with store.transaction() as c:
            from cairn_server import store_tables as t

            for node, (name, identity) in enumerate(self.identities.items(), 1):
                row = {"name": name, "identity": identity.public, "node_key": name.encode()}
                row |= {"node": node, "state": "enrolled", "enrolled_at": NOW}
                c.execute(t.clinics.insert().values(**row))
        for name in self.identities:
            self.stand(store, name, "approved")

    def stand(self, store: Store, name: str, state: str) -> None:
        store.put_standing(StoredStanding(STUDY.digest, name, state, b"", NOW))

    def receive(self, name: str, findings: bytes, *, by: Identity | None = None) -> None:
        own = self.identities[name]
        unsigned = Received(STUDY.digest, findings, own.public, UNSIGNED)
        signature = (by or own).sign("received", unsigned.signed)
        self.said[name] = unsigned.with_signature(signature).to_bytes()

    def __call__(self, stage, requests, seconds, until=None):  # type: ignore[no-untyped-def]
        assert stage == STAGE
        names = {f"clinic{node}" for node in requests}
        self.asked.append(names)
        return {int(n[6:]): self.said[n] for n in names if n in self.said}


@pytest.fixture
def going(home: ServerHome, made: tuple[Path, Path]):  # type: ignore[no-untyped-def]
    """(clinics, returning, digest of what is given back, the clock's list, the store)."""
    with home.store() as store:
        clinics = Clinics(home, store)
        findings = give_back(home, store, made[1])
        clock = [0.0]
        returning = Returning(
            store, home.path / FOLDER, lambda: clinics, clinics.seen.get, clock=lambda: clock[0]
        )
        yield clinics, returning, findings.digest, clock, store


def test_findings_are_a_release_with_its_model(home: ServerHome, made) -> None:  # type: ignore[no-untyped-def]
    with home.store() as store:
        Clinics(home, store)
        findings = give_back(home, store, made[1])
    assert verify(home.team().public, "findings", findings.signed, findings.signature)
    found = {file.name: file.data for file in findings.files}
    assert found.pop(RESULTS) == (made[1] / RESULTS).read_bytes()
    assert set(found) == {f"course/{name}" for name in files.NEEDED}
    ((digest, path),) = ready(home.path / FOLDER)
    assert (digest, read(path)) == (STUDY.digest, findings)


def test_only_a_whole_release_of_this_team_and_its_studies_is_given_back(home, made, tmp_path):  # type: ignore[no-untyped-def]
    with home.store() as store:
        with pytest.raises(InputError, match="was not offered"):
            give_back(home, store, made[1])
        Clinics(home, store)
        with pytest.raises(InputError):
            give_back(home, store, made[1].parent / "draft")
        other = tmp_path / "other"
        release(made[1].parent / "draft", other, tested=None, team=Identity.generate())
        with pytest.raises(InputError, match="not a release"):
            give_back(home, store, other)
        assert not list(ready(home.path / FOLDER))


def test_each_clinic_is_asked_until_it_has_them(going) -> None:  # type: ignore[no-untyped-def]
    clinics, returning, digest, clock, store = going
    clinics.receive("clinic1", digest)
    clinics.receive("clinic2", b"x" * 32)
    clinics.said["clinic3"] = Refusal("policy.findings-unwanted", "no").to_bytes()
    returning.carry()
    assert clinics.asked == [{"clinic1", "clinic2", "clinic3"}]
    kept = ReceivedStore(store).of(STUDY.digest)
    assert set(kept) == {"clinic1"}
    assert kept["clinic1"].findings == digest
    assert isinstance(decode(clinics.said["clinic1"]), Received)
    returning.carry()
    assert len(clinics.asked) == 1, "nobody's turn yet"
    clock[0] = FIRST_WAIT
    returning.carry()
    assert clinics.asked[1:] == [{"clinic2", "clinic3"}]


def test_waits_double_up_to_an_hour(going) -> None:  # type: ignore[no-untyped-def]
    clinics, returning, _, clock, _ = going
    times = []
    while len(times) < 14:
        before = len(clinics.asked)
        returning.carry()
        if len(clinics.asked) > before:
            times.append(clock[0])
        clock[0] += max(5.0, clock[0] / 16)
    gaps = [b - a for a, b in pairwise(times)]
    assert gaps[0] == FIRST_WAIT
    assert all(1.4 * a < b < 2.8 * a for a, b in pairwise(gaps[:9]))
    assert LONGEST_WAIT <= gaps[-1] < 1.3 * LONGEST_WAIT


@pytest.mark.parametrize("forged", ["another key", "another study's", "no message", "too long"])
def test_a_reply_that_the_clinic_did_not_sign_counts_for_nothing(going, forged: str) -> None:  # type: ignore[no-untyped-def]
    clinics, returning, digest, _, store = going
    match forged:
        case "another key":
            clinics.receive("clinic1", digest, by=Identity.generate())
        case "another study's":
            clinics.receive("clinic2", digest)
            clinics.said["clinic1"] = clinics.said.pop("clinic2")
        case "no message":
            clinics.said["clinic1"] = b"CAIRN"
        case "too long":
            clinics.said["clinic1"] = bytes(1 << 20)
    returning.carry()
    assert not ReceivedStore(store).of(STUDY.digest)


def test_who_refused_was_revoked_or_is_away_is_not_asked(going) -> None:  # type: ignore[no-untyped-def]
    clinics, returning, _, clock, store = going
    clinics.stand(store, "clinic1", "refused")
    store.revoke("clinic2")
    clinics.seen[3] = datetime.now(UTC) - timedelta(hours=1)
    returning.carry()
    assert clinics.asked == []
    clinics.seen[3] = datetime.now(UTC)
    clinics.stand(store, "clinic1", "paused")
    clock[0] = 1.0
    returning.carry()
    assert clinics.asked == [{"clinic1", "clinic3"}]


def test_a_new_release_goes_to_who_has_the_old_one(going, home, made) -> None:  # type: ignore[no-untyped-def]
    clinics, returning, digest, _, store = going
    for name in clinics.identities:
        clinics.receive(name, digest)
    returning.carry()
    returning.carry()
    assert len(clinics.asked) == 1
    again = made[1].parent / f"again-{home.path.parent.name}"
    changed = results()
    write_results(changed, again / "draft")
    (again / "draft" / RESULTS).write_bytes(
        (again / "draft" / RESULTS).read_bytes().replace(b'"Words."', b'"Other words."')
    )
    release(again / "draft", again / "public", tested=None, team=home.team())
    assert give_back(home, store, again / "public").digest != digest
    returning.carry()
    assert clinics.asked[1] == set(clinics.identities)


def test_a_damaged_file_stops_nobody(going, home) -> None:  # type: ignore[no-untyped-def]
    clinics, returning, _, _, _ = going
    path = home.path / FOLDER / f"{STUDY.digest.hex()}.findings"
    path.write_bytes(path.read_bytes()[:-1])
    returning.carry()
    assert clinics.asked == []


def test_so_many_are_asked_at_once(home: ServerHome, made) -> None:  # type: ignore[no-untyped-def]
    with home.store() as store:
        clinics = Clinics(home, store, count=AT_ONCE + 2)
        give_back(home, store, made[1])
        returning = Returning(store, home.path / FOLDER, lambda: clinics, clinics.seen.get)
        returning.carry()
        returning.carry()
    assert [len(names) for names in clinics.asked] == [AT_ONCE, 2]
