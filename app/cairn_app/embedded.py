"""The embedded engine: a whole federation in one process, on an in-memory Flower Grid.

The same ServerApp and ClientApp that run between real machines run here; only the Grid differs.
It serves the demo, the tests and what-if planning.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import Final
from uuid import uuid4

from flwr.app import ConfigRecord, Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp

from cairn_app.flower_private import FIRST_NODE, Run, act_as_server, assign_id, empty_run

CLIENT_APP_RAISED: Final = 2  # Flower's error code for a ClientApp that raised
WITHDRAWN: Final = 0  # Flower's for an unknown reason; nobody waits for such a reply


class EmbeddedGrid(Grid):
    """A Grid whose nodes are ClientApps in this process.

    Messages to one node are handled in order; different nodes run side by side.
    """

    def __init__(self, apps: Mapping[int, ClientApp], *, workers: int = 1) -> None:
        self._run = empty_run(uuid4().int >> 66)
        act_as_server(self._run.run_id)
        self._apps = dict(apps)
        self._contexts = {
            node: Context(self._run.run_id, node, {}, RecordDict({"state": ConfigRecord()}), {})
            for node in apps
        }
        self._withdrawn: set[str] = set()
        self._locks = {node: Lock() for node in apps}
        self._pool = ThreadPoolExecutor(max_workers=max(1, workers))
        self._pending: dict[str, Future[Message]] = {}

    def __enter__(self) -> EmbeddedGrid:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    @property
    def run(self) -> Run:
        """Facts of the run."""
        return self._run

    def set_run(self, run: Run) -> None:
        """Use `run` from now on."""
        self._run = run

    def create_message(
        self,
        content: RecordDict,
        message_type: str,
        dst_node_id: int,
        group_id: str,
        ttl: float | None = None,
    ) -> Message:
        """A message to a node."""
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def get_node_ids(self) -> Iterable[int]:
        """All nodes, in order."""
        return sorted(self._apps)

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Hand each message to its node's ClientApp; returns the messages' ids."""
        identifiers = []
        for message in messages:
            identifier = assign_id(message)
            self._pending[identifier] = self._pool.submit(self._deliver, message)
            identifiers.append(identifier)
        return identifiers

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Replies that are ready; each is given out once."""
        ready = [i for i in message_ids if i in self._pending and self._pending[i].done()]
        return [self._pending.pop(i).result() for i in ready]

    def withdraw(self, message_ids: Iterable[str]) -> None:
        """Take messages back; one that its node works on already is answered to nobody."""
        for identifier in message_ids:
            if self._pending.pop(identifier, None):
                self._withdrawn.add(identifier)

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        """Push, wait for every reply (at most `timeout` seconds each), return them."""
        futures = [self._pending.pop(i) for i in self.push_messages(messages)]
        return [future.result(timeout) for future in futures]

    def _deliver(self, message: Message) -> Message:
        node = message.metadata.dst_node_id
        try:
            with self._locks[node]:
                if message.metadata.message_id in self._withdrawn:
                    return Message(Error(WITHDRAWN, "withdrawn"), reply_to=message)
                return self._apps[node](message, self._contexts[node])
        except Exception as error:  # as Flower does: a ClientApp's crash is an error reply
            return Message(Error(CLIENT_APP_RAISED, type(error).__name__), reply_to=message)


def run_embedded(server: ServerApp, clients: Mapping[int, ClientApp], *, workers: int = 1) -> None:
    """Run `server` over `clients` (by node id, from `FIRST_NODE` up) to its end."""
    with EmbeddedGrid(clients, workers=workers) as grid:
        context = Context(grid.run.run_id, 0, {}, RecordDict(), {})
        server(grid, context)


__all__ = ["FIRST_NODE", "EmbeddedGrid", "run_embedded"]
