"""`own_beside`: this clinic's own figures beside the pooled ones, by the question's own code.

The own figure is what the question makes of this clinic's sum alone, without noise; its N is this
clinic's. It is never sent. What is behind too few patients is held back as in the study's own
answers: whoever may see this is not always one who may see a patient's record.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cairn_client.admitted import admitted
from cairn_client.askable import Askable
from cairn_client.entry_pins import EntryPins
from cairn_client.preview import own_contribution
from cairn_client.returned.pooled import TRAINED, Pooled
from cairn_models.answers import Answer
from cairn_models.percentages import in_per_cent
from cairn_models.questions import build
from cairn_models.questions.base import Question, SumNoise
from cairn_models.records import Records
from cairn_privacy.question_terms import QuestionTerms
from cairn_protocol.errors import CairnError


@dataclass(frozen=True)
class Beside:
    """A pooled answer, and what this clinic's patients alone give; `without` says why nothing."""

    pooled: Answer
    own: Answer | None
    without: str = ""


@dataclass(frozen=True)
class OwnBeside:
    """A study's answers beside the clinic's; `patients` are its own in the study's window."""

    pooled: Pooled
    patients: int
    answers: tuple[Beside, ...]


def own_beside(
    pooled: Pooled, records: Records, clinics: int, pins: EntryPins | None, *, clinic: str
) -> OwnBeside:
    """Every pooled answer with this clinic's own. Nothing is charged, pinned or kept.

    Args:
        clinics: on the study's roster.
        clinic: this one's name there.

    Raises:
        CairnError: the records cannot be used.
    """
    inside = admitted(records, pooled.study, pins)
    return OwnBeside(pooled, len(inside), tuple(_answers(pooled, records, clinics, pins, clinic)))


def _answers(
    pooled: Pooled, records: Records, clinics: int, pins: EntryPins | None, clinic: str
) -> Iterator[Beside]:
    specs = {spec.name: spec for spec in pooled.study.questions}
    for answer in pooled.answers:
        shown = in_per_cent(answer)
        try:
            question = build(specs[answer.question], pooled.study)
            if without := _without(question):
                yield Beside(shown, None, without)
                continue
            terms = QuestionTerms.of(pooled.study, question.spec, question.shape, clinics)
            own = own_contribution(Askable(question, terms), records, pins, clinic)
            exact = question.estimate(question.start({}), own.total, SumNoise(0.0))
        except CairnError as error:
            yield Beside(shown, None, f"it could not be worked out: {error.what}")
            continue
        yield Beside(shown, in_per_cent(exact))


def _without(question: Question[Any]) -> str:
    if question.kind == TRAINED:
        return "it trained a model; `cairn clinic model error` says how far that is off here"
    if question.builds_on:
        return "it judges a model; `cairn clinic model error` does so by your own patients"
    if question.shape.rounds > 1:
        return f"it takes {question.shape.rounds} rounds over all clinics, not one sum"
    return ""
