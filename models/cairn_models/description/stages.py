"""The nested stages of both funnels: of measurement, and of a programme."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Stage:
    """A stage is reached in the places from `start` on; `words` name it for a reader."""

    name: str
    words: str
    start: int


def measured(weeks: tuple[float, ...]) -> tuple[Stage, ...]:
    """Of measurement; a place is the furthest stage."""
    later = ((f"week-{week:g}", f"assessed at week {week:g}") for week in weeks)
    named = (("entered", "entered"), ("baseline", "has a baseline"), *later)
    return tuple(Stage(name, words, place) for place, (name, words) in enumerate(named))


def used(weeks: tuple[float, ...], assessed_at: float) -> tuple[Stage, ...]:
    """Of a programme; a place is 2 × furthest stage + whether assessed at week `assessed_at`."""
    later = ((f"week-{week:g}", f"in use at week {week:g} or completed") for week in weeks)
    named = (("offered", "offered"), ("started", "started"), *later, ("completed", "completed"))
    steps = [Stage(name, words, 2 * place) for place, (name, words) in enumerate(named)]
    both = f"completed and assessed at week {assessed_at:g}"
    return (*steps, Stage("completed-assessed", both, steps[-1].start + 1))
