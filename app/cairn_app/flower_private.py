"""Every use that the embedded engine makes of Flower's private modules; nothing else may.

Building a `Message` outside a Flower process needs `TaskIdentity`; a Grid's `run` needs `Run`;
a message's id is set by the SuperLink in Flower and by the Grid here.
`tests/app/test_flower_contract.py` says what broke when Flower changes one of them.
"""

from __future__ import annotations

import os
from typing import Final
from uuid import uuid4

os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")
os.environ.setdefault("FLWR_DISABLE_UPDATE_CHECK", "1")

from flwr.app import Message
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

SERVER_NODE: Final = 1  # Flower's SUPERLINK_NODE_ID
FIRST_NODE: Final = 2


def act_as_server(run_id: int) -> None:
    """Let this process build instruction messages of `run_id`, as Flower's own server does."""
    TaskIdentity.task_id = 1
    TaskIdentity.run_id = run_id
    TaskIdentity.node_id = SERVER_NODE


def empty_run(run_id: int) -> Run:
    """A `Run` with an id and nothing else."""
    return Run.create_empty(run_id)


def assign_id(message: Message) -> str:
    """Give `message` the id that a SuperLink would have given it; returns it."""
    identifier = str(uuid4())
    message.metadata.__dict__["_message_id"] = identifier
    return identifier


__all__ = ["FIRST_NODE", "Run", "act_as_server", "assign_id", "empty_run"]
