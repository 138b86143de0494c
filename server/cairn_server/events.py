"""`Event`: what a run tells whoever watches it. Public facts only: no clinic's size or time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Event:
    """`stage` set-up, round, answered or stopped; round `done` of `total` for a question."""

    stage: Literal["set-up", "round", "answered", "stopped"]
    question: str = ""
    done: int = 0
    total: int = 0
    text: str = ""


Watch = Callable[[Event], None]


def ignore(event: Event) -> None:
    """Watch nothing."""
