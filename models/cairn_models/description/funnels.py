"""Funnels: shares of an arm's people who came as far as each of some nested stages.

A stage is held back where too few reached it, or too few were lost since the last stage that is
shown, so that no difference between two shown stages is a small cell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from cairn_models.answers import SHARE, Estimate, Funnel
from cairn_models.description.counts import Counts
from cairn_models.description.reading import ByArm
from cairn_models.description.stages import Stage
from cairn_models.description.told import TOO_FEW, at, share
from cairn_models.percentages import estimate_in_per_cent
from cairn_models.proportions import NORMAL_95

FEW_LOST: Final = "held back, since too few were lost since the stage before"


def funnel(
    counts: Counts, name: str, stages: Sequence[Stage], arms: Sequence[str], fewest: int
) -> tuple[ByArm, ...]:
    """A tuple of arms' shares, one a stage; the first is 1 by definition."""
    place = np.arange(counts.places)
    rows: list[list[Estimate]] = [[] for _ in stages]
    last: list[float | None] = [None] * len(arms)
    for row, stage in zip(rows, stages, strict=True):
        having = place >= stage.start
        found, reached, least = counts.share(having), counts.of(having), counts.least(having)
        for k, arm in enumerate(arms):
            blank = Estimate(f"{name}-{stage.name}-{arm}", f"{stage.words}: {arm}", None)
            blank, shown = replace(blank, unit=SHARE), last[k]
            if not found.readable[k] or reached[k] < least:
                row.append(replace(blank, suppressed=TOO_FEW))
            elif shown is not None and shown - reached[k] < fewest:
                row.append(replace(blank, suppressed=FEW_LOST))
            else:
                last[k] = float(reached[k])
                row.append(share(blank, at(found, (k,)), certain=stage.start == 0))
    return tuple(tuple(row) for row in rows)


def people(counts: Counts, name: str, words: str, arms: Sequence[str]) -> ByArm:
    """How many people are in each arm's table; the interval is the noise alone."""
    everybody = np.ones(counts.places, dtype=np.bool_)
    error, least = counts.sd(everybody), counts.least(everybody)
    found = []
    for arm, count in zip(arms, counts.of(everybody).tolist(), strict=True):
        blank = Estimate(f"{name}-{arm}", f"{words}: {arm}", None, unit="people")
        if count < least:
            found.append(replace(blank, suppressed=TOO_FEW))
            continue
        found.append(
            replace(
                blank,
                value=count,
                low=max(count - NORMAL_95 * error, 0.0),
                high=count + NORMAL_95 * error,
                standard_error=error,
                noise_share=1.0 if error > 0 else 0.0,
                count=count,
            )
        )
    return tuple(found)


def drawn(
    title: str, stages: Sequence[str], rows: Sequence[ByArm], arms: dict[str, int]
) -> Funnel | None:
    """The funnels of `arms` (name → place in a row), in per cent; None where all is held back."""
    series = {arm: tuple(estimate_in_per_cent(row[k]) for row in rows) for arm, k in arms.items()}
    if all(e.value is None for row in series.values() for e in row):
        return None
    return Funnel(title, tuple(stages), series)
