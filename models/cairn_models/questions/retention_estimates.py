"""The numbers of a "retention" answer: each arm's curves and its contrasts with the reference."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Literal

from scipy import stats

from cairn_models.answers import Estimate
from cairn_models.endings import How
from cairn_models.life_table import (
    Fitted,
    Grid,
    LifeTable,
    Numbers,
    hazard,
    incidence,
    log_hazard_ratio,
    minus,
    restricted_mean,
    survival,
)
from cairn_models.questions.confounding import Confounding
from cairn_models.questions.effect_answer import PEOPLE

REACH: Final = float(stats.norm.ppf(0.975))
UNREADABLE: Final = "too few people are still there to tell through the noise"
TOO_FEW_EVENTS: Final = "too few people left to tell a ratio"
POINTS: Final = "percentage points"
SHARE: Final = (0.0, 1.0)


@dataclass(frozen=True)
class Frame:
    """The public facts that an answer is worded with; times are in `unit`."""

    question: str
    event: Literal["measurement", "programme"]
    instrument: str
    unit: Literal["week", "month"]
    ends: tuple[float, ...]
    named: int  # place in `ends` of the time that contrasts are made at
    window: float
    arms: tuple[str, ...]
    reference: int
    confounding: Confounding
    synthetic: bool
    fewest: int
    window_of_entry_open: bool

    def people(self, arm: int) -> str:
        """The arm in words for a reader."""
        return PEOPLE.get(self.arms[arm], f"people in arm “{self.arms[arm]}”")

    @property
    def kept(self) -> str:
        """What staying means, after 'people'."""
        if self.event == "programme":
            return "who had not given up the programme"
        return f"who still gave {self.instrument} scores"

    @property
    def clock(self) -> str:
        """What times are counted from."""
        origin = "first use" if self.event == "programme" else "entry"
        return f"{self.unit}s since {origin}"

    def against(self, arm: int) -> str:
        """A contrast by name, 'dmhi_guided against waiting'."""
        return f"{self.arms[arm]} against {self.arms[self.reference]}"

    def at(self, place: int) -> str:
        """A time in words, 'week 8'."""
        return f"{self.unit} {self.ends[place]:g}"


@dataclass(frozen=True)
class Curves:
    """One arm, fitted: estimates by end, but one number in `mean`."""

    table: LifeTable
    kept: Fitted
    hazards: Fitted
    mean: Fitted
    left: Fitted | None  # cumulative incidences, where there is another way to end
    completed: Fitted | None

    @classmethod
    def of(cls, table: LifeTable) -> Curves:
        """All of one arm's estimates."""
        grid = table.grid

        def over(measure: Callable[[Grid, Numbers], Numbers]) -> Fitted:
            return table.fit(lambda cells: measure(grid, cells))

        def ending(way: How) -> Fitted | None:
            if grid.ways == 1:
                return None
            return table.fit(lambda cells: incidence(grid, cells, way))

        left, completed = ending(How.LEFT), ending(How.COMPLETED)
        return cls(table, over(survival), over(hazard), over(restricted_mean), left, completed)


def difference(frame: Frame, curves: tuple[Curves, ...], arm: int) -> Estimate:
    """Share kept in `arm` at the named time, minus the reference's."""
    place = frame.named
    label = f"{frame.against(arm)}, kept at {frame.at(place)}"
    blank = Estimate(f"difference-{_pair(frame, arm)}", label, None, unit=POINTS)
    fitted = minus(curves[arm].kept, curves[frame.reference].kept)
    return filled(blank, fitted, place, _fewer(curves, place + 1, arm, frame.reference))


def mean_difference(frame: Frame, curves: tuple[Curves, ...], arm: int) -> Estimate:
    """Restricted mean of `arm` minus the reference's, in the study's time unit."""
    label = f"{frame.against(arm)}, mean time kept until {frame.at(-1)}"
    blank = Estimate(f"mean_difference-{_pair(frame, arm)}", label, None, unit=f"{frame.unit}s")
    fitted = minus(curves[arm].mean, curves[frame.reference].mean)
    count = _fewer(curves, len(frame.ends), arm, frame.reference)
    return filled(blank, fitted, 0, count, scale=1.0)


def ratio(frame: Frame, curves: tuple[Curves, ...], arm: int) -> Estimate:
    """Hazard of leaving in `arm` as a multiple of the reference's; interval on the log scale."""
    fitted = log_hazard_ratio(curves[arm].table, curves[frame.reference].table)
    name, label = f"hazard_ratio-{_pair(frame, arm)}", f"{frame.against(arm)}, hazard ratio"
    if not fitted.readable[0]:
        return Estimate(name, label, None, suppressed=TOO_FEW_EVENTS)
    value, error = float(fitted.value[0]), float(fitted.standard_error[0])
    middle, low, high = (math.exp(value + side * REACH * error) for side in (0.0, -1.0, 1.0))
    share = float(fitted.noise_share[0])
    count = _fewer(curves, 1, arm, frame.reference)
    return Estimate(name, label, middle, low, high, middle * error, share, count=count)


def of_arm(frame: Frame, curves: tuple[Curves, ...], arm: int) -> list[Estimate]:
    """Kept, hazard and, with two ways to end, left and completed at each end; the mean time."""
    own, name = curves[arm], frame.arms[arm]
    kinds: tuple[tuple[str, str, Fitted | None], ...] = (
        ("kept", "kept until", own.kept),
        ("hazard", "hazard of leaving in the interval to", own.hazards),
        ("left", "left by", own.left),
        ("completed", "completed by", own.completed),
    )
    found = []
    for key, words, fitted in kinds:
        if fitted is None:
            continue
        for place, end in enumerate(frame.ends):
            label = f"{name}: {words} {frame.at(place)}"
            blank = Estimate(f"{key}-{name}-{end:g}", label, None, unit="%")
            count = float(own.table.at_risk[place + 1])
            found.append(filled(blank, fitted, place, count, limits=SHARE))
    label = f"{name}: mean time kept until {frame.at(-1)}"
    blank = Estimate(f"mean-{name}", label, None, unit=f"{frame.unit}s")
    count, span = float(own.table.at_risk[-1]), (0.0, frame.ends[-1])
    return [*found, filled(blank, own.mean, 0, count, limits=span, scale=1.0)]


def filled(
    blank: Estimate,
    fitted: Fitted,
    place: int,
    count: float,
    *,
    limits: tuple[float, float] = (-math.inf, math.inf),
    scale: float = 100.0,
) -> Estimate:
    """`blank` with a fitted number and its interval, cut to `limits`; suppressed if unreadable."""
    if not fitted.readable[place]:
        return replace(blank, suppressed=UNREADABLE)
    middle, error = float(fitted.value[place]), float(fitted.standard_error[place])
    ends = (middle, middle - REACH * error, middle + REACH * error)
    value, low, high = (scale * min(max(end, limits[0]), limits[1]) for end in ends)
    return replace(
        blank,
        value=value,
        low=low,
        high=high,
        standard_error=scale * error,
        noise_share=float(fitted.noise_share[place]),
        count=count,
    )


def _pair(frame: Frame, arm: int) -> str:
    return f"{frame.arms[arm]}-{frame.arms[frame.reference]}"


def _fewer(curves: tuple[Curves, ...], place: int, *arms: int) -> float:
    """The noised number at risk in the smallest of these arms."""
    return min(float(curves[arm].table.at_risk[place]) for arm in arms)
