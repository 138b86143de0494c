"""Rounds in one process, and the plainest exchange that Flower's API can do on the same Grid."""

from __future__ import annotations

import resource
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from flwr.app import Array, ArrayRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp

from benchmarks.outcome import Outcome, Target, median
from benchmarks.rounds_nothing import LENGTH, REGISTERED, study_text, write_clinics
from cairn_app.embedded import FIRST_NODE, EmbeddedGrid
from cairn_app.embedded_study import EmbeddedStudy
from cairn_client.clinic_folder import clinic_folders
from cairn_models.questions import KINDS
from cairn_protocol.study import Study
from cairn_server.events import Event

CLINICS, ROUNDS = 5, 60


def measure(outcome: Outcome) -> None:
    """Adds rows and targets."""
    with patch.dict(KINDS, REGISTERED):
        cairn, first = _cairn()
        with patch("os.fsync", lambda descriptor: None):
            no_fsync, _ = _cairn(synchronous="OFF")
    for name, seconds in (
        ("cairn, embedded", cairn),
        ("cairn, embedded, without fsync", no_fsync),
        ("a vector out and back on the same Grid", _plain_exchange()),
    ):
        outcome.rows.append(
            {"what": name, "clinics": CLINICS, "length": LENGTH, "median_seconds": median(seconds)}
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    row: dict[str, Any] = {"what": "embedded, start to first round", "seconds": round(first, 6)}
    outcome.rows.append(row | {"peak_mb": round(peak)})
    outcome.targets += [
        Target("embedded overhead a round without fsync, s", median(no_fsync), "<=", 0.020),
        Target("start to first round, embedded, s", round(first, 6), "<=", 5.0),
    ]


def _cairn(*, synchronous: str = "FULL") -> tuple[list[float], float]:
    """Seconds of each round, and from the start of the run to the end of its first round."""
    ticks: list[float] = []

    def watch(event: Event) -> None:
        if event.stage == "round":
            ticks.append(time.perf_counter())

    with tempfile.TemporaryDirectory() as folder:
        write_clinics(Path(folder), CLINICS)
        study = EmbeddedStudy(
            Study.parse(study_text(CLINICS, ROUNDS).encode()),
            clinic_folders(Path(folder)),
            watch=watch,
        )
        study.read()
        for keeper in study.keepers:
            keeper.ledger._database.execute(f"PRAGMA synchronous={synchronous}")
        start = time.perf_counter()
        study.run()
    return list(np.diff(ticks)), ticks[0] - start


def _plain_exchange() -> list[float]:
    """Seconds of each round: a vector out, a vector back, the sum."""
    vector = np.ones(LENGTH, dtype=np.float32)

    def client() -> ClientApp:
        app = ClientApp()

        @app.train()
        def train(message: Message, context: Context) -> Message:
            arrays = message.content.array_records["v"].to_numpy_ndarrays()
            record = ArrayRecord({"v": Array(arrays[0] + vector)})
            return Message(RecordDict({"v": record}), reply_to=message)

        return app

    apps = {FIRST_NODE + i: client() for i in range(CLINICS)}
    seconds = []
    with EmbeddedGrid(apps, workers=2) as grid:
        for _ in range(ROUNDS):
            start = time.perf_counter()
            record = RecordDict({"v": ArrayRecord({"v": Array(vector)})})
            replies = grid.send_and_receive(
                [Message(record, node, "train") for node in apps], timeout=60
            )
            total = sum(
                reply.content.array_records["v"].to_numpy_ndarrays()[0] for reply in replies
            )
            assert total is not None
            seconds.append(time.perf_counter() - start)
    return seconds
