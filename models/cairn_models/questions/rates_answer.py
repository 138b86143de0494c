"""The answer to a "rates" question: sentences, forests of differences, rates by group, notes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal

from cairn_models.answers import Answer, Bars, Cell, Estimate, Figure, Forest, Table
from cairn_models.questions.effect_answer import PEOPLE
from cairn_models.questions.rates_estimates import (
    Frame,
    Group,
    Pair,
    Rate,
    RatesEstimates,
    estimates_of,
)

KIND: Final = "rates"
MANY_TIMES: Final = 10.0  # a ratio whose interval is wider than this is not put into words


def answer(frame: Frame, rate: Rate, *, noise_sd: float) -> Answer:
    """The answer from `rate`, which reads the noised sum; never a NaN, whatever it reads."""
    found = [estimates_of(frame, rate, outcome) for outcome in frame.outcomes]
    label = frame.confounding.suffix
    of = _joined([o.label for o in frame.outcomes])
    title = f"{of[0].upper()}{of[1:]} at week {frame.week:g} by arm{label}"
    return Answer(
        question=frame.question,
        kind=KIND,
        title=title,
        sentences=tuple(_sentences(frame, found)),
        estimates=tuple(e for part in found for e in part),
        tables=(_counts(frame, found), _differences(frame, found)),
        figures=tuple(_figures(frame, found)),
        notes=tuple(_notes(frame, found, noised=noise_sd > 0)),
    )


def _joined(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _people(frame: Frame, arm: int) -> str:
    name = frame.arms[arm]
    return PEOPLE.get(name, f"people in arm “{name}”")


def _sentences(frame: Frame, found: list[RatesEstimates]) -> Iterator[str]:
    """What each comparison of arms found, gaps between levels, then what holds together."""
    contrasts = [(part, arm) for part in found for arm in frame.others]
    yield from (_contrast(frame, part, arm) for part, arm in contrasts)
    for level in range(1, len(frame.levels)):
        yield _gap(frame, found[0], level)
    for part, arm in contrasts:
        yield from _together(frame, part, arm)


def _contrast(frame: Frame, part: RatesEstimates, arm: int) -> str:
    gap, outcome = part.differences[arm, None], part.outcome
    one, other = part.rates[arm, None], part.rates[frame.reference, None]
    who, whom = _people(frame, arm), _people(frame, frame.reference)
    among = "of those at caseness first, " if outcome.of_cases else ""
    if gap.value is None or one.value is None or other.value is None:
        return (
            f"Nothing can be said about {outcome.label} of {who} against {whom}: {gap.suppressed}."
        )
    said = (
        f"At week {frame.week:g}, {among}{_percent(one.value)} of {who} had {outcome.phrase} and "
        f"{_percent(other.value)} of {whom}: {_points(gap)}"
        f"{_times(part.ratios[arm, None])}{frame.confounding.suffix}."
    )
    if gap.low is not None and gap.high is not None and gap.low <= 0.0 <= gap.high:
        said += " The interval includes no difference at all."
    return said


def _together(frame: Frame, part: RatesEstimates, arm: int) -> Iterator[str]:
    joint = part.together.get(((arm, None), (frame.reference, None)))
    if joint is None or joint.value is None:
        return
    label, who, whom = part.outcome.label, _people(frame, arm), _people(frame, frame.reference)
    side = 1.0 if joint.value >= 0 else -1.0
    yield (
        f"{label[:1].upper()}{label[1:]}, {who} against {whom}: taken together with all "
        f"{len(frame.others)} comparisons of arms the interval is {_span(joint, side)} percentage "
        f"points {'more' if side > 0 else 'fewer'}."
    )


def _gap(frame: Frame, part: RatesEstimates, level: int) -> str:
    gap, first = part.gaps[level], frame.levels[0]
    where = f"{frame.at(level)} against {first}"
    if gap.value is None:
        return f"Nothing can be said about {part.outcome.label} of {where}: {gap.suppressed}."
    said = f"Equity gap in {part.outcome.label}, {where}, all arms together: {_points(gap)}."
    if gap.low is not None and gap.high is not None and gap.low <= 0.0 <= gap.high:
        said += " The interval includes no gap at all."
    return said


def _points(gap: Estimate) -> str:
    """'12 percentage points more (95 % interval 6 to 18)', turned so that the middle is ≥ 0."""
    if gap.value is None or gap.low is None or gap.high is None:
        return ""
    side = 1.0 if gap.value >= 0 else -1.0
    share = gap.noise_share or 0.0
    noise = f", {max(share, 0.01):.0%} of its variance privacy noise" if share else ""
    return (
        f"{_number(100 * abs(gap.value))} percentage points {'more' if side > 0 else 'fewer'} "
        f"(95 % interval {_span(gap, side)}"
        f"{noise.replace('%', ' %')})"
    )


def _span(gap: Estimate, side: float) -> str:
    """'6 to 18': the ends in percentage points, lower first; `side` −1 turns them."""
    ends = sorted(100 * side * end for end in (gap.low, gap.high) if end is not None)
    return " to ".join(_number(end) for end in ends)


def _times(ratio: Estimate) -> str:
    if ratio.value is None or ratio.low is None or ratio.high is None:
        return ""
    if ratio.high > MANY_TIMES * ratio.low:
        return ""
    value, low, high = (
        f"{v:.{1 if v >= 0.95 else 2}f}" for v in (ratio.value, ratio.low, ratio.high)
    )
    return f", or {value} times as many (95 % interval {low} to {high})"


def _percent(share: float) -> str:
    return f"{_number(100 * share)} %"


def _number(value: float) -> str:
    """One decimal, a true minus, and no minus before zero."""
    return f"{round(value, 1) + 0.0:.1f}".replace("-", "−")


def _figures(frame: Frame, found: list[RatesEstimates]) -> Iterator[Figure]:
    label = frame.confounding.suffix
    for good in (True, False):
        same = [part for part in found if part.outcome.is_good is good]
        if not same:
            continue
        of = _joined([part.outcome.label for part in same])
        yield Forest(
            title=f"Differences from {frame.arms[frame.reference]}: {of}{label}",
            x_label="difference in the share of people",
            estimates=tuple(part.differences[k, None] for part in same for k in frame.others),
            better="right" if good else "left",
        )
    yield Bars(
        title=f"Rates by arm, week {frame.week:g}{label}",
        x_label="outcome",
        y_label="share of people",
        groups=tuple(part.outcome.label for part in found),
        series={
            name: tuple(part.rates[arm, None] for part in found)
            for arm, name in enumerate(frame.arms)
        },
    )
    if frame.levels:
        for part in found:
            yield from _by_level(frame, part, label)


def _by_level(frame: Frame, part: RatesEstimates, label: str) -> Iterator[Figure]:
    outcome, levels, by = part.outcome, range(len(frame.levels)), frame.by.replace("_", " ")
    better: Literal["left", "right"] = "right" if outcome.is_good else "left"
    yield Bars(
        title=f"{outcome.label.capitalize()} by {by} and arm, week {frame.week:g}{label}",
        x_label=by,
        y_label="share of people",
        groups=frame.levels,
        series={
            name: tuple(part.rates[arm, level] for level in levels)
            for arm, name in enumerate(frame.arms)
        },
    )
    yield Forest(
        title=f"Differences from {frame.arms[frame.reference]} in {outcome.label} by {by}{label}",
        x_label="difference in the share of people",
        estimates=tuple(part.differences[k, level] for level in levels for k in frame.others),
        better=better,
    )
    yield Forest(
        title=f"Equity gaps in {outcome.label} by {by}, all arms together",
        x_label="difference in the share of people",
        estimates=tuple(part.gaps.values()),
        better=better,
    )


def _differences(frame: Frame, found: list[RatesEstimates]) -> Table:
    """Each difference with its own interval, and with the one that holds together with others."""

    def row(part: RatesEstimates, pair: Pair) -> tuple[Cell, ...]:
        arm, level = pair[0]
        own = part.differences.get(pair[0])
        if arm is None and level is not None:
            own = part.gaps[level]
        assert own is not None  # noqa: S101  every pair of a family is one or the other
        joint = part.together.get(pair)
        ends = (None, None) if joint is None else (joint.low, joint.high)
        points = (None if v is None else 100 * v for v in (own.value, own.low, own.high, *ends))
        return (own.label, *points, own.suppressed)

    families = [family for family in frame.families if family]
    return Table(
        title=f"Differences in the share of people, percentage points, week {frame.week:g}",
        columns=(
            "comparison",
            "difference",
            "from",
            "to",
            "from, all together",
            "to, all together",
            "why not shown",
        ),
        rows=tuple(row(part, p) for part in found for family in families for p in family),
        note="95 % intervals. All together: of one outcome, all arms with the reference; the same "
        "at all levels; all levels over all arms. Single-step max-|T| (Hothorn, Bretz & Westfall "
        "2008), Newcombe's intervals at the joint level; blank where there is one comparison.",
    )


def _counts(frame: Frame, found: list[RatesEstimates]) -> Table:
    """How many people each rate rests on, one row a group; what is not shown has its reason."""
    assessed = next((p for p in found if not p.outcome.of_cases), None)
    cases = next((p for p in found if p.outcome.of_cases), None)

    def counted(part: RatesEstimates | None, group: Group) -> int | None:
        count = part.rates[group].count if part else None
        return None if count is None else round(count)

    def row(group: Group) -> tuple[Cell, ...]:
        held = {p.rates[group].suppressed for p in found} - {""}
        why = "; ".join(sorted(held))
        return frame.words(group), counted(assessed, group), counted(cases, group), why

    return Table(
        title=f"People behind the rates, week {frame.week:g}",
        columns=(
            "group",
            "with all scores (noised)",
            "of these at caseness first (noised)",
            "why not shown",
        ),
        rows=tuple(row(group) for group in frame.groups),
        note="Improvement and deterioration are counted among all who have all scores, recoveries "
        "among those at caseness first.",
    )


def _notes(frame: Frame, found: list[RatesEstimates], *, noised: bool) -> Iterator[str]:
    if frame.synthetic:
        yield "Synthetic data: these are not people."
    scales = _joined([scale.name for scale in frame.scales])
    change = _joined([f"{s.reliable_change:g} on {s.name}" for s in frame.scales])
    caseness = _joined([f"{s.caseness:g} on {s.name}" for s in frame.scales])
    yield (
        f"Estimand: share of people, among those with {scales} at baseline and at week "
        f"{frame.week:g} (± {frame.window:g}). Reliable change: at least {change}, on one scale "
        f"and not the other way on another. Caseness: {caseness} or more, on any. Recovery: at "
        "caseness first, then on no scale. Rules of NHS Talking Therapies, which counts finished "
        "courses of treatment; here people are counted at a week, whatever they had."
    )
    yield (
        "People without all scores are left out: if they did worse than those who stayed, the "
        "answer does not show it."
    )
    if frame.by:
        yield (
            f"People whose {frame.by.replace('_', ' ')} is not one of the study's levels are in "
            "none of these numbers. Gaps between levels describe; they explain nothing, and where "
            "levels differ in the arms that they are in, the gaps hold that too."
        )
    if frame.confounding.note:
        yield frame.confounding.note
    if noised:
        yield "Intervals count the privacy noise in the numerators and in the denominators."
    if any(e.suppressed for part in found for e in part):
        yield (
            f"A group is shown from {frame.fewest} people on, by its noised count, and only where "
            "that count exceeds three standard deviations of its noise; a ratio only where as much "
            "holds for the people who had the outcome, five at least."
        )
