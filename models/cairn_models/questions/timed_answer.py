"""The answer until an event: sentences, notes, and what figures and tables stand beside them."""

from __future__ import annotations

from collections.abc import Iterator

from cairn_models.answers import Answer
from cairn_models.life_table import LifeTable
from cairn_models.percentages import estimate_in_per_cent
from cairn_models.questions.timed_estimates import (
    UNREADABLE,
    Curves,
    Frame,
    difference,
    estimates,
    ratio,
    share_at,
)
from cairn_models.questions.timed_figures import figures, table_of


def answer(kind: str, frame: Frame, tables: tuple[LifeTable, ...], *, noised: bool) -> Answer:
    """The answer from one noised life table an arm; never a number that could not be told."""
    curves = tuple(Curves.of(table) for table in tables)
    label = frame.confounding.suffix if frame.others else ""
    return Answer(
        question=frame.question,
        kind=kind,
        title=f"{frame.words.title} by arm{label}",
        sentences=tuple(_sentences(frame, curves)),
        estimates=estimates(frame, curves),
        tables=(table_of(frame, curves, noised=noised),),
        figures=figures(frame, curves, label, noised=noised),
        notes=_notes(frame, curves, noised=noised),
    )


def _sentences(frame: Frame, curves: tuple[Curves, ...]) -> Iterator[str]:
    """Comparisons of arms, then where each arm stood, then the hazard ratios."""
    for arm in frame.others:
        yield from _gap(frame, curves, arm)
    yield " ".join(_standing(frame, curves))
    for arm in frame.others:
        times = ratio(frame, curves, arm)
        if times.value is not None:
            yield (
                f"Over all intervals the hazard of {frame.words.doing} of {frame.people(arm)} was "
                f"{times.value:.2f} times that of {frame.people(frame.reference)} "
                f"(95 % interval {times.low:.2f} to {times.high:.2f})."
            )


def _gap(frame: Frame, curves: tuple[Curves, ...], arm: int) -> Iterator[str]:
    gap = estimate_in_per_cent(difference(frame, curves, arm))
    if gap.value is None or gap.low is None or gap.high is None:
        return
    side = 1.0 if gap.value >= 0 else -1.0
    span = " to ".join(_one(v) for v in sorted((side * gap.low, side * gap.high)))
    noise = f", {100 * (gap.noise_share or 0):.0f} % of its variance privacy noise"
    said = (
        f"At {frame.at(frame.named)}, of {frame.people(arm)} {_one(abs(gap.value))} percentage "
        f"points {'more' if side > 0 else 'fewer'} {frame.words.did} than of "
        f"{frame.people(frame.reference)} (95 % interval {span}"
        f"{noise if gap.noise_share else ''}){frame.confounding.suffix}."
    )
    if gap.low <= 0.0 <= gap.high:
        said += " The interval includes no difference at all."
    yield said


def _standing(frame: Frame, curves: tuple[Curves, ...]) -> Iterator[str]:
    words, when = frame.words, frame.at(frame.named)
    for arm, own in enumerate(curves):
        who = frame.people(arm)
        if own.main.readable[frame.named]:
            yield words.standing.format(when=when, who=who, **_shares(frame, own))
        else:
            yield f"Nothing can be said about {who} at {when}: {UNREADABLE}."


def _shares(frame: Frame, own: Curves) -> dict[str, str]:
    """Every curve at the named time, by key, as '12 %'."""
    told = {frame.words.key: own.main, **{key: f for key, _, f in own.beside(frame.words)}}
    shares = {key: share_at(own, fitted, frame.named).value for key, fitted in told.items()}
    return {key: f"{100.0 * value:.0f} %" for key, value in shares.items() if value is not None}


def _one(value: float) -> str:
    return f"{round(value, 1) + 0.0:.1f}".replace("-", "−")


def _notes(frame: Frame, curves: tuple[Curves, ...], *, noised: bool) -> tuple[str, ...]:
    notes = [
        *frame.words.notes,
        f"Time is cut at {', '.join(f'{end:g}' for end in frame.ends)} {frame.unit}s; hazards are "
        "of an interval, their ratio is one number over all intervals, and the mean time takes "
        "the curve as straight between cuts.",
    ]
    if frame.synthetic:
        notes.insert(0, "Synthetic data: these are not people.")
    if frame.confounding.note and frame.others:
        notes.append(frame.confounding.note)
    if noised:
        notes.append(
            "Intervals count the privacy noise through the whole cumulation. Nothing is smoothed: "
            "noise can bend a curve a little against its direction."
        )
    if not all(own.table.readable.all() for own in curves):
        notes.append(
            f"A curve stops before fewer than {frame.fewest} people are still there by the noised "
            "number, or fewer than three standard deviations of that number's noise."
        )
    return tuple(notes)
