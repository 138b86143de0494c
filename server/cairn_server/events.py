"""`Event`: what a run tells whoever watches it. Public facts only: no clinic's size or time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Event:
    """One thing that happened; a round is number `done` of `total` for its question.

    "known": an equal question was answered before, and is not asked again;
    "clinics": one dropped out, came back or left; "trouble": waiting, or a round to ask again.
    """

    stage: Literal["set-up", "round", "answered", "known", "clinics", "trouble", "stopped"]
    question: str = ""
    done: int = 0
    total: int = 0
    text: str = ""


Watch = Callable[[Event], None]


def ignore(event: Event) -> None:
    """Watch nothing."""
