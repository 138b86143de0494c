"""`Blocks`: the blocks that each part of a description puts into the vector."""

from __future__ import annotations

from dataclasses import dataclass

from cairn_models.description import minutes, programme, waits
from cairn_models.description.blocks import Block, Cells, Divided, Number
from cairn_models.description.plan import KEPT, Planned, score_levels, typical_use, wait_levels
from cairn_models.description.shapes import for_groups, for_quantiles
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
                cells = len(planned.measured)
                tails = tuple(tuple(range(k, cells)) for k in range(1, cells))
                shaping = for_groups(cells, tails, (KEPT,) * len(tails))
                return (self._cells(FUNNEL, shaping),)
            case "programme":
                cells = planned.used[-1].start + 1
                tails = tuple(tuple(range(stage.start, cells)) for stage in planned.used[1:])
                assessed = tuple(range(1, cells, 2))
                typical = (*typical_use(len(planned.used)), KEPT)
                shaping = for_groups(cells, (*tails, assessed), typical)
                active = Number(programme.ACTIVE, len(planned.arms), 1.0, float(self.most_weeks))
                return (self._cells(programme.FUNNEL, shaping), active)
            case "waits":
                bins = planned.waits.number
                shaping = for_quantiles(bins + waits.BEYOND, bins, wait_levels(), waits.BAR)
                return (self._cells(waits.WAITS, shaping),)
            case "quartiles":
                return (self._histogram(HISTOGRAM),)
            case _:
                return tuple(self._histogram(f"{week}-{HISTOGRAM}") for week in self.weeks)

    def _histogram(self, name: str) -> Cells:
        bins = self.planned.bins
        shaping = for_quantiles(bins.number, bins.number, score_levels(), bins.bar)
        return self._cells(name, shaping)

    def _cells(self, name: str, shaping: Shaping) -> Cells:
        places = len(shaping.seen)
        return Cells(name, len(self.planned.arms), places, shaping if self.noised else None)

    def _variable(self, name: str) -> Block:
        if levels := self.planned.levels[name]:
            return Cells(name, len(self.planned.arms), len(levels))
        return Number(name, len(self.planned.arms), *self.ranges[name])
