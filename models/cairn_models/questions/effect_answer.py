"""The answer to an "effect" question: sentences, a forest of contrasts, a table of arms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from cairn_models.answers import Answer, Estimate, Forest, Table
from cairn_models.arm_means import ArmMeans, Interval, difference, mean_of
from cairn_models.measures import Instrument
from cairn_models.questions.confounding import Confounding

PEOPLE: Final = {
    "waiting": "people waiting",
    "treatment_as_usual": "people in usual care",
    "self_help_book": "people given a self-help book",
    "dmhi_unguided": "people offered an unguided programme",
    "dmhi_guided": "people offered a guided programme",
    "blended": "people in blended treatment",
    "face_to_face": "people in face-to-face treatment",
}
UNREADABLE: Final = "too few patients with both scores to tell through the noise"
TOO_FAR_OUT: Final = (
    "so many patients are at the winsorising limit that none can be told without it"
)
MOSTLY_PUBLIC: Final = 0.5


@dataclass(frozen=True)
class Frame:
    """The public facts that an answer is worded with; points are the instrument's."""

    question: str
    instrument: Instrument
    week: float
    window: float
    arms: tuple[str, ...]
    reference: int
    limit: float
    typical_baseline: float
    expected_change: float  # the public prediction at the typical baseline
    standardise_by: float | None
    margin: float | None
    confounding: Confounding
    synthetic: bool
    fewest: int

    def people(self, arm: int) -> str:
        """The arm in words for a reader."""
        name = self.arms[arm]
        return PEOPLE.get(name, f"people in arm “{name}”")

    def improvement(self, change: float) -> float:
        """`change` with its sign turned so that better is above zero."""
        return change if self.instrument.higher_is_better else -change


def answer(frame: Frame, means: ArmMeans, full: ArmMeans, *, noised: bool) -> Answer:
    """The answer from fitted `means` (arms,); never a NaN, whatever could be read.

    `full` are the same means without winsorising, where the normal law gives them.
    """
    others = [k for k in range(len(frame.arms)) if k != frame.reference]
    contrasts = {k: _contrast(frame, means, k) for k in others}
    fuller = {k: _unwinsorised(frame, means, full, k) for k in others}
    arms = tuple(_arm(frame, means, k) for k in range(len(frame.arms)))
    title = (
        f"Change in {frame.instrument.name} at week {frame.week:g} by arm{frame.confounding.suffix}"
    )
    standardised = tuple(
        _scaled(e, 1 / frame.standardise_by, "standardised", "SD")
        for e in contrasts.values()
        if frame.standardise_by is not None
    )
    return Answer(
        question=frame.question,
        kind="effect",
        title=title,
        sentences=tuple(
            sentence
            for k in others
            for sentence in _sentences(frame, means, k, contrasts[k], fuller[k])
        ),
        estimates=(*contrasts.values(), *fuller.values(), *arms, *standardised),
        tables=(_table(frame, means, arms),),
        figures=(
            Forest(
                title=title,
                x_label=f"difference in change, {frame.instrument.name} points",
                estimates=tuple(contrasts.values()),
                better="right" if frame.instrument.higher_is_better else "left",
            ),
        ),
        notes=_notes(frame, means, noised=noised),
    )


def _contrast(frame: Frame, means: ArmMeans, arm: int) -> Estimate:
    name = f"{frame.arms[arm]}-{frame.arms[frame.reference]}"
    label = f"{frame.arms[arm]} against {frame.arms[frame.reference]}"
    hidden = [k for k in (arm, frame.reference) if not means.readable[k]]
    if hidden:
        which = " and ".join(frame.arms[k] for k in hidden)
        return _suppressed(frame, name, label, f"{which}: {UNREADABLE}")
    count = _fewer(means, arm, frame.reference)
    return _estimate(frame, name, label, difference(means, arm, frame.reference), count)


