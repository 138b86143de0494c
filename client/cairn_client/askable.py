"""`askable`: the questions that a study asks, with the terms on which a clinic answers them.

`asked_for` finds the one that a request asks for, and keeps K2 and K3 of `keeper`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from cairn_models.questions import build
from cairn_models.questions.base import Question
from cairn_privacy.question_terms import QuestionTerms
from cairn_protocol.errors import PeerFault
from cairn_protocol.messages import RoundRequest
from cairn_protocol.study import Study


@dataclass(frozen=True)
class Askable:
    """A question that the study asks, with its terms."""

    question: Question[Any]
    terms: QuestionTerms


def askable(study: Study, clinics: int) -> dict[str, Askable]:
    """Every question of the study with its terms for so many clinics, by name, in its order.

    Raises:
        CairnError: the study cannot be answered.
    """
    questions = [build(spec, study) for spec in study.questions]
    return {
        q.name: Askable(q, QuestionTerms.of(study, q.spec, q.shape, clinics)) for q in questions
    }


def asked_for(asked: Mapping[str, Askable], request: RoundRequest) -> Askable:
    """The question of the study that `request` asks, its public state fit to be answered.

    Raises:
        PeerFault: the study does not ask it, or the state is not what the study says.
    """
    header, public = request.header, request.public
    found = asked.get(header.question)  # K2
    if found is None or header.round >= found.question.shape.rounds:
        raise PeerFault(
            "the study does not ask this",
            code="not-asked",
            why="its question or its round does not stand in the study",
        )
    question = found.question
    if public.size != question.state_length:
        raise PeerFault("the public state has the wrong length", code="state-length")
    first = header.round == 0 and not question.builds_on
    if first and not np.array_equal(public, question.start({})):  # K3
        raise PeerFault("the first model is not the one that the study names", code="state-planted")
    return found


def study_cap(study: Study, asked: Mapping[str, Askable]) -> float:
    """ρ that the study may cost: its questions as planned, and its retries at their dearest."""
    plans = [a.terms.noise for a in asked.values() if a.terms.noise is not None]
    dearest = max((plan.rho_per_round for plan in plans), default=0.0)
    return sum(plan.rho for plan in plans) + study.privacy.retries * dearest
