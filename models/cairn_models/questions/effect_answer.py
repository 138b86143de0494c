"""The answer to an "effect" question: sentences, forests of contrasts, tables, notes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from cairn_models.answers import Answer, Estimate, Forest
from cairn_models.change_fit import ChangeFit
from cairn_models.questions.effect_estimates import Told, arm, tell
from cairn_models.questions.effect_frame import PEOPLE, Frame
from cairn_models.questions.effect_notes import notes
from cairn_models.questions.effect_strata import tellable
from cairn_models.questions.effect_tables import by_arm, by_contrast, in_words, of_equivalence

__all__ = ["PEOPLE", "answer"]

FIELDS: Final = ("main", "full", "plain", "g", "joint", "equivalence")


def answer(frame: Frame, fit: ChangeFit) -> Answer:
    """The answer from a fit; never a NaN, whatever could be read."""
    fit = tellable(frame, fit)
    told = tell(frame, fit)
    arms = tuple(arm(frame, fit, k) for k in range(len(frame.arms)))
    label = frame.confounding.suffix
    (one, other), several = frame.pairs[0], len(frame.pairs) > 1
    arms_told = " by arm" if several else f", {frame.arms[one]} against {frame.arms[other]}"
    title = f"Change in {frame.instrument.name} at week {frame.week:g}{arms_told}{label}"
    better = "right" if frame.instrument.higher_is_better else "left"
    equivalence = of_equivalence(frame, told)
    return Answer(
        question=frame.question,
        kind="effect",
        title=title,
        sentences=tuple(_sentences(frame, told)),
        estimates=(
            *(e for field in FIELDS for one in told if (e := getattr(one, field)) is not None),
            *arms,
            *(one.public_sd for one in told if one.public_sd is not None),
        ),
        tables=(
            by_arm(frame, fit, arms),
            by_contrast(frame, told),
            *((equivalence,) if equivalence is not None else ()),
        ),
        figures=(
            Forest(
                title=title,
                x_label=f"difference in change, {frame.points}",
                estimates=tuple(one.main for one in told),
                better=better,  # type: ignore[arg-type]
            ),
            Forest(
                title=f"The same in standard deviations: Hedges' g{label}",
                x_label="difference in change, SDs of change within arms",
                estimates=tuple(one.g for one in told),
                better=better,  # type: ignore[arg-type]
            ),
        ),
        notes=notes(frame, fit),
    )


def _sentences(frame: Frame, told: tuple[Told, ...]) -> Iterator[str]:
    """What each comparison found, one sentence each; then more of each, by name where several."""
    yield from (_lead(frame, one) for one in told)
    for one in told:
        rest = list(_rest(frame, one))
        if rest and len(told) > 1:
            first, second = (frame.people(k) for k in one.pair)
            more = rest.pop(0)
            yield f"{first[:1].upper()}{first[1:]} against {second}: {more[:1].lower()}{more[1:]}"
        yield from rest


def _lead(frame: Frame, told: Told) -> str:
    one, other = (frame.people(k) for k in told.pair)
    main = told.main
    if main.value is None:
        return f"Nothing can be said about {one} against {other}: {main.suppressed}."
    gain = frame.improvement(main.value)
    said = (
        f"At week {frame.week:g} {one} had improved by {_point(abs(gain))} {frame.points} "
        f"{'more' if gain >= 0 else 'less'} than {other} "
        f"(95 % interval {_span(frame, main, _side(gain))}"
        f"{_share_in_words(main.noise_share or 0.0)}){frame.confounding.suffix}."
    )
    if main.low is not None and main.high is not None and main.low <= 0.0 <= main.high:
        said += " The interval includes no difference at all."
    return said


def _rest(frame: Frame, told: Told) -> Iterator[str]:
    if told.main.value is None:
        return
    side = _side(frame.improvement(told.main.value))
    if (g := told.g.value) is not None:
        yield (
            f"In standard deviations of change the difference is a Hedges' g of "
            f"{_digits(side * frame.improvement(g), 2)} ({_span(frame, told.g, side, 2)})."
        )
    if told.plain is not None and told.plain.value is not None:
        yield (
            "As people changed, without the adjustment for their baseline, it is "
            f"{_point(side * frame.improvement(told.plain.value))} points "
            f"({_span(frame, told.plain, side)})."
        )
    if told.full.value is not None:
        yield (
            f"Without the limit of {frame.limit:.3g} points on one person's change this would be "
            f"{_point(side * frame.improvement(told.full.value))} points "
            f"({_span(frame, told.full, side)}), if changes are normally distributed."
        )
    if told.joint is not None:
        yield (
            f"Taken together with all {len(frame.pairs)} comparisons the interval is "
            f"{_span(frame, told.joint, side)} (adjusted p {_p(told.joint_p)})."
        )
    if told.equivalence is not None:
        yield _equivalence(frame, told, told.equivalence)


def _side(gain: float) -> float:
    """1 where the arm named first improved more; −1 turns what is told of it."""
    return 1.0 if gain >= 0 else -1.0


def _equivalence(frame: Frame, told: Told, interval: Estimate) -> str:
    """Two one-sided tests at 5 %: the 90 % interval lies within ± margin, or it does not."""
    pair = " and ".join(frame.people(k) for k in told.pair)
    span, margin = _span(frame, interval, 1.0), frame.margin or 0.0
    if told.equivalent:
        return (
            f"The change of {pair} is equivalent within ±{margin:g} points: the 90 % interval of "
            f"the difference in improvement ({span}) lies inside (two one-sided tests at 5 %)."
        )
    return (
        f"Equivalence of {pair} within ±{margin:g} points is not shown: the 90 % interval of the "
        f"difference in improvement ({span}) is not inside. This is not proof of a difference."
    )


def _p(value: float | None) -> str:
    words = in_words(value) or ""
    return words if words.startswith("<") else f"= {words}"


def _span(frame: Frame, estimate: Estimate, side: float, digits: int = 1) -> str:
    ends = [side * frame.improvement(e) for e in (estimate.low, estimate.high) if e is not None]
    return " to ".join(_digits(e, digits) for e in sorted(ends))


def _point(value: float) -> str:
    return _digits(value, 1)


def _digits(value: float, digits: int) -> str:
    """A true minus, and no minus before zero."""
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "−")


def _share_in_words(share: float) -> str:
    if share <= 0.0:
        return ""
    return f", {max(share, 0.01):.0%} of its variance privacy noise".replace("%", " %")
