"""Rounds between processes over TLS: server, and keeper and link of each clinic, on 127.0.0.1.

All go through the commands that people type. A study asks thirty rounds of nothing, which is the
overhead, and then some rounds of a trajectory over ten patients a clinic, whose memory and time
hold the computation too.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.outcome import Outcome, Target, median
from benchmarks.rounds_nothing import LENGTH, study_text, write_clinics
from benchmarks.rounds_processes import Processes, free_port
from cairn_server import team_studies
from cairn_server.home import ServerHome
from cairn_server.report import load_results
from cairn_server.running import results_folder
from cairn_server.store import Store
from cairn_server.store_tables import StoredRun

CASES: Final = ((3, False), (5, True), (5, False))  # clinics; whether one may be lost
ROUNDS: Final = 30
TRAINED: Final = 5
TRAJECTORY: Final = f"""
[[questions]]
name = "course"
kind = "trajectory"
epsilon = 2.0
rounds = {TRAINED}
insist = "what a round costs is measured"
"""
CAIRN: Final = (sys.executable, "-m", "benchmarks.rounds_nothing")
RUN_SECONDS: Final = 180.0


@dataclass(frozen=True)
class Ticks:
    """Unix times: of the command `study start`, of its end, of the keys' agreement, and of the
    end of each round by question."""

    start: float
    started: float
    agreed: float
    rounds: dict[str, list[float]]


def measure(outcome: Outcome) -> float:
    """Adds rows and targets; the median seconds of a round with the most clinics."""
    overhead = first = 0.0
    for clinics, recovers in CASES:
        with tempfile.TemporaryDirectory() as folder, Processes(Path(folder)) as processes:
            rows = _one(processes, Path(folder), clinics, recovers)
        outcome.rows += rows
        overhead, first = rows[0]["median_seconds"], rows[0]["start_to_first_round"]
    outcome.targets += [
        Target(f"coordinator, {CASES[-1][0]} clinics, a round, s", overhead, "<=", 1.0),
        Target("start to first round, coordinator, s", first, "<=", 5.0),
    ]
    return float(overhead)


def _one(processes: Processes, folder: Path, clinics: int, recovers: bool) -> list[dict[str, Any]]:
    homes = _federation(processes, folder, clinics)
    server = folder / "server"
    study = folder / "study.toml"
    study.write_text(study_text(clinics, ROUNDS, TRAJECTORY, recovers=recovers))
    at_home = ("overhead", "--home", str(server))
    processes.call(*CAIRN, "study", "sign", str(study), "--home", str(server))
    processes.call(*CAIRN, "study", "offer", *at_home)
    _verify(processes, homes)
    for home in homes:
        approve = (*CAIRN, "clinic", "approve", "overhead", "--folder", str(home))
        processes.until(
            lambda approve=approve: processes.call(
                *approve, "--yes", "--person", "benchmark", fails=True
            ),
            60,
            "an offer",
        )
    opened = ServerHome.open(server)
    with opened.store() as store:
        stored = team_studies.find(store, "overhead")
        processes.until(
            lambda: all(s == "approved" for _, s in team_studies.approvals(store, stored)),
            60,
            "approvals",
        )
        start = time.time()
        processes.call(*CAIRN, "study", "start", *at_home)
        started = time.time()
        processes.until(
            lambda: any(run.state != "running" for run in store.runs(study=stored.digest)),
            RUN_SECONDS,
            "the study's end",
        )
        (run,) = store.runs(study=stored.digest)
        assert run.state == "finished", run.reason
        ticks = _ticks(store, run, start, started)
        moved = load_results(results_folder(server / "results", stored)).run.bytes_moved
    rows = _rows(processes, clinics, ticks, moved)
    return [row | {"recovers": recovers} for row in rows]


def _verify(processes: Processes, homes: Sequence[Path]) -> None:
    """Every clinic's people verify those of the others."""
    marks = {}
    for home in homes:
        told = processes.call(*CAIRN, "clinic", "status", "--folder", str(home), "--json")
        marks[home.name] = json.loads(told)["fingerprint"]
    for home in homes:
        for name, mark in marks.items():
            verify = (*CAIRN, "clinic", "verify", name, mark, "--person", "benchmark")
            if name != home.name:
                processes.until(
                    lambda verify=verify, home=home: processes.call(
                        *verify, "--folder", str(home), fails=True
                    ),
                    60,
                    "an offer to verify",
                )


