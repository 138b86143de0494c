"""Whole studies between real processes: server, keepers and links on loopback, over TLS."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from cairn_server.home import ServerHome
from cairn_server.store_audits import AuditStore, StoredAudit
from cairn_server.store_received import ReceivedStore
from cairn_server.store_tables import StoredStudy
from system_bench import Federation, cairn, typed, until

HEAD = """
cairn = 1
name = "{name}"
title = "A study between processes"
synthetic = true
[outcome]
instrument = "PHQ-9"
[cohort]
arms = ["waiting", "dmhi_unguided", "dmhi_guided"]
planned_patients = 270
largest_clinic = 120
[policy]
clinics = 3
survivors = 3
threshold = 3
"""
NOISED = (
    HEAD
    + """
[privacy]
retries = 3
[[questions]]
name = "effect"
kind = "effect"
insist = "synthetic patients: only the way is tested"
epsilon = 0.5
[[questions]]
name = "course"
kind = "trajectory"
epsilon = 0.5
rounds = 6
"""
)
AUDITED = (
    HEAD
    + """
[[questions]]
name = "effect"
kind = "effect"
insist = "synthetic patients: only the way is tested"
epsilon = 0.5
"""
)
EXACT = (
    HEAD
    + """
[privacy]
data = "public"
retries = 3
[[questions]]
name = "effect"
kind = "effect"
[[questions]]
name = "course"
kind = "trajectory"
rounds = 4
[[questions]]
name = "mixed"
kind = "mixed_model"
formula = "PHQ-9 ~ time * arm + (1 | patient)"
max_visits = 6
"""
)


def test_the_walk_from_keys_to_report(federation: Federation) -> None:
    """Every command as a process: what it says and how it ends."""
    said = {name: done.words for name, done in federation.steps.items()}
    assert "invite a clinic cairn server enrol NAME" in said["server init"]
    assert "oak is ready in" in said["oak init"]
    assert "good once until" in said["oak enrol"]
    assert "oak has joined." in said["oak join"]
    assert "compare with the research team by telephone" in said["oak join"]

    file = federation.root / "walk.toml"
    file.write_text(NOISED.format(name="walk"))
    home, oak = ("--home", federation.home), federation.clinics["oak"]
    signed = cairn("study", "sign", file, *home)
    assert signed.status == 0
    assert re.match(r"Signed walk [0-9a-f]{12}\nNext", signed.out)
    offered = cairn("study", "offer", "walk", *home)
    assert (offered.status, offered.out.splitlines()[0]) == (0, "Offered walk to 3 clinics")
    study = federation.stored("walk")
    until(lambda: len(federation.standings(study.digest.hex())) == 3, "the offer to arrive")

    offers = oak.cairn("offers")
    assert re.search(r"^[0-9a-f]{12}  walk +offered ", offers.out, re.MULTILINE)
    shown = oak.cairn("show", "walk")
    assert shown.status == 0
    assert "A study between processes (synthetic patients, not real people)" in shown.words
    assert "masked: of 3 clinics the server can read the sum" in shown.words
    assert "How it stands here: offered" in shown.words
    assert "3 verified, 2 needed" in shown.words
    for clinic in federation.clinics.values():
        other = federation.clinics["elm" if clinic.name != "elm" else "oak"]
        verified = clinic.cairn("verify", other.name, other.fingerprint, "--person", "tester")
        assert verified.status == 0, verified.err
        assert f"{other.name} is verified: it takes part under" in verified.words
        decided = clinic.cairn("approve", "walk", "--yes", "--person", "tester")
        assert (decided.status, decided.out) == (0, "walk: approved by tester\n")
    approvals = until(
        lambda: (
            (said := federation.typed("approvals", "walk").words).count("approved") == 3 and said
        ),
        "the approvals to arrive",
    )
    assert "Next begin cairn study start walk" in approvals

    started = cairn("study", "start", "walk", *home)
    assert (started.status, started.out.splitlines()[0]) == (0, "Starting walk")
    watched = cairn("study", "watch", "walk", "--seconds", "120", *home)
    assert watched.status == 0, watched.err
    assert "3 clinics agreed on keys for this run" in watched.words
    assert "course: round 6 of 6" in watched.words
    assert "Finished." in watched.words
    report = cairn("study", "report", "walk", *home)
    assert report.status == 0
    results = results_of(federation, study)
    assert [a["question"] for a in results["answers"]] == ["effect", "course"]
    assert results["stopped"] == ""
    assert {p["clinic"] for p in results["participants"]} == set(federation.members)
    assert "charged" in oak.cairn("status").words
    check_ledgers(federation, study, results)


@pytest.mark.parametrize(
    "name",
    [
        "exact",
        pytest.param("exact-with-kills", marks=pytest.mark.soak),
        pytest.param("exact-with-all-killed", marks=pytest.mark.soak),
    ],
)
def test_the_answers_are_those_of_one_process_to_the_last_bit(
    name: str, federation: Federation, tmp_path: Path
) -> None:
    study = federation.approved(EXACT.format(name=name))
    federation.start(study)
    if name == "exact-with-kills":
        until(lambda: federation.opened(study) >= 2, "two rounds")
        kill(federation, "server")
        federation.clinics["elm"].running.kill_part("keeper")
    if name == "exact-with-all-killed":
        until(lambda: federation.opened(study) >= 2, "two rounds")
        kill_all(federation)
    assert federation.watch(study).status == 0
    for clinic in federation.members:
        source = federation.clinics[clinic].folder
        skip = shutil.ignore_patterns(".cairn", "link", "run")
        shutil.copytree(source, tmp_path / "clinics" / clinic, ignore=skip)
    file = tmp_path / "study.toml"
    file.write_text(EXACT.format(name=name))
    out = tmp_path / "out"
    folders = ("--clinics", tmp_path / "clinics", "--out", out)
    embedded = typed("study", "run", file, "--engine", "embedded", *folders)
    assert embedded.status == 0, embedded.err
    here = json.loads((out / "results.json").read_text())
    there = results_of(federation, study)
    assert [a["question"] for a in there["answers"]] == ["effect", "course", "mixed"]
    assert there["answers"] == here["answers"]
    between = federation.results_folder(study)
    assert (between / "estimates.csv").read_bytes() == (out / "estimates.csv").read_bytes()
    files = sorted(p.name for p in (out / "released").iterdir())
    assert files
    for file_name in files:
        ours, theirs = (load_file(f / "released" / file_name) for f in (out, between))
        assert ours.keys() == theirs.keys()
        for key, array in ours.items():
            np.testing.assert_array_equal(array.view(np.uint8), theirs[key].view(np.uint8))
    check_given_back(federation, study, tmp_path / "public")


def check_given_back(federation: Federation, study: StoredStudy, release: Path) -> None:
    """What is released reaches every clinic, byte for byte, and stands beside its own figures."""
    home = ("--home", federation.home)
    made = typed("study", "release", federation.results_folder(study), "--to", release, *home)
    assert "the clinics that stand by the study get it" in made.words, made.err

    def everybody() -> bool:
        with federation.store as store:
            return set(ReceivedStore(store).of(study.digest)) == set(federation.members)

    until(everybody, "findings to come back")
    assert "oak approved, has the results since" in federation.typed("approvals", study.name).words
    oak, out = federation.clinics["oak"], release.with_name("compared")
    shown = oak.typed("results", study.name, "--out", out)
    assert shown.status == 0, shown.err
    assert "No figure of your own: it trained a model" in shown.words
    assert (out / "results.json").read_bytes() == (release / "results.json").read_bytes()
    assert "no ranking" in (out / "compare.html").read_text()
    assert "with the model that 'course' trained" in oak.typed("results").words
    assert "no patient's expected course" in oak.typed("courses").words


def test_a_study_that_nobody_approved_does_not_run(federation: Federation) -> None:
    study = federation.offer(NOISED.format(name="unapproved"))
    started = federation.typed("start", "unapproved")
    assert started.status == 2
    assert "ash, elm, oak did not approve the study" in started.words
    assert "ash: offered, elm: offered, oak: offered" in started.words
    assert "`cairn clinic approve`, on its own machine" in started.words
    refused_where_forced(federation, study)
    shown = federation.clinics["oak"].typed("show", "unapproved")
    assert "How it stands here: offered" in shown.words
    assert "Decide with cairn clinic approve unapproved" in shown.words


def test_a_study_that_was_altered_after_its_approval_is_another_study(
    federation: Federation,
) -> None:
    approved = federation.approved(NOISED.format(name="altered"))
    altered = federation.offer(NOISED.format(name="altered").replace("rounds = 6", "rounds = 9"))
    assert approved.digest != altered.digest
    assert "did not approve the study" in federation.typed("start", "altered").words
    refused_where_forced(federation, altered)
    lines = federation.clinics["oak"].typed("offers").out.splitlines()
    states = {line.split()[0]: line.split()[2] for line in lines}
    assert states[approved.digest.hex()[:12]] == "approved"
    assert states[altered.digest.hex()[:12]] == "offered"


def test_a_study_that_one_clinic_refuses_does_not_run(federation: Federation) -> None:
    study = federation.offer(NOISED.format(name="refused"))
    federation.decide(study, "approve", "ash", "elm")
    federation.decide(study, "refuse", "oak")
    started = federation.typed("start", "refused")
    assert started.status == 2
    assert "oak did not approve the study why: oak: refused hint" in started.words
    refused_where_forced(federation, study)


def test_a_pause_stops_a_run_before_its_next_round(federation: Federation) -> None:
    study = federation.approved(NOISED.format(name="paused"))
    oak, elm = federation.clinics["oak"], federation.clinics["elm"]
    federation.start(study)
    until(lambda: federation.opened(study) >= 2, "two rounds")
    with elm.frozen():
        paused = oak.typed("pause", "paused", "--yes", "--person", "tester")
        assert (paused.status, paused.out) == (0, "paused: paused by tester\n")
    watched = federation.watch(study)
    assert watched.status == 7
    assert "oak: this clinic has not approved the study" in watched.words
    assert "How it stands here: paused by tester" in oak.typed("show", "paused").words
    results = results_of(federation, study)
    assert [a["question"] for a in results["answers"]] == ["effect"]
    assert "oak" in results["stopped"]


FAST = [
    ("server", "in a round"),
    ("link", "in a round"),
    ("keeper", "in a round"),
]
SOAK = [
    ("server", "before keys"),
    ("server", "between rounds"),
    ("link", "before keys"),
    ("link", "between rounds"),
    ("keeper", "before keys"),
    ("keeper", "between rounds"),
]


@pytest.mark.parametrize(
    ("victim", "stage"), [*FAST, *(pytest.param(*case, marks=pytest.mark.soak) for case in SOAK)]
)
def test_a_killed_process_costs_at_most_a_retry(
    victim: str, stage: str, federation: Federation
) -> None:
    study = federation.approved(NOISED.format(name=f"kill-{victim}-{stage}".replace(" ", "-")))
    bystander = federation.clinics["ash"]
    if stage == "before keys":
        with bystander.frozen():
            federation.start(study)
            until(lambda: federation.run_of(study), "the run")
            time.sleep(0.3)  # its first messages are on their way
            kill(federation, victim)
            assert federation.opened(study) == 0
    else:
        federation.start(study)
        until(lambda: federation.opened(study) >= 2, "two rounds")
        if stage == "in a round":
            with bystander.frozen():
                time.sleep(0.5)  # the others have answered
                kill(federation, victim)
        else:
            kill(federation, victim)
    watched = federation.watch(study)
    assert watched.status == 0, watched.words
    results = results_of(federation, study)
    assert [a["question"] for a in results["answers"]] == ["effect", "course"]
    check_ledgers(federation, study, results)


def test_the_audit_logs_hold_after_all_that(federation: Federation, tmp_path: Path) -> None:
    """Each is countersigned, says what the ledger says, and is checked without keeper or server."""
    team, audits = ServerHome.open(federation.home).team().fingerprint, AuditStore(federation.store)
    study = federation.approved(AUDITED.format(name="audited"))
    federation.start(study)
    assert federation.watch(study).status == 0
    ended = federation.store.runs(study=study.digest)[-1].ended
    for name in federation.members:
        clinic, log, ledger = federation.clinics[name], tmp_path / name, tmp_path / f"{name}.l"
        joined = federation.store.clinic(name)
        assert joined is not None
        newest = until(lambda key=joined.identity: since(audits, key, ended), "a receipt")
        assert clinic.typed("log", "export", log).status == 0
        assert clinic.typed("ledger", "--export", ledger).status == 0
        known = ("--team", team, "--ledger", ledger, "--head", newest.given.head.hex())
        done = typed("clinic", "log", "verify", log, *known)
        assert done.status == 0, done.words
        assert "with a charge of its own" in done.words
        uploads = [e for e in json_entries(log) if e["kind"] == "upload"]
        assert uploads[-1]["study"] == study.digest.hex()
        assert audits.incidents(joined.identity) == []


def since(audits: AuditStore, identity: bytes, ended: datetime | None) -> StoredAudit | None:
    """The newest receipt for a clinic, if it is from after `ended`."""
    last = audits.last(identity)
    return last if last and ended and last.at > ended else None


def json_entries(log: Path) -> list[dict[str, object]]:
    """The entries of an exported audit log."""
    rows = map(json.loads, log.read_text().splitlines())
    return [row["entry"] for row in rows if "entry" in row]


def test_a_revoked_clinic_stops_the_study_at_its_next_round(federation: Federation) -> None:
    (name,) = {p.name for p in (federation.root / "clinics").iterdir() if p.is_dir()} - set(
        federation.members
    )
    fourth = federation.add_clinic(name)
    federation.enter_all([fourth])
    members = ("ash", "elm", name)
    study = federation.approved(NOISED.format(name="revoked"), *members)
    federation.start(study)
    until(lambda: federation.opened(study) >= 2, "two rounds")
    with federation.clinics["ash"].frozen():
        revoked = typed("server", "revoke", name, "--home", federation.home)
        assert revoked.status == 0
        assert f"{name} is revoked" in revoked.words
        opened = federation.opened(study)
    watched = federation.watch(study)
    assert watched.status == 7
    assert f"{name} was revoked and cannot take part" in watched.words
    assert federation.opened(study) <= opened + 1
    results = results_of(federation, study)
    assert [a["question"] for a in results["answers"]] == ["effect"]
    assert f"{name} was revoked" in results["stopped"]
    until(lambda: "[not-enrolled]" in fourth.typed("status").words, "the clinic to be told")


def test_keeper_and_link_end_with_the_process_that_watches_over_them(
    federation: Federation,
) -> None:
    elm = federation.clinics["elm"]
    parts = until(lambda: len(p := elm.running.parts()) == 2 and p, "both parts")
    elm.running.kill()
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in parts.values()), "their end")
    elm.run()
    until(lambda: elm.connected, "elm to connect again")


def kill(federation: Federation, victim: str) -> None:
    """SIGKILL to the server, or to elm's link or keeper; returns when another runs."""
    if victim == "server":
        assert federation.server is not None
        federation.server.kill()
        time.sleep(1.0)
        federation.run_server()
    else:
        federation.clinics["elm"].running.kill_part(victim)


