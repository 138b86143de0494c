"""`text`: a card for people, as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cairn_models.export.card import KEPT_HERE, Card
from cairn_models.export.heads import BANDS_FLOOR, Head, Number
from cairn_models.export.tripod import USE, items


def text(card: Card) -> str:
    """The bytes of card.md, as text."""
    parts = [
        f"# Model card: {card.main.name} course, '{card.trained.question}' of {card.study}",
        "**Research use only: not a prediction for any person's care.**",
        *(["**SYNTHETIC: trained on made-up patients.**"] if card.synthetic else []),
        *([f"**This clinic's own copy.** {KEPT_HERE}"] if card.personal else []),
        "## What it may say",
        _heads(card),
        "## How far off it is",
        _errors(card),
        "## What it is for",
        USE,
        "## What it rests on",
        _rests(card),
        "## TRIPOD+AI",
        _table(("item", "what", "here"), items(card)),
    ]
    return "\n\n".join(parts) + "\n"


def _heads(card: Card) -> str:
    by_output: dict[tuple[str, bool, str], list[Head]] = {}
    for head in card.heads:
        by_output.setdefault((head.output, head.usable, head.why), []).append(head)
    rows = []
    for (output, usable, why), heads in by_output.items():
        weeks = ", ".join(str(h.horizon) for h in heads if h.horizon is not None)
        said = "may be used" if usable else "missing"
        rows.append((output.replace("_", " "), weeks or "—", said, why or "—"))
    where = "" if card.public else ", under the same privacy"
    floors = (
        f"The floor of each was measured on patients who never trained the model{where}, and the "
        "whole 95 % interval must lie beyond it. A score must err less than the last value carried "
        f"forward; its bands must hold more than {100 * BANDS_FLOOR:g} % of scores where 80 % was "
        "foretold; a probability must have an area under the curve above the floor that the study "
        "states. What is missing is foretold by none of these files."
    )
    return _table(("output", "weeks ahead", "said", "measured"), rows) + f"\n\n{floors}"


def _errors(card: Card) -> str:
    if not card.judged:
        return "Not measured: the study asked no error question about this model."
    rows = [
        (
            j.scale or card.main.name,
            j.weeks or "all",
            "all" if j.horizon is None else str(j.horizon),
            *(_number(n) for n in (j.model, j.prior, j.last, j.minus_prior, j.minus_last)),
        )
        for j in card.judged
    ]
    head = (
        *("scale", "from week", "weeks ahead", "model", "its prior", "last value"),
        *("model less prior", "… less last"),
    )
    return _table(head, rows) + (
        "\n\nMean absolute error in points of the scale, lower is better; 95 % intervals"
        + ("." if card.public else " with privacy noise.")
    )


def _number(number: Number | None) -> str:
    return "too few patients" if number is None else str(number)


def _rests(card: Card) -> str:
    if card.public:
        return "Public data: nothing was charged, noised or held back."
    lines = [
        f"Privacy budget of the whole study: ε = {card.epsilon:.3g} at δ = {card.delta:g}, "
        "for every patient who was in it.",
        _table(
            ("question", "ε", "rounds", "noise"),
            [
                (
                    s.question,
                    "—" if s.epsilon is None else f"{s.epsilon:.3g}",
                    str(s.rounds),
                    s.noise,
                )
                for s in card.spent
            ],
        ),
        "Empirical test of the code that ran: "
        + (
            "; ".join(
                f"{t.question}: claimed ε {t.claimed:.3g}, an attack of {t.trials:,} trials shows "
                f"at least {t.at_least:.2g}"
                for t in card.tested
            )
            or "none"
        )
        + ".",
    ]
    return "\n\n".join(lines)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "/").replace("\n", " ") for cell in line) + " |"
        for line in lines
    )
