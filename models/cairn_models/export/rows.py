"""`tidy`: what a model foretells from each patient's last score, a row an output and horizon.

Never a silent number: where a model may not say anything, the row says why.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cairn_models.export.arrays import require_finite
from cairn_models.export.card import Card
from cairn_models.export.heads import Head, bands_of
from cairn_models.export.preprocessing import FEWEST_SCORES, LEVELS
from cairn_models.measures import Instrument
from cairn_models.records import Records
from cairn_models.trajectory.columns import DROPOUTS, HORIZONS, OUTCOMES, SCALES, WEEKS
from cairn_models.trajectory.features import Weekly
from cairn_models.trajectory.network import Prediction

COLUMNS: Final = {
    "patient": pl.String,
    "output": pl.String,
    "weeks_ahead": pl.Int64,
    "at_week": pl.Int64,
    **{f"q{round(100 * level)}": pl.Float64 for level in LEVELS},
    "probability": pl.Float64,
    "basis": pl.String,
    "missing": pl.String,
    "bands_missing": pl.String,
}
LAST_WEEK: Final = WEEKS - 1
BEYOND: Final = f"the week foretold is after week {LAST_WEEK}, the last that was trained for"
NOTHING_USABLE: Final = "no prediction: no head of the model was shown to be above its floor"
MEDIAN: Final = LEVELS.index(0.5)
_NO_QUANTILES: Final = (None,) * len(LEVELS)

Row = tuple[object, ...]


@dataclass(frozen=True)
class At:
    """A prediction as of each patient's last score; N patients, L levels, H horizons.

    `week` (N,) is -1 without a score, `seen` (N,) counts weeks with one; `share` (N, 2, L, H) on
    0-1, `outcome` (N, 3, H) and `dropout` (N, 2) probabilities.
    """

    week: NDArray[np.int64]
    seen: NDArray[np.int64]
    share: NDArray[np.float32]
    outcome: NDArray[np.float32]
    dropout: NDArray[np.float32]

    @classmethod
    def last_score(cls, weeks: Weekly, found: Prediction, as_of: int = LAST_WEEK) -> At:
        """`found` in the week of the last main score up to week `as_of`.

        Raises:
            InputError: `input.model-not-finite`: parameters so large that a sum of them is not.
        """
        observed = weeks.observed[:, :, 0] & (np.arange(WEEKS) <= as_of)
        week = np.where(observed, np.arange(WEEKS), -1).max(axis=1)
        rows, at = np.arange(len(weeks)), np.maximum(week, 0)
        share = np.stack(
            [
                np.stack([found.quantile(level, k)[rows, at] for level in LEVELS], axis=1)
                for k in range(SCALES)
            ],
            axis=1,
        )
        out = cls(
            week, observed.sum(axis=1), share, found.outcome[rows, at], found.dropout[rows, at]
        )
        for values in (found.median[rows, at], out.share, out.outcome, out.dropout):
            require_finite(values, "what the model foretells")
        return out


def late(records: Records, instrument: Instrument) -> frozenset[str]:
    """Patients with a score of `instrument` after the last week that the network reads."""
    own = records.times_in("week").scores.filter(
        (pl.col("instrument") == instrument.name)
        & pl.col("value").is_between(instrument.lowest, instrument.highest)
        & pl.col("time").is_finite()
        & (pl.col("time") >= LAST_WEEK + 0.5)
    )
    return frozenset(own.get_column("patient").to_list())


@dataclass(frozen=True)
class Wanted:
    """What is asked of a model; None: whatever may be used."""

    horizons: tuple[int, ...] | None = None
    outputs: tuple[str, ...] | None = None

    def shows(self, head: Head, main: str) -> bool:
        """Whether `head` has rows. One that is missing has them only where it was asked for.

        Where horizons alone are asked for that is `main`, the main scale.
        """
        if self.outputs is None and self.horizons is None:
            return head.usable
        if self.horizons is not None and head.horizon not in (None, *self.horizons):
            return False
        if self.outputs is None:
            return head.usable or head.output == main
        return head.output in self.outputs


def tidy(
    card: Card, weeks: Weekly, found: At, wanted: Wanted, late: frozenset[str] = frozenset()
) -> Iterator[Row]:
    """Rows of `COLUMNS`, patient by patient.

    What the model may not say is on its card, and in a row where it was asked for by name.
    """
    bands = {bands_of(scale.name) for scale in (card.main, card.companion)}
    known = {(head.output, head.horizon): head for head in card.heads}
    heads = [
        (head, known.get((bands_of(head.output), head.horizon)))
        for head in card.heads
        if head.output not in bands and wanted.shows(head, card.main.name)
    ]
    for i, patient in enumerate(weeks.patients):
        seen, week = int(found.seen[i]), int(found.week[i])
        basis = _basis(card.main.name, seen, week)
        why = NOTHING_USABLE if not heads else _cannot(seen, patient in late)
        if why is not None:
            yield (patient, card.main.name, None, None, *_NO_QUANTILES, None, basis, why, None)
            continue
        for head, band in heads:
            at = None if head.horizon is None else week + head.horizon
            missing = _missing(head, at)
            no_bands = None if missing or band is None or band.usable else band.why
            told = (*_NO_QUANTILES, None) if missing else _told(card, head, found, i)
            if no_bands:
                told = tuple(v if k == MEDIAN else None for k, v in enumerate(told))
            yield (patient, head.output, head.horizon, at, *told, basis, missing, no_bands)


def _missing(head: Head, at: int | None) -> str | None:
    """Why a head says nothing of week `at`; None where it does."""
    if not head.usable:
        return head.why
    return BEYOND if at is not None and at > LAST_WEEK else None


def _told(card: Card, head: Head, found: At, i: int) -> Row:
    """Quantiles in points and no probability, or the other way about."""
    scales = {scale.name: (k, scale) for k, scale in enumerate((card.main, card.companion))}
    if head.horizon is None:
        return (*_NO_QUANTILES, float(found.dropout[i, DROPOUTS.index(head.output)]))
    h = HORIZONS.index(head.horizon)
    if head.output in scales:
        k, scale = scales[head.output]
        share = found.share[i, k, :, h].astype(np.float64)
        return (*(float(scale.lowest + scale.span * v) for v in share), None)
    return (*_NO_QUANTILES, float(found.outcome[i, OUTCOMES.index(head.output), h]))


def _basis(instrument: str, seen: int, week: int) -> str:
    """How much of a patient the model saw."""
    told = f"{instrument} scores seen: {seen}"
    return f"{told}, last week {week}" if seen else told


def _cannot(seen: int, late: bool) -> str | None:
    """Why nothing at all is foretold of a patient; None where something is."""
    if late:
        return f"no prediction: there is a score after week {LAST_WEEK}, the last that is read"
    if seen < FEWEST_SCORES:
        have = "there is one" if seen else "there is none"
        return f"no prediction: a course needs scores in {FEWEST_SCORES} weeks, {have}"
    return None
