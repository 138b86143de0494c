"""`Step`: places within a reply at which a keeper may die; each leaves another trace on disk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

Step = Literal[
    "opened",
    "confirmed",
    "asked",
    "charged",
    "answered",
    "kept",
    "committed",
    "considered",  # survivors were answered for, in memory
    "survivors kept",  # and in the state
    "certified",  # the certificate was, in memory
    "opening kept",  # and in the state
    "closed",
    "logged",  # what leaves is in the audit log
]
Passing = Callable[[Step], None]
"""Called as the keeper passes each step of a reply; a test ends the process there."""


def no_step(step: Step) -> None:
    """Nothing happens at a step."""
