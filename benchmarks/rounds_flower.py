"""Rounds of plain Flower: its own server, its own nodes, FedAvg, TLS, and none of our protocol.

`flower-superlink`, one `flower-supernode` a clinic and `flwr run`, with Flower's defaults, on
127.0.0.1; the App is in benchmarks/plain_flower.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.outcome import Outcome, Target, median
from benchmarks.rounds_nothing import LENGTH
from benchmarks.rounds_processes import ROOT, Failed, Processes, free_port

CLINICS: Final = 5
ROUNDS: Final = 4
LIMIT: Final = 150.0  # seconds for all rounds
BIN: Final = Path(sys.executable).parent


def measure(outcome: Outcome, cairn: float) -> None:
    """Adds rows; and how often `cairn`, our seconds a round, goes into Flower's."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environment = {
            "FLWR_HOME": str(folder / "flwr"),
            "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}",
        }
        try:
            with Processes(folder, environment) as processes:
                row = _run(processes, folder)
        except Failed as failed:
            outcome.rows.append({"what": "plain Flower over TLS", "failed": str(failed)})
            return
    outcome.rows.append(row)
    ratio = round(row["median_seconds"] / cairn, 1)
    outcome.targets.append(Target("plain Flower's round over ours", ratio, ">=", 8.0))


def _run(processes: Processes, folder: Path) -> dict[str, Any]:
    pki, marks, port = folder / "pki", folder / "marks", free_port()
    hosts = ("--host", "localhost", "--host", "127.0.0.1")
    processes.call(str(BIN / "cairn"), "server", "init", *hosts, "--home", str(pki))
    authority = str(pki / "ca.pem")
    tls = ("--ssl-certfile", str(pki / "server.pem"), "--ssl-keyfile", str(pki / "server.key"))
    tls += ("--ssl-ca-certfile", authority)
    link = (str(BIN / "flower-superlink"), "--host", "127.0.0.1", "--port", port, *tls)
    processes.start("superlink", *link, "--disable-runtime-dependency-installation")
    processes.until(lambda: "Uvicorn running" in processes.log("superlink"), 40, "the SuperLink")
    to_server = ("--superlink", f"127.0.0.1:{port}", "--root-certificates", authority)
    for number in range(CLINICS):
        here = ("--host", "127.0.0.1", "--port", free_port())
        processes.start(f"node {number}", str(BIN / "flower-supernode"), *to_server, *here, *tls)
    for number in range(CLINICS):
        role = f"node {number}"
        processes.until(lambda role=role: "SuperNode ID" in processes.log(role), 60, role)
    (folder / "flwr").mkdir(exist_ok=True)
    (folder / "flwr" / "config.toml").write_text(
        f'[superlink]\ndefault = "here"\n[superlink.here]\naddress = "127.0.0.1:{port}"\n'
        f'root-certificates = "{authority}"\n'
    )
    settings = f'rounds={ROUNDS} clinics={CLINICS} length={LENGTH} marks="{marks}"'
    start = time.time()
    app = str(ROOT / "benchmarks" / "plain_flower")
    processes.call(str(BIN / "flwr"), "run", app, "here", "--run-config", settings)
    processes.until(lambda: len(_times(marks)) > ROUNDS, LIMIT, "plain Flower's rounds")
    return _row(processes, _times(marks), start)


def _row(processes: Processes, times: list[float], start: float) -> dict[str, Any]:
    begin, end = processes.at(times[1]), processes.at(times[-1])
    peak = processes.at(time.time()).peak
    return {
        "what": "plain Flower over TLS",
        "clinics": CLINICS,
        "length": LENGTH,
        "rounds": ROUNDS,
        "median_seconds": median(list(np.diff(times))),
        "start_to_first_round": round(times[1] - start, 3),
        "loopback_bytes_a_round": round((end.loopback - begin.loopback) / (ROUNDS - 1)),
        "peak_mb_server": round(peak["superlink"]),
        "peak_mb_nodes": [round(mb) for role, mb in peak.items() if role.startswith("node")],
        "load_average": os.getloadavg()[0],
    }


def _times(marks: Path) -> list[float]:
    return [float(line) for line in marks.read_text().split()] if marks.exists() else []
