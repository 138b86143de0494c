"""What `cairn clinic ledger` prints: spent, by whom, for what, when, what is left, what it buys."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from cairn_privacy.ledger_view import PRICES, LedgerView, QuestionSpent, StudySpent
from cairn_protocol.identity import PUBLIC_BYTES, fingerprint

if TYPE_CHECKING:
    from cairn_client.restore import Gap

WIDTH: Final = 96
SHORT: Final = 12  # characters of a digest that a person sees
SMALLEST: Final = 0.01  # ε below which a question tells nothing


def ledger_text(view: LedgerView) -> str:
    """A ledger at a glance, for the people who answer for the clinic."""
    parts = [
        "\n".join(_head(view)),
        "\n".join(_blocks(view)),
        *("\n".join(_study(study)) for study in view.studies),
        "\n".join(_gaps(view)),
    ]
    return "\n\n".join(part for part in parts if part)


def gap_text(gap: Gap) -> str:
    """What may be missing from a restored ledger, and what is charged for it."""
    if gap.everything_until:
        lines = _wrapped(
            f"charged is all that patients who entered by the end of {gap.everything_until}, or "
            f"without a known date, had left{'; beside it' * bool(gap.costs)}"
        )
    elif gap.costs:
        lines = ["  charged is all that these studies could still have spent"]
    else:
        lines = ["  nothing is charged: every known study had used up its cap"]
    width = max((len(cost.study) for cost in gap.costs), default=0)
    lines += [f"    {c.study:{width}}  ε = {_rounded(c.epsilon)}, {c.who}" for c in gap.costs]
    return "\n".join(lines)


def _head(view: LedgerView) -> Iterator[str]:
    yield f"Privacy ledger of {view.clinic}, begun {_minute(view.begun)}"
    yield f"  {view.links:,} links, each verified; head {view.head}"
    cap = f"ε = {view.cap_epsilon:g} at δ = {view.delta:g} for any patient, over all studies"
    if view.cap_now < view.cap_epsilon:
        cap += f"; lowered to ε = {_rounded(view.cap_now)}"
    yield f"  cap: {cap}"
    if view.stopped:
        yield from _wrapped(
            "STOPPED: another clinic has seen a newer state of this ledger. Nothing about patients "
            "is answered until the newest copy is back, or two people have let it go on with "
            "`cairn clinic ledger restore`."
        )


def _blocks(view: LedgerView) -> Iterator[str]:
    yield "What is left for each patient, by date of entry, and what it could still buy"
    rows = [
        (
            block.who,
            _rounded(block.epsilon) if block.epsilon else "nothing",
            f"{block.left_share:.0%}",
            *(f"{count:,}" for _, count in block.questions),
            f"{block.largest_epsilon:.3g}" if block.largest_epsilon >= SMALLEST else "nothing",
        )
        for block in view.blocks
    ]
    prices = [f"ε = {price:g}" for price in PRICES]
    head = ("", "spent, ε", "left", *prices, "one of ε")
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    yield f"{'':{sum(widths[:3]) + 8}}questions at"
    for row in (head, *rows):
        cells = (cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))
        yield f"  {row[0]:{widths[0]}}  {'  '.join(cells)}".rstrip()
    yield "  ε does not add up. What does is ρ; 'left' is the share of the cap's ρ that is left."


def _study(study: StudySpent) -> Iterator[str]:
    name = study.name or "a study that the ledger has no name for"
    yield f"{name}  ε = {_rounded(study.epsilon)}{_of_cap(study)}"
    if study.title:
        yield from _wrapped(study.title)
    team = study.team
    asked = fingerprint(bytes.fromhex(team)) if len(team) == 2 * PUBLIC_BYTES else "not recorded"
    yield f"  asked by  {asked}"
    yield f"  digest    {study.study[:SHORT]}"
    yield f"  patients  {study.admits}"
    width = max((len(q.question) for q in study.questions), default=0)
    for question in study.questions:
        spent = f"ε = {_rounded(question.epsilon)}"
        yield f"  {question.question:{width}}  {spent}: {_answers(question)}"
    if study.gap_epsilon:
        yield f"  charged for the gap of a restored ledger: ε = {_rounded(study.gap_epsilon)}"


def _of_cap(study: StudySpent) -> str:
    if study.cap_epsilon is None:
        return ""
    return f" of at most {_rounded(study.cap_epsilon)}, {study.left_share:.0%} left"


def _answers(question: QuestionSpent) -> str:
    answers = "1 answer" if question.charged == 1 else f"{question.charged} answers"
    open_ = question.charged - question.sent - question.void
    what = [
        f"{count} {word}"
        for count, word in (
            (question.sent, "sent"),
            (question.void, "prepared, not sent"),
            (open_, "under way or cut off"),
        )
        if count
    ]
    first, last = _minute(question.first), _minute(question.last)
    when = first if first == last else f"{first} to {last}"
    return f"{answers} charged ({', '.join(what)}), {when}"


def _gaps(view: LedgerView) -> Iterator[str]:
    if view.gaps:
        yield "Restored"
    for gap in view.gaps:
        what = (
            f"all charged that patients who entered by {gap.everything_until} had left"
            if gap.everything_until
            else "all charged that the studies could still have spent"
        )
        yield from _wrapped(
            f"{_minute(gap.proposed_at)} by {gap.proposed_by}, agreed {_minute(gap.agreed_at)} by "
            f"{gap.agreed_by}: {what}"
        )


def _rounded(epsilon: float) -> str:
    return f"{epsilon:.3g}"


def _minute(at: str) -> str:
    """A time, UTC, to the minute."""
    return at[:16].replace("T", " ")


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent="  ", subsequent_indent="  ")
