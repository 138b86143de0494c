"""`Blocks`: the blocks that each part of a description puts into the vector."""

from __future__ import annotations

from dataclasses import dataclass

from cairn_models.description import minutes, programme, waits
from cairn_models.description.baseline import QUARTILES
from cairn_models.description.blocks import Block, Cells, Divided, Number
from cairn_models.description.plan import KEPT, Planned, typical_use
from cairn_models.description.shapes import for_quantiles, for_tails
from cairn_models.shaping import Shaping

SCORE = "baseline"
FUNNEL = "funnel"
HISTOGRAM = "quartiles"


@dataclass(frozen=True)
class Blocks:
    """What the blocks are made of; all of it is public.

    `ends` are those of the instrument, `ranges` those of the study's numbers, and `noised` says
    whether cells are seen through a matrix: public data are summed as they are.
    """

    planned: Planned
    ends: tuple[float, float]
    ranges: dict[str, tuple[float, float]]
    weeks: tuple[str, ...]
    most_weeks: int
    most_minutes: float
    noised: bool

    def of(self, part: str) -> tuple[Block, ...]:
        """The blocks of `part`, in the order of the vector."""
        arms = len(self.planned.arms)
        match part:
            case "score":
                return (Number(SCORE, arms, *self.ends),)
            case "course":
                return tuple(Number(week, arms, *self.ends) for week in self.weeks)
            case "variables":
                return tuple(self._variable(name) for name in self.planned.levels)
            case "minutes":
                return (Divided(minutes.MINUTES, arms, self.most_minutes),)
            case _:
                return self._tables(part)

    def _tables(self, part: str) -> tuple[Block, ...]:
        planned = self.planned
        match part:
            case "funnel":
                stages = planned.measured
                starts = tuple(stage.start for stage in stages[1:])
                shaping = for_tails(len(stages), starts, (KEPT,) * len(starts))
                return (self._cells(FUNNEL, shaping),)
            case "programme":
                starts = tuple(stage.start for stage in planned.used[1:])
                shaping = for_tails(starts[-1] + 1, starts, typical_use(len(planned.used)))
                active = Number(programme.ACTIVE, len(planned.arms), 1.0, float(self.most_weeks))
                return (self._cells(programme.FUNNEL, shaping), active)
            case "waits":
                bins, levels = planned.waits.number, tuple(waits.QUANTILES.values())
                shaping = for_quantiles(bins + waits.BEYOND, bins, levels, 2)
                return (self._cells(waits.WAITS, shaping),)
            case "quartiles":
                return (self._histogram(HISTOGRAM),)
            case _:
                return tuple(self._histogram(f"{week}-{HISTOGRAM}") for week in self.weeks)

    def _histogram(self, name: str) -> Cells:
        bins = self.planned.bins
        levels = tuple(QUARTILES.values())
        return self._cells(name, for_quantiles(bins.number, bins.number, levels, bins.bar))

    def _cells(self, name: str, shaping: Shaping) -> Cells:
        places = len(shaping.seen)
        return Cells(name, len(self.planned.arms), places, shaping if self.noised else None)

    def _variable(self, name: str) -> Block:
        if levels := self.planned.levels[name]:
            return Cells(name, len(self.planned.arms), len(levels))
        return Number(name, len(self.planned.arms), *self.ranges[name])
