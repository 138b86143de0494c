"""`split_of_model`: whom a question that judges a model may ask: who did not train it."""

from __future__ import annotations

from typing import Any

from cairn_models.questions.held_out import Split
from cairn_models.questions.trajectory import TrajectorySettings
from cairn_protocol.errors import InputError
from cairn_protocol.study import Study


def split_of_model(question: str, model: str, held_out: float | str | None, study: Study) -> Split:
    """The split under which `model` was trained, for the question that judges it.

    Args:
        question: the name of the one that judges.
        held_out: what it says itself; None: whatever the model's question says.

    Raises:
        InputError: no such model before this question, or the two hold out different patients:
            some would be judged who trained the model.
    """
    models: dict[str, dict[str, Any]] = {}
    for spec in study.questions:
        if spec.name == question:
            break
        if spec.kind == "trajectory":
            models[spec.name] = spec.settings
    if model not in models:
        raise InputError(
            f"question {question!r} judges a model {model!r} that the study does not train before "
            "it",
            code="judged-model",
            hint='set model to the name of a "trajectory" question that stands above this one',
        )
    own = TrajectorySettings.model_validate(models[model]).held_out
    if held_out not in (None, own) or own == 0:
        raise InputError(
            f"question {question!r} and {model!r} hold out different patients",
            code="judged-held-out",
            why="patients who trained a model cannot judge it",
            hint="give both the same held_out: a share above 0, or a group of clinics",
        )
    return Split.of(study, own)
