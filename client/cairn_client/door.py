"""`Door`: the one path by which anything that depends on a patient leaves a clinic.

    reserve → records → prepare → contributions → bound → sum → noise → encode → (mask) → upload

Rules, in the order in which the code keeps them:

D1  The charge is durable in the ledger before any record is read for the question.
D2  Each patient's vector is clipped to the question's bound C and truncated toward zero onto a
    grid of step C/S, so that one patient moves the integer sum by at most S in L2 norm.
D3  The sum is clamped coordinate by coordinate to what the ring holds; clamping moves no two
    sums apart, so D2 still holds.
D4  Integer noise from the operating system's randomness is added before anything is encoded.
D5  What comes out is encoded and handed to the mask. The sum itself is returned to nobody.

Public data (`study.noised` false, and the clinic's own configuration says public) skip D1, D2 and
D4; nothing else may. Everything here is a pure function of its arguments but the ledger's entry
and the noise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cairn_models.questions.base import Public, Question
from cairn_models.records import Records
from cairn_privacy.bound import bounded_sum, exact_sum, saturate
from cairn_privacy.ledger import Ledger
from cairn_privacy.noise import NoisePlan, add_noise
from cairn_privacy.scale import PUBLIC_SCALE, largest_sum, ring_bits
from cairn_protocol.errors import OurFault
from cairn_protocol.fixed_point import encode

Ring = NDArray[np.uint32] | NDArray[np.uint64]


@dataclass(frozen=True)
class Asked:
    """One round of one question, as the signed study and the checked request say.

    `noise` is None for public data and only then.
    """

    question: Question[Any]
    round_: int
    attempt: int
    public: Public
    noise: NoisePlan | None


@dataclass(frozen=True)
class Leaving:
    """An encoded vector on its way to the mask, and the ledger's entry that paid for it."""

    vector: Ring
    entry: int | None


class Door:
    """A clinic's door. It holds the way to the records; it gives out noised, encoded sums only.

    Args:
        records: reads the clinic's records; called after the first charge, then kept.
        ledger: the clinic's ledger; None only where the clinic's configuration says public.
    """

    def __init__(self, records: Callable[[], Records], ledger: Ledger | None) -> None:
        self._read = records
        self._ledger = ledger
        self._records: Records | None = None
        self._prepared: dict[tuple[bytes, str], Any] = {}

    def answer(self, asked: Asked) -> Leaving:
        """The clinic's noised, encoded sum for one round.

        Raises:
            BudgetRefusal: the ledger's cap does not allow it; no record was read.
        """
        question, shape = asked.question, asked.question.shape
        if asked.noise is None:
            total = exact_sum(self._rows(asked), shape.length, PUBLIC_SCALE)
            return Leaving(encode(total, ring_bits(shape.modulus_bits, None)), None)

        entry = self._reserve(asked, asked.noise)  # D1
        total = bounded_sum(self._rows(asked), shape.length, _bound(question), asked.noise.grid)
        limit = largest_sum(question.study.cohort.largest_clinic, asked.noise)
        noised = add_noise(saturate(total, limit), asked.noise)  # D3, D4
        return Leaving(encode(noised, shape.modulus_bits), entry)

    def _reserve(self, asked: Asked, noise: NoisePlan) -> int:
        if self._ledger is None:
            raise OurFault("a noised question reached a clinic without a ledger", code="no-ledger")
        return self._ledger.reserve(
            study=asked.question.study.digest,
            question=asked.question.name,
            round_=asked.round_,
            attempt=asked.attempt,
            rho=noise.rho_per_round,
        )

    def _rows(self, asked: Asked) -> Any:
        question = asked.question
        if self._records is None:
            self._records = self._read()
        key = (question.study.digest, question.name)
        if key not in self._prepared:
            self._prepared = {key: question.prepare(self._records)}  # one question at a time
        return question.contributions(self._prepared[key], asked.public)


def _bound(question: Question[Any]) -> float:
    bound = question.shape.bound
    if bound is None:
        raise OurFault(
            f"question {question.name!r} has no bound and the data are patients'",
            code="unbounded-question",
        )
    return bound