def _unwinsorised(frame: Frame, means: ArmMeans, full: ArmMeans, arm: int) -> Estimate:
    name = f"unwinsorised-{frame.arms[arm]}-{frame.arms[frame.reference]}"
    label = f"{frame.arms[arm]} against {frame.arms[frame.reference]}, without winsorising"
    for readable, reason in ((means.readable, UNREADABLE), (full.readable, TOO_FAR_OUT)):
        if not (readable[arm] and readable[frame.reference]):
            return _suppressed(frame, name, label, reason)
    count = _fewer(means, arm, frame.reference)
    return _estimate(frame, name, label, difference(full, arm, frame.reference), count)


def _arm(frame: Frame, means: ArmMeans, arm: int) -> Estimate:
    name = f"change-{frame.arms[arm]}"
    label = f"mean change of {frame.people(arm)}, from a baseline of {frame.typical_baseline:.3g}"
    if not means.readable[arm]:
        return _suppressed(frame, name, label, f"{frame.arms[arm]}: {UNREADABLE}")
    count = float(means.count[arm])
    return _estimate(frame, name, label, mean_of(means, arm), count, shift=frame.expected_change)


def _fewer(means: ArmMeans, *arms: int) -> float:
    """The noised count of the smallest of these arms."""
    return min(float(means.count[arm]) for arm in arms)


def _estimate(
    frame: Frame, name: str, label: str, interval: Interval, count: float, *, shift: float = 0.0
) -> Estimate:
    low, high = interval.ends()
    return Estimate(
        name=name,
        label=label,
        value=float(interval.value) * frame.limit + shift,
        low=float(low) * frame.limit + shift,
        high=float(high) * frame.limit + shift,
        standard_error=float(interval.standard_error) * frame.limit,
        noise_share=float(interval.noise_share),
        unit=f"{frame.instrument.name} points",
        count=count,
    )


def _suppressed(frame: Frame, name: str, label: str, reason: str) -> Estimate:
    unit = f"{frame.instrument.name} points"
    return Estimate(name=name, label=label, value=None, unit=unit, suppressed=reason)


def _scaled(estimate: Estimate, factor: float, prefix: str, unit: str) -> Estimate:
    def times(number: float | None) -> float | None:
        return None if number is None else number * factor

    return Estimate(
        name=f"{prefix}-{estimate.name}",
        label=f"{estimate.label}, {prefix}",
        value=times(estimate.value),
        low=times(estimate.low),
        high=times(estimate.high),
        standard_error=times(estimate.standard_error),
        noise_share=estimate.noise_share,
        unit=unit,
        suppressed=estimate.suppressed,
        count=estimate.count,
    )


def _sentences(
    frame: Frame, means: ArmMeans, arm: int, contrast: Estimate, full: Estimate
) -> list[str]:
    if contrast.value is None or contrast.low is None or contrast.high is None:
        return [
            f"Nothing can be said about {frame.people(arm)} against "
            f"{frame.people(frame.reference)}: {contrast.suppressed}."
        ]
    gain = frame.improvement(contrast.value)
    side = 1.0 if gain >= 0 else -1.0
    words = [
        f"At week {frame.week:g} {frame.people(arm)} had improved by {_point(abs(gain))} "
        f"{frame.instrument.name} points {'more' if gain >= 0 else 'less'} than "
        f"{frame.people(frame.reference)} (95 % interval {_span(frame, contrast, side)}"
        f"{_share_in_words(contrast.noise_share or 0.0)})"
        f"{frame.confounding.suffix}."
    ]
    if full.value is not None:
        words.append(
            f"Without the limit of {frame.limit:.3g} points on one person's change this would be "
            f"{_point(side * frame.improvement(full.value))} points ({_span(frame, full, side)}), "
            "if changes are normally distributed."
        )
    if contrast.low <= 0.0 <= contrast.high:
        words.append("The interval includes no difference at all.")
    if frame.margin is not None:
        words.append(_equivalence(frame, means, arm, frame.margin))
    return words


