"""Every number of a "discrimination" answer; what may not be shown holds a reason instead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from cairn_models.answers import SHARE, SHARE_GAP, Estimate
from cairn_models.disclosure import held_back
from cairn_models.proportions import (
    FEWEST_HAVING,
    NORMAL_95,
    Cells,
    least_count,
    proportion,
)
from cairn_models.questions.judged_share import TOO_FEW, share_estimate
from cairn_models.statistics.binned import (
    Binned,
    Statistic,
    auc,
    brier,
    foretold_minus_observed,
    net_benefit,
    outcome_share,
    recalibration,
)

TOO_RARE: Final = "too few people with the outcome, or without it, to tell through the noise"
WOULD_TELL: Final = "held back, since a smaller group could be worked out from it"
NO_FIT: Final = "bins and outcome do not determine it"
PHRASES: Final = {
    "reliable_improvement": "reliably improved",
    "reliable_deterioration": "reliably deteriorated",
    "recovery": "recovered",
    "measurement_lost": "was lost to measurement",
    "programme_left": "left the programme",
}
WIDEST: Final = 0.3  # of the interval of a share in a bin, were it one half
NEAREST: Final = 1e-4  # to 0 or 1, where an area's log odds would run away


@dataclass(frozen=True)
class Frame:
    """The public facts that an answer is worded with. `anchor`: first and last week."""

    question: str
    model: str
    outcome: str
    ahead: int
    anchor: tuple[int, int]
    edges: tuple[float, ...]
    middles: NDArray[np.float64]
    floor: float
    by: str
    levels: tuple[str, ...]
    held_out: str
    synthetic: bool
    fewest: int
    noised: bool

    @property
    def label(self) -> str:
        """The outcome in words."""
        return self.outcome.replace("_", " ")

    @property
    def phrase(self) -> str:
        """Completes 'one who …'."""
        return PHRASES[self.outcome]

    @property
    def contrary(self) -> str:
        """Completes 'and one who …'."""
        return "was not" if self.phrase.startswith("was ") else "did not"

    def told_as(self, bins: range) -> str:
        """What these neighbouring bins foretold, in per cent."""
        ends = (0.0, *self.edges, 1.0)
        return f"{100 * ends[bins.start]:g} to {100 * ends[bins.stop]:g} %"


@dataclass(frozen=True)
class Found:
    """All estimates. `model` and `treat_all` are net benefits, one a threshold of the frame.

    `bins` are the table's bins as they were put together for `observed`, in per cent.
    """

    area: Estimate
    by_level: tuple[Estimate, ...]
    share: Estimate
    gap: Estimate
    slope: Estimate
    intercept: Estimate
    score: Estimate
    bins: tuple[str, ...]
    observed: tuple[Estimate, ...]
    model: tuple[Estimate, ...]
    treat_all: tuple[Estimate, ...]
    gain: tuple[Estimate, ...]

    @property
    def every(self) -> tuple[Estimate, ...]:
        """In the order of importance."""
        whole = (self.area, self.slope, self.intercept, self.gap, self.share, self.score)
        return (
            *whole,
            *self.by_level,
            *self.observed,
            *self.model,
            *self.treat_all,
            *self.gain,
        )

    def opens(self, floor: float) -> bool:
        """Whether the head may be released: the lower end of its area's interval exceeds it."""
        return self.area.low is not None and self.area.low > floor


def estimates_of(frame: Frame, seen: Binned, levels: Sequence[Binned]) -> Found:
    """The numbers of everybody's table and of the levels'."""
    few, rare = _why(seen, frame.fewest)
    why = few or rare
    label, edges = frame.label, list(enumerate(frame.edges, 1))
    two = None if why else recalibration(seen, frame.middles)
    slope, intercept = two or (None, None)
    n = seen.people

    def one(name: str, words: str, told: Statistic | None, unit: str, why: str) -> Estimate:
        row = Estimate(name, f"{label}: {words}", None, unit=unit, suppressed=why)
        return row if told is None else _with_interval(row, told, n)

    together = put_together(seen, frame.fewest)
    safe = seen if not few else Binned(np.ones_like(seen.table), seen.covariance)
    all_of = {edge: net_benefit(safe, 0, edge) for _, edge in edges}
    model = {edge: net_benefit(safe, k, edge) for k, edge in edges}
    return Found(
        area=_area(seen, "auc", label, why),
        by_level=_by_level(frame, levels),
        share=one("share", "share of people", outcome_share(safe), SHARE, why),
        gap=one(
            "foretold_minus_observed",
            "mean foretold probability less the observed share",
            foretold_minus_observed(safe, frame.middles),
            SHARE_GAP,
            why,
        ),
        slope=one("calibration_slope", "calibration slope", slope, "", why or _unfit(slope)),
        intercept=one(
            "calibration_intercept",
            "calibration intercept, log odds",
            intercept,
            "",
            why or _unfit(intercept),
        ),
        score=one("brier", "Brier score", brier(safe, frame.middles), "", why),
        bins=tuple(frame.told_as(bins) for bins in together),
        observed=tuple(_observed(frame, seen, k, bins) for k, bins in enumerate(together, 1)),
        model=tuple(
            one(f"net_benefit-model-{e:g}", f"net benefit at {100 * e:g} %", model[e], "", why)
            for _, e in edges
        ),
        treat_all=tuple(
            one(
                f"net_benefit-all-{e:g}",
                f"net benefit of treating all at {100 * e:g} %",
                all_of[e],
                "",
                why,
            )
            for _, e in edges
        ),
        gain=tuple(
            one(
                f"net_benefit-gain-{e:g}",
                f"net benefit at {100 * e:g} %, model less the better of all and none",
                _gain(safe, model[e], all_of[e]),
                "",
                why,
            )
            for _, e in edges
        ),
    )


