"""`subject`: one question of a study behind real doors, as the empirical test examines it.

Records are synthetic and the ledger is a stand-in that remembers what it was charged; everything
between them is the code that answers at a clinic: `prepare`, `contributions`, `Door`. T1 reads the
door's sum where the noise would be added; T2 and T3 take what the door lets out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cairn_app.audit_canary import LinearCanary, hostile_rows, stretched
from cairn_app.audit_records import People, joined
from cairn_app.audit_stand_ins import Receipts, door_of
from cairn_client.door import Asked, Door
from cairn_models.questions.base import Public, Question, Vector
from cairn_models.records import Records
from cairn_privacy.accounting import LARGEST_RHO
from cairn_privacy.audit.claim import Claim
from cairn_privacy.audit.examine import Charge, Subject
from cairn_privacy.audit.membership import Canary
from cairn_privacy.audit.noise_law import opened
from cairn_privacy.audit.pull import RECORDS, Source
from cairn_privacy.bound import saturate
from cairn_privacy.question_terms import QuestionTerms
from cairn_protocol.errors import CairnError, InputError, OurFault
from cairn_protocol.masks import Ring
from cairn_protocol.study import QuestionSpec

Steps = NDArray[np.int64]
WIDEST: Final = 64  # coordinates of a canary
ORDINARY: Final = 40  # rows of a clinic that hostile rows are added to
BESIDE: Final = 3  # patients beside the canary
IDENTIFIERS: Final = 64  # tried until one takes part: questions divide patients by a keyed hash
OVER: Final = 10.0  # bounds: how long a canary's input is, so that clipping has work to do
ROWS: Final = "rows"  # T1's second way in, past the question's own code
HOSTILE_STATES: Final = {"drawn": 0.3, "huge": 1e3}  # deviation of a state that a server made up


class Doors:
    """The doors of clinics that are asked `question` under `terms`.

    Raises:
        InputError: the question's data are public, so there is no claim to test.
    """

    def __init__(self, question: Question[Any], terms: QuestionTerms) -> None:
        if terms.noise is None or terms.scale.bound is None:
            raise InputError(
                f"question {question.name!r} is asked of public data",
                code="nothing-to-test",
                why="it promises no privacy",
                hint="test a study whose [privacy] data are patients'",
            )
        self.question, self.terms = question, terms
        self.noise, self.bound = terms.noise, terms.scale.bound
        self.people = People(question.study)
        self._at_hand: tuple[Records, Door] | None = None

    def asked(self, public: Public, round_: int = 0) -> Asked:
        """The question in round `round_` at the state `public`."""
        return Asked(bytes(16), self.question, self.terms, round_, 0, public, LARGEST_RHO)

    def total(self, records: Records, public: Public) -> Steps:
        """The door's clamped sum before noise."""
        if self._at_hand is None or self._at_hand[0] is not records:
            self._at_hand = (records, door_of(records))
        total = self._at_hand[1]._bounded(self.asked(public))
        return saturate(total, self.terms.scale.clamp)

    @property
    def states(self) -> dict[str, Public]:
        """The first public state, where anybody can compute it, and some a server made up."""
        size = self.question.state_length
        if size == 0:
            return {"none": np.zeros(0, dtype=np.float32)}
        draw = np.random.default_rng(5)
        made_up = {
            name: draw.normal(0, sd, size).astype(np.float32) for name, sd in HOSTILE_STATES.items()
        }
        if self.question.builds_on:
            return made_up
        return {"first": self.question.start({}), **made_up}

    def charge(self) -> Charge:
        """What one answer over a full clinic charges, and whether it did so before reading."""
        receipts = Receipts()
        door = door_of(self.people.backgrounds["full"], receipts)
        door.answer(self.asked(next(iter(self.states.values()))))
        return Charge(tuple(receipts.rhos), not receipts.read_before_charge)

    @cached_property
    def hostile(self) -> dict[str, Records]:
        """Hostile patients under a name with which they take part in the question."""
        for k in range(IDENTIFIERS):
            patients = self.people.hostile(f"hostile-{k}")
            if any(self._pull(p, s).any() for p in patients.values() for s in self.states.values()):
                return patients
        return self.people.hostile("hostile-0")

    def by_records(self) -> Iterator[Source[Records, Public]]:
        """Hostile patients' records through the question's own code and the door.

        At made-up states over the two clinics where most is at stake: gradients take time.
        """
        clinics, (first, *others) = self.people.backgrounds, self.states.items()
        yield Source(RECORDS, self.total, joined, clinics, self.hostile, dict([first]))
        if others:
            some = {name: clinics[name] for name in ("full", "sparse")}
            yield Source(RECORDS, self.total, joined, some, self.hostile, dict(others))

    def by_rows(self) -> Source[Records, Public]:
        """Hostile vectors through the door, as if a question had let them through."""
        ordinary = self._rows[:ORDINARY]
        clinic = {f"ordinary-{k:02d}": row for k, row in enumerate(ordinary)}
        rows = dict(hostile_rows(self.question.shape.length))
        question = LinearCanary(self.question, self.bound, {**clinic, **rows})
        doors = Doors(question, self.terms)
        return Source(
            ROWS,
            doors.total,
            joined,
            {"full": self.people.named(clinic), "empty": self.people.named(())},
            {name: self.people.named([name]) for name in rows},
            {"none": np.zeros(0, dtype=np.float32)},
        )

    def empty_uploads(self, clinics: int) -> Callable[[int], list[Ring]]:
        """Each round's uploads of `clinics` clinics without a patient."""
        doors = [door_of(self.people.backgrounds["empty"]) for _ in range(clinics)]
        nobody = np.zeros(self.question.state_length, dtype=np.float32)
        return lambda round_: [door.answer(self.asked(nobody, round_)).vector for door in doors]

    def canary(self, mu: float, honest: int) -> Canary:
        """A canary at one of `honest` clinics, through doors whose noise is this question's own.

        The noise keeps its deviation in steps; the bound becomes so many steps that one sum is
        worth `mu`. Inputs are the question's own rows, cut to their largest coordinates.
        """
        plan = stretched(self.noise, mu)
        inputs = self._inputs
        question = LinearCanary(self.question, self.bound, inputs)
        doors = Doors(question, replace(self.terms, length=question.shape.length, noise=plan))
        alone, everyone = (
            self.people.named(n for n in inputs if n != "canary"),
            self.people.named(inputs),
        )
        public = np.zeros(0, dtype=np.float32)
        asked = doors.asked(public)
        with_, without = door_of(everyone), door_of(alone)
        others = [door_of(self.people.named(())) for _ in range(honest - 1)]
        bits = self.terms.scale.modulus_bits

        def unknown(present: bool) -> Steps:
            clinics = (with_ if present else without, *others)
            return opened([door.answer(asked).vector for door in clinics], bits)

        return Canary(
            math.sqrt(2 * plan.rho_per_round),
            lambda present: doors.total(everyone if present else alone, public),
            unknown,
        )

    @cached_property
    def _inputs(self) -> dict[str, Vector]:
        """The canary's row, ten bounds long, and three ordinary ones, by name."""
        state = next(iter(self.states.values()))
        worst = max(
            (self._pull(patient, state) for patient in self.hostile.values()), key=np.linalg.norm
        )
        largest = np.argsort(-np.abs(worst), kind="stable")[:WIDEST]
        row = worst[largest]
        size = float(np.linalg.norm(row))
        direction = row / size if size > 0 else np.eye(1, largest.size)[0]
        beside = {f"beside-{k}": r[largest] for k, r in enumerate(self._rows[:BESIDE])}
        return {**beside, "canary": OVER * self.bound * direction}

    @cached_property
    def _rows(self) -> list[Vector]:
        """The full clinic's vectors, as the question gives them to the door."""
        state = next(iter(self.states.values()))
        prepared = self.question.prepare(self.people.backgrounds["full"])
        return [row for block in self.question.contributions(prepared, state) for row in block]

    def _pull(self, patient: Records, state: Public) -> Vector:
        try:
            return self.total(patient, state).astype(np.float64)
        except CairnError:
            return np.zeros(self.question.shape.length)


def subject(question: Question[Any], spec: QuestionSpec, terms: QuestionTerms) -> Subject:
    """`question` as the empirical test examines it.

    Raises:
        InputError: its data are public.
        OurFault: an answer charged nothing, so there is no claim.
    """
    doors, policy = Doors(question, terms), question.study.policy
    charge = doors.charge()
    if not charge.rhos:
        raise OurFault(
            f"question {question.name!r} was answered without a charge", code="uncharged"
        )
    claim = Claim(
        rho=charge.rhos[0],
        releases=doors.noise.rounds,
        epsilon=spec.epsilon or 0.0,
        delta=question.study.privacy.delta,
        grid=doors.noise.grid,
        survivors=policy.survivors,
        colluding=policy.colluding,
    )
    return Subject(
        claim=claim,
        length=question.shape.length,
        modulus_bits=terms.scale.modulus_bits,
        charge=charge,
        sources=(*doors.by_records(), doors.by_rows()),
        empty_uploads=doors.empty_uploads(policy.survivors),
        canary=lambda mu: doors.canary(mu, claim.honest),
    )
