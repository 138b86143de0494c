"""`QuestionTerms`: what one question costs and how its sums travel, derived alike on both sides.

Everything comes from the signed study, so neither side can be told another bound, noise or scale
by a message: a difference shows in the `Context`, and masks made under different contexts do not
cancel.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Protocol

from cairn_privacy.noise import NoisePlan, plan_noise
from cairn_privacy.scale import Scale, noise_and_scale
from cairn_protocol.context import Context
from cairn_protocol.errors import OurFault
from cairn_protocol.study import QuestionSpec, Study


class Shape(Protocol):
    """Public facts of what leaves a clinic each round; see `cairn_models.questions.base.Shape`."""

    @property
    def length(self) -> int: ...
    @property
    def bound(self) -> float | None: ...
    @property
    def rounds(self) -> int: ...


@dataclass(frozen=True)
class QuestionTerms:
    """The terms of a question; `noise` is None for public data and only then."""

    study: Study
    question: str
    length: int
    noise: NoisePlan | None
    scale: Scale

    @classmethod
    def of(cls, study: Study, spec: QuestionSpec, shape: Shape, clinics: int) -> QuestionTerms:
        """The terms of `spec`, whose vectors have `shape`, over `clinics` clinics.

        Raises:
            PolicyRefusal: the study's policy cannot protect patients, or its sums do not fit.
        """
        if not study.noised:
            return cls(study, spec.name, shape.length, None, Scale.of_public(clinics))
        if spec.epsilon is None:
            raise OurFault("a question about patients has no ε", code="question-without-epsilon")
        plan = partial(plan_noise, spec.epsilon, study.privacy.delta, shape.rounds, study.policy)
        noise, scale = noise_and_scale(shape.bound, study.cohort, plan)
        return cls(study, spec.name, shape.length, noise, scale)

    @property
    def sum_sd(self) -> float:
        """Standard deviation of the noise in a sum over all clinics, in the question's units."""
        return self._noise_sd(None)

    def noise_sd(self, uploads: int) -> float:
        """The same in a sum over `uploads` clinics."""
        return self._noise_sd(uploads)

    def _noise_sd(self, uploads: int | None) -> float:
        if self.noise is None or self.scale.bound is None:
            return 0.0
        return self.noise.sum_sd(self.scale.bound, uploads)

    def context(self, roster: bytes, round_: int, attempt: int, public_state: bytes) -> Context:
        """The context of one sum, which both sides must agree on."""
        return Context.of(
            study=self.study.digest,
            roster=roster,
            question=self.question,
            round=round_,
            attempt=attempt,
            public_state=public_state,
            length=self.length,
            bound=self.scale.bound,
            sigma=self.scale.sigma,
            grid=self.scale.step,
            reach=self.scale.reach,
            modulus_bits=self.scale.modulus_bits,
        )
