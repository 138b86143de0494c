"""The tables of an "effect" answer: by arm, by contrast, and the tests of equivalence."""

from __future__ import annotations

import numpy as np

from cairn_models.answers import Cell, Estimate, Table
from cairn_models.change_fit import ChangeFit
from cairn_models.questions.effect_estimates import Told
from cairn_models.questions.effect_frame import Frame

SMALLEST_P = 0.001


def by_arm(frame: Frame, fit: ChangeFit, arms: tuple[Estimate, ...]) -> Table:
    """Noised counts, mean changes, and the SD of adjusted change in each arm."""

    def row(k: int) -> tuple[Cell, ...]:
        e = arms[k]
        if e.value is None:
            return (frame.arms[k], *(None,) * 6, e.suppressed)
        plain = float(fit.plain_means[k]) * frame.limit + frame.middle
        spread = float(np.sqrt(fit.arms.spread[k])) * frame.limit
        shown = round(float(fit.arms.count[k]))
        return (frame.arms[k], shown, e.value, e.low, e.high, spread, plain, e.suppressed)

    kind = f"of a person whose baseline was {frame.typical_baseline:.3g}"
    if frame.foretold:
        kind = f"beyond what {frame.adjust!r} foretold"
    elif not frame.adjusted:
        kind = "as it was"
    return Table(
        title=f"By arm, at week {frame.week:g}",
        columns=(
            "arm",
            "patients with both scores (noised)",
            "mean change",
            "from",
            "to",
            "SD of adjusted change" if frame.adjusted else "SD of change",
            "mean change as it was",
            "why not shown",
        ),
        rows=tuple(row(k) for k in range(len(frame.arms))),
        note=f"Mean change {kind}; 95 % intervals. Counts are noised and may be off by "
        f"{2 * fit.arms.count_sd:.0f} either way.",
    )


def by_contrast(frame: Frame, told: tuple[Told, ...]) -> Table:
    """Each contrast with its own interval, the one that holds for all, and Hedges' g."""
    joint = ("from, all together", "to, all together", "p, all together") if frame.several else ()

    def row(one: Told) -> tuple[Cell, ...]:
        together: tuple[Cell, ...] = ()
        if one.joint is not None:
            together = (one.joint.low, one.joint.high, in_words(one.joint_p))
        return (
            one.main.label,
            "primary" if frame.is_primary(one.pair) else "",
            *(one.main.value, one.main.low, one.main.high, in_words(one.p)),
            *together,
            *(one.g.value, one.g.low, one.g.high),
            one.main.suppressed,
        )

    return Table(
        title=f"Differences in change, {frame.points}",
        columns=(
            "contrast",
            "named",
            "difference",
            "from",
            "to",
            "p",
            *joint,
            "Hedges' g",
            "g from",
            "g to",
            "why not shown",
        ),
        rows=tuple(row(one) for one in told),
        note="95 % intervals, two-sided p."
        + (
            " All together: single-step max-|T| over all comparisons of this table (Hothorn, "
            "Bretz & Westfall 2008; against one reference it is Dunnett's, over all pairs Tukey's)."
            if frame.several
            else ""
        ),
    )


def of_equivalence(frame: Frame, told: tuple[Told, ...]) -> Table | None:
    """Two one-sided tests of each contrast against the margin; None where none is set."""
    if frame.margin is None:
        return None

    def row(one: Told) -> tuple[Cell, ...]:
        e = one.equivalence
        assert e is not None  # noqa: S101  a margin is set
        verdict = {True: "shown", False: "not shown", None: None}[one.equivalent]
        larger = None if one.below is None or one.above is None else max(one.below, one.above)
        ends = (e.value, e.low, e.high, in_words(one.below), in_words(one.above), in_words(larger))
        return (frame.label(one.pair), *ends, verdict, e.suppressed)

    return Table(
        title=f"Equivalence within ±{frame.margin:g} {frame.points}",
        columns=(
            "contrast",
            "difference",
            "from, 90 %",
            "to, 90 %",
            f"p against −{frame.margin:g} or less",
            f"p against {frame.margin:g} or more",
            "p, the larger",
            "equivalence",
            "why not shown",
        ),
        rows=tuple(row(one) for one in told),
        note="Two one-sided tests at 5 % (Schuirmann 1987): equivalence is shown where the 90 % "
        "interval lies inside the margin. Where it is not shown, a difference is not proven.",
    )


def in_words(p: float | None) -> str | None:
    """A p value in three decimals, never 0."""
    if p is None:
        return None
    return f"< {SMALLEST_P:g}" if p < SMALLEST_P else f"{p:.3f}"
