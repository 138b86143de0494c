"""Where log lines go in the command: nowhere, unless CAIRN_LOG asks for them.

In one process the keepers' refusals reach the person through the study's own message; lines beside
it would say the same twice. Flower and its libraries are told to be quiet as well.
"""

from __future__ import annotations

import logging
import os
import sys

from cairn_client.log_events import AllowListed


def set_up_logs() -> None:
    """Quiet by default; `CAIRN_LOG=info` (or debug, warning) prints Cairn's lines on stderr."""
    level = os.environ.get("CAIRN_LOG", "").upper()
    ours = logging.getLogger("cairn")
    ours.propagate = False
    ours.handlers[:] = [logging.NullHandler()]
    if level in logging.getLevelNamesMapping():
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(AllowListed())
        ours.handlers[:] = [handler]
        ours.setLevel(level)


def log_to_stderr() -> None:
    """For a service: events go to stderr, from `info` up or as asked for; libraries' withheld."""
    asked = os.environ.get("CAIRN_LOG", "").upper()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(AllowListed())
    logging.getLogger().handlers[:] = [handler]
    ours = logging.getLogger("cairn")
    ours.handlers[:] = [handler]
    ours.propagate = False
    ours.setLevel(asked if asked in logging.getLevelNamesMapping() else logging.INFO)
