"""`ATTACKS`: what a lying server, or a clinic with it, tries; each to the end, with its gain.

`play` returns whether the attacker has what it wanted. The real code refuses a step with `code`
(or, where there is nothing to refuse, leaves the gain out of reach: code ""). `fences` are the
defence, as pieces of source to weaken: any one of them must be enough, and without all of them
the attack must succeed. `test_mutations` sees to both.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cairn_protocol import (
    states,
)
from cairn_protocol.identity import Identity

Fence = tuple[Any, str, str]
VECTORS = [[10**clinic] * 4 for clinic in range(4)]
STRANGER = Identity.from_private_bytes(b"s" * 32)
ALL = (0, 1, 2, 3)


@dataclass(frozen=True)
class Attack:
    """`row` of the design's table, `code` of the refusal, the gain as `play`."""

    row: str
    code: str
    fences: tuple[Fence, ...]
    play: Callable[[Any], bool]


ATTACKS: dict[str, Attack] = {}


def attack(row: str, code: str, *fences: Fence):
    """Enters a function into `ATTACKS` under its name, in words."""

    def enter(play: Callable[[Any], bool]) -> Callable[[Any], bool]:
        ATTACKS[play.__name__.replace("_", " ")] = Attack(row, code, fences, play)
        return play

    return enter


def three(federate):
    """Three clinics, none of which may drop out, with their keys."""
    return federate(3).agreed()


def four(federate, **settings):
    """Four clinics, m = t = 3, f = 1, with their keys."""
    return federate(4, dropout="recovered", **({"survivors": 3} | settings)).agreed()


def again(after: str, kind: str) -> Fence:
    """The automaton lets a message come in one more state."""
    lookup = "TRANSITIONS[role].get((state, message))"
    name = f"(state.value, message.__name__) == ({after!r}, {kind!r})"
    return states.step, lookup, f"{lookup} or (State.NAMED if {name} else None)"
