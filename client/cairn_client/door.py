"""`Door`: the one path by which anything that depends on a patient leaves a clinic.

    reserve → records → prepare → contributions → bound → sum → noise → encode → (mask) → upload

Rules, in the order in which the code keeps them:

D1  The charge is durable in the ledger before any record is used for the question. (The clinic's
    files are read when a run is opened; that they cannot be read is all that this shows.) It goes
    to every block of patients that the study's window touches, and nobody else is admitted.
D2  Each patient's vector is clipped to the question's bound C and truncated toward zero onto a
    grid of step C/S, so that one patient moves the integer sum by at most S in L2 norm.
D3  The sum is clamped coordinate by coordinate to what the ring holds; clamping moves no two
    sums further apart, so D2 still holds.
D4  Integer noise from the operating system's randomness is added before anything is encoded.
D5  What comes out is encoded for the mask. The sum itself is returned to nobody. (`preview` works
    it out for the clinic's own people by `asked_here`, `own_sum` and `noised`, and sends nothing.)
D6  A failure while records are at hand says nothing: its words or a row count could be a patient's.
D7  Records are asked for anew in every round, so that nobody is in it who has withdrawn.
D8  A clinic outside the group that a question is asked of answers with the vector of nobody,
    charged and noised as any.

Only public data (the study says so and so does this clinic's own configuration) skip D1 to D4.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from cairn_client.admitted import asked_here
from cairn_client.charged import study_account
from cairn_client.entry_pins import EntryPins
from cairn_models.questions.base import Public, Question, Vector
from cairn_models.records import Records
from cairn_privacy.bound import Steps, bounded_sum, exact_sum, saturate
from cairn_privacy.ledger import Ledger
from cairn_privacy.noise import NoisePlan, add_noise
from cairn_privacy.question_terms import QuestionTerms
from cairn_protocol.errors import CairnError, OurFault
from cairn_protocol.fixed_point import encode
from cairn_protocol.masks import Ring

log = logging.getLogger("cairn.keeper")


@dataclass(frozen=True)
class Asked:
    """One sum that the signed study allows, after every check of the request.

    `study_cap` is the most ρ that the whole study may spend here, `team` the key of who asks.
    """

    run: bytes
    question: Question[Any]
    terms: QuestionTerms
    round_: int
    attempt: int
    public: Public
    study_cap: float
    team: bytes = b""


@dataclass(frozen=True)
class Leaving:
    """An encoded vector on its way to the mask, and the ledger's entry that paid for it."""

    vector: Ring
    entry: int | None


class Door:
    """A clinic's door. It holds the way to the records; it gives out noised, encoded sums only.

    Args:
        records: the clinic's records as they stand; called after every charge.
        ledger: the clinic's ledger; None only where the clinic's own configuration says public.
        pins: the quarters under which patients were charged, for studies with a window.
        clinic: this clinic's name on the roster; None: it is in every group, for rehearsals.
    """

    def __init__(
        self,
        records: Callable[[], Records],
        ledger: Ledger | None,
        pins: EntryPins | None = None,
        *,
        clinic: str | None = None,
    ) -> None:
        self._clinic = clinic
        self._records = records
        self._ledger = ledger
        self._pins = pins
        # Of the question at hand: its key, the records that it was prepared from, the result.
        self._prepared: tuple[tuple[bytes, str], Records, Any] | None = None

    def answer(self, asked: Asked) -> Leaving:
        """The clinic's noised, encoded sum for one round.

        Raises:
            BudgetRefusal: the ledger's cap does not allow it; no record was read.
        """
        noise, scale = asked.terms.noise, asked.terms.scale
        entry = None
        if noise is None:
            total = own_sum(self._rows(asked), asked.terms)
        else:
            if scale.bound is None:
                raise OurFault("a noised question has no bound", code="unbounded-question")
            entry = self._reserve(asked, noise)  # D1
            total = noised(self._bounded(asked), asked.terms)  # D2, D3, D4
        vector = encode(total, reach=scale.reach, modulus_bits=scale.modulus_bits)  # D5
        return Leaving(vector, entry)

    def _reserve(self, asked: Asked, noise: NoisePlan) -> int:
        if self._ledger is None:
            raise OurFault("a noised question reached a clinic without a ledger", code="no-ledger")
        study = asked.question.study
        account = study_account(study, asked.study_cap, asked.team)
        return self._ledger.reserve(
            study=study.digest,
            question=asked.question.name,
            round_=asked.round_,
            attempt=asked.attempt,
            rho=noise.rho_per_round,
            run=asked.run,
            account=account,
        )

    def _bounded(self, asked: Asked) -> Steps:
        try:
            return own_sum(self._rows(asked), asked.terms)
        except Exception as error:  # D6
            what = error.code if isinstance(error, CairnError) else type(error).__name__
            log.error("could not compute %s: %s", asked.question.name, what)
            raise OurFault(
                "the clinic could not answer", code="answer-failed", hint="the clinic's log has it"
            ) from None

    def _rows(self, asked: Asked) -> Iterator[Vector]:
        question = asked.question
        key, records = (question.study.digest, question.name), self._records()
        held = self._prepared
        if held is None or held[0] != key or held[1] is not records:  # D7
            inside = asked_here(records, question, self._pins, self._clinic)  # D8
            held = self._prepared = (key, records, question.prepare(inside))
        return question.contributions(held[2], asked.public)


def own_sum(rows: Iterable[Vector], terms: QuestionTerms) -> Steps:
    """The sum (length,) of patients' rows, in steps: bounded (D2), or exact of public data.

    It is as it is before any noise, and stays in the clinic.

    Raises:
        OurFault: a noised question without a bound.
    """
    if terms.noise is None:
        return exact_sum(rows, terms.length)
    if terms.scale.bound is None:
        raise OurFault("a noised question has no bound", code="unbounded-question")
    return bounded_sum(rows, terms.length, terms.scale.bound, terms.noise.grid)


def noised(total: Steps, terms: QuestionTerms) -> Steps:
    """`total`, clamped (D3) and with fresh noise (D4); of public data as it is."""
    if terms.noise is None:
        return total
    return add_noise(saturate(total, terms.scale.clamp), terms.noise)
