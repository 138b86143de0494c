"""`expected_of`: what a planned cohort would give for every estimate of a description.

Arms of one size; scores and numbers with the public spread of `blocks`, levels equally frequent,
the share `KEPT` of people with a score at each stage of the funnel and in the course.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from scipy import stats

from cairn_models.description.blocks import (
    COUNT_WEIGHT,
    PUBLIC_VARIANCE,
    Cells,
    Layout,
    Number,
)
from cairn_models.description.quantiles import Bins
from cairn_models.proportions import variances
from cairn_models.questions.base import Expected

KEPT: Final = 0.75
QUANTILES: Final = {"median": 0.5, "lower-quartile": 0.25, "upper-quartile": 0.75}


def expected_of(
    layout: Layout,
    bins: Bins,
    arms: tuple[str, ...],
    stages: tuple[tuple[str, str], ...],
    variables: dict[str, tuple[str, ...]],
    *,
    planned: int,
    noise_sd: float,
) -> tuple[Expected, ...]:
    """Standard errors, in the order of the blocks; names are those of the answer's estimates."""
    n = planned / len(arms)
    found: list[Expected] = []
    for block in layout.blocks:
        sd = layout.noise_sd(block, noise_sd)
        for arm in arms:
            if isinstance(block, Number):
                at_week = block.name not in ("baseline", *variables)
                found.append(_mean(block, arm, KEPT * n if at_week else n, sd, variables))
            elif block.name == "funnel":
                found += _shares(block, arm, n, sd, stages)
            elif block.name == "quartiles":
                found += _quantiles(block, bins, arm, n, sd)
            else:
                found += _levels(block, arm, n, sd, variables[block.name])
    return tuple(found)


def _mean(
    block: Number, arm: str, n: float, sd: float, variables: dict[str, tuple[str, ...]]
) -> Expected:
    """At a mean of a tenth of the range from the middle."""
    noise = sd * np.sqrt(1.0 + (0.2 / COUNT_WEIGHT) ** 2) / n
    return Expected(
        f"{block.name}-mean-{arm}",
        f"{block.name.replace('_', ' ').replace('-', ' ')}, mean: {arm}",
        "" if block.name in variables else "points",
        block.limit * float(np.sqrt(PUBLIC_VARIANCE / n)),
        block.limit * float(noise),
    )


def _shares(
    block: Cells, arm: str, n: float, sd: float, stages: tuple[tuple[str, str], ...]
) -> Iterator[Expected]:
    for stage, (name, words) in reversed(list(enumerate(stages))):
        if stage == 0:
            continue  # 1 by definition
        cells = (block.places - stage, stage)
        sampling, noise = variances(np.array(KEPT), np.array(n), cells, sd)
        yield _share(f"funnel-{name}-{arm}", f"{words}: {arm}", sampling, noise)


def _levels(
    block: Cells, arm: str, n: float, sd: float, levels: tuple[str, ...]
) -> Iterator[Expected]:
    p = np.array(1.0 / len(levels))
    sampling, noise = variances(p, np.array(n), (1, len(levels) - 1), sd)
    for level in levels:
        label = f"{block.name.replace('_', ' ')} {level}: {arm}"
        yield _share(f"{block.name}-{level}-{arm}", label, sampling, noise)


def _quantiles(block: Cells, bins: Bins, arm: str, n: float, sd: float) -> Iterator[Expected]:
    """The density of a normal law turns the share's error into points."""
    spread = float(np.sqrt(PUBLIC_VARIANCE)) * bins.step * (block.places - 1) / 2
    for name, q in QUANTILES.items():
        density = float(stats.norm.pdf(stats.norm.ppf(q))) / spread
        below = round(q * block.places)
        sampling, noise = variances(np.array(q), np.array(n), (below, block.places - below), sd)
        yield Expected(
            f"baseline-{name}-{arm}",
            f"baseline score, {name.replace('-', ' ')}: {arm}",
            "points",
            float(np.sqrt(sampling)) / density,
            float(np.sqrt(noise)) / density,
        )


def _share(name: str, label: str, sampling: np.ndarray, noise: np.ndarray) -> Expected:
    return Expected(name, label, "share", float(np.sqrt(sampling)), float(np.sqrt(noise)))