def _unfit(told: Statistic | None) -> str:
    return "" if told is not None else NO_FIT


def _gain(seen: Binned, model: Statistic, treat_all: Statistic) -> Statistic:
    """Net benefit beyond treating everybody or nobody, whichever is found to be better."""
    if treat_all.value <= 0.0:
        return model
    return seen.told(model.value - treat_all.value, model.gradient - treat_all.gradient)


def _why(seen: Binned, fewest: int) -> tuple[str, str]:
    """Why nothing, and why nothing about who had the outcome, can be told; '' where it can."""
    return _why_in(*_of(seen, range(seen.bins)), fewest)


def _why_in(having: float, lacking: float, noise: Cells, fewest: float) -> tuple[str, str]:
    """The same of so many people with and without the outcome."""
    few = having + lacking < least_count(fewest, noise.whole, 1.0)
    rare = any(
        people < max(least_count(fewest, own, 1.0), FEWEST_HAVING)
        for people, own in ((having, noise.having), (lacking, noise.lacking))
    )
    return TOO_FEW if few else "", TOO_RARE if rare else ""


def _with_interval(row: Estimate, told: Statistic, count: float) -> Estimate:
    """`row` with the numbers of `told`, unless a reason stands there."""
    if row.suppressed:
        return row
    error = float(np.sqrt(told.variance))
    low, high = told.value - NORMAL_95 * error, told.value + NORMAL_95 * error
    if row.unit == SHARE:
        low, high = max(low, 0.0), min(high, 1.0)
    return replace(
        row,
        value=told.value,
        low=low,
        high=high,
        standard_error=error,
        noise_share=told.noise_share,
        count=float(count),
    )


def _area(seen: Binned, name: str, who: str, why: str) -> Estimate:
    """The area with the interval that is normal in its log odds."""
    label = f"{who}: area under the curve"
    if why:
        return Estimate(name, label, None, suppressed=why)
    told = auc(seen)
    value = float(np.clip(told.value, NEAREST, 1.0 - NEAREST))
    error = float(np.sqrt(told.variance))
    reach = NORMAL_95 * error / (value * (1.0 - value))
    low, high = (float(expit(logit(value) + side * reach)) for side in (-1.0, 1.0))
    return Estimate(
        name, label, value, low, high, error, told.noise_share, count=float(seen.people)
    )


def _by_level(frame: Frame, levels: Sequence[Binned]) -> tuple[Estimate, ...]:
    if not levels:
        return ()
    counts = np.array([seen.people for seen in levels])
    least = least_count(frame.fewest, float(levels[0].covariance.sum()), 1.0)
    hidden = held_back(counts, least, totals=True)
    found = []
    for level, seen, hide in zip(frame.levels, levels, hidden, strict=True):
        few, rare = _why(seen, frame.fewest)
        why = few or rare or (WOULD_TELL if hide else "")
        who = f"{frame.label}, {frame.by.replace('_', ' ')} {level}"
        found.append(_area(seen, f"auc-{level}", who, why))
    return tuple(found)


def put_together(seen: Binned, fewest: float) -> tuple[range, ...]:
    """Neighbouring bins, together until the share that had the outcome can be told well.

    From the lowest bin up, by noised counts alone: until there are enough people, with the outcome
    and without it, to be shown and, were the share one half, the interval were no wider than
    `WIDEST`. What is left at the upper end goes to the last, and that to the one before while it
    cannot be told. So no bin is held back beside a total that would tell it.
    """
    groups: list[range] = []
    start = 0
    for stop in range(1, seen.bins + 1):
        bins = range(start, stop)
        if _is_told(seen, bins, fewest) and _reach(seen, bins) <= WIDEST / 2:
            groups.append(bins)
            start = stop
    if start < seen.bins:
        first = groups.pop().start if groups else 0
        groups.append(range(first, seen.bins))
    while len(groups) > 1 and not _is_told(seen, groups[-1], fewest):
        groups.pop()
        groups[-1] = range(groups[-1].start, seen.bins)
    return tuple(groups)


def _is_told(seen: Binned, bins: range, fewest: float) -> bool:
    """Whether there are enough people in `bins`, with the outcome and without it."""
    return not any(_why_in(*_of(seen, bins), fewest))


def _reach(seen: Binned, bins: range) -> float:
    """How far the interval of a share of one half in `bins` reaches to either side."""
    having, lacking, cells = _of(seen, bins)
    n = max(having + lacking, 1.0)
    return NORMAL_95 * float(np.sqrt(0.25 / n + cells.apart / 4 / n**2))


def _of(seen: Binned, bins: range) -> tuple[float, float, Cells]:
    """People with and without the outcome in `bins`, and the noise of both numbers."""
    k, cells = seen.covariance, np.array(bins)
    one, zero = 2 * cells + 1, 2 * cells
    noise = Cells(
        float(k[np.ix_(one, one)].sum()),
        float(k[np.ix_(zero, zero)].sum()),
        float(k[np.ix_(one, zero)].sum()),
    )
    return float(seen.having[cells].sum()), float(seen.without[cells].sum()), noise


def _observed(frame: Frame, seen: Binned, number: int, bins: range) -> Estimate:
    """The share with the outcome in `bins`."""
    having, lacking, cells = _of(seen, bins)
    p = proportion(
        np.asarray(having), np.asarray(lacking), cells, noise_sd=1.0, fewest=frame.fewest
    )
    few, rare = _why_in(having, lacking, cells, frame.fewest)
    name, label = f"observed-{number}", f"{frame.label}: foretold {frame.told_as(bins)}"
    return share_estimate(name, label, p, few or rare)
