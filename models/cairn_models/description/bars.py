"""Histograms: shares of an arm's people in bars of bins, small ones held back, and their figure.

**Held back.** Bars lie side by side and their total is shown. A bar of too few people is held back
with neighbours, the smaller one first, until each run of hidden bars is two or more that are
together enough. So no hidden bar follows from the bars and cumulated sums that are shown: of a run
only its sum does, which is a group that could be shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cairn_models.answers import SHARE, Estimate, Histogram
from cairn_models.description.baseline import WOULD_TELL
from cairn_models.description.counts import Array, Counts, Mask
from cairn_models.description.quantiles import Bins
from cairn_models.description.reading import ByArm
from cairn_models.description.told import TOO_FEW, at, share
from cairn_models.percentages import estimate_in_per_cent


@dataclass(frozen=True)
class Bar:
    """The places (places,) of one bar; `name` in estimates, `words` for a reader."""

    name: str
    words: str
    places: Mask


def score_bars(bins: Bins) -> tuple[tuple[Bar, ...], tuple[float, ...]]:
    """Bars of a scale's bins and their edges, which lie between the rounded scores."""
    place = np.arange(bins.number)
    starts = list(range(0, bins.number - bins.bar + 1, bins.bar))
    bars, edges = [], [bins.lowest]
    for first, end in zip(starts, [*starts[1:], bins.number], strict=True):
        low, high = (float(v) for v in bins.value(place[[first, end - 1]]))
        inside = (place >= first) & (place < end)
        words = f"{low:g}" if low == high else f"{low:g} to {high:g}"
        bars.append(Bar(f"{low:g}-to-{high:g}", words, inside))
        edges.append(high if end == bins.number else high + bins.step / 2)
    return tuple(bars), tuple(edges)


def shares(
    counts: Counts, bars: Sequence[Bar], arms: Sequence[str], *, stem: str, label: str
) -> tuple[ByArm, ...]:
    """The share of everybody in each bar, a tuple of arms each; together they are everybody."""
    table = np.stack([counts.of(bar.places) for bar in bars], axis=-1)  # (arms, bars)
    least = max(counts.least(bar.places) for bar in bars)
    hidden = np.stack([hidden_runs(row, least) for row in table])
    rows = []
    for k, bar in enumerate(bars):
        found, row = counts.share(bar.places), []
        for a, arm in enumerate(arms):
            words = f"{label}, {bar.words}: {arm}"
            blank = Estimate(f"{stem}-{bar.name}-{arm}", words, None, unit=SHARE)
            if not found.readable[a] or table[a, k] < least:
                row.append(replace(blank, suppressed=TOO_FEW))
            elif hidden[a, k]:
                row.append(replace(blank, suppressed=WOULD_TELL))
            else:
                row.append(share(blank, at(found, (a,)), count=float(table[a, k])))
        rows.append(tuple(row))
    return tuple(rows)


def hidden_runs(counts: Array, least: float) -> Mask:
    """(K,) which of the bars with noised `counts` (K,) are held back; all, if no run is enough."""
    hidden: Mask = counts < least
    while (weak := _weak_run(hidden, counts, least)) is not None:
        first, end = weak
        beside = [k for k in (first - 1, end) if 0 <= k < len(counts)]
        if not beside:
            break
        hidden[min(beside, key=lambda k: float(counts[k]))] = True
    return hidden


def _weak_run(hidden: Mask, counts: Array, least: float) -> tuple[int, int] | None:
    """A run of hidden bars that is too few people; a bar of its own always is."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], hidden.astype(np.int64), [0]])))
    for first, end in edges.reshape(-1, 2).tolist():
        if counts[first:end].sum() < least:
            return first, end
    return None


def drawn(
    title: str,
    x_label: str,
    edges: tuple[float, ...],
    rows: Sequence[ByArm],
    arms: Sequence[str],
    *,
    beyond: str = "",
) -> Histogram | None:
    """The figure, in per cent; None where all is held back."""
    if all(e.value is None for row in rows for e in row):
        return None
    return Histogram(
        title,
        x_label,
        "% of people",
        edges,
        {arm: tuple(estimate_in_per_cent(row[k]) for row in rows) for k, arm in enumerate(arms)},
        beyond=beyond,
    )