def kill_all(federation: Federation) -> None:
    """SIGKILL to server, keepers, links and what watches over them; returns when all are back."""
    assert federation.server is not None
    daemons = [clinic.running for clinic in federation.clinics.values()]
    parts = [pid for daemon in daemons for pid in daemon.parts().values()]
    for daemon in (federation.server, *daemons):
        daemon.process.kill()
    for pid in parts:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    for daemon in (federation.server, *daemons):
        daemon.process.wait()
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in parts), "their end")
    federation.run_server()
    for clinic in federation.clinics.values():
        clinic.run()
    until(lambda: all(c.connected for c in federation.clinics.values()), "all to connect")


def results_of(federation: Federation, study: StoredStudy) -> dict:  # type: ignore[type-arg]
    """results.json."""
    return json.loads((federation.results_folder(study) / "results.json").read_text())


def refused_where_forced(federation: Federation, study: StoredStudy) -> None:
    """A server that asks although it may not is refused by the keepers, and nothing is charged."""
    federation.store.set_study(study.digest, state="starting")
    watched = federation.watch(study)
    assert watched.status == 7
    assert "this clinic has not approved the study" in watched.words
    for clinic in federation.clinics.values():
        assert clinic.charges(study) == []


def check_ledgers(federation: Federation, study: StoredStudy, results: dict) -> None:  # type: ignore[type-arg]
    """Opened sums ≤ each clinic's ledger ≤ what the results say; no attempt was charged twice."""
    opened = {"effect": 1, "course": 6}
    spends = {q["name"]: q for q in results["spend"]["questions"]}
    for clinic in [federation.clinics[name] for name in federation.members]:
        charges = clinic.charges(study)
        assert len({c.name for c in charges}) == len(charges)
        assert len({c.run for c in charges}) == 1
        for name, sums in opened.items():
            spend, mine = spends[name], [c for c in charges if c.question == name]
            per_round = spend["rho"] / spend["rounds"]
            charged = sum(c.rho for c in mine)
            assert sums * per_round * (1 - 1e-9) <= charged <= spend["rho"] * (1 + 1e-6)
            assert {c.round for c in mine if c.state == "commit"} == set(range(sums))
