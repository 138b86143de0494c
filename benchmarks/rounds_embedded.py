"""Rounds in one process, and the plainest exchange that Flower's API can do on the same Grid."""

from __future__ import annotations

import resource
import tempfile
import time
from collections import Counter
from collections.abc import Callable
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
from cairn_client.keeper import Keeper
from cairn_models.questions import KINDS
from cairn_protocol.messages import RoundRequest, decode
from cairn_protocol.study import Study
from cairn_server.events import Event

CLINICS, ROUNDS = 5, 60
SYNCHRONOUS = "cairn_privacy.ledger_file.SYNCHRONOUS"


def measure(outcome: Outcome) -> None:
    """Adds rows and targets."""
    with patch.dict(KINDS, REGISTERED):
        cairn, first = _cairn()
        with patch("os.fsync", lambda descriptor: None), patch(SYNCHRONOUS, "OFF"):
            no_fsync, _ = _cairn()
        recovered, _ = _cairn(recovers=True)
        with patch.object(Keeper, "forward", _losing(Keeper.forward)):
            lossy, _ = _cairn(recovers=True)
    for name, seconds in (
        ("cairn, embedded", cairn),
        ("cairn, embedded, without fsync", no_fsync),
        ("cairn, embedded, recovers from dropout", recovered),
        ("cairn, embedded, recovers, another clinic lost in each round", lossy),
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


Forward = Callable[[Keeper, bytes], bytes]


def _losing(forward: Forward) -> Forward:
    """Each round another clinic fails, so the loss of one is made good in every round."""
    order: list[Keeper] = []
    asked: Counter[int] = Counter()

    def lossy(keeper: Keeper, request: bytes) -> bytes:
        if isinstance(decode(request), RoundRequest):
            if keeper not in order:
                order.append(keeper)
            place = order.index(keeper)
            asked[place] += 1
            if asked[place] % CLINICS == place:
                raise RuntimeError
        return forward(keeper, request)

    return lossy


def _cairn(*, recovers: bool = False) -> tuple[list[float], float]:
    """Seconds of each round, and from the start of the run to the end of its first round."""
    ticks: list[float] = []

    def watch(event: Event) -> None:
        if event.stage == "round":
            ticks.append(time.perf_counter())

    with tempfile.TemporaryDirectory() as folder:
        write_clinics(Path(folder), CLINICS)
        study = EmbeddedStudy(
            Study.parse(study_text(CLINICS, ROUNDS, recovers=recovers).encode()),
            clinic_folders(Path(folder)),
            watch=watch,
        )
        study.read()
        start = time.perf_counter()
        results = study.run()
    assert len(ticks) == ROUNDS, results.stopped
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
