"""The budget as a reader sees it: what each question might spend, what it spent, and the whole."""

from __future__ import annotations

from dataclasses import dataclass

from cairn_server.report import words
from cairn_server.results import StudyResults


@dataclass(frozen=True)
class SpendRow:
    """One question. `spent` and `allowed` are shares of the longest bar, 0 to 1."""

    name: str
    epsilon: str
    planned: str
    rho: str
    rounds: str
    sigma: str
    noise: str
    spent: float
    allowed: float


@dataclass(frozen=True)
class ShownSpend:
    """The table of spending; `charged` is False for public data."""

    charged: bool
    rows: tuple[SpendRow, ...]
    epsilon: str
    delta: str
    rho: str


def shown_spend(results: StudyResults) -> ShownSpend:
    """The spending in words, with bars on one scale."""
    spend = results.spend
    planned = {q.name: q.epsilon for q in results.study.questions}
    every = [e for q in spend.questions for e in (q.epsilon, planned.get(q.name)) if e]
    longest = max(every, default=1.0)
    rows = tuple(
        SpendRow(
            name=q.name,
            epsilon=_or_dash(q.epsilon),
            planned=_or_dash(planned.get(q.name)),
            rho=_or_dash(q.rho),
            rounds=words.cell(q.rounds),
            sigma=_or_dash(q.sigma),
            noise=q.noise,
            spent=(q.epsilon or 0.0) / longest,
            allowed=(planned.get(q.name) or 0.0) / longest,
        )
        for q in spend.questions
    )
    total = spend.total
    return ShownSpend(
        charged=total.epsilon is not None,
        rows=rows,
        epsilon=_or_dash(total.epsilon),
        delta="–" if total.delta is None else words.scientific(total.delta),
        rho=_or_dash(total.rho),
    )


def _or_dash(value: float | None) -> str:
    return "–" if value is None else words.number(value)
