"""The notes of an "effect" answer: what the numbers are, and what they are not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from cairn_models.change_fit import ChangeFit
from cairn_models.questions.effect_frame import Frame

MOSTLY_PUBLIC: Final = 0.5


def notes(frame: Frame, fit: ChangeFit) -> tuple[str, ...]:
    """In the order in which a reader needs them."""
    return tuple(_notes(frame, fit))


def _notes(frame: Frame, fit: ChangeFit) -> Iterator[str]:
    if frame.synthetic:
        yield "Synthetic data: these are not people."
    yield (
        f"Estimand: difference between arms in the mean of change in {frame.instrument.name} from "
        f"baseline to week {frame.week:g} (± {frame.window:g}), less {_prediction(frame)}, "
        f"winsorised at ±{frame.limit:.3g} points; people with both scores."
    )
    yield (
        "People without a score in either window are left out: if they did worse than people with "
        "the same baseline who stayed, the answer does not show it."
    )
    if frame.confounding.note:
        yield frame.confounding.note
    if frame.strata:
        yield from _strata(frame, fit)
    yield (
        "Hedges' g divides by the SD of change within arms, pooled over all of them"
        + (" and not reduced by the adjustment" if frame.adjusted else "")
        + f" ({float(fit.spread.variance) ** 0.5 * frame.limit:.1f} points here). It is not to be "
        "pooled with effects that are divided by an SD of scores."
        if fit.arms.readable.any()
        else "Hedges' g divides by the SD of change within arms."
    )
    if fit.noise_sd > 0:
        yield "Intervals count the privacy noise in the sums, in the counts and in the spreads."
    drawn = [
        name
        for name, share in zip(frame.arms, fit.arms.public_weight, strict=True)
        if share > MOSTLY_PUBLIC
    ]
    if drawn:
        yield (
            f"The spread in {', '.join(drawn)} could not be told through the noise; its interval "
            "rests mostly on a public value."
        )
    if fit.spread.public_share > MOSTLY_PUBLIC:
        yield (
            "The SD of change could not be told through the noise: Hedges' g rests mostly on a "
            "public value of it."
        )
    if not all(fit.arms.readable):
        yield (
            f"An arm is shown from {frame.fewest} patients on, by its noised count, and only where "
            "that count exceeds three standard deviations of its noise."
        )


def _prediction(frame: Frame) -> str:
    if frame.foretold:
        return (
            f"what the released model of {frame.adjust!r} foretells from each person's baseline, "
            "told the same arm for all"
        )
    return "a public prediction from the baseline" if frame.adjusted else "a public constant"


def _strata(frame: Frame, fit: ChangeFit) -> Iterator[str]:
    yield (
        f"People are compared within strata of {frame.strata} (weighted least squares with an "
        "effect for each stratum; small strata count for less where their noise is large). People "
        "whose stratum is none of those that the study lists are left out."
    )
    readable = fit.cells.readable.reshape(len(frame.levels), len(frame.arms))
    left = [
        level
        for level, arms in zip(frame.levels, readable, strict=True)
        if arms.sum() < len(frame.arms)
    ]
    if left:
        where = f"these strata: {', '.join(left)}"
        if frame.fewest_strata:  # of one clinic nothing is told, not even this
            where = f"{len(left)} of {len(frame.levels)} strata"
        yield (
            f"Too few patients in an arm, by the noised count, in {where}; there that arm is left "
            "out of the contrasts."
        )
    if frame.fewest_strata:
        yield (
            f"The strata are clinics: an arm is told from {frame.fewest_strata} strata on that "
            "have enough patients of it, and two are compared from as many that have both."
        )
