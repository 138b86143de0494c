"""Five clinics between real processes, four of which must answer: killed, silent, back later."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cairn_server.store_tables import StoredStudy
from system_bench import Federation, synthetic_clinics, typed, until

HEAD = """
cairn = 1
name = "{name}"
title = "A study that goes on without a clinic"
synthetic = true
[outcome]
instrument = "PHQ-9"
[cohort]
arms = ["waiting", "dmhi_unguided", "dmhi_guided"]
planned_patients = 100
largest_clinic = 40
[policy]
clinics = 5
survivors = 4
threshold = 4
colluding = 1
dropout = "recovered"
"""
NOISED = (
    HEAD
    + """
[privacy]
retries = 2
[[questions]]
name = "effect"
kind = "effect"
epsilon = 0.5
insist = "a test of what happens between processes"
[[questions]]
name = "course"
kind = "trajectory"
epsilon = 0.5
insist = "a test of what happens between processes"
rounds = 8
"""
)
EXACT = (
    HEAD
    + """
[privacy]
data = "public"
[[questions]]
name = "effect"
kind = "effect"
[[questions]]
name = "mixed"
kind = "mixed_model"
formula = "PHQ-9 ~ time * arm + (1 | patient)"
max_visits = 6
"""
)
GRACE = 8.0  # seconds


@pytest.fixture(scope="module")
def five(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    """A server that waits little, and five running clinics."""
    root = Path(tmp_path_factory.mktemp("five"))
    names = synthetic_clinics(root, (20, 20, 20, 20, 20), data="public")
    made = Federation(root, members=tuple(names))
    for name in names:
        made.add_clinic(name)
    try:
        made.init()
        file = made.home / "server.toml"
        text = file.read_text()
        file.write_text(
            text[: text.index("[waiting]")]
            + f"[waiting]\nto_begin = 120\nfor_all = 5\nanswer = 60\ngrace = {GRACE}\n"
        )
        made.run_server()
        made.enter_all()
        yield made
    finally:
        made.stop()


def keeper_of(federation: Federation, name: str) -> int:
    """The process id of a clinic's keeper."""
    return int(until(lambda: federation.clinics[name].running.parts().get("keeper"), "a keeper"))


@contextmanager
def standing_still(federation: Federation, name: str) -> Iterator[None]:
    """While the block runs a clinic's keeper answers nothing; at its end it is killed."""
    os.kill(keeper_of(federation, name), signal.SIGSTOP)
    try:
        yield
    finally:
        federation.clinics[name].running.kill_part("keeper")


def results_of(federation: Federation, study: StoredStudy) -> dict:  # type: ignore[type-arg]
    """results.json."""
    return json.loads((federation.results_folder(study) / "results.json").read_text())


def missing(results: dict) -> dict[str, dict[str, list[int]]]:  # type: ignore[type-arg]
    """By question: clinics that are not in all of its sums, with the rounds."""
    return {s["name"]: {a["clinic"]: a["rounds"] for a in s["absent"]} for s in results["sums"]}


def check_ledgers(federation: Federation, study: StoredStudy, results: dict) -> None:  # type: ignore[type-arg]
    """Each clinic's ledger holds a charge for every sum that it is in, and no attempt twice."""
    absent = missing(results)
    for name in federation.members:
        charges = federation.clinics[name].charges(study)
        assert len({c.name for c in charges}) == len(charges)
        for sums in results["sums"]:
            rounds = set(range(sums["rounds"]))
            rounds -= {n - 1 for n in absent[sums["name"]].get(name, [])}
            assert rounds <= {c.round for c in charges if c.question == sums["name"]}


def begun(federation: Federation, name: str, text: str = NOISED) -> StoredStudy:
    """A study that has opened two sums."""
    study = federation.approved(text.format(name=name))
    federation.start(study)
    until(lambda: federation.opened(study) >= 2, "two rounds")
    return study


def test_a_keeper_killed_before_its_upload_is_left_out_and_taken_back(five: Federation) -> None:
    study = begun(five, "at-upload")
    with standing_still(five, "elm"):
        until(lambda: "without elm" in str(five.events(study)), "a round without elm")
        oak = keeper_of(five, "oak")
        os.kill(oak, signal.SIGSTOP)  # no round ends until elm's next keeper is there
    os.kill(oak, signal.SIGCONT)
    watched = five.watch(study)
    assert watched.status == 0, watched.words
    results = results_of(five, study)
    absent = missing(results)["course"]
    assert set(absent) == {"elm"}
    assert 8 not in absent["elm"], "back before the end"
    assert "without elm: 4 of 5 clinics are in the sum" in watched.words
    assert "elm is in the sum again from round" in watched.words
    page = (five.results_folder(study) / "report.html").read_text()
    assert "Over 4 to 5 of 5 clinics. Missing: elm (round" in page
    assert [q["rounds"] for q in results["spend"]["questions"]] == [1, 8], "nothing asked twice"
    check_ledgers(five, study, results)


