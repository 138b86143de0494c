"""`Columns`: what patients put into each block, computed once where blocks share it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from cairn_models.description import use
from cairn_models.description.people import Scores, numbers_of, scores_of
from cairn_models.description.quantiles import Bins
from cairn_models.description.reading import Use
from cairn_models.levels import NO_LEVEL, levels_of
from cairn_models.measures import Instrument
from cairn_models.records import Records

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Columns:
    """`records` in weeks; methods give (N,) or (N, columns), NaN where someone has no value."""

    records: Records
    instrument: Instrument
    arms: tuple[str, ...]
    baseline_window: tuple[float, float]
    weeks: tuple[float, ...]
    window: float

    @cached_property
    def scores(self) -> Scores:
        """Arms, baselines and later scores."""
        return scores_of(
            self.records,
            self.instrument,
            arms=self.arms,
            baseline_window=self.baseline_window,
            weeks=self.weeks,
            window=self.window,
        )

    def variable(self, name: str, levels: tuple[str, ...]) -> Array:
        """The place of each patient's level; their number where there are no levels."""
        if not levels:
            return numbers_of(self.records, name)
        place = levels_of(self.records, name, levels)
        return np.where(place == NO_LEVEL, np.nan, place.astype(np.float64))

    def programme(self, described: Use) -> Array:
        """The place in the programme's funnel; assessed is: at the last of the weeks."""
        assessed = np.isfinite(self.scores.later[:, -1])
        places = use.programme_places(self.records, described.weeks, assessed)
        return np.where(self._has_programme(described), places, np.nan)

    def active_weeks(self, described: Use) -> Array:
        """Weeks of use."""
        weeks = use.active_weeks(self.records, described.most_weeks)
        return np.where(self._has_programme(described), weeks, np.nan)

    def wait(self, bins: Bins) -> Array:
        """The place in the table of waits."""
        return use.wait_places(self.records, bins)

    def minutes(self, most: float, scales: tuple[Instrument, ...]) -> Array:
        """(N, 2): minutes until the last week's window ends, and whether reliably recovered."""
        week = self.weeks[-1]
        recovered = use.reliably_recovered(
            self.records,
            scales,
            baseline_window=self.baseline_window,
            week=week,
            window=self.window,
        )
        return np.column_stack(
            [use.staff_minutes(self.records, week + self.window, most), recovered]
        )

    def _has_programme(self, described: Use) -> NDArray[np.bool_]:
        return np.isin(self.scores.arm, described.arms)
