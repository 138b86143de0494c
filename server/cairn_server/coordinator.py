"""`server_app`: a study as a Flower ServerApp. The only module of the server that imports flwr.

`GridExchange` is the seam between our rounds and Flower's public Grid: it pushes one request to
each node, polls for the replies until a deadline, and accepts a reply only from the node that was
asked. Whatever else must be true of a reply is the protocol's business.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Protocol, runtime_checkable

from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.serverapp import Grid, ServerApp

from cairn_protocol.envelope import RECORD, unwrap, wrap
from cairn_server.exchange import Replies, Until
from cairn_server.study_run import StudyRun

# Seconds from one poll to the next, double each time that nothing came. A poll that itself waits,
# as our fleet's does, is followed by the next at once.
FIRST_WAIT, LONGEST_WAIT = 0.0005, 0.1


@runtime_checkable
class Withdrawing(Protocol):
    """A Grid that can take a message back; Flower's own cannot."""

    def withdraw(self, message_ids: Iterable[str]) -> None: ...


class GridExchange:
    """One request to each node, one reply from each, through a Flower Grid."""

    def __init__(self, grid: Grid, group: str = "") -> None:
        self._grid = grid
        self._group = group

    def __call__(
        self,
        stage: str,
        requests: Mapping[int, bytes],
        seconds: float,
        until: Until | None = None,
    ) -> Replies:
        """The replies by node; a node that did not answer in `seconds` is absent."""
        messages = [
            Message(
                RecordDict({RECORD: ConfigRecord({**wrap(body)})}),
                node,
                stage,
                ttl=max(seconds, 1.0),
                group_id=self._group,
            )
            for node, body in requests.items()
        ]
        asked = dict(zip(self._grid.push_messages(messages), requests, strict=True))
        try:
            return self._replies(asked, time.monotonic() + seconds, until)
        finally:
            if asked and isinstance(self._grid, Withdrawing):
                self._grid.withdraw(list(asked))

    def _replies(self, asked: dict[str, int], deadline: float, until: Until | None) -> Replies:
        """The replies to the ids in `asked`, each of which is taken out of it."""
        replies: dict[int, bytes] = {}
        wait = FIRST_WAIT
        while asked:
            polled, came = time.monotonic(), False
            for reply in self._grid.pull_messages(list(asked)):
                came = True
                node = asked.pop(reply.metadata.reply_to_message_id, None)
                if node is None or node != reply.metadata.src_node_id or reply.has_error():
                    continue
                replies[node] = unwrap(reply.content.config_records.get(RECORD))
            end = min(deadline, until(replies)) if until else deadline
            if not asked or time.monotonic() >= end:
                break
            wait = FIRST_WAIT if came else min(2 * wait, LONGEST_WAIT)
            time.sleep(max(min(polled + wait, end) - time.monotonic(), 0.0))
        return replies


def server_app(run: StudyRun) -> ServerApp:
    """A ServerApp whose main carries `run` through whatever Grid Flower gives it."""
    app = ServerApp()

    @app.main()
    def main(grid: Grid, context: Context) -> None:
        run.execute(GridExchange(grid, group=str(context.run_id)))

    return app


def run_on(grid: Grid, run: StudyRun, run_id: int = 0) -> None:
    """Carry `run` through `grid` as a ServerApp, in this process."""
    server_app(run)(grid, Context(run_id, 0, {}, RecordDict(), {}))