def _span(frame: Frame, estimate: Estimate, side: float) -> str:
    ends = [side * frame.improvement(e) for e in (estimate.low, estimate.high) if e is not None]
    return " to ".join(_point(e) for e in sorted(ends))


def _point(value: float) -> str:
    """One decimal, a true minus, and no minus before zero."""
    return f"{round(value, 1) + 0.0:.1f}".replace("-", "−")


def _share_in_words(share: float) -> str:
    if share <= 0.0:
        return ""
    return f", of which {max(share, 0.01):.0%} of the variance is privacy noise".replace("%", " %")


def _equivalence(frame: Frame, means: ArmMeans, arm: int, margin: float) -> str:
    """Two one-sided tests at 5 %: the 90 % interval lies within ± margin, or it does not."""
    low, high = difference(means, arm, frame.reference).ends(0.90)
    within = -margin < float(low) * frame.limit and float(high) * frame.limit < margin
    pair = f"{frame.people(arm)} and {frame.people(frame.reference)}"
    span = " to ".join(_ends(frame, float(low), float(high)))
    if within:
        return (
            f"The change of {pair} is equivalent within ±{margin:g} points: the 90 % interval of "
            f"the difference in improvement ({span}) lies inside (two one-sided tests at 5 %)."
        )
    return (
        f"Equivalence of {pair} within ±{margin:g} points is not shown: the 90 % interval of the "
        f"difference in improvement ({span}) is not inside. This is not proof of a difference."
    )


def _ends(frame: Frame, low: float, high: float) -> list[str]:
    """Both ends of a difference, as improvement in points, lower first."""
    return [_point(p) for p in sorted(frame.improvement(e) * frame.limit for e in (low, high))]


def _table(frame: Frame, means: ArmMeans, arms: tuple[Estimate, ...]) -> Table:
    def row(k: int) -> tuple[str | float | int | None, ...]:
        e = arms[k]
        shown = round(float(means.count[k])) if means.readable[k] else None
        spread = float(np.sqrt(means.spread[k])) * frame.limit if means.readable[k] else None
        return (frame.arms[k], shown, e.value, e.low, e.high, spread, e.suppressed)

    return Table(
        title=f"By arm, at week {frame.week:g}",
        columns=(
            "arm",
            "patients with both scores (noised)",
            "mean change",
            "from",
            "to",
            "SD of adjusted change",
            "why not shown",
        ),
        rows=tuple(row(k) for k in range(len(frame.arms))),
        note=(
            f"Mean change of a person whose baseline was {frame.typical_baseline:.3g}; "
            "95 % intervals. Counts are noised and may be off by "
            f"{2 * means.count_sd:.0f} either way."
        ),
    )


def _notes(frame: Frame, means: ArmMeans, *, noised: bool) -> tuple[str, ...]:
    notes = [
        f"Estimand: difference between arms in the mean of change in {frame.instrument.name} from "
        f"baseline to week {frame.week:g} (± {frame.window:g}), less a public prediction from the "
        f"baseline, winsorised at ±{frame.limit:.3g} points; people with both scores.",
        "People without a score in either window are left out: if they did worse than people with "
        "the same baseline who stayed, the answer does not show it.",
    ]
    if frame.synthetic:
        notes.insert(0, "Synthetic data: these are not people.")
    if frame.confounding.note:
        notes.append(frame.confounding.note)
    if noised:
        notes.append(
            "Intervals count the privacy noise in the sums, in the counts and in the spreads."
        )
    drawn = [
        name
        for name, share in zip(frame.arms, means.public_weight, strict=True)
        if share > MOSTLY_PUBLIC
    ]
    if drawn:
        notes.append(
            f"The spread in {', '.join(drawn)} could not be told through the noise; its interval "
            "rests mostly on a public value."
        )
    if not all(means.readable):
        notes.append(
            f"An arm is shown from {frame.fewest} patients on, by its noised count, and only where "
            "that count exceeds three standard deviations of its noise."
        )
    return tuple(notes)
