"""What the scores look like: completeness, ranges, gaps, and drift over the calendar.

Times are in weeks since entry. A week is the half-open interval around it: week 4 is [3.5, 4.5).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cairn_models.measures import INSTRUMENTS
from cairn_models.records import Records

WEEKS: Final = (0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 20, 26)
MOST_BINS: Final = 14  # that can be told apart; each holds equally many whole scores
GAPS: Final = (1.5, 2.5, 4.5, 8.5, 12.5, 26.5)  # weeks; upper ends
GAP_LABELS: Final = ("1", "2", "3–4", "5–8", "9–12", "13–26", "more")
assert len(GAP_LABELS) == len(GAPS) + 1  # noqa: S101
BASELINE_WEEKS: Final = (-4.0, 2.0)
LATER_WEEKS: Final = (6.0, 10.0)
DRIFT_SD: Final = 0.5  # of the scores before; a medium effect is worth a question
DRIFT_SHARE: Final = 0.2
FEW: Final = 10


@dataclass(frozen=True)
class Week:
    """Patients with a score in a week, of those whom the clinic has followed so long."""

    week: int
    scored: int
    followed: int

    @property
    def share(self) -> float | None:
        """None where nobody has been followed so long."""
        return self.scored / self.followed if self.followed else None


@dataclass(frozen=True)
class Quarter:
    """Patients who entered in one calendar quarter: first scores, and who was scored at week 8."""

    name: str
    patients: int
    first_mean: float | None
    first_error: float | None  # standard error of the mean
    later: float | None  # share with a score in weeks 6 to 10; None: too early to know


@dataclass(frozen=True)
class InstrumentFacts:
    """One instrument at this clinic."""

    name: str
    rows: int
    patients: int
    lowest: float
    highest: float
    quartiles: tuple[float, float, float]
    mean: float
    sd: float
    at_floor: float
    at_ceiling: float
    bins: tuple[int, ...]
    bin_width: int
    weeks: tuple[Week, ...]
    gaps: tuple[int, ...]  # by `GAPS`, the last one beyond
    gap_median: float | None
    quarters: tuple[Quarter, ...]
    drift: tuple[str, ...]


def instrument_facts(records: Records, day: date) -> tuple[InstrumentFacts, ...]:
    """The facts of each instrument that has scores, by name."""
    weekly = records.times_in("week")
    scores = weekly.scores.join(records.patients.select("patient", "entry"), on="patient")
    names = sorted(scores["instrument"].unique().to_list())
    return tuple(_facts(n, scores.filter(pl.col("instrument") == n), records, day) for n in names)


def _facts(name: str, scores: pl.DataFrame, records: Records, day: date) -> InstrumentFacts:
    value = scores["value"]
    known = INSTRUMENTS.get(name)
    lowest = known.lowest if known else _number(value.min())
    highest = known.highest if known else _number(value.max())
    whole = math.ceil(highest - lowest) + 1
    width = -(-whole // MOST_BINS)
    classes = -(-whole // width)
    numbers = value.to_numpy()
    place = np.floor_divide(numbers - lowest, width).astype(np.int64)
    gaps = _gaps(scores)
    quarters = _quarters(scores, records, day)
    return InstrumentFacts(
        name=name,
        rows=scores.height,
        patients=scores["patient"].n_unique(),
        lowest=lowest,
        highest=highest,
        quartiles=(_at(value, 0.25), _at(value, 0.5), _at(value, 0.75)),
        mean=_number(value.mean()),
        sd=_number(value.std()) if scores.height > 1 else 0.0,
        at_floor=_share(numbers == lowest),
        at_ceiling=_share(numbers == highest),
        bins=tuple(np.bincount(place, minlength=classes)[:classes].tolist()),
        bin_width=width,
        weeks=_weeks(scores, records, day),
        gaps=_binned(gaps),
        gap_median=_number(gaps.median()) if gaps.len() else None,
        quarters=quarters,
        drift=_drift(quarters, _number(value.std()) if scores.height > 1 else 0.0),
    )


def _share(those: NDArray[np.bool_]) -> float:
    return np.count_nonzero(those) / len(those)


def _weeks(scores: pl.DataFrame, records: Records, day: date) -> tuple[Week, ...]:
    found = []
    entry = records.patients["entry"]
    for week in WEEKS:
        inside = scores.filter((pl.col("time") >= week - 0.5) & (pl.col("time") < week + 0.5))
        reached = entry.is_null() | (entry <= day - timedelta(weeks=week))
        followed = records.patients.filter(reached)["patient"]
        scored = inside["patient"].unique()
        count = int(scored.is_in(followed.implode()).sum())
        found.append(Week(week, count, followed.len()))
    return tuple(found)


def _gaps(scores: pl.DataFrame) -> pl.Series:
    """Weeks between a patient's successive scores."""
    ordered = scores.sort("patient", "time")
    return ordered.select(pl.col("time").diff().over("patient"))["time"].drop_nulls()


