"""`measured`: what a study's questions found out about one of its models, for the model's card.

Read from the answers as they were told, never from anything behind them: what an answer held back
counts as not shown.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cairn_models.answers import Answer, Estimate
from cairn_models.export.heads import Held, Judged, Measured, Number, Told
from cairn_models.questions.base import Question
from cairn_models.questions.calibration import Calibration
from cairn_models.questions.calibration_answer import MAIN, coverage_name
from cairn_models.questions.discrimination import Discrimination
from cairn_models.questions.error import Error
from cairn_models.questions.error_answer import bands_of, suffix_of
from cairn_models.trajectory.columns import DROPOUTS
from cairn_server.results import StudyResults


def measured(results: StudyResults, asked: dict[str, Question[Any]], model: str) -> Measured:
    """What the answers say of the model that the question `model` trained."""
    judged: list[Judged] = []
    held: list[Held] = []
    told: list[Told] = []
    for answer in results.answers:
        question = asked.get(answer.question)
        if isinstance(question, Error) and question.settings.model == model:
            judged += _judged(answer, question)
        elif isinstance(question, Calibration) and question.settings.model == model:
            held += _held(answer, question)
        elif isinstance(question, Discrimination) and question.settings.model == model:
            told.append(_told(answer, question))
    return Measured(tuple(judged), tuple(held), tuple(told))


def _judged(answer: Answer, question: Error) -> Iterator[Judged]:
    """What an "error" answer says by horizon, of all together and in each band of weeks."""
    named = {e.name: e for e in answer.estimates}
    asked = question.settings
    bands = ("", *(band for band in bands_of(asked.weeks) if band))
    for band in bands:
        for horizon in (*asked.horizons, None):
            at = suffix_of(horizon, band)
            if f"mae_model_{at}" not in named:
                continue
            yield Judged(
                horizon,
                named[f"mae_model_{at}"].count,
                model=_number(named.get(f"mae_model_{at}")),
                prior=_number(named.get(f"mae_prior_{at}")),
                last=_number(named.get(f"mae_last_{at}")),
                minus_prior=_number(named.get(f"minus_prior_{at}")),
                minus_last=_number(named.get(f"minus_last_{at}")),
                scale="" if asked.scale == "main" else question.scale.name,
                weeks=band,
            )


def _held(answer: Answer, question: Calibration) -> Iterator[Held]:
    named = {e.name: e for e in answer.estimates}
    for scale in question.scales:
        share = _number(named.get(coverage_name(scale, MAIN)))
        asked = question.settings
        yield Held(answer.question, scale.name, asked.horizons, share, by=asked.by)


def _told(answer: Answer, question: Discrimination) -> Told:
    named = {e.name: e for e in answer.estimates}
    asked = question.settings
    horizon = None if asked.outcome in DROPOUTS else asked.horizon
    first, last = question.frame.anchor
    return Told(
        answer.question,
        asked.outcome,
        horizon,
        _number(named.get("auc")),
        asked.floor,
        weeks=f"{first} to {last}" if last > first else f"{first}",
        by=asked.by,
    )


def _number(estimate: Estimate | None) -> Number | None:
    if estimate is None:
        return None
    value, low, high = estimate.value, estimate.low, estimate.high
    if value is None or low is None or high is None:
        return None
    return Number(value, low, high)
