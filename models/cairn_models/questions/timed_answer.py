"""The answer until an event: sentences, notes, and what figures and tables stand beside them."""

from __future__ import annotations

from cairn_models.answers import Answer
from cairn_models.life_table import LifeTable
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


def _sentences(frame: Frame, curves: tuple[Curves, ...]) -> list[str]:
    words, when = frame.words, frame.at(frame.named)
    said = []
    for arm, own in enumerate(curves):
        who = frame.people(arm)
        if own.main.readable[frame.named]:
            said.append(words.standing.format(when=when, who=who, **_shares(frame, own)))
        else:
            said.append(f"Nothing can be said about {who} at {when}: {UNREADABLE}.")
    for arm in frame.others:
        gap = difference(frame, curves, arm)
        if gap.value is None or gap.low is None or gap.high is None:
            continue
        side = 1.0 if gap.value >= 0 else -1.0
        span = " to ".join(_one(v) for v in sorted((side * gap.low, side * gap.high)))
        noise = f", {100 * (gap.noise_share or 0):.0f} % of its variance privacy noise"
        said.append(
            f"Of {frame.people(arm)}, {_one(abs(gap.value))} percentage points "
            f"{'more' if side > 0 else 'fewer'} {words.did} than of "
            f"{frame.people(frame.reference)} (95 % interval {span}"
            f"{noise if gap.noise_share else ''}){frame.confounding.suffix}."
        )
        times = ratio(frame, curves, arm)
        if times.value is not None:
            said.append(
                f"Over all intervals their hazard of {words.doing} was {times.value:.2f} times as "
                f"high ({times.low:.2f} to {times.high:.2f})."
            )
    return said


def _shares(frame: Frame, own: Curves) -> dict[str, str]:
    """Every curve at the named time, by key, as '12 %'."""
    told = {frame.words.key: own.main, **{key: f for key, _, f in own.beside(frame.words)}}
    shares = {key: share_at(own, fitted, frame.named).value for key, fitted in told.items()}
    return {key: f"{value:.0f} %" for key, value in shares.items() if value is not None}


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
