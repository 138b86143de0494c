"""Flower 1.41's SecAgg+ on the same vectors: its own mod and its own workflow, on one machine.

`python -m benchmarks.masking_flower N D DROPPED` runs one round over N clinics with vectors of D
numbers, of which the last DROPPED answer no more once masks are agreed, and prints a line of JSON.
Every message is serialised and handed to the mod as between machines; only the transport is
missing. The graph is complete and the threshold 0.8 N, as in our policies; all else is default.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import cache
from multiprocessing import active_children, get_context
from typing import Any, Final

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, RecordDict
from flwr.common.serde import (
    message_from_proto,
    message_to_proto,
    recorddict_from_proto,
    recorddict_to_proto,
)
from flwr.proto.message_pb2 import Message as ProtoMessage
from flwr.proto.recorddict_pb2 import RecordDict as ProtoRecordDict

from benchmarks.masking_clock import Clock, Spent, now
from cairn_app.embedded import FIRST_NODE, EmbeddedGrid

MINUTE: Final = 60.0  # processor seconds that the server has, and a clinic for one answer
ALL_CLINICS: Final = 300.0  # seconds on the wall for a stage of all, who share the cores
EVERYTHING: Final = 600.0  # seconds on the wall
LOOK: Final = 0.5  # seconds on the wall between looks at who ran out of time
ONE_BY_ONE: Final = 30  # clinics
THRESHOLD: Final = 0.8
VECTORS: Final = 10  # clinics beyond have the same again, so that 1,000 fit into memory
STAGES: Final = ("setup", "share_keys", "collect_masked_vectors", "unmask")


def flower_row(clinics: int, length: int, dropped: int = 0) -> dict[str, Any]:
    """What a round of SecAgg+ costs a clinic and the server, in processor seconds.

    `stopped` is who ran out of time: "server", "clinic" or "all clinics" (in one stage); its
    seconds are then those until the stop, and the real ones are more. A clinic's are the sum of
    its stages' medians, and missing where not every clinic came to its last one.
    """
    command = [sys.executable, "-m", __name__, *map(str, (clinics, length, dropped))]
    row: dict[str, Any] = {"what": "Flower SecAgg+", "clinics": clinics, "length": length}
    row["dropped"] = dropped
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            out, err = process.communicate(timeout=EVERYTHING)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return row | {"stopped": "everything"}
    if process.returncode:
        return row | {"failed": (err.strip().splitlines() or ["no output"])[-1]}
    return row | json.loads(out.splitlines()[-1])


class Stopped(Exception):
    """Somebody ran out of time."""


class Clinics(EmbeddedGrid):
    """A Grid that times the server between its calls, and each clinic within them."""

    def __init__(self, nodes: range, length: int, dropped: int) -> None:
        super().__init__(dict.fromkeys(nodes, None))  # type: ignore[arg-type]
        self.clock = Clock()
        self.working = "server"
        self._left = {"server": MINUTE, "all clinics": ALL_CLINICS}
        self._length = length
        self._silent = frozenset(list(nodes)[len(nodes) - dropped :])
        self._states = dict.fromkeys(nodes, b"")
        self._stages = iter(STAGES)
        self._since = now()
        # One at a time where that is quick, so that clinics do not slow each other down.
        workers = 1 if len(nodes) <= ONE_BY_ONE else os.cpu_count()
        self.pool = ProcessPoolExecutor(workers, get_context("fork"))

    def start(self) -> None:
        """The server begins to work."""
        self._since = now()
        signal.signal(signal.SIGALRM, self._look)
        signal.setitimer(signal.ITIMER_REAL, LOOK, LOOK)

    def _look(self, *_: object) -> None:
        # The server has processor time, the clinics time on the wall. (A timer of processor time
        # would make the kernel count in ticks of milliseconds.)
        which = 0 if self.working == "server" else 1
        if now()[which] - self._since[which] > self._left[self.working]:
            raise Stopped

    def turn(self, who: str) -> None:
        """From now on `who` works; the time until now is that of who worked before."""
        after = now()
        self.clock.add(self.working, self._since, after)
        if self.working == "server":
            self._left["server"] -= after[0] - self._since[0]
        self.working, self._since = who, after

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        """Every clinic's reply; those of the silent are missing from the masked vectors on."""
        self.turn("all clinics")
        stage = next(self._stages)
        silent = self._silent if STAGES.index(stage) >= 2 else frozenset()
        asked = [m for m in messages if m.metadata.dst_node_id not in silent]
        futures = []
        for message in asked:
            node = message.metadata.dst_node_id
            sent = message_to_proto(message).SerializeToString()
            futures.append(self.pool.submit(answer, sent, self._states[node], self._length))
        replies = []
        for message, future in zip(asked, futures, strict=True):
            reply, self._states[message.metadata.dst_node_id], spent = future.result()
            self.clock.spent[stage].append(spent)
            replies.append(message_from_proto(ProtoMessage.FromString(reply)))
        self.turn("server")
        return replies


