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
from cairn_models.export.heads import Head
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
}
LAST_WEEK: Final = WEEKS - 1
BEYOND: Final = f"the week foretold is after week {LAST_WEEK}, the last that was trained for"
NOTHING_USABLE: Final = "no prediction: no head of the model was shown to be above its floor"
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


def tidy(
    card: Card,
    weeks: Weekly,
    found: At,
    horizons: tuple[int, ...] | None,
    late: frozenset[str] = frozenset(),
) -> Iterator[Row]:
    """Rows of `COLUMNS`, patient by patient.

    A head of the main scale that may not be used has a row where its horizon was asked for;
    what else the model may not say is on its card, not beside every patient.
    """
    heads = [head for head in card.heads if _shown(head, card, horizons)]
    for i, patient in enumerate(weeks.patients):
        seen, week = int(found.seen[i]), int(found.week[i])
        basis = _basis(card.main.name, seen, week)
        why = NOTHING_USABLE if not heads else _cannot(seen, patient in late)
        if why is not None:
            yield (patient, card.main.name, None, None, *_NO_QUANTILES, None, basis, why)
            continue
        for head in heads:
            at = None if head.horizon is None else week + head.horizon
            missing = _missing(head, at)
            told = (*_NO_QUANTILES, None) if missing else _told(card, head, found, i)
            yield (patient, head.output, head.horizon, at, *told, basis, missing)


def _shown(head: Head, card: Card, horizons: tuple[int, ...] | None) -> bool:
    if horizons is None:
        return head.usable
    asked = head.horizon is None or head.horizon in horizons
    return asked and (head.usable or head.output == card.main.name)


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