def test_a_keeper_killed_after_its_upload_is_in_the_sum_and_taken_back(five: Federation) -> None:
    oak, elm = five.clinics["oak"], five.clinics["elm"]
    study = begun(five, "at-survivors")
    with oak.frozen():
        until_uploaded(five, study)
        os.kill(keeper_of(five, "elm"), signal.SIGKILL)
    watched = five.watch(study)
    assert watched.status == 0, watched.words
    until(lambda: elm.connected, "elm to be back")
    results = results_of(five, study)
    assert 8 not in missing(results)["course"].get("elm", []), "back before the end"
    check_ledgers(five, study, results)


@pytest.mark.soak
def test_a_keeper_killed_while_a_loss_is_made_good_costs_an_attempt(five: Federation) -> None:
    study = begun(five, "at-certify")
    with five.clinics["oak"].frozen():
        before = until_uploaded(five, study)
        os.kill(keeper_of(five, "elm"), signal.SIGKILL)
        until(lambda: five.opened(study) > before, "a round without oak", 4 * GRACE + 60)
    watched = five.watch(study)
    assert watched.status == 0, watched.words
    results = results_of(five, study)
    (_, course) = results["spend"]["questions"]
    assert course["rounds"] == 9, "one attempt was void"
    assert "elm lost the keys of this round; asking again" in watched.words
    check_ledgers(five, study, results)


def until_uploaded(federation: Federation, study: StoredStudy) -> int:
    """Returns when elm has answered the round that is under way; sums opened until then."""
    opened = federation.opened(study)
    elm = federation.clinics["elm"]
    until(
        lambda: len([c for c in elm.charges(study) if c.state == "commit"]) > opened,
        "elm's upload",
    )
    return opened


@pytest.mark.soak
def test_a_link_killed_in_a_round_costs_nothing(five: Federation) -> None:
    study = begun(five, "link")
    with five.clinics["oak"].frozen():
        five.clinics["elm"].running.kill_part("link")
    watched = five.watch(study)
    assert watched.status == 0, watched.words
    results = results_of(five, study)
    assert "elm" not in missing(results)["course"]
    check_ledgers(five, study, results)


def test_a_killed_server_carries_on_a_run_that_has_lost_a_clinic(five: Federation) -> None:
    study = begun(five, "server-killed")
    with five.clinics["elm"].frozen():
        before = five.opened(study)
        until(lambda: five.opened(study) >= before + 2, "a round without elm")
        assert five.server is not None
        five.server.kill()
        five.run_server()
        until(lambda: five.opened(study) >= before + 3, "a round after the server's restart")
    watched = five.watch(study)
    assert watched.status == 0, watched.words
    results = results_of(five, study)
    assert set(missing(results)["course"]) == {"elm"}
    assert "without elm: 4 of 5 clinics are in the sum" in watched.words
    check_ledgers(five, study, results)


def test_a_pause_leaves_the_others_to_go_on(five: Federation) -> None:
    study = begun(five, "paused")
    with five.clinics["ash"].frozen():
        paused = five.clinics["oak"].typed("pause", "paused", "--yes", "--person", "tester")
        assert paused.status == 0
    watched = five.watch(study)
    assert watched.status == 0, watched.words
    results = results_of(five, study)
    assert [i["clinic"] for i in results["incidents"]] == ["oak"]
    assert "oak left the run: this clinic has not approved the study" in watched.words
    assert (
        "oak</strong> left the study before its end"
        in (five.results_folder(study) / "report.html").read_text()
    )
    check_ledgers(five, study, results)


@pytest.mark.soak
def test_answers_without_a_clinic_are_those_of_one_process_to_the_last_bit(
    five: Federation, tmp_path: Path
) -> None:
    study = five.approved(EXACT.format(name="exact-four"))
    with five.clinics["elm"].frozen():
        five.start(study)
        watched = five.watch(study)
    assert watched.status == 0, watched.words
    there = results_of(five, study)
    assert missing(there) == {"effect": {"elm": [1]}, "mixed": {"elm": [1]}}
    for name in set(five.members) - {"elm"}:
        skip = shutil.ignore_patterns(".cairn", "link", "run")
        shutil.copytree(five.clinics[name].folder, tmp_path / "clinics" / name, ignore=skip)
    file, out = tmp_path / "study.toml", tmp_path / "out"
    four = EXACT.format(name="exact-four").replace("clinics = 5", "clinics = 4")
    file.write_text(four.replace('dropout = "recovered"', 'dropout = "forbidden"'))
    folders = ("--clinics", tmp_path / "clinics", "--out", out)
    embedded = typed("study", "run", file, "--engine", "embedded", *folders)
    assert embedded.status == 0, embedded.err
    here = json.loads((out / "results.json").read_text())
    assert there["answers"] == here["answers"]
