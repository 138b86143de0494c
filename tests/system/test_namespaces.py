"""A study between four hosts: delay, loss, a cable pulled in the middle, and what each can reach.

Server and clinics are network namespaces with addresses of their own: 80 ms round trip, one frame
in a hundred lost each way (`bad_network`).
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import port_probe
from bad_network import DELAY, BadNetwork
from cairn_server.fleet_gate import ENDPOINTS
from cairn_server.store_tables import StoredStudy
from system_bench import PATIENCE, Clinic, Federation, synthetic_clinics, until

pytestmark = pytest.mark.netns

FLEET, REGISTRY = 8443, 8444
ROUNDS = 6
PARTITION = 5.0  # seconds
STUDY = """
cairn = 1
name = "far"
title = "A study between hosts"
synthetic = true
[outcome]
instrument = "PHQ-9"
[cohort]
arms = ["waiting", "dmhi_unguided", "dmhi_guided"]
planned_patients = 270
largest_clinic = 120
[privacy]
retries = 3
[policy]
clinics = 3
survivors = 3
threshold = 3
[[questions]]
name = "effect"
kind = "effect"
insist = "synthetic patients: only the way is tested"
epsilon = 1.0
[[questions]]
name = "course"
kind = "trajectory"
epsilon = 2.0
rounds = {rounds}
"""


@contextmanager
def far_apart(root: Path) -> Iterator[tuple[BadNetwork, Federation]]:
    """A running server and three connected clinics, each on a host of its own."""
    names = synthetic_clinics(root, (60, 90, 120), data="synthetic")
    with BadNetwork("server", *names) as network:
        server = network.address("server")
        federation = Federation(root, server, server, network.inside("server"))
        for name in names:
            federation.add_clinic(name, network.inside(name))
        try:
            federation.init(FLEET, REGISTRY)
            federation.run_server()
            federation.enter_all()
            yield network, federation
        finally:
            federation.stop()


def listening(host: tuple[str, ...]) -> set[int]:
    """TCP ports on which something listens there, at any address."""
    command = [*host, "ss", "--listening", "--tcp", "--numeric", "--no-header"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return {int(line.split()[3].rpartition(":")[2]) for line in said.splitlines()}


@contextmanager
def probing(network: BadNetwork, clinic: Clinic) -> Iterator[subprocess.Popen[str]]:
    """`port_probe` on a clinic's host."""
    authority = clinic.folder / "link" / "ca.pem"
    to = (network.address("server"), str(FLEET), str(REGISTRY), str(authority))
    command = [*network.inside(clinic.name), sys.executable, port_probe.__file__, *to]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as probe:
        try:
            yield probe
        finally:
            probe.kill()


def check_reach(found: dict[str, Any]) -> None:
    """A clinic reaches fleet and registry, and nothing of Flower's but a link's endpoints."""
    assert (found["open"], found["silent"]) == ([FLEET, REGISTRY], [])
    assert found["seconds"] > 2 * DELAY
    paths = found["paths"]
    assert len(paths) > 60
    assert {path.split("/")[2] for path in paths} == {"control", "runtime", "fleet"}
    assert {path: status for path, status in paths.items() if status != 404} == dict.fromkeys(
        ENDPOINTS, 401
    )
    assert set(found["calls"].values()) == {"UNIMPLEMENTED"}


def check_finished(federation: Federation, study: StoredStudy, rounds: int) -> None:
    """The study ends with both answers; each clinic charged each sum, no attempt twice, no less."""
    watched = federation.watch(study)
    assert watched.status == 0, watched.words
    results = json.loads((federation.results_folder(study) / "results.json").read_text())
    assert [answer["question"] for answer in results["answers"]] == ["effect", "course"]
    assert results["stopped"] == ""
    assert federation.opened(study) == 1 + rounds
    opened = {("effect", 0)} | {("course", number) for number in range(rounds)}
    for clinic in federation.clinics.values():
        charges = clinic.charges(study)
        assert {(c.question, c.round) for c in charges if c.state == "commit"} == opened
        assert len({charge.name for charge in charges}) == len(charges)
        spent = sum(charge.rho for charge in charges)
        assert spent >= results["spend"]["total"]["rho"] * (1 - 1e-12)


def test_a_study_between_hosts_survives_a_partition(tmp_path: Path, record_property: Any) -> None:
    with far_apart(tmp_path) as (network, federation):
        record_property("carrier", network.carrier)
        assert listening(network.inside("server")) == {FLEET, REGISTRY}
        with probing(network, federation.clinics["ash"]) as probe:
            study = federation.approved(STUDY.format(rounds=ROUNDS))
            federation.start(study)
            until(lambda: federation.opened(study) >= 2, "some rounds")

            network.cut("oak")
            before = federation.opened(study)
            time.sleep(PARTITION)
            during = federation.opened(study)
            network.mend("oak")
            assert during <= before + 1, "only what had arrived can have been opened"
            assert during < 1 + ROUNDS

            check_finished(federation, study, ROUNDS)
            check_reach(json.loads(probe.communicate(timeout=2 * PATIENCE)[0]))
        for clinic in federation.clinics.values():
            assert listening(clinic.prefix) == set(), "a clinic connects outwards only"


@pytest.mark.soak
def test_a_study_between_hosts_survives_a_line_that_comes_and_goes(tmp_path: Path) -> None:
    rounds, chance = 16, random.Random(5)
    with far_apart(tmp_path) as (network, federation):
        study = federation.approved(STUDY.format(rounds=rounds))
        federation.start(study)
        end = time.monotonic() + 150
        while federation.opened(study) <= rounds and time.monotonic() < end:
            host = chance.choice(network.hosts)
            network.cut(host)
            time.sleep(chance.uniform(0.3, 6))
            network.mend(host)
            time.sleep(chance.uniform(0.5, 3))
        check_finished(federation, study, rounds)