def _binned(gaps: pl.Series) -> tuple[int, ...]:
    below = [int((gaps < end).sum()) for end in GAPS]
    steps = [a - b for a, b in zip(below, [0, *below], strict=False)]
    return (*steps, gaps.len() - below[-1])


def _quarters(scores: pl.DataFrame, records: Records, day: date) -> tuple[Quarter, ...]:
    entered = records.patients.filter(pl.col("entry").is_not_null()).with_columns(
        quarter=pl.format("{} Q{}", pl.col("entry").dt.year(), pl.col("entry").dt.quarter())
    )
    first = scores.filter(pl.col("time").is_between(*BASELINE_WEEKS)).sort("time")
    firsts = first.group_by("patient").agg(pl.col("value").first())
    later = scores.filter(pl.col("time").is_between(*LATER_WEEKS))["patient"].unique()
    found = []
    for (name,), people in sorted(entered.group_by("quarter"), key=lambda pair: str(pair[0])):
        values = people.join(firsts, on="patient")["value"]
        due = people.filter(pl.col("entry") <= day - timedelta(weeks=LATER_WEEKS[1]))["patient"]
        found.append(
            Quarter(
                name=str(name),
                patients=people.height,
                first_mean=_number(values.mean()) if values.len() else None,
                first_error=_number(values.std()) / values.len() ** 0.5
                if values.len() > 1
                else None,
                later=len({*due} & {*later}) / due.len() if due.len() else None,
            )
        )
    return tuple(found)


def _drift(quarters: Sequence[Quarter], sd: float) -> tuple[str, ...]:
    """Quarters that lie off the mean of those before, in a sentence each."""
    said = []
    usual = [q for q in quarters if q.patients >= FEW]
    for index, quarter in enumerate(usual[1:], 1):
        means = [(q.first_mean, q.patients) for q in usual[:index] if q.first_mean is not None]
        if means and quarter.first_mean is not None and sd:
            before = sum(m * n for m, n in means) / sum(n for _, n in means)
            move = (quarter.first_mean - before) / sd
            if abs(move) > DRIFT_SD:
                said.append(
                    f"{quarter.name}: first scores are {abs(move):.1f} SD "
                    f"{'above' if move > 0 else 'below'} those before"
                )
        shares = [(q.later, q.patients) for q in usual[:index] if q.later is not None]
        if shares and quarter.later is not None:
            before = sum(s * n for s, n in shares) / sum(n for _, n in shares)
            if abs(quarter.later - before) > DRIFT_SHARE:
                said.append(
                    f"{quarter.name}: {quarter.later:.0%} were scored around week 8, "
                    f"{before:.0%} before"
                )
    return tuple(said)


def _at(values: pl.Series, share: float) -> float:
    return _number(values.quantile(share, "linear"))


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
