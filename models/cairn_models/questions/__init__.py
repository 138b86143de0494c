"""The questions that a study may ask. Adding one = a module here and a line in KINDS.

Modules are imported when first asked for, so that a clinic that never trains never loads torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final

from cairn_models.questions.base import Question
from cairn_models.questions.emulated import Emulated
from cairn_models.questions.unanswerable import refuse
from cairn_protocol.errors import InputError
from cairn_protocol.study import QuestionSpec, Study

KINDS: Final[dict[str, str]] = {
    "effect": "cairn_models.questions.effect:Effect",
    "trajectory": "cairn_models.questions.trajectory:Trajectory",
    "error": "cairn_models.questions.error:Error",
    "calibration": "cairn_models.questions.calibration:Calibration",
    "discrimination": "cairn_models.questions.discrimination:Discrimination",
    "rates": "cairn_models.questions.rates:Rates",
    "retention": "cairn_models.questions.retention:Retention",
    "time_to_event": "cairn_models.questions.time_to_event:TimeToEvent",
    "describe": "cairn_models.questions.describe:Describe",
    "regression": "cairn_models.questions.regression:Regression",
    "mixed_model": "cairn_models.questions.mixed_model:MixedModel",
    "gee": "cairn_models.questions.gee:GeeQuestion",
}


def build(spec: QuestionSpec, study: Study) -> Question[Any]:
    """The question that `spec` names, bound to its study.

    Raises:
        InputError: an unknown kind, an unknown setting, one that needs public data, or one that
            nobody may be told.
    """
    refuse(spec)
    if spec.kind not in KINDS:
        raise InputError(
            f"question {spec.name!r} is of an unknown kind, {spec.kind!r}",
            code="kind-unknown",
            hint=f"known: {', '.join(sorted(KINDS))}",
        )
    module, _, name = KINDS[spec.kind].partition(":")
    cls: type[Question[Any]] = getattr(import_module(module), name)
    if cls.public_only and study.noised:
        raise InputError(
            f"question {spec.name!r} ({spec.kind}) cannot be asked of patients",
            code="question-public-only",
            why="its sums are exact without noise and useless with it",
            hint='use it on public data ([privacy] data = "public"), or ask an "effect" question',
        )
    question = cls(spec, study)
    target = question.target_trial
    if target is None:
        return question
    counted = max(1, round(study.cohort.planned_patients * target.counted))
    cohort = study.cohort.model_copy(update={"planned_patients": counted})
    return Emulated(question, cls(spec, study.model_copy(update={"cohort": cohort})), target)