def _federation(processes: Processes, folder: Path, clinics: int) -> list[Path]:
    """A server and its clinics, running; the clinics' folders."""
    server = str(folder / "server")
    listen = ("--host", "localhost", "--host", "127.0.0.1", "--listen", "127.0.0.1")
    ports = ("--fleet-port", free_port(), "--registry-port", free_port())
    processes.call(*CAIRN, "server", "init", *listen, *ports, "--home", server)
    processes.start("server", *CAIRN, "server", "run", "--home", server)
    processes.until(lambda: "clinics join" in processes.log("server"), 30, "the server")
    homes = write_clinics(folder / "clinics", clinics)
    for home in homes:
        here = ("--folder", str(home))
        processes.call(*CAIRN, "clinic", "init", str(home), "--data", "synthetic")
        made = processes.call(*CAIRN, "server", "enrol", home.name, "--home", server, "--json")
        processes.call(*CAIRN, "clinic", "join", json.loads(made)["token"], *here)
        for part in ("keeper", "link"):
            processes.start(f"{part} {home.name}", *CAIRN, "clinic", "run", part, *here)
    return homes


def _ticks(store: Store, run: StoredRun, start: float, started: float) -> Ticks:
    rounds: dict[str, list[float]] = {}
    agreed = 0.0
    for event in store.events(run.run):
        said = json.loads(event.json)
        if said["stage"] == "round":
            rounds.setdefault(said["question"], []).append(event.at.timestamp())
        elif said["stage"] == "set-up":
            agreed = agreed or event.at.timestamp()
    return Ticks(start, started, agreed, rounds)


def _rows(processes: Processes, clinics: int, ticks: Ticks, moved: int) -> list[dict[str, Any]]:
    nothing, course = ticks.rounds["nothing"], ticks.rounds["course"]
    begin, end = processes.at(nothing[0]), processes.at(nothing[-1])
    done = (nothing[-1] - nothing[0]) / (end.at - begin.at) * (len(nothing) - 1)  # about
    seconds = np.diff(nothing)
    cpu = {role: (end.cpu[role] - begin.cpu[role]) / done for role in end.cpu}
    last = processes.at(time.time())
    return [
        {
            "what": "cairn, coordinator over TLS",
            "clinics": clinics,
            "length": LENGTH,
            "rounds": len(nothing),
            "median_seconds": median(list(seconds)),
            "slowest_seconds": round(float(seconds.max()), 3),
            "start_to_first_round": round(nothing[0] - ticks.start, 3),
            "start_command": round(ticks.started - ticks.start, 3),
            "start_to_keys_agreed": round(ticks.agreed - ticks.start, 3),
            "protocol_bytes_a_round": moved // (len(nothing) + len(course)),
            "loopback_bytes_a_round": round((end.loopback - begin.loopback) / done),
            "load_average": os.getloadavg()[0],
        },
        {
            "what": "cpu seconds a round",
            "clinics": clinics,
            "server": round(cpu["server"], 3),
            "keepers": _each(cpu, "keeper", 3),
            "links": _each(cpu, "link", 3),
        },
        {"what": "peak MB, network loaded", "clinics": clinics} | _memory(end.peak),
        {"what": "peak MB, network trained", "clinics": clinics} | _memory(last.peak),
        {
            "what": "a trajectory's round, computation included",
            "clinics": clinics,
            "median_seconds": median(list(np.diff(course))),
        },
    ]


def _memory(peak: Any) -> dict[str, Any]:
    return {
        "server": round(peak["server"]),
        "keepers": _each(peak, "keeper", 0),
        "links": _each(peak, "link", 0),
    }


def _each(values: Any, part: str, digits: int) -> Sequence[float]:
    return [round(v, digits or None) for role, v in values.items() if role.startswith(part)]
