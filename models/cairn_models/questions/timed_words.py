"""`Words`: how a question until an event is told; one value an event, all wording in one place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Cause:
    """A curve beside the main one: its key, words before a time, and the title of its picture."""

    key: str
    by: str
    drawn: str


@dataclass(frozen=True)
class Words:
    """What is told of one event, and how. `key` and those in `causes` name estimates.

    Args:
        title: of the answer.
        key: of the main curve, 'kept' or the event's own.
        at, by: before a time, of an arm and of a contrast: 'kept until', 'kept at'.
        did: after 'percentage points fewer': 'were kept'.
        doing: after 'hazard of'.
        mean: of the restricted mean.
        standing: a sentence on one arm at the named time; {when}, {who} and {<key>} are filled in.
        drawn, axis: title and vertical axis of the main curve.
        better: the side on which a difference in the main curve is good, if any.
        causes: those that have a curve of their own beside the main one.
        untouched: words for the share without any cause; empty where it is not told.
        clock: what times are counted from.
        notes: the estimand, and what it takes for granted.
    """

    title: str
    key: str
    at: str
    by: str
    did: str
    doing: str
    mean: str
    standing: str
    drawn: str
    axis: str
    better: Literal["left", "right", ""]
    clock: str
    notes: tuple[str, ...]
    causes: tuple[Cause, ...] = ()
    untouched: str = ""
