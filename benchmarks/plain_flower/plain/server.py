"""`app`: FedAvg over all clinics, which notes when it began and when each round was averaged."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

app = ServerApp()


class Marked(FedAvg):
    """FedAvg that appends the time (Unix, seconds) of each round's average to a file."""

    def __init__(self, clinics: int, marks: Path) -> None:
        super().__init__(
            fraction_evaluate=0.0,
            min_train_nodes=clinics,
            min_evaluate_nodes=0,
            min_available_nodes=clinics,
        )
        self._marks = marks

    def mark(self) -> None:
        """Note the time."""
        with self._marks.open("a") as file:
            file.write(f"{time.time()}\n")

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """The average, as FedAvg makes it."""
        average = super().aggregate_train(server_round, replies)
        self.mark()
        return average


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Average for as many rounds as the run's configuration says."""
    config = context.run_config
    strategy = Marked(int(config["clinics"]), Path(str(config["marks"])))
    vector = np.zeros(int(config["length"]), dtype=np.float32)
    strategy.mark()
    arrays = ArrayRecord({"v": Array(vector)})
    strategy.start(grid, arrays, num_rounds=int(config["rounds"]), timeout=60)
