"""`LedgerView`: what a verified ledger says, as the people who answer for a clinic ask it.

What was spent, by whom, for what and when; what is left for whom, and what it could still buy. All
of it comes from the chain alone, so that it can be made from an export on any other machine.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Self

from cairn_privacy.accounting import RHO_UNIT, epsilon_of_rho, rho_for, units_within
from cairn_privacy.blocks import Blocks
from cairn_privacy.chain import Account, damaged
from cairn_privacy.links import Adoption, Entry

PRICES = (1.0, 0.5)  # ε of the questions in which a budget is told


@dataclass(frozen=True)
class QuestionSpent:
    """What one question cost: charges, what became of them, and ε of all together."""

    question: str
    epsilon: float
    charged: int
    sent: int
    void: int
    first: str  # time of the first charge
    last: str


@dataclass(frozen=True)
class StudySpent:
    """What one study cost: who asked, of whom, and for what.

    `name`, `title` and `team` (its public key, hexadecimal) are empty where the study was charged
    before the ledger kept them; `cap_epsilon` is None there. `gap_epsilon` is what was charged for
    a restored ledger's gap.
    """

    study: str
    name: str
    title: str
    team: str
    admits: str
    first: str
    last: str
    epsilon: float
    cap_epsilon: float | None
    left_share: float
    gap_epsilon: float
    questions: tuple[QuestionSpent, ...]


@dataclass(frozen=True)
class BlockSpent:
    """What a run of quarters was charged, each of them, and what is left of the clinic's cap.

    `largest_epsilon` is that of the largest question that can still be asked; `questions` how many
    questions at each ε of `PRICES`.
    """

    who: str
    first: str
    last: str
    epsilon: float
    left_share: float
    largest_epsilon: float
    questions: tuple[tuple[float, int], ...]


@dataclass(frozen=True)
class GapSpent:
    """A restored ledger's gap: who answered for it and when, and what was charged."""

    proposed_by: str
    proposed_at: str
    agreed_by: str
    agreed_at: str
    everything_until: str  # a quarter; empty: what the named studies could have spent


@dataclass(frozen=True)
class LedgerView:
    """A ledger at a glance; `stopped` if it was shown a head that it lacks."""

    clinic: str
    delta: float
    cap_epsilon: float
    cap_now: float  # as the clinic's configuration has lowered it
    links: int
    head: str
    begun: str
    stopped: bool
    blocks: tuple[BlockSpent, ...]
    studies: tuple[StudySpent, ...]
    gaps: tuple[GapSpent, ...]

    @classmethod
    def of(cls, account: Account, *, cap_rho: float | None = None) -> Self:
        """The view of a verified chain; `cap_rho` is the clinic's cap where it was lowered."""
        terms = account.terms
        if terms is None:
            raise damaged("it has no first entry")
        cap = account.cap if cap_rho is None else min(account.cap, units_within(cap_rho))
        return cls(
            clinic=terms.clinic,
            delta=terms.delta,
            cap_epsilon=terms.cap_epsilon,
            cap_now=_epsilon(cap, terms.delta) if cap < account.cap else terms.cap_epsilon,
            links=account.head.number,
            head=account.head.digest.hex(),
            begun=terms.at,
            stopped=bool(account.missing),
            blocks=tuple(
                _block(blocks, spent, cap, terms.delta) for blocks, spent in account.charged.steps()
            ),
            studies=tuple(_studies(account, terms.delta)),
            gaps=tuple(_gap(adoption) for adoption in account.adoptions),
        )


def _block(blocks: Blocks, spent: int, cap: int, delta: float) -> BlockSpent:
    left = max(cap - spent, 0)
    return BlockSpent(
        who=blocks.words(),
        first=blocks.first_name,
        last=blocks.last_name,
        epsilon=_epsilon(spent, delta),
        left_share=left / cap,
        largest_epsilon=math.floor(100 * _epsilon(left, delta)) / 100,
        questions=tuple((price, left // _price(price, delta)) for price in PRICES),
    )


def _studies(account: Account, delta: float) -> Iterator[StudySpent]:
    """Every study that was declared or charged, in the order of the chain."""
    charged: dict[str, list[Entry]] = {study: [] for study in account.studies}
    for entry in account.entries.values():
        charged.setdefault(entry.study, []).append(entry)
    for study, entries in charged.items():
        known, blocks = account.studies.get(study), account.blocks_of(study)
        spent = account.spent_by_study.get(study, 0)
        gap = sum(units for a in account.adoptions for of, units in a.charged if of == study)
        yield StudySpent(
            study=study,
            name=known.name if known else "",
            title=known.title if known else "",
            team=known.team if known else "",
            admits=blocks.words(),
            first=blocks.first_name,
            last=blocks.last_name,
            epsilon=_epsilon(spent, delta),
            cap_epsilon=_epsilon(known.cap_units, delta) if known else None,
            left_share=account.left_of(study) / known.cap_units if known else 0.0,
            gap_epsilon=_epsilon(gap, delta),
            questions=tuple(_questions(entries, delta)),
        )


def _questions(entries: Iterable[Entry], delta: float) -> Iterator[QuestionSpent]:
    by_name = sorted(entries, key=lambda entry: entry.question)
    asked = [list(group) for _, group in groupby(by_name, key=lambda entry: entry.question)]
    for charges in sorted(asked, key=lambda group: group[0].number):
        yield QuestionSpent(
            question=charges[0].question,
            epsilon=_epsilon(sum(entry.units for entry in charges), delta),
            charged=len(charges),
            sent=sum(entry.state == "committed" for entry in charges),
            void=sum(entry.state == "void" for entry in charges),
            first=charges[0].at,
            last=charges[-1].at,
        )


def _gap(adoption: Adoption) -> GapSpent:
    restore = adoption.restore
    until = Blocks.up_to(restore.last).last_name if restore.everything else ""
    return GapSpent(restore.by, restore.at, adoption.by, adoption.at, until)


def _epsilon(units: int, delta: float) -> float:
    return epsilon_of_rho(units * RHO_UNIT, delta) if units else 0.0


def _price(epsilon: float, delta: float) -> int:
    return units_within(rho_for(epsilon, delta))