def answer(sent: bytes, state: bytes, length: int) -> tuple[bytes, bytes, Spent]:
    """One clinic's reply to a message, its state after it, and the seconds that the mod took.

    A process that needs more than a minute ends itself: Flower's threads cannot be interrupted.
    """
    from flwr.client.mod import secaggplus_mod
    from flwr.common import Code, FitRes, Status, ndarrays_to_parameters
    from flwr.compat.common.recorddict_compat import fitres_to_recorddict

    message = message_from_proto(ProtoMessage.FromString(sent))
    node = message.metadata.dst_node_id
    kept = recorddict_from_proto(ProtoRecordDict.FromString(state)) if state else RecordDict()
    context = Context(message.metadata.run_id, node, {}, kept, {})

    def fit(message: Message, context: Context) -> Message:
        parameters = ndarrays_to_parameters([vectors(length)[node % VECTORS]])
        result = FitRes(Status(Code.OK, ""), parameters, num_examples=1000, metrics={})
        return Message(fitres_to_recorddict(result, keep_input=False), reply_to=message)

    vectors(length)
    before = now()
    signal.signal(signal.SIGALRM, lambda *_: os._exit(1) if now()[0] - before[0] > MINUTE else None)
    signal.setitimer(signal.ITIMER_REAL, LOOK, LOOK)
    reply = secaggplus_mod(message, context, fit)
    after = now()
    signal.setitimer(signal.ITIMER_REAL, 0)
    return (
        message_to_proto(reply).SerializeToString(),
        recorddict_to_proto(context.state).SerializeToString(),
        (after[0] - before[0], after[1] - before[1]),
    )


@cache
def vectors(length: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """(`VECTORS`, length) float32 in [-1, 1)."""
    return np.random.default_rng(1).uniform(-1, 1, (VECTORS, length)).astype(np.float32)


def run(clinics: int, length: int, dropped: int) -> dict[str, Any]:
    """One round; what it cost."""
    from flwr.server import LegacyContext, ServerConfig
    from flwr.server.client_manager import SimpleClientManager
    from flwr.server.compat.grid_client_proxy import GridClientProxy
    from flwr.server.strategy import FedAvg
    from flwr.server.workflow import SecAggPlusWorkflow
    from flwr.server.workflow.constant import MAIN_CONFIGS_RECORD, MAIN_PARAMS_RECORD, Key

    nodes = range(FIRST_NODE, FIRST_NODE + clinics)
    grid, manager = Clinics(nodes, length, dropped), SimpleClientManager()
    for node in nodes:
        manager.register(GridClientProxy(node, grid, grid.run.run_id))
    context = LegacyContext(
        Context(grid.run.run_id, 1, {}, RecordDict(), {}),
        ServerConfig(num_rounds=1),
        FedAvg(fraction_evaluate=0.0, min_fit_clients=clinics, min_available_clients=clinics),
        manager,
    )
    context.state.config_records[MAIN_CONFIGS_RECORD] = ConfigRecord({Key.CURRENT_ROUND: 1})
    context.state.array_records[MAIN_PARAMS_RECORD] = ArrayRecord([np.zeros(length, np.float32)])
    grid.start()
    stopped = ""
    try:
        SecAggPlusWorkflow(1.0, THRESHOLD)(grid, context)
    except Stopped:
        stopped = grid.working
    except BrokenProcessPool:
        stopped = "clinic"
    grid.turn("all clinics")
    signal.setitimer(signal.ITIMER_REAL, 0)
    row: dict[str, Any] = {
        "stopped": stopped,
        "clinic_stages": {stage: grid.clock.cpu(stage) for stage in STAGES},
        "server": sum(spent[0] for spent in grid.clock.spent["server"]),
    }
    if stopped == "clinic":
        row["clinic"] = grid.clock.cpu(*STAGES) + MINUTE
    elif grid.clock.spent[STAGES[-1]]:
        row["clinic"] = grid.clock.cpu(*STAGES)
    if stopped:
        return row
    mean = context.state.array_records[MAIN_PARAMS_RECORD].to_numpy_ndarrays()[0]
    rows = [node % VECTORS for node in nodes[: clinics - dropped]]
    return row | {"largest_error": float(np.abs(mean - vectors(length)[rows].mean(0)).max())}


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    print(json.dumps(run(*map(int, sys.argv[1:]))), flush=True)
    for process in active_children():  # one may be in the midst of a minute's work
        process.kill()
    os._exit(0)
