"""`askable`: the questions that a study asks, with the terms on which a clinic answers them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cairn_models.questions import build
from cairn_models.questions.base import Question
from cairn_privacy.question_terms import QuestionTerms
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


def study_cap(study: Study, asked: Mapping[str, Askable]) -> float:
    """ρ that the study may cost: its questions as planned, and its retries at their dearest."""
    plans = [a.terms.noise for a in asked.values() if a.terms.noise is not None]
    dearest = max((plan.rho_per_round for plan in plans), default=0.0)
    return sum(plan.rho for plan in plans) + study.privacy.retries * dearest
