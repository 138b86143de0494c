"""Every number of an "effect" answer as an `Estimate`: contrasts, g, joint and 90 % intervals."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from scipy import stats

from cairn_models.answers import Estimate
from cairn_models.arm_effects import ArmEffects, Pair
from cairn_models.arm_means import Interval, mean_of
from cairn_models.change_fit import ChangeFit
from cairn_models.multiplicity import adjusted_p, joint_level
from cairn_models.questions.effect_frame import (
    EQUIVALENCE,
    FULL,
    JOINT,
    PLAIN,
    PUBLIC_SD,
    SDS,
    Frame,
    G,
)
from cairn_models.questions.effect_strata import together

UNREADABLE: Final = "too few patients with both scores to tell through the noise"
NEVER_TOGETHER: Final = "in no stratum are there enough patients of both arms"
TOO_FAR_OUT: Final = (
    "so many patients are at the winsorising limit that none can be told without it"
)
NOBODY_DIFFERS: Final = "nobody's change differs from another's"
SPREAD_LOST: Final = "the SD of change cannot be told through the noise"


@dataclass(frozen=True)
class Told:
    """All that is told of one pair of arms; None: it was not asked for.

    `p` and `joint_p` are two-sided p values, plain and for all comparisons together; `below` and
    `above` are those of the two one-sided tests, against −margin and +margin.
    """

    pair: Pair
    main: Estimate
    full: Estimate
    plain: Estimate | None
    g: Estimate
    joint: Estimate | None
    equivalence: Estimate | None
    public_sd: Estimate | None
    p: float | None = None
    joint_p: float | None = None
    below: float | None = None
    above: float | None = None

    @property
    def equivalent(self) -> bool | None:
        """Whether both one-sided tests reject at 5 %: the 90 % interval lies inside the margin."""
        if self.below is None or self.above is None:
            return None
        return max(self.below, self.above) < 0.05


def tell(frame: Frame, fit: ChangeFit) -> tuple[Told, ...]:
    """What is told of each pair, in the frame's order."""
    shown = tuple(pair for pair in frame.pairs if fit.comparable(pair))
    contrasts = {pair: fit.adjusted.contrast(pair) for pair in shown}
    p = {pair: _two_sided(interval) for pair, interval in contrasts.items()}
    level, joint_p = 0.95, dict(p)
    if len(shown) > 1:
        together = fit.adjusted.correlation(shown)
        level = joint_level(together)
        found = adjusted_p(np.array([p[pair] for pair in shown]), together)
        joint_p = dict(zip(shown, (float(v) for v in found), strict=True))
    return tuple(
        _told(frame, fit, pair, contrast=contrasts[pair], p=(p[pair], joint_p[pair]), level=level)
        if pair in contrasts
        else _hidden(frame, fit, pair)
        for pair in frame.pairs
    )


def arm(frame: Frame, fit: ChangeFit, k: int) -> Estimate:
    """The mean change of one arm, all strata together."""
    name, shift = f"change-{frame.arms[k]}", frame.expected_change
    label = f"mean change of {frame.people(k)}, from a baseline of {frame.typical_baseline:.3g}"
    if frame.foretold:
        label, shift = f"mean change of {frame.people(k)} beyond what was foretold", 0.0
    elif not frame.adjusted:
        label = f"mean change of {frame.people(k)}"
    blank = Estimate(name, label, None, unit=frame.points)
    if not fit.arms.readable[k]:
        return replace(blank, suppressed=f"{frame.arms[k]}: {UNREADABLE}")
    return _filled(blank, mean_of(fit.arms, k), float(fit.arms.count[k]), frame.limit, shift=shift)


def _told(
    frame: Frame,
    fit: ChangeFit,
    pair: Pair,
    *,
    contrast: Interval,
    p: tuple[float, float],
    level: float,
) -> Told:
    count, limit = fit.fewer(pair), frame.limit

    def blank(what: str, unit: str = "") -> Estimate:
        return Estimate(
            frame.name(pair, what), frame.label(pair, what), None, unit=unit or frame.points
        )

    def points(what: str, effects: ArmEffects) -> Estimate:
        return _filled(blank(what), effects.contrast(pair), count, limit)

    g, margin, scale = fit.g(pair), frame.margin, frame.standardise_by
    below, above = (None, None) if margin is None else one_sided(contrast, margin / limit)
    return Told(
        pair=pair,
        main=points("", fit.adjusted),
        full=points(FULL, fit.full)
        if fit.full.linked[pair] and together(frame, fit.full.cells.readable)[pair]
        else replace(blank(FULL), suppressed=TOO_FAR_OUT),
        plain=points(PLAIN, fit.plain) if frame.adjusted else None,
        g=_filled(blank(G, SDS), g, count, 1.0)
        if g is not None
        else replace(blank(G, SDS), suppressed=SPREAD_LOST if fit.noise_sd > 0 else NOBODY_DIFFERS),
        joint=_filled(blank(JOINT), contrast, count, limit, level=level) if frame.several else None,
        equivalence=_filled(blank(EQUIVALENCE), contrast, count, limit, level=0.90)
        if margin is not None
        else None,
        public_sd=_filled(blank(PUBLIC_SD, "SD"), contrast, count, limit / scale)
        if scale is not None
        else None,
        p=p[0],
        joint_p=p[1],
        below=below,
        above=above,
    )


def _hidden(frame: Frame, fit: ChangeFit, pair: Pair) -> Told:
    few = [k for k in pair if not fit.arms.readable[k]]
    reason = f"{' and '.join(frame.arms[k] for k in few)}: {UNREADABLE}" if few else NEVER_TOGETHER

    def hidden(what: str, unit: str = "") -> Estimate:
        name, label = frame.name(pair, what), frame.label(pair, what)
        return Estimate(name, label, None, unit=unit or frame.points, suppressed=reason)

    return Told(
        pair=pair,
        main=hidden(""),
        full=hidden(FULL),
        plain=hidden(PLAIN) if frame.adjusted else None,
        g=hidden(G, SDS),
        joint=hidden(JOINT) if frame.several else None,
        equivalence=hidden(EQUIVALENCE) if frame.margin is not None else None,
        public_sd=hidden(PUBLIC_SD, "SD") if frame.standardise_by is not None else None,
    )


def _filled(
    blank: Estimate,
    interval: Interval,
    count: float,
    scale: float,
    *,
    shift: float = 0.0,
    level: float = 0.95,
) -> Estimate:
    low, high = interval.ends(level)
    return replace(
        blank,
        value=float(interval.value) * scale + shift,
        low=float(low) * scale + shift,
        high=float(high) * scale + shift,
        standard_error=float(interval.standard_error) * scale,
        noise_share=float(interval.noise_share),
        count=count,
    )


def _two_sided(interval: Interval) -> float:
    value, error = float(interval.value), float(interval.standard_error)
    if error <= 0.0:
        return 1.0 if value == 0.0 else 0.0
    return float(2.0 * stats.t.sf(abs(value) / error, float(interval.degrees)))


def one_sided(interval: Interval, margin: float) -> tuple[float, float]:
    """p values against 'worse by the margin or more' on either side."""
    value, error = float(interval.value), float(interval.standard_error)
    if error <= 0.0:
        return float(value <= -margin), float(value >= margin)
    df = float(interval.degrees)
    return (
        float(stats.t.sf((value + margin) / error, df)),
        float(stats.t.cdf((value - margin) / error, df)),
    )
