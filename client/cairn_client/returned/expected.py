"""`Expectations`: what a returned model expects of this clinic's patients, week by week.

It says only what the model's card lets it say: a head that was not shown to beat its floor says
nothing, and bands that were not shown to hold are not drawn. For research; no advice on care.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cairn_models.export.card import Scale
from cairn_models.export.heads import bands_of
from cairn_models.export.model import Model
from cairn_models.export.preprocessing import FEWEST_SCORES
from cairn_models.export.rows import LAST_WEEK, late
from cairn_models.records import Records
from cairn_models.trajectory.columns import HORIZONS
from cairn_models.trajectory.features import Weekly, weekly
from cairn_models.trajectory.network import Prediction, predict

MEDIAN: Final = 0.5
BANDS: Final = (0.1, 0.9, 0.025, 0.975)  # of 80 % and of 95 %


@dataclass(frozen=True)
class Expected:
    """A scale's score as it is expected `ahead` weeks after week `origin`.

    `bands` are the ends of the 80 % and of the 95 % band; None where the model's were not shown to
    hold.
    """

    scale: str
    origin: int
    ahead: int
    median: float
    bands: tuple[float, float, float, float] | None

    @property
    def week(self) -> int:
        """The week that is expected."""
        return self.origin + self.ahead


@dataclass(frozen=True)
class Seen:
    """A scale's score in a week, as the model reads it."""

    week: int
    value: float


class Expectations:
    """`model` on `records`. A patient's numbers are a function of that patient's rows alone."""

    def __init__(self, model: Model, records: Records) -> None:
        self.model = model
        self._records = records
        self._weeks: Weekly = weekly(records, model.instrument)
        self._rows = {patient: i for i, patient in enumerate(self._weeks.patients)}
        self._late = late(records, model.instrument)
        self._usable = {(head.output, head.horizon) for head in model.card.usable}

    @property
    def scales(self) -> tuple[Scale, Scale]:
        """The main scale and its companion."""
        return self.model.card.main, self.model.card.companion

    def missing(self, patient: str) -> str:
        """Why nothing is expected of a patient; empty: something is."""
        if patient in self._late:
            return f"there is a score after week {LAST_WEEK}, the last that the model reads"
        if len(self._weeks_seen(patient)) < FEWEST_SCORES:
            main = self.model.card.main.name
            return f"a course needs {main} scores in {FEWEST_SCORES} weeks; there are fewer"
        if not any((scale.name, h) in self._usable for scale in self.scales for h in HORIZONS):
            return "nothing that the model foretells was shown to be better than the last score"
        return ""

    def basis(self, patient: str) -> str:
        """How much of a patient the model saw."""
        seen = self._weeks_seen(patient)
        told = f"{self.model.card.main.name} scores in {len(seen)} weeks"
        return f"{told}, the last in week {seen[-1]}" if seen else told

    def seen(self, patient: str, scale: Scale) -> list[Seen]:
        """The weeks with a score, in order."""
        row, k = self._rows[patient], self.scales.index(scale)
        weeks = np.flatnonzero(self._weeks.observed[row, :, k])
        shares = self._weeks.scores[row, weeks, k].astype(np.float64)
        values = np.round(scale.lowest + scale.span * shares, 4)  # as float32 holds them
        return [Seen(int(w), float(v)) for w, v in zip(weeks, values, strict=True)]

    def ahead(self, patient: str, scale: Scale) -> Iterator[Expected]:
        """What is expected as of the week of the last main score.

        Nothing where too little was seen, or where the model may not say it.
        """
        seen = self._weeks_seen(patient)
        if patient in self._late or not seen:
            return
        for h, horizon in enumerate(HORIZONS):
            if self._may(patient, scale, seen[-1], horizon):
                yield self._expected(patient, scale, seen[-1], h)

    def for_week(self, patient: str, scale: Scale, week: int) -> Expected | None:
        """What was expected for a week, from as long before as the model may say; with bands."""
        for origin in self._weeks_seen(patient):
            ahead = week - origin
            banded = (bands_of(scale.name), ahead) in self._usable
            if banded and self._may(patient, scale, origin, ahead):
                return self._expected(patient, scale, origin, HORIZONS.index(ahead))
        return None

    def _may(self, patient: str, scale: Scale, origin: int, ahead: int) -> bool:
        """Whether enough was seen by `origin`, and the model may foretell so far from there."""
        if (scale.name, ahead) not in self._usable or origin + ahead > LAST_WEEK:
            return False
        so_far = self._weeks.observed[self._rows[patient], : origin + 1]
        k = self.scales.index(scale)
        return bool(so_far[:, 0].sum() >= FEWEST_SCORES and so_far[:, k].any())

    def _expected(self, patient: str, scale: Scale, origin: int, h: int) -> Expected:
        row, k = self._rows[patient], self.scales.index(scale)
        shares = {q: float(self._quantiles[q][k][row, origin, h]) for q in (MEDIAN, *BANDS)}
        points = {q: scale.lowest + scale.span * share for q, share in shares.items()}
        held = (bands_of(scale.name), HORIZONS[h]) in self._usable
        a, b, c, d = (points[q] for q in BANDS)
        bands = (a, b, c, d) if held else None
        return Expected(scale.name, origin, HORIZONS[h], points[MEDIAN], bands)

    def _weeks_seen(self, patient: str) -> list[int]:
        return [int(w) for w in np.flatnonzero(self._weeks.observed[self._rows[patient], :, 0])]

    @cached_property
    def _quantiles(self) -> dict[float, tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """By level, (N, T, H) of each scale, on 0-1."""
        found: Prediction = predict(self.model.parameters, self._weeks.features)
        return {q: (found.quantile(q, 0), found.quantile(q, 1)) for q in (MEDIAN, *BANDS)}

    def time_of(self, patient: str, scale: Scale, week: int) -> float:
        """Weeks since entry of the score that counts in a week."""
        return self._times.get((patient, scale.name, week), float(week))

    @cached_property
    def _times(self) -> dict[tuple[str, str, int], float]:
        week = (pl.col("time") + 0.5).floor()
        scores = self._records.times_in("week").scores.filter(pl.col("time").is_finite())
        last = scores.group_by("patient", "instrument", week.cast(pl.Int64).alias("week")).agg(
            pl.col("time").max()
        )
        return {(p, name, w): time for p, name, w, time in last.rows()}
