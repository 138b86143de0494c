"""Overhead of a round beyond computation, on the embedded engine: `make bench NAME=rounds`.

Five clinics answer a question whose computation is nothing: a constant vector as long as the
trajectory model. What is left is ours: Flower's Grid, protocol, masks, noise, ledger. Times are
the median of many rounds in one process. fsync is counted apart, by the same run on a ledger that
does not wait for the disk. Beside it, in the same run, stands the plainest thing that Flower's API
can do on the same Grid: send the vector, get a vector, add them up.
"""

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar
from unittest.mock import patch

import numpy as np
from flwr.app import Array, ArrayRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp

from benchmarks.outcome import Outcome, Target, median
from cairn_app.embedded import FIRST_NODE, EmbeddedGrid
from cairn_app.embedded_study import EmbeddedStudy
from cairn_client.clinic_folder import clinic_folders
from cairn_client.readers import Import
from cairn_models.answers import Answer
from cairn_models.questions import KINDS
from cairn_models.questions.base import Public, Question, Settings, Shape, SumNoise, Vector
from cairn_models.records import Records
from cairn_models.synthetic import World, clinic_name, generate, write_clinic_csv
from cairn_protocol.study import Study
from cairn_server.events import Event

CLINICS, LENGTH, ROUNDS = 5, 5_700, 60

STUDY = f"""
cairn = 1
name = "overhead"
title = "What a round costs"
synthetic = true
[outcome]
instrument = "PHQ-9"
[cohort]
planned_patients = 50
largest_clinic = 20
[policy]
clinics = {CLINICS}
survivors = {CLINICS}
threshold = {CLINICS}
[[questions]]
name = "nothing"
kind = "nothing"
epsilon = 1
"""


class Nothing(Question[None]):
    """A question without computation: one row of zeros a clinic, a round's state of `LENGTH`."""

    kind: ClassVar[str] = "nothing"
    category = "train"
    settings_model: ClassVar[type[Settings]] = Settings

    @property
    def shape(self) -> Shape:
        return Shape(LENGTH, 1.0, ROUNDS, 32)

    def start(self, released: Any) -> Public:
        return np.zeros(LENGTH, dtype=np.float32)

    def prepare(self, records: Records) -> None:
        return None

    def contributions(self, prepared: None, public: Public) -> Iterator[Vector]:
        yield np.zeros((1, LENGTH))

    def estimate(self, public: Public, total: Vector, noise: SumNoise) -> Answer:
        return Answer(self.name, self.kind, "Nothing", ())


def main() -> Outcome:
    """Measure, and say which targets are met."""
    outcome = Outcome("rounds")
    with patch.dict(KINDS, {"nothing": "benchmarks.bench_rounds:Nothing"}):
        cairn, first = _cairn()
        with patch("os.fsync", lambda descriptor: None):
            no_fsync, _ = _cairn(synchronous="OFF")
    plain = _plain_flower()
    for name, seconds in (
        ("cairn, embedded", cairn),
        ("cairn, embedded, without fsync", no_fsync),
        ("plain Flower on the same Grid", plain),
    ):
        outcome.rows.append(
            {"what": name, "clinics": CLINICS, "length": LENGTH, "median_seconds": median(seconds)}
        )
    outcome.rows.append({"what": "start to first round", "seconds": round(first, 6)})
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    outcome.rows.append({"what": "peak memory, MB", "value": round(peak)})
    outcome.targets.append(
        Target("embedded overhead a round without fsync, s", median(no_fsync), "<=", 0.020)
    )
    outcome.targets.append(Target("start to first round, embedded, s", round(first, 6), "<=", 5.0))
    return outcome


def _cairn(*, synchronous: str = "FULL") -> tuple[list[float], float]:
    """Seconds of each round, and from the start of the run to the end of its first round."""
    ticks: list[float] = []

    def watch(event: Event) -> None:
        if event.stage == "round":
            ticks.append(time.perf_counter())

    with tempfile.TemporaryDirectory() as folder:
        sizes = [10] * CLINICS
        for number, records in enumerate(generate(World(), sizes, seed=1)):
            clinic = Path(folder) / clinic_name(number)
            write_clinic_csv(records, clinic, name=clinic.name)
            (clinic / "clinic.toml").write_text(f'name = "{clinic.name}"\ndata = "synthetic"\n')
        study = EmbeddedStudy(
            Study.parse(STUDY.encode()), clinic_folders(Path(folder)), watch=watch
        )
        imports: dict[str, Import] = study.read()
        assert len(imports) == CLINICS
        for keeper in study.keepers:
            keeper.ledger._database.execute(f"PRAGMA synchronous={synchronous}")
        start = time.perf_counter()
        study.run()
    return list(np.diff(ticks)), ticks[0] - start


def _plain_flower() -> list[float]:
    """Seconds of each round of the plainest exchange: a vector out, a vector back, the sum."""
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
