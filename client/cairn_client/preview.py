"""`OwnSum`: what this clinic's patients would add to a question's first round, worked out here.

It is worked out by the door's own steps (`asked_here`, `prepare`, `contributions`, `own_sum`,
`noised`), for people at the clinic who decide about a study. Rules:

W1  Nothing is charged or pinned: no ledger is opened, and pins are only looked at. All that is
    written down is, in the audit log, who looked.
W2  It goes to admin.sock alone. The sum has no noise, and an example has this clinic's share of it
    alone, so neither may leave; what leaves in a round has fresh noise, and a mask.
W3  What the clinic cannot know yet is not shown: a question that builds on another's release has
    no first state, and later rounds begin where the sums of earlier ones lead.
W4  Where the clinic has accounts, only who signed in sees it: a sum over few patients is nearly
    one patient's. What follows from the study alone needs no session.
W5  A failure while records are at hand is told by its type alone, as at the door.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from cairn_client.admitted import asked_here
from cairn_client.askable import Askable
from cairn_client.door import noised, own_sum
from cairn_client.entry_pins import EntryPins
from cairn_models.questions.base import Vector
from cairn_models.records import Records
from cairn_protocol.errors import CairnError, OurFault

log = logging.getLogger("cairn.keeper")
_ROUNDING = 1e-9  # relative; a row that reaches its bound may lie this far beyond it


@dataclass(frozen=True)
class OwnSum:
    """A clinic's part of one sum, in the question's units.

    Args:
        admitted: patients whom the study admits and the question asks.
        contributing: of them, those whose numbers are not all zeros.
        clipped: of those, whom the bound shortened, or took out for a NaN or an infinity.
        total: (length,) the sum before noise.
        example: (length,) the same with fresh noise, one example of what would be masked.
    """

    admitted: int
    contributing: int
    clipped: int
    total: Vector
    example: Vector


@dataclass
class _Counted:
    """Rows on their way into the sum: how many say anything, and how many the bound cuts."""

    rows: Iterator[Vector]
    bound: float
    contributing: int = field(default=0)
    clipped: int = field(default=0)

    def __iter__(self) -> Iterator[Vector]:
        for block in self.rows:
            largest = np.abs(block).max(axis=1, initial=0.0)  # NaN where there is one
            says = largest != 0.0
            with np.errstate(over="ignore", invalid="ignore"):
                norm = np.linalg.norm(block, axis=1)
            self.contributing += int(says.sum())
            self.clipped += int((says & ~(norm <= self.bound * (1.0 + _ROUNDING))).sum())
            yield block


def own_contribution(
    asked: Askable, records: Records, pins: EntryPins | None, clinic: str | None = None
) -> OwnSum:
    """The clinic's part of the first round of a question that builds on nothing.

    Args:
        clinic: its name on the roster, by which it is in a question's group or is not.

    Raises:
        CairnError: it cannot be computed; no word of it is a patient's.
    """
    question, terms = asked.question, asked.terms
    try:
        inside = asked_here(records, question, pins, clinic)
        rows = question.contributions(question.prepare(inside), question.start({}))
        counted = _Counted(rows, terms.scale.bound or np.inf)
        total = own_sum(counted, terms)
        example = noised(total, terms)
    except CairnError as error:
        log.error("could not compute %s: %s", question.name, error.code)
        raise
    except Exception as error:  # W5
        log.error("could not compute %s: %s", question.name, type(error).__name__)
        raise OurFault(
            "what this clinic would add could not be worked out",
            code="preview-failed",
            why=type(error).__name__,
            hint="a round would fail alike; report this with the keeper's log",
        ) from None
    units = [np.asarray(s * terms.scale.step, dtype=np.float64) for s in (total, example)]
    return OwnSum(len(inside), counted.contributing, counted.clipped, *units)
